/* A home and its sharers in one process, over links that are as slow as a seed says, with programs that load
 * and store, transfers by the home, sharers that die, unmap, stop answering or talk nonsense. What each load
 * gives is compared with what was stored last, and after each step nobody may have a page that another one
 * may write.
 *
 *   share_sim_test                    the unit test
 *   share_sim_test FIRST COUNT        seeds; the first that fails is printed */
#include "base/clock.h"
#include "base/test.h"
#include "scif/share/cache.h"
#include "scif/share/home.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES       4u
#define WORDS       4u /* of a page that programs use */
#define SHARERS_MAX 6u
#define THREADS     2u /* of a program */
#define LINK_MAX    64u
#define STEPS       1500u
#define SEEDS       2000u

struct mail {
    struct share_message m;
    unsigned char page[SHARE_PAGE];
};
struct link { /* one direction */
    struct mail at[LINK_MAX];
    unsigned first, count;
};
struct thread {
    bool waits;
    uint32_t page;
    enum share_state want;
};
struct player { /* a sharer with its program */
    struct world *world;
    bool there, dead, hostile;
    unsigned fresh; /* messages that it has to take before it may be used */
    struct cache cache;
    struct sharer *at_home;
    struct link up, down;
    struct thread thread[THREADS];
    unsigned char memory[PAGES * SHARE_PAGE], state[PAGES];
    struct cache_holding holding;
};
struct access {
    struct home_access a;
    struct world *world;
    bool busy;
};
struct world {
    uint64_t seed, random, now_ns;
    struct home home;
    unsigned char memory[PAGES * SHARE_PAGE];
    uint64_t truth[PAGES][WORDS];
    bool spoiled[PAGES]; /* a hostile sharer could write it */
    uint64_t next_value;
    unsigned players;
    struct player player[SHARERS_MAX];
    struct access access;
    const char *wrong;
};

/* ---- Chance ---- */
static unsigned draw(struct world *w, unsigned below) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)((w->random >> 33) % below);
}
static bool chance(struct world *w, unsigned one_in) { return draw(w, one_in) == 0; }
static void wrong(struct world *w, const char *what) {
    if (!w->wrong) w->wrong = what;
}

/* ---- Links ---- */
static void put(struct world *w, struct link *l, const struct share_message *m, const void *page) {
    if (l->count == LINK_MAX) {
        wrong(w, "more messages under way than there can be");
        return;
    }
    struct mail *mail = &l->at[(l->first + l->count++) % LINK_MAX];
    mail->m = *m;
    if (page) memcpy(mail->page, page, SHARE_PAGE);
}
static struct mail *get(struct link *l) {
    struct mail *mail = &l->at[l->first];
    l->first = (l->first + 1) % LINK_MAX;
    l->count--;
    return mail;
}
static void from_home(void *ctx, struct sharer *to, const struct share_message *m, const void *page) {
    struct player *p = to->user;
    if (!p->dead) put(ctx, &p->down, m, page);
}
static void from_player(void *ctx, const struct share_message *m, const void *page) {
    struct player *p = ctx;
    put(p->world, &p->up, m, page);
}

/* Threads that wait for a page look again. */
static void on_change(void *ctx, uint32_t page, enum share_state from, enum share_state to,
                      const void *bytes) {
    struct player *p = ctx;
    if (bytes) memcpy(p->memory + (size_t)page * SHARE_PAGE, bytes, SHARE_PAGE);
    if (to == SHARE_NONE) return;
    for (unsigned i = 0; i < THREADS; i++)
        if (p->thread[i].page == page) p->thread[i].waits = false;
}
static const void *on_bytes(void *ctx, uint32_t page) {
    return ((struct player *)ctx)->memory + (size_t)page * SHARE_PAGE;
}
static const struct cache_ops ops = {.send = from_player, .change = on_change, .bytes = on_bytes};

/* ---- Words ---- */
static uint64_t *word(unsigned char *memory, uint32_t page, unsigned i) {
    return (uint64_t *)(void *)(memory + (size_t)page * SHARE_PAGE) + i;
}
static void load(struct world *w, unsigned char *bytes, uint32_t page, unsigned i) {
    if (!w->spoiled[page] && *word(bytes, 0, i) != w->truth[page][i])
        wrong(w, "a load did not give what was stored last");
}
static void store(struct world *w, unsigned char *bytes, uint32_t page, unsigned i) {
    *word(bytes, 0, i) = w->truth[page][i] = ++w->next_value;
}
static unsigned char *bytes_of(struct player *p, uint32_t page) {
    return (p->cache.local ? p->world->memory : p->memory) + (size_t)page * SHARE_PAGE;
}
/* A home that is not at its memory itself. */
static void on_move(void *ctx, uint32_t page, unsigned char *bytes, bool to_home) {
    unsigned char *own = ((struct world *)ctx)->memory + (size_t)page * SHARE_PAGE;
    memcpy(to_home ? own : bytes, to_home ? bytes : own, SHARE_PAGE);
}

