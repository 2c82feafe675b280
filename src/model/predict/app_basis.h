/* What predictions of an application rest on, and what they lack. */
#ifndef WEFT_MODEL_PREDICT_APP_BASIS_H
#define WEFT_MODEL_PREDICT_APP_BASIS_H
#include "model/predict/app.h"

struct app_basis {
    const struct weft_model *m;
    struct weft_app_basis *at;
    size_t count, room, since; /* `since`: where the part that is being predicted begins */
    char **missing;
    size_t missing_count;
    bool no_memory;
    bool forget; /* no duration that was seen answers: what would be predicted without */
};

/* The number, noted as one that the part rests on; NAN: there is none. `wanted` NULL: any condition. */
double basis_value(struct app_basis *b, weft_model_ref e, enum weft_model_attribute a,
                   const struct weft_model_condition *wanted);
void basis_note(struct app_basis *b, const struct weft_model_observation *o);
void basis_note_curve(struct app_basis *b, const struct weft_model_curve *c);
/* A sentence about what is missing, once. */
void basis_miss(struct app_basis *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void basis_fini(struct app_basis *b);

/* The time of a task on a unit. What is missing is told and leaves NAN. */
struct app_task_time {
    double compute_s, memory_s, in_s, out_s, seconds;
    bool measured;
};
void app_task_time(struct app_basis *b, weft_model_ref task, weft_model_ref unit, struct app_task_time *out);
/* Bytes that a task reads and writes in all. */
void app_task_bytes(struct app_basis *b, weft_model_ref task, double *reads, double *writes);

/* Bytes a second of a memory, for "read" or "write"; NAN after telling that it is missing. */
double app_memory_rate(struct app_basis *b, weft_model_ref memory, const char *op, const char *pattern);

/* A task's blocks and the units that share them. */
struct app_blocks {
    struct weft_block_app app;
    struct weft_block_device device[WEFT_MAKESPAN_DEVICES_MAX];
    weft_model_ref unit[WEFT_MAKESPAN_DEVICES_MAX], host[WEFT_MAKESPAN_NODES_MAX];
    double nic_Bps[WEFT_MAKESPAN_NODES_MAX];
    struct weft_block_cluster cluster;
    struct weft_block_policy policy;
};
uint32_t app_units(const struct weft_model *m, weft_model_ref task); /* how many run it */
/* WEFT_E_NOENT: what is missing was told. */
int app_blocks(struct app_basis *b, weft_model_ref task, struct app_blocks *out);

/* How messages go between two units. */
struct app_path {
    struct weft_logp logp;
    weft_model_ref on;
    bool within; /* one and the same unit: nothing is sent */
};
/* False: what is missing was told. */
bool app_path(struct app_basis *b, weft_model_ref from, weft_model_ref to, double bytes, const char *flow,
              struct app_path *out);

#endif
