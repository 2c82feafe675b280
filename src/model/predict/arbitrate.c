/* Arbitration policies over recorded requests: one server that finishes what it has begun (run to
 * completion). */
#include "base/error.h"
#include "model/predict/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct server {
    const struct weft_request *request;
    size_t *waiting, n; /* requests that have come, in the order of their arrival */
    double *served_s;   /* by source: when it was served last; -1: never */
};

/* Whether the policy prefers a, which came later, to b. */
static bool prefers(enum weft_arbitration policy, const struct server *s, const struct weft_request *a,
                    const struct weft_request *b) {
    switch (policy) {
    case WEFT_ARBITRATE_LRU: return s->served_s[a->source] < s->served_s[b->source];
    case WEFT_ARBITRATE_PRIORITY: return a->priority > b->priority;
    case WEFT_ARBITRATE_SHORTEST: return a->service_s < b->service_s;
    default: return false;
    }
}

static size_t choose(enum weft_arbitration policy, struct server *s) {
    size_t best = 0;
    for (size_t i = 1; i < s->n; i++)
        if (prefers(policy, s, &s->request[s->waiting[i]], &s->request[s->waiting[best]])) best = i;
    size_t chosen = s->waiting[best];
    s->n--;
    memmove(s->waiting + best, s->waiting + best + 1, (s->n - best) * sizeof *s->waiting);
    return chosen;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void serve(enum weft_arbitration policy, struct server *s, size_t n, double *wait_s,
                  struct weft_arbitration_result *out) {
    double now_s = 0, sum_s = 0;
    for (size_t came = 0, done = 0; done < n; done++) {
        if (!s->n) now_s = fmax(now_s, s->request[came].arrival_s);
        while (came < n && s->request[came].arrival_s <= now_s) s->waiting[s->n++] = came++;
        const struct weft_request *r = &s->request[choose(policy, s)];
        wait_s[done] = now_s - r->arrival_s;
        sum_s += wait_s[done];
        s->served_s[r->source] = now_s;
        now_s += r->service_s;
    }
    qsort(wait_s, n, sizeof *wait_s, compare);
    *out = (struct weft_arbitration_result){.mean_wait_s = sum_s / (double)n,
                                            .p95_wait_s = wait_s[(size_t)ceil(0.95 * (double)n) - 1],
                                            .max_wait_s = wait_s[n - 1],
                                            .end_s = now_s};
}

#define SOURCES_MAX (1 << 20)

static int check(const struct weft_request *r, size_t n, int *sources) {
    *sources = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(r[i].service_s >= 0) || isinf(r[i].service_s) || !(r[i].arrival_s >= 0) ||
            isinf(r[i].arrival_s))
            return WEFT_E_INVAL;
        if (r[i].source < 0 || (i && r[i].arrival_s < r[i - 1].arrival_s)) return WEFT_E_INVAL;
        if (r[i].source >= SOURCES_MAX) return WEFT_E_TOO_BIG;
        if (r[i].source >= *sources) *sources = r[i].source + 1;
    }
    return WEFT_OK;
}

int weft_arbitrate(enum weft_arbitration policy, const struct weft_request *request, size_t n,
                   struct weft_arbitration_result *out) {
    int sources;
    if (n < 1 || (unsigned)policy >= WEFT_ARBITRATIONS) return WEFT_E_INVAL;
    int rc = check(request, n, &sources);
    if (rc) return rc;
    struct server s = {.request = request,
                       .waiting = malloc(n * sizeof *s.waiting),
                       .served_s = malloc((size_t)sources * sizeof *s.served_s)};
    double *wait_s = malloc(n * sizeof *wait_s);
    bool ok = s.waiting && s.served_s && wait_s;
    if (ok) {
        for (int i = 0; i < sources; i++) s.served_s[i] = -1;
        serve(policy, &s, n, wait_s, out);
    }
    free(s.waiting);
    free(s.served_s);
    free(wait_s);
    return ok ? WEFT_OK : WEFT_E_NOMEM;
}

const char *weft_arbitration_name(enum weft_arbitration a) {
    static const char *const name[] = {"fcfs", "lru", "priority", "shortest"};
    return (unsigned)a < WEFT_ARBITRATIONS ? name[a] : "?";
}
