/* weft model export: the whole model as one file, or what it knows of one machine's memory as hwloc XML. */
#include "cli/model/model.h"

#include <stdio.h>
#include <string.h>

struct call {
    struct model_files files;
    const char *out, *hwloc, *node, *topology;
};

/* The only host of the model; NULL after a message. */
static const char *only_host(const struct weft_model *m) {
    weft_model_ref found = WEFT_MODEL_NONE;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        const char *class_name = weft_model_string(m, m->entities[e].class_name);
        if (m->entities[e].kind != WEFT_MODEL_NODE || strcmp(class_name, "host") != 0) continue;
        if (found != WEFT_MODEL_NONE) {
            fprintf(stderr,
                    "weft model export: there are several hosts (%s, %s, ...): say which with --node\n",
                    weft_model_id(m, found), weft_model_id(m, e));
            return NULL;
        }
        found = e;
    }
    if (found == WEFT_MODEL_NONE) fprintf(stderr, "weft model export: there is no host in the model\n");
    return found == WEFT_MODEL_NONE ? NULL : weft_model_id(m, found);
}

static int export_hwloc(const struct call *call, const struct weft_model *m) {
    const struct command *c = &command_model_export;
    struct weft_model_fault fault;
    unsigned values = 0;
    const char *node = call->node ? call->node : only_host(m);
    if (!node || model_entity(c, m, node) == WEFT_MODEL_NONE) return 1;
    if (weft_model_export_hwloc(m, node, call->topology, call->hwloc, &values, &fault)) {
        model_tell_fault(c, &fault);
        return 1;
    }
    fprintf(stderr, "%s: %u latencies and bandwidths of %s\n", call->hwloc, values, node);
    if (!values)
        fprintf(stderr, "The model has none for this machine's memory; was it imported as \"%s\"?\n", node);
    return 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"hwloc", required_argument, NULL, 'x'},
                                            {"node", required_argument, NULL, 'n'},
                                            {"topology", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_export;
    struct call call = {0};
    for (int o; (o = getopt_long(argc, argv, "hm:o:", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o == '?') return command_misuse(c, NULL);
        if (o == 'm' && !model_files_add(c, &call.files, optarg)) return EXIT_USAGE;
        if (o == 'o') call.out = optarg;
        if (o == 'x') call.hwloc = optarg;
        if (o == 'n') call.node = optarg;
        if (o == 't') call.topology = optarg;
    }
    if (optind < argc) return command_misuse(c, "unexpected argument %s", argv[optind]);
    if (!call.hwloc && (call.node || call.topology))
        return command_misuse(c, "--node and --topology want --hwloc");
    struct weft_model *m = model_open(c, &call.files);
    if (!m) return 1;
    int status = call.hwloc ? export_hwloc(&call, m) : model_put(c, m, call.out);
    weft_model_destroy(m);
    return status;
}

const struct command command_model_export = {
    .name = "model export",
    .summary = "write the model as one file, or a machine's memory as hwloc XML",
    .usage = "Usage: weft model export [-m FILE]... [-o FILE]\n"
             "       weft model export [-m FILE]... --hwloc XML [--node ID] [--topology XML]\n"
             "Writes the model as one file, with the parts that it uses in it. With --hwloc, writes a "
             "machine's topology in\n"
             "hwloc's XML (version 2) with what the model knows of its memory as memory attributes and "
             "distances, for any\n"
             "program that uses hwloc (HWLOC_XMLFILE=XML lstopo --memattrs).\n\n" MODEL_COMMON_HELP
             "  -o, --output FILE write the model there (default: standard output)\n"
             "  --hwloc XML       write this file\n"
             "  --node ID         the machine (default: the only host of the model)\n"
             "  --topology XML    the machine's topology (default: this machine's)\n",
    .run = run,
};
