/* How messages go between two units: over the service between them as software sees it, else over links. */
#include "model/predict/app_basis.h"

#include <math.h>

/* How many steps up from `e` to `top`; -1: it is not inside. */
static int depth(const struct weft_model *m, weft_model_ref e, weft_model_ref top) {
    for (int n = 0; e != WEFT_MODEL_NONE; e = m->entities[e].parent, n++)
        if (e == top) return n;
    return -1;
}

/* How near a service's ends are to the two; -1: it does not join them. */
static int distance(const struct weft_model *m, weft_model_ref service, weft_model_ref from,
                    weft_model_ref to) {
    const weft_model_ref *ends = m->entities[service].ends;
    int best = -1;
    for (int turn = 0; turn < 2; turn++) {
        int a = depth(m, from, ends[turn]), b = depth(m, to, ends[!turn]);
        if (a >= 0 && b >= 0 && (best < 0 || a + b < best)) best = a + b;
    }
    return best;
}

static bool has_numbers(const struct weft_model *m, weft_model_ref service) {
    return weft_model_best(m, service, WEFT_MODEL_LATENCY, NULL) ||
           weft_model_find_curve(m, service, WEFT_MODEL_LATENCY, "size", NULL);
}

static double one_way_s(const struct weft_model *m, weft_model_ref service, double bytes) {
    const struct weft_model_curve *c = weft_model_find_curve(m, service, WEFT_MODEL_LATENCY, "size", NULL);
    return c ? weft_model_curve_at(m, c, bytes) : weft_model_value(m, service, WEFT_MODEL_LATENCY, INFINITY);
}

/* The nearest service; of equally near ones, as of several adapters between two hosts, the soonest. */
static weft_model_ref find_service(const struct weft_model *m, weft_model_ref from, weft_model_ref to,
                                   double bytes) {
    weft_model_ref found = WEFT_MODEL_NONE;
    int nearest = 0;
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        if (m->entities[e].kind != WEFT_MODEL_SERVICE || !has_numbers(m, e)) continue;
        int d = distance(m, e, from, to);
        if (d < 0 || (found != WEFT_MODEL_NONE && d > nearest)) continue;
        if (found != WEFT_MODEL_NONE && d == nearest && one_way_s(m, e, bytes) >= one_way_s(m, found, bytes))
            continue;
        found = e;
        nearest = d;
    }
    return found;
}

static double or_zero(double x) { return isnan(x) ? 0 : x; }

/* A curve over the size is the whole time of a message; it becomes one piece for this very size. */
static bool service_path(struct app_basis *b, weft_model_ref service, double bytes, struct app_path *out) {
    const struct weft_model *m = b->m;
    struct weft_logp_piece *p = &out->logp.piece[0];
    const struct weft_model_curve *c = weft_model_find_curve(m, service, WEFT_MODEL_LATENCY, "size", NULL);
    double gap = basis_value(b, service, WEFT_MODEL_GAP, NULL),
           per_byte = basis_value(b, service, WEFT_MODEL_GAP_PER_BYTE, NULL);
    out->on = service;
    out->logp.pieces = 1;
    *p = (struct weft_logp_piece){
        .overhead_send_s = or_zero(basis_value(b, service, WEFT_MODEL_OVERHEAD_SEND, NULL)),
        .overhead_receive_s = or_zero(basis_value(b, service, WEFT_MODEL_OVERHEAD_RECEIVE, NULL)),
        .gap_s = or_zero(gap)};
    if (isnan(per_byte)) {
        double rate = basis_value(b, service, WEFT_MODEL_BANDWIDTH, NULL);
        per_byte = rate > 0 ? 1 / rate : NAN;
    }
    if (c) {
        basis_note_curve(b, c);
        double all = weft_model_curve_at(m, c, bytes);
        if (isnan(per_byte)) per_byte = bytes > 0 ? all / bytes : 0; /* no more than one after another */
        double rest = all - fmax(0, bytes - 1) * per_byte - p->overhead_send_s - p->overhead_receive_s;
        if (rest < 0) { /* the curve is sooner than what is said apart */
            p->overhead_send_s = p->overhead_receive_s = 0;
            per_byte = bytes > 1 ? fmin(per_byte, all / (bytes - 1)) : 0;
            rest = fmax(0, all - fmax(0, bytes - 1) * per_byte);
        }
        p->latency_s = rest;
    } else {
        p->latency_s = basis_value(b, service, WEFT_MODEL_LATENCY, NULL);
    }
    p->gap_per_byte_s = per_byte;
    if (!isnan(per_byte)) return true;
    basis_miss(b, "the service %s has neither gap_per_byte nor bandwidth; `weft model measure` finds them",
               weft_model_id(m, service));
    return false;
}

static bool link_path(struct app_basis *b, weft_model_ref from, weft_model_ref to, const char *flow,
                      struct app_path *out) {
    struct weft_app_way way;
    const char *a = weft_model_id(b->m, from), *z = weft_model_id(b->m, to);
    if (weft_app_way(b->m, from, to, b, &way) || !way.links) {
        basis_miss(b,
                   "no service or link between %s and %s says what the flow %s costs: write one into the "
                   "model, or let `weft model measure` find it",
                   a, z, flow);
        return false;
    }
    if (isinf(way.Bps)) {
        basis_miss(b, "no link between %s and %s has a bandwidth, which the flow %s needs", a, z, flow);
        return false;
    }
    out->on = way.narrowest;
    out->logp.pieces = 1;
    out->logp.piece[0] = (struct weft_logp_piece){.latency_s = way.latency_s, .gap_per_byte_s = 1 / way.Bps};
    return true;
}

bool app_path(struct app_basis *b, weft_model_ref from, weft_model_ref to, double bytes, const char *flow,
              struct app_path *out) {
    *out = (struct app_path){.on = WEFT_MODEL_NONE};
    weft_model_ref service = from == to ? WEFT_MODEL_NONE : find_service(b->m, from, to, bytes);
    if (from == to) {
        out->within = true;
        out->logp.pieces = 1; /* all zero */
        return true;
    }
    return service != WEFT_MODEL_NONE ? service_path(b, service, bytes, out)
                                      : link_path(b, from, to, flow, out);
}
