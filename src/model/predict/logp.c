/* Transfers: LogGP, by path and size. */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>

static const struct weft_logp_piece *piece_of(const struct weft_logp *p, double bytes) {
    unsigned i = p->pieces - 1;
    while (i > 0 && bytes < p->piece[i].from_B) i--;
    return &p->piece[i];
}

static double body_s(const struct weft_logp_piece *p, double bytes) {
    return bytes > 1 ? (bytes - 1) * p->gap_per_byte_s : 0;
}

double weft_logp_transfer_s(const struct weft_logp *path, double bytes) {
    const struct weft_logp_piece *p = piece_of(path, bytes);
    return p->overhead_send_s + p->latency_s + body_s(p, bytes) + p->overhead_receive_s;
}

/* From the start of one message to that of the next. */
static double each_s(const struct weft_logp_piece *p, double bytes) {
    return fmax(fmax(p->gap_s, p->overhead_send_s), bytes * p->gap_per_byte_s);
}

double weft_logp_stream_s(const struct weft_logp *path, double bytes, double count) {
    if (count < 1) return 0;
    return weft_logp_transfer_s(path, bytes) + (count - 1) * each_s(piece_of(path, bytes), bytes);
}

double weft_logp_rate_Bps(const struct weft_logp *path, double bytes) {
    return bytes / each_s(piece_of(path, bytes), bytes);
}

static bool sooner(const struct weft_logp *b, const struct weft_logp *a, double bytes) {
    return weft_logp_transfer_s(b, bytes) < weft_logp_transfer_s(a, bytes);
}

/* From the top down in steps within which both are straight lines, so that the last crossing is found. */
double weft_logp_crossover_B(const struct weft_logp *a, const struct weft_logp *b, double from_B,
                             double to_B) {
    double high = to_B;
    if (!sooner(b, a, to_B)) return to_B;
    while (high > from_B) {
        double low = from_B;
        for (unsigned i = 0; i < a->pieces; i++)
            if (a->piece[i].from_B < high) low = fmax(low, a->piece[i].from_B);
        for (unsigned i = 0; i < b->pieces; i++)
            if (b->piece[i].from_B < high) low = fmax(low, b->piece[i].from_B);
        double below = fmax(low, high - 1); /* the last size of this step: `high` may begin the next */
        if (!sooner(b, a, below)) return high;
        if (!sooner(b, a, low)) {
            while (below - low > 0.5) {
                double middle = (low + below) / 2;
                if (sooner(b, a, middle))
                    below = middle;
                else
                    low = middle;
            }
            return ceil(low);
        }
        high = low;
    }
    return from_B;
}

int weft_logp_fit(const double *bytes, const double *seconds, size_t n, unsigned pieces, unsigned hold_out,
                  double overhead_send_s, double overhead_receive_s, struct weft_logp *out,
                  struct weft_fit_error *fitted, struct weft_fit_error *held_out) {
    struct weft_curve_ask ask = {.form = WEFT_MODEL_PIECEWISE, .pieces = pieces, .hold_out = hold_out};
    struct weft_curve c;
    if (!(overhead_send_s >= 0) || !(overhead_receive_s >= 0)) return WEFT_E_INVAL;
    int rc = weft_curve_fit(&ask, bytes, seconds, n, &c);
    if (rc) return rc;
    out->pieces = c.parameters / 3;
    for (unsigned i = 0; i < out->pieces; i++) {
        const double *p = c.parameter + (size_t)3 * i;
        /* A piece a + b s is L + o + (s - 1) G: a byte of it belongs to the latency. */
        out->piece[i] =
            (struct weft_logp_piece){.from_B = p[0],
                                     .latency_s = p[1] + p[2] - overhead_send_s - overhead_receive_s,
                                     .overhead_send_s = overhead_send_s,
                                     .overhead_receive_s = overhead_receive_s,
                                     .gap_s = overhead_send_s,
                                     .gap_per_byte_s = p[2]};
    }
    if (fitted) *fitted = c.fitted;
    if (held_out) *held_out = c.held_out;
    return WEFT_OK;
}
