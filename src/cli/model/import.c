/* weft model import: a machine as hwloc knows it, into a model file. */
#include "cli/model/model.h"

#include "base/error.h"
#include "base/path.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct call {
    struct model_files files;
    const char *xml, *id, *out;
    bool save;
};

void model_default_id(const char *xml, char *out, size_t cap) {
    if (xml) {
        const char *slash = strrchr(xml, '/');
        snprintf(out, cap, "%s", slash ? slash + 1 : xml);
    } else if (gethostname(out, cap))
        snprintf(out, cap, "node");
    out[cap - 1] = '\0';
    out[strcspn(out, ".")] = '\0'; /* "host.domain", "machine.xml" */
    for (char *p = out; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_') *p = '_';
    if (!isalnum((unsigned char)*out)) snprintf(out, cap, "node");
}

/* A file that the model was not read from is not overwritten. */
static bool may_write(const struct call *call, const char *path) {
    bool read = false;
    for (size_t i = 0; i < call->files.count; i++) read |= strcmp(call->files.path[i], path) == 0;
    if (read || access(path, F_OK) != 0) return true;
    fprintf(stderr, "weft model import: %s is there already; with -m %s the machine is added to it\n", path,
            path);
    return false;
}

static int import(const struct call *call, const char *out) {
    const struct command *c = &command_model_import;
    struct weft_model *m = call->files.count ? model_open(c, &call->files) : model_new(c);
    struct weft_model_fault fault;
    char id[256];
    if (!m) return 1;
    model_default_id(call->xml, id, sizeof id);
    int rc = weft_model_import_hwloc(m, call->xml, call->id ? call->id : id, &fault), status = 1;
    if (rc)
        model_tell_fault(c, &fault);
    else
        status = model_put(c, m, out);
    if (!status && out)
        fprintf(stderr, "%s: %u entities, %u observations\n", out, m->entity_count, m->observation_count);
    weft_model_destroy(m);
    return status;
}

static bool id_is_right(const char *id) {
    if (!isalnum((unsigned char)*id) || strlen(id) > 100) return false;
    for (; *id; id++)
        if (!isalnum((unsigned char)*id) && !strchr("._-", *id)) return false;
    return true;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"hwloc", required_argument, NULL, 'x'},
                                            {"as", required_argument, NULL, 'a'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"save", no_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_import;
    struct call call = {0};
    char path[4096];
    for (int o; (o = getopt_long(argc, argv, "hm:o:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'm' && !model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
        if (o == 'x') call.xml = optarg;
        if (o == 'a') call.id = optarg;
        if (o == 'o') call.out = optarg;
        if (o == 's') call.save = true;
    }
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    if (call.save && call.out) return command_misuse(c, "--save and --output are two places");
    if (call.id && !id_is_right(call.id))
        return command_misuse(c, "--as %s: letters, digits and . _ - are wanted", call.id);
    if (call.save) {
        if (weft_model_default_path(path, sizeof path))
            return command_misuse(c, "neither HOME nor WEFT_MODEL says where");
        int rc = weft_dir_make_above(path, 0777);
        if (rc) {
            fprintf(stderr, "weft model import: %s: %s\n", path, weft_error_text(rc));
            return 1;
        }
        call.out = path;
    }
    return call.out && !may_write(&call, call.out) ? 1 : import(&call, call.out);
}

const struct command command_model_import = {
    .name = "model import",
    .summary = "make a model of this machine, or of one in an hwloc XML file",
    .usage = "Usage: weft model import [-m FILE]... [--hwloc XML] [--as ID] [-o FILE | --save]\n"
             "Writes what hwloc knows of a machine as a model: packages, caches, cores, memory, devices and "
             "their links,\n"
             "and the memory latencies and bandwidths that its firmware tells. Without -o or --save, to "
             "standard output.\n\n"
             "  -m, --model FILE  add the machine to this model; may be repeated\n"
             "  --hwloc XML       the machine that this file describes (lstopo machine.xml), in place of "
             "this one\n"
             "  --as ID           its id in the model (default: the host's or the file's name)\n"
             "  -o, --output FILE write the model there\n"
             "  --save            write it where your own model is kept (`weft config model`)\n",
    .run = run,
};
