/* Live regions: the table that says which memory may be read, and a read during which the memory is taken
 * back.
 */
#include "adapter/conformance.h"
#include "adapter/shm_live.h"
#include "base/clock.h"
#include "base/error.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t table[SHM_LIVE_MAX];

static void live__each_its_entry(void **state) {
    struct shm_live l = {.serial = table};
    for (uint64_t i = 0; i < SHM_LIVE_MAX; i++) {
        assert_int_equal(shm_live_add(&l, i + 1), i);
        assert_true(shm_live_holds(table, (uint32_t)i, i + 1));
    }
    assert_int_equal(shm_live_add(&l, 5000), SHM_LIVE_MAX);
    shm_live_remove(&l, 700);
    assert_false(shm_live_holds(table, 700, 701));
    assert_true(shm_live_holds(table, 699, 700));
    assert_int_equal(shm_live_add(&l, 5001), 700);
    assert_false(shm_live_holds(table, 700, 701));
    assert_true(shm_live_holds(table, 700, 5001));
    shm_live_remove(&l, SHM_LIVE_MAX);
    assert_int_equal(shm_live_add(&l, 5002), SHM_LIVE_MAX);
}

/* -- through the adapter -- */

#define BYTES 65536u
#define PAGE  4096u

static const struct conformance shm = {.name = "shm", .ops = &adapter_shm_ops};

struct lending {
    struct pair p;
    struct adapter *b; /* lends; p.a reads */
    struct adapter_peer *owner, *reader;
    uint8_t *memory, *to;
    uint8_t region[ADAPTER_REGION_MAX];
    size_t region_bytes;
};

static struct lending *lent; /* for the signal's handler */

static int read_all(struct lending *l) {
    return node_read(l->p.a, l->owner, l->region, l->region_bytes, 0, l->to, BYTES);
}

static void setup(struct lending *l) {
    void *memory;
    pair_open(&l->p, &shm);
    l->b = l->p.b->adapter;
    l->owner = node_connect(l->p.a, l->p.b);
    node_poll(l->p.b); /* so that there is one link */
    l->reader = node_connect(l->p.b, l->p.a);
    assert_int_equal(l->b->ops->alloc(l->b, BYTES, &memory), 0);
    l->memory = memory;
    pattern_fill(l->memory, BYTES, 4);
    l->region_bytes = sizeof l->region;
    assert_int_equal(l->b->ops->expose(l->b, l->reader, l->memory, BYTES, l->region, &l->region_bytes), 0);
    l->to = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(l->to != MAP_FAILED);
    for (int i = 0; i < 300; i++) node_poll(l->p.a); /* maps the window */
    lent = l;
}

static void teardown(struct lending *l) {
    munmap(l->to, BYTES);
    node_disconnect(l->p.a, l->owner);
    node_disconnect(l->p.b, l->reader);
    pair_close(&l->p);
}

/* The copy has come to a page that may not be written: now its source is taken back and used for something
 * else, then the copy goes on. */
static void in_the_copy(int sig, siginfo_t *info, void *context) {
    struct lending *l = lent;
    if ((uint8_t *)info->si_addr < l->to || (uint8_t *)info->si_addr >= l->to + BYTES) abort();
    l->b->ops->conceal(l->b, l->reader, l->region, l->region_bytes);
    memset(l->memory, 0xee, BYTES);
    mprotect(l->to, BYTES, PROT_READ | PROT_WRITE);
}

static void read__taken_back_during_the_copy(void **state) {
    struct lending l;
    struct sigaction stop = {.sa_sigaction = in_the_copy, .sa_flags = SA_SIGINFO}, before;
    setup(&l);
    assert_int_equal(read_all(&l), 0);
    assert_true(pattern_holds(l.to, BYTES, 4));
    assert_int_equal(sigaction(SIGSEGV, &stop, &before), 0);
    assert_int_equal(mprotect(l.to + BYTES / 2, PAGE, PROT_NONE), 0);
    assert_int_equal(read_all(&l), WEFT_E_ACCESS);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    assert_false(pattern_holds(l.to, BYTES, 4)); /* so it did happen during the copy */
    assert_int_equal(read_all(&l), WEFT_E_ACCESS);
    teardown(&l);
}

/* -- by the address, the owner as busy as the reader -- */

#define LEN   262144u
#define TIMES 20

