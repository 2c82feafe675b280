/* Posts at random times to notifications of every mechanism, and counts whether each is told once: for the
 * test and for `weft bench notify --stress`. */
#ifndef WEFT_NOTIFY_STRESS_H
#define WEFT_NOTIFY_STRESS_H
#include <stdbool.h>
#include <stdint.h>

enum stress_kind {
    STRESS_DIRECT,     /* lock release on one notification */
    STRESS_LOCK,       /* lock release of a notifier */
    STRESS_BRANCH,     /* into a thread that computes and masks */
    STRESS_POOL,       /* thread dispatch */
    STRESS_DESCRIPTOR, /* poll on an eventfd */
    STRESS_AUTO,       /* branch into that thread or dispatch, changed again and again */
    STRESS_KINDS
};
extern const char *const stress_names[STRESS_KINDS];

struct stress {
    uint64_t count, seed; /* wanted */
    uint64_t posted[STRESS_KINDS], told[STRESS_KINDS];
    uint64_t handed[STRESS_KINDS]; /* how often something was told: the rest was coalesced */
    uint64_t in_masked;            /* handlers that ran inside of a masked section */
    uint64_t wrong_values;         /* a value older than what was told with it, or not posted yet */
    uint64_t masked_sections;
    uint64_t changes; /* of STRESS_AUTO */
    double seconds;
};

/* 0, or WEFT_E_*: it could not be run. `stop` NULL or set from outside: ends early. */
int stress_run(struct stress *s, const volatile bool *stop);
/* Everything was told once, and no handler ran where it must not. */
bool stress_is_good(const struct stress *s);

#endif