/* ---- Sharers come and go ---- */
static void join(struct world *w, struct player *p, bool owner) {
    memset(p, 0, sizeof *p);
    p->world = w;
    p->there = true;
    bool local = owner || chance(w, 6);
    p->cache = (struct cache){.ops = &ops,
                              .ctx = p,
                              .state = p->state,
                              .holding = &p->holding,
                              .pages = PAGES,
                              .local = local,
                              .writable = owner || !chance(w, 4),
                              .hold_ns = chance(w, 2) ? 0 : 20};
    p->hostile = !owner && !local && w->seed % 3 == 0 && chance(w, 4);
    bool has_all = owner || (local && chance(w, 2));
    cache_init(&p->cache, has_all);
    for (uint32_t page = 0; page < PAGES; page++) w->spoiled[page] |= p->hostile && p->cache.writable;
    struct home_sharer sharer = {
        .user = p, .local = local, .has_all = has_all, .count = PAGES, .writable = p->cache.writable};
    p->at_home = home_join(&w->home, &sharer, w->now_ns);
    p->fresh = p->down.count; /* it is used when it has given up what it has been asked for at once */
}

/* What it had written is lost: the home's last copy counts. */
static void forget(struct world *w, struct player *p) {
    for (uint32_t page = 0; page < PAGES; page++) {
        if (p->at_home->local || home_state(p->at_home, page) != SHARE_WRITE) continue;
        for (unsigned i = 0; i < WORDS; i++) w->truth[page][i] = *word(w->memory, page, i);
    }
}

static void remove_player(struct world *w, struct player *p) {
    forget(w, p);
    home_remove(&w->home, p->at_home, w->now_ns);
    p->there = false;
}

/* ---- Steps ---- */
static void deliver_up(struct world *w, struct player *p) {
    struct mail *mail = get(&p->up);
    int err = home_message(&w->home, p->at_home, &mail->m, mail->page, w->now_ns);
    if (err && err != ESHUTDOWN && !p->hostile) wrong(w, "the home refuses a message");
    if (err) remove_player(w, p);
}

static void deliver_down(struct world *w, struct player *p) {
    struct mail *mail = get(&p->down);
    int err = cache_message(&p->cache, &mail->m, mail->page, w->now_ns);
    if (err && !p->hostile) wrong(w, "a sharer refuses a message");
    if (p->fresh) p->fresh--;
}

static void talk_nonsense(struct world *w, struct player *p) {
    struct mail *mail = calloc(1, sizeof *mail);
    mail->m = (struct share_message){.kind = draw(w, SHARE_END + 2),
                                     .page = draw(w, PAGES + 1),
                                     .bytes = draw(w, 3) ? 0 : SHARE_PAGE + !draw(w, 8)};
    memset(mail->page, 0xee, SHARE_PAGE);
    if (p->up.count < LINK_MAX / 2) put(w, &p->up, &mail->m, mail->page);
    free(mail);
}

static void run_thread(struct world *w, struct player *p, struct thread *t) {
    if (t->waits || p->fresh || !p->cache.mapped) return;
    uint32_t page = chance(w, 3) && t->want ? t->page : draw(w, PAGES);
    enum share_state want = p->cache.writable && chance(w, 2) ? SHARE_WRITE : SHARE_READ;
    if (!cache_is_mapped(&p->cache, page)) return;
    if (cache_state(&p->cache, page) < want) {
        *t = (struct thread){.waits = true, .page = page, .want = want};
        if (cache_fault(&p->cache, page, want)) wrong(w, "a fault is refused");
    } else if (want == SHARE_WRITE) {
        store(w, bytes_of(p, page), page, draw(w, WORDS));
    } else if (!p->hostile) { /* such a one has itself to blame */
        load(w, bytes_of(p, page), page, draw(w, WORDS));
    }
}

static void unmap_some(struct world *w, struct player *p) {
    uint32_t first = draw(w, PAGES), count = 1 + draw(w, PAGES - first);
    for (unsigned i = 0; i < THREADS; i++)
        if (p->thread[i].page >= first && p->thread[i].page - first < count) p->thread[i].waits = false;
    cache_unmap(&p->cache, first, count);
}

static void on_page(struct home_access *a, uint32_t page, unsigned char *memory) {
    struct world *w = weft_container_of(a, struct access, a)->world;
    unsigned i = draw(w, WORDS);
    if (w->home.memory && memory != w->memory + (size_t)page * SHARE_PAGE)
        wrong(w, "a transfer gets another page");
    if (a->write)
        store(w, memory, page, i);
    else
        load(w, memory, page, i);
}
static void on_done(struct home_access *a) { weft_container_of(a, struct access, a)->busy = false; }

static void transfer(struct world *w) {
    struct access *x = &w->access;
    if (x->busy && chance(w, 50)) {
        home_cancel(&w->home, &x->a, w->now_ns);
        x->busy = false;
    }
    if (x->busy) return;
    uint32_t first = draw(w, PAGES);
    x->busy = true;
    x->a = (struct home_access){.first = first,
                                .count = 1 + draw(w, PAGES - first),
                                .write = chance(w, 2),
                                .on_page = on_page,
                                .on_done = on_done};
    if (home_access(&w->home, &x->a, w->now_ns)) wrong(w, "a transfer is refused");
}

