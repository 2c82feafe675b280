/* The table of pinned ranges.
 *
 * DESIGN NOTES. The table has a fixed size and nothing is allocated or freed under its lock: freeing may
 * unmap memory that is watched, and that waits for the thread that takes this lock (unmap.c). A range that is
 * in use when its memory goes becomes stale: it is found by nobody any more and vanishes with its last user.
 */
#include "fabric/pin.h"
#include "base/error.h"
#include "base/log.h"
#include "fabric/count.h"
#include "fabric/unmap.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PINS_MAX 1024

struct pin {
    uintptr_t start, end; /* whole pages; end 0: free */
    unsigned users;
    bool watched, stale;
    uint64_t used_at;
};

static struct pin pins[PINS_MAX];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t pins_used; /* entries from there on are free */
static uint64_t uses;
static enum { UNKNOWN, WATCHING, BLIND } watching;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void lock(void) { pthread_mutex_lock(&table_lock); }
static void unlock(void) { pthread_mutex_unlock(&table_lock); }

/* A child of fork has no locked pages, and nobody watches them. */
static void after_fork_in_child(void) {
    pthread_mutex_init(&table_lock, NULL);
    memset(pins, 0, sizeof pins);
    pins_used = 0;
    if (watching == WATCHING) unmap_forget();
    watching = UNKNOWN;
}
static void prepare_fork(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

bool pin_is_mapped(const void *ptr, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)ptr & ~(page - 1);
    return msync((void *)start, (uintptr_t)ptr + bytes - start, MS_ASYNC) == 0;
}

static bool is_live(const struct pin *p) { return p->end && !p->stale; }

/* munlock of what no other live range holds. */
static void unlock_alone(uintptr_t start, uintptr_t end) {
    while (start < end) {
        uintptr_t next = end, covered = 0;
        for (size_t i = 0; i < pins_used; i++) {
            const struct pin *p = &pins[i];
            if (!is_live(p)) continue;
            if (p->start <= start && p->end > start && p->end > covered) covered = p->end;
            if (p->start > start && p->start < next) next = p->start;
        }
        if (!covered) munlock((void *)start, next - start);
        start = covered ? covered : next;
    }
}

static bool is_watched_by_other(uintptr_t start, uintptr_t end) {
    for (size_t i = 0; i < pins_used; i++)
        if (is_live(&pins[i]) && pins[i].watched && pins[i].start < end && pins[i].end > start) return true;
    return false;
}

static void drop(struct pin *p) {
    struct pin was = *p;
    *p = (struct pin){0};
    if (was.stale) return;
    if (was.watched && !is_watched_by_other(was.start, was.end)) unmap_unwatch(was.start, was.end);
    unlock_alone(was.start, was.end);
}

void pin_gone(uintptr_t start, uintptr_t end) {
    for (size_t i = 0; i < pins_used; i++) {
        struct pin *p = &pins[i];
        if (!is_live(p) || p->start >= end || p->end <= start) continue;
        fabric_count(COUNT_PINS_STALE, 1);
        struct pin was = *p;
        p->stale = true;
        if (!p->users) *p = (struct pin){0};
        if (was.start < start) unlock_alone(was.start, start);
        if (was.end > end) unlock_alone(end, was.end);
    }
}

/* Makes room by dropping the range that has been unused for longest; false: all are in use. */
static bool evict(void) {
    struct pin *oldest = NULL;
    for (size_t i = 0; i < pins_used; i++)
        if (is_live(&pins[i]) && !pins[i].users && (!oldest || pins[i].used_at < oldest->used_at))
            oldest = &pins[i];
    if (oldest) drop(oldest);
    return oldest != NULL;
}

static struct pin *find(uintptr_t start, uintptr_t end) {
    for (size_t i = 0; i < pins_used; i++)
        if (is_live(&pins[i]) && pins[i].start <= start && pins[i].end >= end) return &pins[i];
    return NULL;
}

static struct pin *find_free(void) {
    for (size_t i = 0; i < pins_used; i++)
        if (!pins[i].end) return &pins[i];
    if (pins_used < PINS_MAX) return &pins[pins_used++];
    return evict() ? find_free() : NULL;
}

static int lock_pages(uintptr_t start, uintptr_t end) {
    while (mlock((void *)start, end - start) != 0) {
        int err = errno;
        if (err == EINTR) continue;
        /* A part may be locked now: unlocked again, except what others hold. */
        unlock_alone(start, end);
        if (!pin_is_mapped((void *)start, end - start)) return WEFT_E_INVAL;
        if ((err == ENOMEM || err == EAGAIN || err == EPERM) && evict()) continue;
        return err == ENOMEM || err == EAGAIN || err == EPERM ? WEFT_E_LIMIT : weft_error_from_errno(err);
    }
    return 0;
}

static int pin_new(uintptr_t start, uintptr_t end, struct pin **out) {
    struct pin *p = find_free();
    if (!p) return WEFT_E_LIMIT;
    int rc = lock_pages(start, end);
    if (rc) return rc;
    *p = (struct pin){.start = start, .end = end, .watched = watching == WATCHING && unmap_watch(start, end)};
    *out = p;
    return 0;
}

int pin_take(const void *ptr, size_t bytes, struct pin **out) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)ptr & ~(page - 1);
    uintptr_t end = ((uintptr_t)ptr + bytes + page - 1) & ~(page - 1);
    if (end <= start) return WEFT_E_INVAL;
    pthread_once(&fork_once, prepare_fork);
    lock();
    if (watching == UNKNOWN) watching = unmap_start(lock, unlock, pin_gone) ? WATCHING : BLIND;
    struct pin *p = find(start, end);
    bool cached = p != NULL;
    int rc = cached ? 0 : pin_new(start, end, &p);
    if (rc == 0) {
        p->users++;
        p->used_at = ++uses;
        *out = p;
    }
    unlock();
    if (rc == 0) fabric_count(cached ? COUNT_PINS_CACHED : COUNT_PINS, 1);
    return rc;
}

void pin_give(struct pin *p) {
    if (!p) return;
    lock();
    if (p->users && --p->users == 0 && (p->stale || !p->watched)) drop(p);
    unlock();
}

void pin_trim(void) {
    lock();
    while (evict()) {
    }
    unlock();
}

void pin_usage(struct pin_usage *out) {
    *out = (struct pin_usage){0};
    lock();
    for (size_t i = 0; i < pins_used; i++) {
        if (!is_live(&pins[i])) continue;
        out->used += pins[i].users > 0;
        out->cached += pins[i].users == 0;
        out->bytes += pins[i].end - pins[i].start;
    }
    unlock();
}
