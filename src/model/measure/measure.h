/* model/measure/measure.h: what `weft model measure` consists of, but for what it borrows from the
 * benchmarks.
 *
 * In the order of use: is the machine quiet; measuring memory; putting results into a model so that better
 * data stay; fitting curves to what the model then has; deriving options from it. Only the memory part reads
 * a clock.
 *
 * UNITS are SI: seconds, bytes, bytes a second. ERRORS: 0 or the codes of weft.h. */
#ifndef WEFT_MODEL_MEASURE_H
#define WEFT_MODEL_MEASURE_H
#include "model/predict/predict.h"
#include "weft/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEASURE_TOOL "weft model measure"

/* ---- Is the machine quiet? (busy.c)
 * ------------------------------------------------------------------------------ */

struct measure_load {
    double average;   /* of a minute */
    unsigned running; /* threads that run or want to, this one among them: the median of some looks */
    unsigned cpus;
};
/* Reads a file in the form of /proc/loadavg some times within a fifth of a second. WEFT_E_PROTO: it is in no
 * such form. */
int measure_load(const char *path, struct measure_load *out);
/* The run queue is longer than there are CPUs. */
bool measure_is_busy(const struct measure_load *l);

/* ---- Results
 * ----------------------------------------------------------------------------------------------------- */

/* The middle of a number of samples, each of them a batch. */
struct measure_value {
    double median, low, high; /* low and high: the quartiles */
    double n;
    double least;
};
/* Sorts the samples; n > 0. */
struct measure_value measure_summary(double *samples, size_t n);

/* ---- Memory (ladder.c, stream.c)
 * --------------------------------------------------------------------------------- */

/* Loads that depend on each other, over all lines of a working set in random order. */
struct measure_ladder {
    uint8_t *memory; /* of the largest working set */
    size_t bytes;
    bool huge; /* the system backs it with huge pages, as far as it tells */
};
int measure_ladder_open(struct measure_ladder *l, size_t bytes);
void measure_ladder_close(struct measure_ladder *l);
/* Seconds a load; takes samples for about that long. */
int measure_ladder_step(struct measure_ladder *l, size_t working_set, double seconds,
                        struct measure_value *out);

enum measure_stream_op { MEASURE_READ, MEASURE_WRITE, MEASURE_COPY, MEASURE_TRIAD, MEASURE_STREAM_OPS };
extern const char *const measure_stream_names[MEASURE_STREAM_OPS];
/* Bytes a second that so many threads, one on each of the process's CPUs, move together; each works on arrays
 * of its own of `bytes` each. What a write fetches first is not counted. */
int measure_stream(enum measure_stream_op op, unsigned threads, size_t bytes, double seconds,
                   struct measure_value *out);

/* ---- Into the model (keep.c)
 * ------------------------------------------------------------------------------------- */

struct measure_keep {
    struct weft_model *m;
    const char *time;   /* ISO 8601 */
    bool busy;          /* measured beside others: never takes the place of what was measured alone */
    bool other_machine; /* what the model has was measured on another: it is replaced whatever its quality */
    double load;        /* noted when busy */
    double eager_B, method2_B;      /* the transport's cut-offs, at which it changes its way of sending */
    unsigned added, replaced, left; /* results; left: what was there is better */
};
/* The machine's entity in the model, with what it consists of: the host of that name, or it is imported as
 * `id`. */
int measure_host(struct measure_keep *k, const char *id, weft_model_ref *out, struct weft_model_fault *fault);
/* An observation of this tool. It takes the place of an older one under the same condition, unless that one
 * is better: it was measured alone and this one was not, or its median is surer (quartiles over the root of
 * n, by more than a quarter: else the luckiest run would stay for ever). */
int measure_put(struct measure_keep *k, weft_model_ref e, enum weft_model_attribute a,
                const struct weft_model_condition *when, const struct measure_value *v);
/* Finds or makes an entity of the host; ends are host entities or both WEFT_MODEL_NONE. WEFT_MODEL_NONE: no
 * memory. */
weft_model_ref measure_entity(struct weft_model *m, weft_model_ref host, const char *name,
                              enum weft_model_kind kind, const char *class_name, weft_model_ref from,
                              weft_model_ref to);
/* Says a property, in place of what was said before. */
int measure_name(struct weft_model *m, weft_model_ref e, const char *property, const char *value);
/* The entity that stands for a CPU of the host: its thread or its core. WEFT_MODEL_NONE: there is none. */
weft_model_ref measure_cpu(const struct weft_model *m, weft_model_ref host, int cpu);
weft_model_ref measure_memory(const struct weft_model *m, weft_model_ref host); /* the first NUMA node */
/* The next memory of the host from entity `from` on; WEFT_MODEL_NONE: no more. */
weft_model_ref measure_next_memory(const struct weft_model *m, weft_model_ref host, weft_model_ref from);

/* ---- Curves (fit.c)
 * ---------------------------------------------------------------------------------------------- */

/* How well curves tell what they were neither fitted to nor chosen by (fit.h). */
struct measure_fit_report {
    unsigned curves;
    double worst_transport; /* of the medians; 0: no transport was measured */
    double ladder;
};
/* One curve, with the points that judge it. */
struct measure_fitted {
    const char *entity, *state; /* state: what the observations say in `with` */
    struct weft_fit_error error;
    const double *x, *measured, *predicted; /* error.points of each */
};
/* Fits the memory's ladder (tiers at the caches' sizes) and each path's time over size (LogGP's pieces) to
 * the model's own observations, and puts the curves into it. Tells each, if `tell` is given. */
typedef void measure_fit_fn(void *ctx, const struct measure_fitted *f);
int measure_fit(struct measure_keep *k, weft_model_ref host, measure_fit_fn *tell, void *ctx,
                struct measure_fit_report *out);

/* ---- Options (derive.c)
 * ------------------------------------------------------------------------------------------ */

#define MEASURE_OPTIONS_MAX 12
struct measure_option {
    char name[32], value[400], why[200];
};
/* What follows from the model's measurements for weft's options; only what is worth a change: 5 % at least.
 */
size_t measure_derive(const struct weft_model *m, weft_model_ref host,
                      struct measure_option out[MEASURE_OPTIONS_MAX]);
/* Writes them as the file that options are read from (base/option.h), as a whole or not at all. */
int measure_write_options(const char *path, const struct measure_option *o, size_t count, const char *time);

#endif