/* One that is hostile is thrown out when it has said nothing for long. */
static void throw_out(struct world *w) {
    struct sharer *late = home_late(&w->home, w->now_ns, 3000);
    if (!late) return;
    struct player *p = late->user;
    if (!p->dead && !p->hostile) wrong(w, "a sharer that answers is late");
    remove_player(w, p);
}

static void act(struct world *w, struct player *p) {
    unsigned what = draw(w, 100);
    if (what < 25 && p->up.count && !p->dead) {
        deliver_up(w, p);
    } else if (what < 50 && p->down.count && !p->dead) {
        deliver_down(w, p);
    } else if (what < 96) {
        if (!p->dead) run_thread(w, p, &p->thread[draw(w, THREADS)]);
    } else if (what == 96 && chance(w, 8) && p != w->player && p->cache.mapped && !p->dead) {
        unmap_some(w, p);
    } else if (what == 97 && chance(w, 20) && p != w->player) {
        p->dead = true; /* from now on nothing comes from it, and nothing reaches it */
        p->up.count = p->down.count = 0;
    } else if (what == 98 && p->dead && chance(w, 3)) {
        remove_player(w, p);
    } else if (what == 99 && p->hostile && !p->dead) {
        talk_nonsense(w, p);
    }
}

static void step(struct world *w) {
    struct player *p = &w->player[draw(w, w->players)];
    w->now_ns++;
    if (!p->there && chance(w, 40)) join(w, p, false);
    if (p->there) act(w, p);
    if (p->there && !p->dead && !p->hostile) cache_expire(&p->cache, w->now_ns);
    if (chance(w, 10)) transfer(w);
    throw_out(w);
}

/* ---- What must hold ---- */
static void check_one_writer(struct world *w, uint32_t page) {
    unsigned writers = 0, others = 0;
    bool local_writer = false, local_other = false;
    for (unsigned i = 0; i < w->players; i++) {
        struct player *p = &w->player[i];
        bool counts = p->there && !p->dead && !p->hostile && !p->fresh;
        enum share_state s = counts ? cache_state(&p->cache, page) : SHARE_NONE;
        if (p->cache.local) {
            local_writer |= s == SHARE_WRITE;
            local_other |= s == SHARE_READ;
        } else {
            writers += s == SHARE_WRITE;
            others += s == SHARE_READ;
        }
    }
    writers += local_writer;
    others += local_other && !local_writer;
    if (writers > 1 || (writers && others)) wrong(w, "a page that one writes is at another one too");
}

static bool at_rest(struct world *w) {
    bool rest = !w->access.busy && w->home.busy.count == 0;
    for (unsigned i = 0; i < w->players; i++) {
        struct player *p = &w->player[i];
        if (!p->there) continue;
        for (unsigned t = 0; t < THREADS; t++) rest = rest && !p->thread[t].waits;
        rest = rest && !p->up.count && !p->down.count;
    }
    return rest;
}

/* Everything that waits goes on to its end. */
static void come_to_rest(struct world *w) {
    for (unsigned i = 0; i < w->players; i++)
        if (w->player[i].there && (w->player[i].dead || w->player[i].hostile))
            remove_player(w, &w->player[i]);
    for (unsigned round = 0; round < 2000 && !at_rest(w) && !w->wrong; round++) {
        struct player *p = &w->player[round % w->players];
        w->now_ns += 50;
        if (!p->there) continue;
        cache_expire(&p->cache, w->now_ns);
        if (p->down.count) deliver_down(w, p);
        if (p->up.count) deliver_up(w, p);
    }
    if (!at_rest(w)) wrong(w, "something waits for ever");
}

static const char *run(uint64_t seed) {
    struct world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    w->access.world = w;
    for (int i = 0; i < 8; i++) draw(w, 2);
    home_init(&w->home, seed % 4 ? w->memory : NULL, PAGES, from_home, w);
    w->home.move = on_move;
    w->players = 2 + draw(w, SHARERS_MAX - 1);
    join(w, &w->player[0], true);
    for (unsigned i = 0; i < STEPS && !w->wrong; i++) {
        step(w);
        for (uint32_t page = 0; page < PAGES; page++) check_one_writer(w, page);
    }
    if (!w->wrong) come_to_rest(w);
    const char *what = w->wrong;
    home_fini(&w->home);
    free(w);
    return what;
}

static int run_seeds(uint64_t first, uint64_t count) {
    for (uint64_t seed = first; seed - first < count; seed++) {
        const char *what = run(seed);
        if (!what) continue;
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, what);
        return 1;
    }
    return 0;
}

static void share__what_is_read_was_written_last(void **state) { assert_int_equal(run_seeds(1, SEEDS), 0); }

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(share__what_is_read_was_written_last)};
    if (argc == 3) return run_seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
