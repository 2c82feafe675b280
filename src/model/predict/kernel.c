/* Kernels: what has run before is believed first; the roofline says how it grows. A history keeps, by size,
 * how many times as long the work took as the roofline says; between sizes that factor is interpolated over
 * the logarithm of the size, so that a kernel that was measured at a few sizes only follows the roofline's
 * own bend between them. The launch takes no part in the factor: of a small run it is most of the time, and
 * of a large one nothing, so that a factor with it in would say little of any other size. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <string.h>

/* Sizes this close are the same. */
#define SAME_SIZE 0.01
/* A run counts so much against what was known, once it is known well: drifting machines are followed. */
#define NEWEST_PART (1.0 / 8)

/* A run that is over sooner than a launch takes has worked this part of its time. */
#define LEAST_WORK (1.0 / 16)
/* So that a kernel of which nothing is known has a history, too. */
#define LEAST_WORK_S 1e-15

/* Bytes a second of a kernel that goes over so many bytes: between two levels along the logarithms. */
static double bandwidth_of(const struct weft_device_rates *d, double bytes) {
    unsigned i = 0;
    while (i < d->levels && d->level[i].size_B < bytes) i++;
    if (!d->levels) return d->Bps;
    if (i == 0) return d->level[0].Bps;
    if (i == d->levels) return d->level[i - 1].Bps;
    double part = log(bytes / d->level[i - 1].size_B) / log(d->level[i].size_B / d->level[i - 1].size_B);
    return d->level[i - 1].Bps * pow(d->level[i].Bps / d->level[i - 1].Bps, part);
}

/* How much longer the unit with the most work-groups works than one would with an even share. */
static double waves(double groups, double units) {
    return groups > 0 && units > 0 ? ceil(groups / units) * units / groups : 1;
}

static double work_s(const struct weft_kernel_work *w, const struct weft_device_rates *d) {
    double compute_s = w->flops > 0 ? w->flops / d->flops_per_s : 0;
    double memory_s = w->bytes > 0 ? w->bytes / bandwidth_of(d, w->bytes) : 0;
    return waves(w->groups, d->units) * fmax(fmax(compute_s, memory_s), LEAST_WORK_S);
}

double weft_roofline_s(const struct weft_kernel_work *w, const struct weft_device_rates *d) {
    return d->launch_s + work_s(w, d);
}

static bool is_same(double a, double b) { return fabs(a - b) <= SAME_SIZE * fmax(a, b); }

/* The first entry that is not below the size. */
static unsigned find(const struct weft_kernel_history *h, double size) {
    unsigned i = 0;
    while (i < h->n && h->seen[i].size < size && !is_same(h->seen[i].size, size)) i++;
    return i;
}

static double gap(const struct weft_kernel_history *h, unsigned i) {
    return log(h->seen[i + 1].size / h->seen[i].size);
}

/* The two sizes that are closest to each other become one: the one with more runs stays. */
static void make_room(struct weft_kernel_history *h) {
    unsigned closest = 0;
    for (unsigned i = 1; i + 1 < h->n; i++)
        if (gap(h, i) < gap(h, closest)) closest = i;
    unsigned gone = h->seen[closest].runs > h->seen[closest + 1].runs ? closest + 1 : closest;
    h->n--;
    memmove(&h->seen[gone], &h->seen[gone + 1], (h->n - gone) * sizeof *h->seen);
}

int weft_kernel_note(struct weft_kernel_history *h, double size, double seconds,
                     const struct weft_kernel_work *w, const struct weft_device_rates *d) {
    double factor = fmax(seconds - d->launch_s, seconds * LEAST_WORK) / work_s(w, d);
    if (!(size > 0) || isinf(size) || !(factor > 0) || isinf(factor)) return WEFT_E_INVAL;
    unsigned i = find(h, size);
    if (i < h->n && is_same(h->seen[i].size, size)) {
        double part = fmax(1.0 / ++h->seen[i].runs, NEWEST_PART);
        h->seen[i].factor += part * (factor - h->seen[i].factor);
        return WEFT_OK;
    }
    if (h->n == WEFT_KERNEL_HISTORY_MAX) {
        make_room(h);
        i = find(h, size);
    }
    memmove(&h->seen[i + 1], &h->seen[i], (h->n - i) * sizeof *h->seen);
    h->seen[i].size = size;
    h->seen[i].factor = factor;
    h->seen[i].runs = 1;
    h->n++;
    return WEFT_OK;
}

static double factor_at(const struct weft_kernel_history *h, double size, enum weft_forecast_source *source) {
    unsigned i = find(h, size);
    *source = i < h->n && is_same(h->seen[i].size, size) ? WEFT_FROM_HISTORY : WEFT_FROM_NEAR_SIZE;
    if (*source == WEFT_FROM_HISTORY) return h->seen[i].factor;
    if (i == 0) return h->seen[0].factor;
    if (i == h->n) return h->seen[i - 1].factor;
    double part = log(size / h->seen[i - 1].size) / gap(h, i - 1);
    return h->seen[i - 1].factor * pow(h->seen[i].factor / h->seen[i - 1].factor, part);
}

int weft_kernel_predict(const struct weft_kernel_history *h, double size, const struct weft_kernel_work *w,
                        const struct weft_device_rates *d, struct weft_forecast *out) {
    struct weft_forecast f = {.kernel_s = weft_roofline_s(w, d), .source = WEFT_FROM_ROOFLINE};
    if (h && h->n && !(size > 0)) return WEFT_E_INVAL;
    if (h && h->n) f.kernel_s = d->launch_s + work_s(w, d) * factor_at(h, size, &f.source);
    if (d->to && w->in_B > 0) f.in_s = weft_logp_transfer_s(d->to, w->in_B);
    if (d->from && w->out_B > 0) f.out_s = weft_logp_transfer_s(d->from, w->out_B);
    f.seconds = f.in_s + f.kernel_s + f.out_s;
    if (!(f.seconds >= 0) || isinf(f.seconds)) return WEFT_E_INVAL;
    *out = f;
    return WEFT_OK;
}
