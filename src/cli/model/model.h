/* weft model: what its commands share. */
#ifndef WEFT_CLI_MODEL_H
#define WEFT_CLI_MODEL_H
#include "cli/command.h"
#include "weft/model.h"

#include <getopt.h>

extern const struct command command_model_show, command_model_check, command_model_query,
    command_model_import, command_model_export, command_model_explain, command_model_predict, command_model_place,
    command_model_policies, command_model_plot, command_model_measure;

/* The files of -m, in order. */
#define MODEL_FILES_MAX 64
struct model_files {
    const char *path[MODEL_FILES_MAX];
    size_t count;
};
bool model_files_add(const struct command *c, struct model_files *files, const char *path);

/* Reads the files, or with none the user's model; a name that is no file may be one of the descriptions that
 * come with weft. NULL after a message. */
struct weft_model *model_open(const struct command *c, const struct model_files *files);
/* An empty model that knows where parts are. NULL after a message. */
struct weft_model *model_new(const struct command *c);
bool model_read(const struct command *c, struct weft_model *m, const char *path,
                struct weft_model_fault *fault);
/* "weft model show: FILE:LINE: PATH: REASON". */
void model_tell_fault(const struct command *c, const struct weft_model_fault *fault);
/* The entity, or WEFT_MODEL_NONE after a message that names the nearest. */
weft_model_ref model_entity(const struct command *c, const struct weft_model *m, const char *id);
/* Writes the model to the file, or with NULL to standard output; the exit status. */
int model_put(const struct command *c, const struct weft_model *m, const char *path);

/* The host's name, or that of the XML file (NULL: none), as an id. */
void model_default_id(const char *xml, char *out, size_t cap);

#define MODEL_COMMON_HELP                                                                                    \
    "  -m, --model FILE  a model file, or the name of a description that comes with weft; may be repeated\n" \
    "                    (default: your own model, `weft config model`)\n"

#endif
