/* Pages shared between hosts: whatever sharers say, nobody has a page that another one may write, and whoever
 * may only read writes nothing; whatever the home says, a mapping that may only be read stays so. */
#include "fuzz.h"
#include "scif/share/cache.h"
#include "scif/share/home.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define PAGES   4u
#define SHARERS 4u

static const unsigned char page[SHARE_PAGE];

static void ignore_send(void *ctx, struct sharer *to, const struct share_message *m, const void *data) {
    (void)ctx;
    (void)to;
    (void)m;
    (void)data;
}
static void ignore_page(struct home_access *a, uint32_t number, unsigned char *memory) {
    FUZZ_CHECK(number < PAGES);
    memory[0] ^= a->write;
}
static void ignore_done(struct home_access *a) { a->count = 0; }

/* ---- The home ---- */
struct play {
    struct home home;
    unsigned char memory[PAGES * SHARE_PAGE];
    struct sharer *sharer[SHARERS]; /* the last is local, the one before it may only read */
    struct home_access access[2];   /* count 0: not under way */
    uint64_t now;
};

static void check_home(const struct play *p) {
    for (uint32_t i = 0; i < PAGES; i++) {
        unsigned writers = 0, others = 0;
        for (unsigned k = 0; k < SHARERS; k++) {
            struct sharer *is = p->sharer[k];
            enum share_state s = is ? home_state(is, i) : SHARE_NONE;
            FUZZ_CHECK(s != SHARE_WRITE || is->writable);
            if (is && is->local && is->unanswered) continue; /* it may have come with more */
            writers += s == SHARE_WRITE;
            others += s != SHARE_NONE;
        }
        FUZZ_CHECK(!writers || others == 1);
    }
}

static void join(struct play *p, unsigned k, bool has_all) {
    struct home_sharer s = {.local = k == SHARERS - 1,
                            .has_all = has_all && k == SHARERS - 1,
                            .writable = k != SHARERS - 2,
                            .count = PAGES};
    if (!p->sharer[k]) p->sharer[k] = home_join(&p->home, &s, p->now);
}

static void leave(struct play *p, unsigned k) {
    if (p->sharer[k]) home_remove(&p->home, p->sharer[k], p->now);
    p->sharer[k] = NULL;
}

static void say(struct play *p, unsigned k, const uint8_t *d) {
    struct share_message m = {
        .kind = d[1] % 12, .page = d[2] % (PAGES + 1), .bytes = d[3] & 1 ? SHARE_PAGE : d[3] >> 1};
    if (!p->sharer[k]) return;
    if (home_message(&p->home, p->sharer[k], &m, page, p->now)) leave(p, k);
}

static void begin_access(struct play *p, const uint8_t *d) {
    struct home_access *a = &p->access[d[1] & 1];
    if (a->count) {
        home_cancel(&p->home, a, p->now);
        a->count = 0;
        return;
    }
    *a = (struct home_access){.first = d[2],
                              .count = d[3] % (PAGES + 1),
                              .write = d[1] & 2,
                              .on_page = ignore_page,
                              .on_done = ignore_done};
    if (home_access(&p->home, a, p->now)) a->count = 0;
}

static void play_home(const uint8_t *d, size_t size) {
    static struct play p;
    memset(&p, 0, sizeof p);
    home_init(&p.home, p.memory, PAGES, ignore_send, NULL);
    for (; size >= 4; d += 4, size -= 4) {
        unsigned k = d[0] >> 4 & (SHARERS - 1);
        p.now += d[0] >> 6;
        switch (d[0] & 15) {
        case 0: join(&p, k, d[2] & 1); break;
        case 1: leave(&p, k); break;
        case 2: begin_access(&p, d); break;
        case 3: (void)home_late(&p.home, p.now, d[1]); break;
        default: say(&p, k, d);
        }
        check_home(&p);
    }
    home_fini(&p.home);
}

/* ---- A mapping ---- */
struct seat {
    struct cache cache;
    unsigned char memory[PAGES * SHARE_PAGE], state[PAGES];
    struct cache_holding holding;
};

static void ignore_message(void *ctx, const struct share_message *m, const void *data) {
    (void)ctx;
    FUZZ_CHECK(m->page < PAGES && (m->bytes == 0 || (m->bytes == SHARE_PAGE && data)));
}
static void check_change(void *ctx, uint32_t number, enum share_state from, enum share_state to,
                         const void *bytes) {
    struct seat *s = ctx;
    (void)from;
    FUZZ_CHECK(number < PAGES && (to != SHARE_WRITE || s->cache.writable));
    if (bytes) memcpy(s->memory + (size_t)number * SHARE_PAGE, bytes, SHARE_PAGE);
}
static const void *look_into(void *ctx, uint32_t number) {
    FUZZ_CHECK(number < PAGES);
    return ((struct seat *)ctx)->memory + (size_t)number * SHARE_PAGE;
}

static void play_cache(const uint8_t *d, size_t size) {
    static const struct cache_ops ops = {ignore_message, check_change, look_into};
    static struct seat s;
    uint64_t now = 1;
    memset(&s, 0, sizeof s);
    s.cache = (struct cache){.ops = &ops,
                             .ctx = &s,
                             .state = s.state,
                             .holding = &s.holding,
                             .pages = PAGES,
                             .mapped = PAGES,
                             .local = d[0] & 1,
                             .writable = d[0] & 2,
                             .hold_ns = d[0] & 4 ? 3 : 0};
    cache_init(&s.cache, d[0] & 8 && d[0] & 1);
    for (d++, size--; size >= 4; d += 4, size -= 4) {
        struct share_message m = {
            .kind = d[1] % 12, .page = d[2] % (PAGES + 1), .bytes = d[3] & 1 ? SHARE_PAGE : d[3] >> 1};
        uint32_t at = d[2] % PAGES;
        now += d[0] >> 6;
        switch (d[0] & 3) {
        case 0: (void)cache_fault(&s.cache, at, d[1] & 1 ? SHARE_WRITE : SHARE_READ); break;
        case 1:
            if (cache_unmap(&s.cache, at, 1 + d[1] % (PAGES - at))) return;
            break;
        case 2: cache_expire(&s.cache, now); break;
        default:
            if (cache_message(&s.cache, &m, page, now)) return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    if (data[0] & 0x80)
        play_cache(data, size);
    else
        play_home(data + 1, size - 1);
    return 0;
}