struct race {
    struct lending l;
    uint8_t *memory;
    pthread_mutex_t lock; /* of the next three */
    uint8_t region[ADAPTER_REGION_MAX], fill;
    size_t region_bytes;
    atomic_bool over;
};

static void *lend_and_take_back(void *arg) {
    struct race *r = arg;
    struct lending *l = &r->l;
    for (unsigned i = 1; !atomic_load(&r->over); i++) {
        memset(r->memory, (int)(i & 0xff), LEN);
        pthread_mutex_lock(&r->lock);
        r->fill = (uint8_t)i;
        r->region_bytes = sizeof r->region;
        if (l->b->ops->expose(l->b, l->reader, r->memory, LEN, r->region, &r->region_bytes)) abort();
        pthread_mutex_unlock(&r->lock);
        for (unsigned spin = 0; spin < i * 7919 % 40000; spin++) atomic_load(&r->over);
        l->b->ops->conceal(l->b, l->reader, r->region, r->region_bytes);
    }
    return NULL;
}

static bool all_are(const uint8_t *p, size_t n, uint8_t byte) {
    return n == 0 || (p[0] == byte && !memcmp(p, p + 1, n - 1));
}

static void race(struct race *r, uint8_t *to, uint64_t deadline_ns) {
    struct lending *l = &r->l;
    for (int good = 0, late = 0; good < TIMES || late < TIMES;) {
        uint8_t region[ADAPTER_REGION_MAX];
        pthread_mutex_lock(&r->lock);
        uint8_t fill = r->fill;
        size_t len = r->region_bytes;
        memcpy(region, r->region, sizeof region);
        pthread_mutex_unlock(&r->lock);
        if (!len) continue;
        int rc = node_read(l->p.a, l->owner, region, len, 0, to, LEN);
        assert_true(rc == 0 || rc == WEFT_E_ACCESS);
        if (rc == 0) assert_true(all_are(to, LEN, fill));
        if (rc == 0)
            good++;
        else
            late++;
        assert_true(weft_now_ns() < deadline_ns);
    }
}

static void read__taken_back_at_any_moment(void **state) {
    struct race r = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t owner;
    setup(&r.l);
    if (!(r.l.p.a->adapter->attr.caps & ADAPTER_CAP_REMOTE_READ)) skip();
    uint8_t *to = malloc(LEN);
    r.memory = malloc(LEN);
    assert_int_equal(pthread_create(&owner, NULL, lend_and_take_back, &r), 0);
    race(&r, to, weft_now_ns() + 60 * WEFT_NS_PER_S);
    atomic_store(&r.over, true);
    pthread_join(owner, NULL);
    free(r.memory);
    free(to);
    teardown(&r.l);
}

/* More regions at a time than the table has entries: refused, and none of those that are there is lost. */
static void expose__table_full(void **state) {
    struct lending l;
    uint8_t region[SHM_LIVE_MAX][ADAPTER_REGION_MAX], byte;
    size_t len[SHM_LIVE_MAX];
    setup(&l);
    for (uint32_t i = 1; i < SHM_LIVE_MAX; i++) {
        len[i] = sizeof region[i];
        assert_int_equal(l.b->ops->expose(l.b, l.reader, l.memory + i, 1, region[i], &len[i]), 0);
    }
    len[0] = sizeof region[0];
    assert_int_equal(l.b->ops->expose(l.b, l.reader, l.memory, 1, region[0], &len[0]), WEFT_E_LIMIT);
    for (uint32_t i = 1; i < SHM_LIVE_MAX; i++) {
        assert_int_equal(node_read(l.p.a, l.owner, region[i], len[i], 0, &byte, 1), 0);
        assert_int_equal(byte, l.memory[i]);
        l.b->ops->conceal(l.b, l.reader, region[i], len[i]);
    }
    assert_int_equal(l.b->ops->expose(l.b, l.reader, l.memory, 1, region[0], &len[0]), 0);
    assert_int_equal(read_all(&l), 0);
    teardown(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live__each_its_entry),
        cmocka_unit_test(read__taken_back_during_the_copy),
        cmocka_unit_test(read__taken_back_at_any_moment),
        cmocka_unit_test(expose__table_full),
    };
    if (!mkdtemp(conformance_run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(conformance_run_dir);
    return failed;
}
