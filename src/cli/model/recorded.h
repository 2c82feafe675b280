/* Recorded applications (`weft run --record`) in commands about a model: where each task ran is known by host and
 * device, so that nobody has to write it into a file. */
#ifndef WEFT_CLI_MODEL_RECORDED_H
#define WEFT_CLI_MODEL_RECORDED_H
#include "cli/model/model.h"

#define RECORDED_WORKS_MAX 32
struct recorded_call {
    const char *file;                     /* of --record; NULL: not said */
    const char *work[RECORDED_WORKS_MAX]; /* of --work: "KERNEL=OPERATIONS", of one work item */
    unsigned works;
};
bool recorded_add_work(const struct command *c, struct recorded_call *call, const char *text);

/* As model_open, with the recorded file on top; recorded tasks that nothing runs are put on the units on which they
 * ran, and their data into the memory there. NULL after a message. */
struct weft_model *recorded_open(const struct command *c, const struct model_files *files,
                                 const struct recorded_call *call);

#define RECORDED_HELP                                                                                        \
    "  --record FILE     an application that `weft run --record` wrote, on top of the files or of your own model\n" \
    "  --work NAME=N     a work item of the recorded kernel NAME does N operations; may be repeated\n"

#endif
