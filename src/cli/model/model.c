/* weft model: finds its command, and opens the model that the command is about. */
#include "cli/model/model.h"

#include "base/error.h"
#include "base/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_FROM_BYTES (8 << 20) /* larger files take long enough to say so */

static const struct command *const commands[] = {&command_model_show,   &command_model_explain,
                                                 &command_model_query,  &command_model_check,
                                                 &command_model_import, &command_model_export,
                                                 &command_model_predict, &command_model_place,
                                                 &command_model_policies, &command_model_plot,
                                                 &command_model_measure};
#define COMMANDS (sizeof commands / sizeof *commands)

/* "show" of "model show". */
static const char *short_name(const struct command *c) { return strchr(c->name, ' ') + 1; }

static int usage(void) {
    printf("Usage: weft model COMMAND [OPTION]...\n"
           "A model of machines and applications: what they are made of, how fast it is, and how that is "
           "known.\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-8s %s\n", short_name(commands[i]), commands[i]->summary);
    printf("\n  weft model COMMAND --help   what a command does\n\n"
           "Try it on this machine:   weft model import --save && weft model show\n"
           "on one that is not here:  weft model query -m optane-dimm disagreements\n");
    return 0;
}

static int unknown(const struct command *c, const char *name) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, name);
    for (size_t i = 0; i < COMMANDS; i++) weft_nearest_offer(&nearest, short_name(commands[i]));
    if (nearest.best)
        return command_misuse(c, "there is no command \"%s\"; did you mean \"%s\"?", name, nearest.best);
    return command_misuse(c, "there is no command \"%s\"", name);
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        usage();
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return usage();
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(short_name(commands[i]), argv[1]) != 0) continue;
        char said[40]; /* getopt begins its complaints with it */
        snprintf(said, sizeof said, "weft %s", commands[i]->name);
        argv[1] = said;
        return commands[i]->run(argc - 1, argv + 1);
    }
    return unknown(&command_model, argv[1]);
}

const struct command command_model = {
    .name = "model",
    .summary = "ask and keep a model of the machines and the applications",
    .run = run,
};

/* --- What they share --- */

bool model_files_add(const struct command *c, struct model_files *files, const char *path) {
    if (files->count == MODEL_FILES_MAX) {
        command_misuse(c, "at most %d model files", MODEL_FILES_MAX);
        return false;
    }
    files->path[files->count++] = path;
    return true;
}

void model_tell_fault(const struct command *c, const struct weft_model_fault *f) {
    fprintf(stderr, "weft %s: %s:", c->name, f->file);
    if (f->line) fprintf(stderr, "%u:", f->line);
    if (f->path[0]) fprintf(stderr, " %s:", f->path);
    fprintf(stderr, " %s\n", f->reason);
}

static int no_memory(const struct command *c) {
    fprintf(stderr, "weft %s: %s\n", c->name, weft_error_text(WEFT_E_NOMEM));
    return 1;
}

struct weft_model *model_new(const struct command *c) {
    struct weft_model *m;
    char folder[4096];
    if (weft_model_create(&m)) {
        no_memory(c);
        return NULL;
    }
    if (weft_model_default_folder(folder, sizeof folder) == 0) weft_model_set_folder(m, folder);
    return m;
}

/* The file, or the description of this name. */
static void resolve(const char *path, char *out, size_t cap) {
    char folder[3000];
    snprintf(out, cap, "%s", path);
    if (strchr(path, '/') || access(path, F_OK) == 0 || weft_model_default_folder(folder, sizeof folder))
        return;
    char described[4096];
    if ((size_t)snprintf(described, sizeof described, "%s/%s.json", folder, path) < sizeof described &&
        access(described, R_OK) == 0)
        snprintf(out, cap, "%s", described);
}

bool model_read(const struct command *c, struct weft_model *m, const char *path,
                struct weft_model_fault *fault) {
    char file[4096];
    struct stat st;
    resolve(path, file, sizeof file);
    bool tell = isatty(STDERR_FILENO) && stat(file, &st) == 0 && st.st_size > SHOWN_FROM_BYTES;
    if (tell) fprintf(stderr, "reading %s (%ld MB)", file, (long)(st.st_size >> 20));
    int rc = weft_model_load(m, file, fault);
    if (tell) fputs("\r\033[K", stderr);
    return rc == 0;
}

/* Of the user's own model, which need not be there. */
static bool read_default(const struct command *c, struct weft_model *m) {
    char path[4096];
    struct weft_model_fault fault;
    if (weft_model_default_path(path, sizeof path)) {
        fprintf(stderr, "weft %s: neither HOME nor WEFT_MODEL says where the model is; name one with -m\n",
                c->name);
        return false;
    }
    if (access(path, F_OK) != 0) {
        fprintf(stderr,
                "weft %s: there is no model yet (%s): `weft model import --save` makes one of this machine, "
                "or name one "
                "with -m\n",
                c->name, path);
        return false;
    }
    if (model_read(c, m, path, &fault)) return true;
    model_tell_fault(c, &fault);
    return false;
}

struct weft_model *model_open(const struct command *c, const struct model_files *files) {
    struct weft_model *m = model_new(c);
    struct weft_model_fault fault;
    bool ok = m && (files->count || read_default(c, m));
    for (size_t i = 0; ok && i < files->count; i++) {
        ok = model_read(c, m, files->path[i], &fault);
        if (!ok) model_tell_fault(c, &fault);
    }
    if (ok) return m;
    weft_model_destroy(m);
    return NULL;
}

weft_model_ref model_entity(const struct command *c, const struct weft_model *m, const char *id) {
    weft_model_ref e = weft_model_find(m, id);
    struct weft_nearest nearest;
    if (e != WEFT_MODEL_NONE) return e;
    weft_nearest_init(&nearest, id);
    for (uint32_t i = 0; i < m->entity_count; i++) weft_nearest_offer(&nearest, weft_model_id(m, i));
    fprintf(stderr, "weft %s: there is no entity \"%s\"", c->name, id);
    if (nearest.best)
        fprintf(stderr, "; did you mean \"%s\"?\n", nearest.best);
    else
        fprintf(stderr, "; `weft model show` lists them\n");
    return e;
}

int model_put(const struct command *c, const struct weft_model *m, const char *path) {
    int rc = path ? weft_model_save(m, path) : weft_model_write(m, stdout);
    if (!rc) return 0;
    fprintf(stderr, "weft %s: %s: %s\n", c->name, path ? path : "standard output", weft_error_text(rc));
    return 1;
}
