/* Entries of a recorded process: in a list that only grows, so that looking takes no lock. */
#include "base/record.h"

#include "base/board.h"
#include "base/clock.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENTRIES_MAX 16384
#define KERNELS_MAX 4096

bool weft_recording;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for adding */
static struct weft_record *entry[ENTRIES_MAX];
static _Atomic size_t entries;
static uint64_t rank = WEFT_RECORD_NOBODY;
static const struct weft_record_id nobody = {WEFT_RECORD_NOBODY, WEFT_RECORD_NOBODY, WEFT_RECORD_FABRIC};
static struct weft_record_kernel *kernel[KERNELS_MAX];
static _Atomic size_t kernels;

/* What launchers call it: Open MPI, PMIx, PMI (MPICH, scripts), Slurm. */
static void find_rank(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof *names && rank == WEFT_RECORD_NOBODY; i++) {
        const char *text = getenv(names[i]);
        char *end;
        unsigned long n = text && *text ? strtoul(text, &end, 10) : WEFT_RECORD_NOBODY;
        if (n < WEFT_RECORD_NOBODY && !*end) rank = n;
    }
}

/* Before all other constructors, which may make the board; also of a process that opens no fabric: its OpenCL
 * counters are of interest, and its time. */
__attribute__((constructor(101))) static void begin(void) {
    const char *dir = getenv(WEFT_BOARD_DIR_ENV);
    weft_recording = dir && *dir;
    if (!weft_recording) return;
    find_rank();
    weft_board_open();
}

static struct weft_record *add(struct weft_record_id self, struct weft_record_id peer) {
    size_t n = atomic_load(&entries);
    struct weft_record *r = n < ENTRIES_MAX ? weft_board_alloc(WEFT_BOARD_RECORD, sizeof *r) : NULL;
    if (!r) return NULL;
    r->self = self;
    r->peer = peer;
    r->rank = rank;
    atomic_store(&r->claimed, 1);
    entry[n] = r;
    atomic_store(&entries, n + 1);
    return r;
}

static bool same(struct weft_record_id a, struct weft_record_id b) {
    return a.node == b.node && a.process == b.process && a.space == b.space;
}

/* An entry that a fork has emptied fits nobody. */
static struct weft_record *find(struct weft_record_id self, struct weft_record_id peer) {
    size_t n = atomic_load(&entries);
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&entry[i]->claimed) && same(entry[i]->self, self) && same(entry[i]->peer, peer))
            return entry[i];
    return NULL;
}

struct weft_record *weft_record_peer(struct weft_record_id self, struct weft_record_id peer) {
    struct weft_record *r = weft_recording ? find(self, peer) : NULL;
    if (r || !weft_recording) return r;
    pthread_mutex_lock(&lock);
    r = find(self, peer);
    if (!r) r = add(self, peer);
    pthread_mutex_unlock(&lock);
    return r;
}

void weft_record_self(struct weft_record_id self) { weft_record_peer(self, nobody); }

static bool same_kernel(const struct weft_record_kernel *a, const struct weft_record_kernel *b) {
    return atomic_load(&a->claimed) && a->device_id == b->device_id && strcmp(a->name, b->name) == 0 &&
           memcmp(a->global, b->global, sizeof a->global) == 0 &&
           memcmp(a->local, b->local, sizeof a->local) == 0 && a->reads_bytes == b->reads_bytes &&
           a->writes_bytes == b->writes_bytes;
}

static struct weft_record_kernel *find_kernel(const struct weft_record_kernel *like) {
    size_t n = atomic_load(&kernels);
    for (size_t i = 0; i < n; i++)
        if (same_kernel(kernel[i], like)) return kernel[i];
    return NULL;
}

static struct weft_record_kernel *add_kernel(const struct weft_record_kernel *like) {
    size_t n = atomic_load(&kernels);
    struct weft_record_kernel *k =
        n < KERNELS_MAX ? weft_board_alloc(WEFT_BOARD_KERNEL, sizeof *k) : NULL;
    if (!k) return NULL;
    memcpy(k, like, sizeof *k);
    atomic_store(&k->claimed, 1);
    kernel[n] = k;
    atomic_store(&kernels, n + 1);
    return k;
}

struct weft_record_kernel *weft_record_kernel(const struct weft_record_kernel *like) {
    struct weft_record_kernel *k = weft_recording ? find_kernel(like) : NULL;
    if (k || !weft_recording) return k;
    pthread_mutex_lock(&lock);
    k = find_kernel(like);
    if (!k) k = add_kernel(like);
    pthread_mutex_unlock(&lock);
    return k;
}

void weft_record_kernel_took(struct weft_record_kernel *k, uint64_t ns) {
    uint64_t least = atomic_load(&k->least_ns);
    atomic_fetch_add(&k->total_ns, ns);
    while ((!least || ns < least) && !atomic_compare_exchange_weak(&k->least_ns, &least, ns)) {
    }
    atomic_fetch_add(&k->timed, 1);
}

/* A process without a fabric has an entry about itself too, with an id of no one. */
__attribute__((destructor)) static void end(void) {
    struct timespec t;
    if (!weft_recording || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t)) return;
    struct weft_record *r = weft_record_peer(nobody, nobody);
    if (!r) return;
    atomic_store(&r->cpu_ns, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
    atomic_store(&r->end_ns, weft_now_ns());
}
