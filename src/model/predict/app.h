/* An application of a model file, predicted: the tasks, objects, accesses and flows of weft/model.h joined
 * with the predictors of predict.h. What is predicted names the observations that it rests on, and what
 * cannot be predicted says which numbers are missing.
 *
 *     weft_app_predict(m, &app);
 *     if (app->missing_count) …app->missing[0] is a sentence…
 *     app->seconds, app->part[i].seconds, app->basis[app->part[i].first_basis] …
 *     weft_app_free(app);
 *
 * What is assumed. A task takes, on the unit that `runs` it, what it was seen to take there (`duration`),
 * else launch + max(work / rate, bytes / bandwidth of each memory); operands in memories behind links are
 * moved before, results after. Tasks of one unit follow one another. A flow with the property sync=true is
 * sent when its sender has ended, and its receiver waits for all of it; others go on while both run: the
 * overheads are the tasks', and the receiver ends no earlier than the last message can be there. Synchronous
 * flows over one service or link follow one another. A task with `blocks` that several units run is shared
 * out among them (weft_makespan), operands being at the first. Not in it: waiting for locks, contention of
 * tasks for a memory, SMT. */
#ifndef WEFT_MODEL_PREDICT_APP_H
#define WEFT_MODEL_PREDICT_APP_H
#include "model/predict/predict.h"

struct weft_app_part {
    weft_model_ref entity;                   /* a task or a flow */
    weft_model_ref on;                       /* the unit; the service, or the narrowest link; NONE: within */
    double seconds, start_s, end_s;          /* NAN: not known */
    double compute_s, memory_s, in_s, out_s; /* of a task: what it is made of; launch is in compute_s */
    double message_s;                        /* of a flow: one message; of a task: overheads of messages */
    bool measured;                           /* of a task: its own duration answers */
    uint32_t units;                          /* that share its blocks; 1: one */
    size_t first_basis, bases;
};

/* What a number rests on: one of the two. */
struct weft_app_basis {
    const struct weft_model_observation *observation;
    const struct weft_model_curve *curve;
};

struct weft_app {
    const struct weft_model *m;
    struct weft_app_part *part; /* tasks, then flows, each in the order of the file */
    size_t parts, tasks;
    struct weft_app_basis *basis;
    size_t bases;
    char **missing; /* sentences */
    size_t missing_count;
    double seconds; /* the makespan; NAN: something is missing */
    size_t last;    /* the part that ends last */
};

/* WEFT_E_NOENT: the model has no task. WEFT_E_INVAL: synchronous flows go in a circle (app->missing says
 * which; `out` is set). WEFT_E_NOMEM. What is missing is no error. The model must stay unchanged and in place
 * until weft_app_free. */
int weft_app_predict(const struct weft_model *m, struct weft_app **out);
void weft_app_free(struct weft_app *app);

/* One task on a unit that need not be the one that runs it. WEFT_E_NOENT: numbers are missing, of which `why`
 * names the first. */
int weft_app_forecast(const struct weft_model *m, weft_model_ref task, weft_model_ref unit,
                      struct weft_forecast *out, char *why, size_t cap);

/* The way between two hardware entities of least latency. */
struct weft_app_way {
    double latency_s, Bps;    /* Bps: INFINITY without links */
    weft_model_ref narrowest; /* the link; NONE: there is none on it */
    unsigned links, unknown;  /* links; of those without a latency or a bandwidth */
};
/* WEFT_E_NOENT: there is none. Each link's observations go to `basis` (see app_basis.h; NULL: nowhere). */
struct app_basis;
int weft_app_way(const struct weft_model *m, weft_model_ref from, weft_model_ref to, struct app_basis *basis,
                 struct weft_app_way *out);
/* What contains it and is of class host; NONE. */
weft_model_ref weft_app_host(const struct weft_model *m, weft_model_ref e);
/* The unit that `runs` a task, or the memory that `places` an object, from the n-th relation on; NONE. */
weft_model_ref weft_app_related(const struct weft_model *m, enum weft_model_relation_type type,
                                weft_model_ref to, unsigned n);

#endif
