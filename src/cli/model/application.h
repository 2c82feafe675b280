/* weft model: commands about an application in model files. */
#ifndef WEFT_CLI_MODEL_APPLICATION_H
#define WEFT_CLI_MODEL_APPLICATION_H
#include "cli/model/model.h"
#include "model/predict/app.h"

/* NULL after a message: no task, a circle, or, unless `even_so`, numbers that are missing. */
struct weft_app *application_predict(const struct command *c, const struct weft_model *m, bool even_so);
/* Tells each number that is missing. */
void application_tell_missing(const struct command *c, const struct weft_app *app);

/* weft model predict FILE...: the whole application; the exit status. */
int application_show(const struct command *c, const struct weft_model *m, bool json);
/* Whether a task should run elsewhere: on `unit`, or with NULL on any device. */
int application_offload(const struct command *c, const struct weft_model *m, const char *task,
                        const char *unit, bool json);
/* weft model explain --predicted: the observations below a part's time (NULL: the makespan). */
int application_explain(const struct command *c, const struct weft_model *m, const char *part, bool json);

/* The parts of `weft model place`. */
struct place_call {
    const char *as, *nodes, *in, *task; /* NULL: not said */
    long runs;                          /* that memories have to last; 0: not said */
    bool json;
};
int place_processes(const struct command *c, const struct weft_model *m, const struct place_call *call);
int place_objects(const struct command *c, const struct weft_model *m, const struct place_call *call);
int place_blocks(const struct command *c, const struct weft_model *m, const struct place_call *call);

#endif
