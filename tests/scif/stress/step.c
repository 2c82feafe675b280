/* Steps: what a side may do, and what has to come of it. Both sides draw everything from the connection's
 * random numbers, in the same order; only results differ in who knows them first. */
#include "stress.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESET_IN_CHILD 200
#define WRONG_IN_CHILD 201
#define MESSAGE_MAX    20000

struct act {
    struct connection *c;
    bool active;
    struct space *own, *peer; /* of the side that acts, and of the other */
};

/* Compares what a call gave, which the acting side tells, with what had to come. */
static struct outcome settle(struct act *a, const char *call, struct outcome got, int wanted, int or_else) {
    got = exchange_outcome(a->c, a->active, got);
    bool right = got.error == wanted || got.error == or_else;
    /* Who was just killed answers no more: whatever a call that needs him makes of that. */
    if (!right && atomic_load(&arena->actor[a->c->partner].doomed)) actor_lost(a->c);
    if (!right)
        actor_fail(a->c, "%s ends with %d (%s), has to with %d (%s)", call, got.error, strerror(got.error),
                   wanted, strerror(wanted));
    return got;
}

static int error_of(struct connection *c, long result) {
    atomic_fetch_add(&arena->calls, 1);
    if (result >= 0) return 0;
    if (errno == ECONNRESET) actor_lost(c);
    return errno;
}

/* Each side's memory is right, and it says so: first the passive one, then the other. Neither goes on before
 * both have looked. */
static void look(struct act *a) {
    if (a->active) exchange_acknowledge(a->c, true);
    const char *wrong = space_compare(&a->c->space[a->c->side]);
    if (wrong) actor_fail(a->c, "%s", wrong);
    exchange_acknowledge(a->c, false);
    if (!a->active) exchange_acknowledge(a->c, true);
}

/* ---- Registering ---- */
static struct block *some_block(struct act *a, size_t bytes) {
    struct random *r = &a->c->random;
    uint64_t seed = random_next(r);
    bool shared = random_chance(r, 3), again = random_chance(r, 4);
    for (unsigned i = 0, at = random_below(r, BLOCKS); again && i < BLOCKS; i++) {
        struct block *b = &a->own->block[(at + i) % BLOCKS];
        if (b->used && b->bytes >= bytes) return b;
    }
    return space_new_block(a->own, bytes, a->active, shared, seed);
}

static bool has_room(const struct space *s) {
    for (int i = 0; i < WINDOWS; i++)
        if (!s->window[i].used) return true;
    return false;
}

static void do_register(struct act *a) {
    struct connection *c = a->c;
    struct random *r = &c->random;
    static const int prots[] = {SCIF_PROT_READ | SCIF_PROT_WRITE,
                                SCIF_PROT_READ | SCIF_PROT_WRITE,
                                SCIF_PROT_READ | SCIF_PROT_WRITE,
                                SCIF_PROT_READ,
                                SCIF_PROT_WRITE,
                                0};
    size_t bytes = (1 + random_below(r, BLOCK_PAGES)) * PAGE;
    bool fixed = random_chance(r, 2);
    uint64_t offset = OFFSET_BASE + random_below(r, OFFSET_PAGES) * PAGE;
    int prot = prots[random_below(r, sizeof prots / sizeof *prots)];
    struct block *b = has_room(a->own) ? some_block(a, bytes) : NULL;
    if (!b) return;
    size_t at = (b->bytes - bytes) / PAGE ? random_below(r, (unsigned)((b->bytes - bytes) / PAGE)) * PAGE : 0;
    int wanted = fixed && !space_is_free(a->own, offset, bytes) ? EADDRINUSE : 0;
    struct outcome o = {0};
    actor_does(c, "%s: register %zu bytes from %zu of block %d (%s), at %#llx%s, prot %d",
               a->active ? "acting" : "watching", bytes, at, (int)(b - a->own->block),
               b->shared ? "shared" : "private", (unsigned long long)offset,
               fixed ? "" : " or where it likes", prot);
    if (a->active) {
        off_t got =
            scif_register(c->epd, b->memory + at, bytes, (off_t)offset, prot, fixed ? SCIF_MAP_FIXED : 0);
        o.error = error_of(c, got);
        o.value = (uint64_t)got;
    }
    o = settle(a, "scif_register", o, wanted, wanted);
    if (!o.error && ((fixed && o.value != offset) || !space_is_free(a->own, o.value, bytes)))
        actor_fail(c, "scif_register gives offset %#llx", (unsigned long long)o.value);
    if (!o.error)
        space_add(a->own, o.value, bytes, at, prot, b);
    else
        space_drop_block(a->own, b);
    look(a);
}

static struct window *some_window(struct space *s, struct random *r) {
    unsigned first = random_below(r, WINDOWS);
    for (unsigned i = 0; i < WINDOWS; i++) {
        struct window *w = &s->window[(first + i) % WINDOWS];
        if (w->used) return w;
    }
    return NULL;
}

static void do_unregister(struct act *a) {
    struct connection *c = a->c;
    struct window *w = some_window(a->own, &c->random);
    bool part = random_chance(&c->random, 4), none = random_chance(&c->random, 6);
    struct outcome o = {0};
    if (!w) return;
    uint64_t offset = none ? OFFSET_BASE + (OFFSET_PAGES + BLOCK_PAGES + 1) * PAGE : w->offset;
    size_t bytes = none || (part && w->bytes > PAGE) ? PAGE : w->bytes;
    bool splits = !none && bytes != w->bytes;
    actor_does(c, "%s: unregister %zu bytes at %#llx", a->active ? "acting" : "watching", bytes,
               (unsigned long long)offset);
    if (a->active) o.error = error_of(c, scif_unregister(c->epd, (off_t)offset, bytes));
    settle(a, "scif_unregister", o, splits ? EINVAL : 0, splits ? EINVAL : 0);
    look(a); /* while its memory is still there */
    if (splits || none) return;
    w->used = false;
    space_drop_block(a->own, w->block);
}

/* ---- Transfers ---- */
struct transfer {
    bool writes, by_address, in_child, bad_address;
    unsigned kill_us; /* a child that does nothing else is killed after that time, before it is done at last;
                         0: none */
    uint64_t local, remote; /* local: an offset, or where in the buffer */
    size_t bytes;
    int flags;
    uint64_t seed;
};

/* Around windows: mostly inside, sometimes over an end. */
static uint64_t some_offset(struct space *s, struct random *r) {
    struct window *w = some_window(s, r);
    unsigned within = random_below(r, BLOCK_PAGES * PAGE);
    bool beyond = random_chance(r, 20);
    if (!w) return OFFSET_BASE + within;
    return w->offset + (beyond ? within : within % w->bytes);
}

/* To the end of what adjoins, at most, but for a few. */
static size_t some_bytes(struct space *s, uint64_t offset, struct random *r) {
    unsigned any = 1 + random_below(r, SPAN_MAX), form = random_below(r, 8);
    uint64_t end = offset;
    if (form == 0) return 1 + any % 16;
    if (form == 1) return any;
    for (struct window *w; (w = space_find(s, end));) end = w->offset + w->bytes;
    return end > offset ? 1 + any % (end - offset < SPAN_MAX ? end - offset : SPAN_MAX) : any;
}

static struct transfer some_transfer(struct act *a) {
    struct random *r = &a->c->random;
    struct transfer t = {.writes = random_chance(r, 2), .by_address = random_chance(r, 2)};
    t.in_child = random_chance(r, 25);
    t.kill_us = random_chance(r, 25) && !t.in_child ? 1 + random_below(r, 1500) : 0;
    t.bad_address = t.by_address && random_chance(r, 40);
    t.remote = some_offset(a->peer, r);
    t.bytes = some_bytes(a->peer, t.remote, r);
    t.local = some_offset(a->own, r);
    t.flags = (int)random_below(r, 16);
    t.seed = random_next(r);
    if (!t.by_address && !space_check(a->peer, t.remote, t.bytes, 0)) {
        size_t most = some_bytes(a->own, t.local, r);
        if (most < t.bytes) t.bytes = most;
    }
    if (t.by_address) t.local %= PAGE;
    return t;
}

static long call_transfer(struct connection *c, const struct transfer *t, unsigned char *buffer) {
    void *address = t->bad_address ? (void *)(uintptr_t)PAGE : buffer + t->local;
    off_t local = (off_t)t->local, remote = (off_t)t->remote;
    if (t->by_address)
        return t->writes ? scif_vwriteto(c->epd, address, t->bytes, remote, t->flags)
                         : scif_vreadfrom(c->epd, address, t->bytes, remote, t->flags);
    return t->writes ? scif_writeto(c->epd, local, t->bytes, remote, t->flags)
                     : scif_readfrom(c->epd, local, t->bytes, remote, t->flags);
}

/* What came by address has to be what the peer's space holds. */
static bool came_right(struct act *a, const struct transfer *t, const unsigned char *buffer, int error) {
    if (error || t->writes || !t->by_address) return true;
    unsigned char *wanted = malloc(t->bytes);
    space_read(a->peer, t->remote, t->bytes, wanted);
    bool same = !memcmp(wanted, buffer + t->local, t->bytes);
    free(wanted);
    return same;
}

static int transfer_in_child(struct act *a, const struct transfer *t, unsigned char *buffer) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int error = call_transfer(a->c, t, buffer) < 0 ? errno : 0;
        if (error == ECONNRESET) _exit(RESET_IN_CHILD);
        _exit(came_right(a, t, buffer, error) ? error : WRONG_IN_CHILD);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        actor_fail(a->c, "a child ends with status %#x", (unsigned)status);
    if (WEXITSTATUS(status) == RESET_IN_CHILD) actor_lost(a->c);
    if (WEXITSTATUS(status) == WRONG_IN_CHILD) actor_fail(a->c, "a child reads wrong bytes");
    return WEXITSTATUS(status);
}

/* However far it has come: what it did is what is about to be done. Nobody has waited for it then. */
static pid_t kill_in_child(struct act *a, const struct transfer *t, unsigned char *buffer) {
    pid_t own = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* else the connection would not end with who was killed */
        while (getppid() == own && call_transfer(a->c, t, buffer) == 0) {
        }
        _exit(0);
    }
    usleep(t->kill_us);
    if (child < 0 || kill(child, SIGKILL)) actor_fail(a->c, "no child");
    return child;
}

static int run_transfer(struct act *a, const struct transfer *t) {
    static unsigned char buffer[SPAN_MAX + PAGE];
    if (t->by_address && t->writes) pattern_fill(buffer + t->local, t->bytes, t->seed);
    pid_t killed = t->kill_us ? kill_in_child(a, t, buffer) : 0;
    if (t->in_child) return transfer_in_child(a, t, buffer);
    int error = error_of(a->c, call_transfer(a->c, t, buffer));
    if (killed && waitpid(killed, NULL, 0) != killed) actor_fail(a->c, "no child");
    if (!came_right(a, t, buffer, error)) actor_fail(a->c, "wrong bytes were read");
    return error;
}

static void model_transfer(struct act *a, const struct transfer *t) {
    unsigned char *data = malloc(t->bytes);
    if (t->writes && t->by_address) pattern_fill(data, t->bytes, t->seed);
    if (t->writes && !t->by_address) space_read(a->own, t->local, t->bytes, data);
    if (!t->writes) space_read(a->peer, t->remote, t->bytes, data);
    if (t->writes) space_write(a->peer, t->remote, t->bytes, data);
    if (!t->writes && !t->by_address) space_write(a->own, t->local, t->bytes, data);
    free(data);
}

static void do_transfer(struct act *a) {
    struct transfer t = some_transfer(a);
    struct outcome o = {0};
    int far = space_check(a->peer, t.remote, t.bytes, t.writes ? SCIF_PROT_WRITE : SCIF_PROT_READ);
    int near = t.bad_address ? EFAULT
               : t.by_address
                   ? 0
                   : space_check(a->own, t.local, t.bytes, t.writes ? SCIF_PROT_READ : SCIF_PROT_WRITE);
    actor_does(a->c, "%s: %s of %zu bytes between %#llx%s and %#llx, flags %d, %s",
               a->active ? "acting" : "watching", t.writes ? "write" : "read", t.bytes,
               (unsigned long long)t.local, t.by_address ? " of a buffer" : "", (unsigned long long)t.remote,
               t.flags,
               t.in_child  ? "in a child"
               : t.kill_us ? "after a child that is killed"
                           : "by itself");
    if (a->active) o.error = run_transfer(a, &t);
    settle(a, "a transfer", o, far ? far : near, near ? near : far);
    if (!far && !near) model_transfer(a, &t);
    look(a);
}

/* ---- Fences ---- */
static void model_signal(struct space *s, uint64_t offset, uint64_t value) {
    space_write(s, offset, sizeof value, (const unsigned char *)&value);
}

static void do_signal(struct act *a) {
    struct connection *c = a->c;
    struct random *r = &c->random;
    uint64_t here = some_offset(a->own, r) & ~UINT64_C(7), there = some_offset(a->peer, r) & ~UINT64_C(7);
    uint64_t lval = random_next(r), rval = random_next(r);
    int where = (1 + (int)random_below(r, 3)) * SCIF_SIGNAL_LOCAL;
    int who = random_chance(r, 2) ? SCIF_FENCE_INIT_SELF : SCIF_FENCE_INIT_PEER;
    int near = where & SCIF_SIGNAL_LOCAL ? space_check(a->own, here, 8, SCIF_PROT_WRITE) : 0;
    int far = where & SCIF_SIGNAL_REMOTE ? space_check(a->peer, there, 8, SCIF_PROT_WRITE) : 0;
    struct outcome o = {0};
    if (a->active)
        o.error = error_of(c, scif_fence_signal(c->epd, (off_t)here, lval, (off_t)there, rval, who | where));
    settle(a, "scif_fence_signal", o, far ? far : near, near ? near : far);
    if (!o.error && !far && !near && (where & SCIF_SIGNAL_LOCAL)) model_signal(a->own, here, lval);
    if (!o.error && !far && !near && (where & SCIF_SIGNAL_REMOTE)) model_signal(a->peer, there, rval);
    look(a);
}

static void do_mark(struct act *a) {
    struct connection *c = a->c;
    int mark = 0, who = random_chance(&c->random, 2) ? SCIF_FENCE_INIT_SELF : SCIF_FENCE_INIT_PEER;
    struct outcome o = {0};
    if (a->active) o.error = error_of(c, scif_fence_mark(c->epd, who, &mark));
    if (a->active && !o.error) o.error = error_of(c, scif_fence_wait(c->epd, mark));
    settle(a, "scif_fence_mark and scif_fence_wait", o, 0, 0);
    look(a);
}

/* ---- Messages ---- */
static void do_messages(struct act *a) {
    static unsigned char data[MESSAGE_MAX], wanted[MESSAGE_MAX];
    struct connection *c = a->c;
    int bytes = 1 + (int)random_below(&c->random, MESSAGE_MAX);
    uint64_t seed = random_next(&c->random);
    pattern_fill(wanted, (size_t)bytes, seed);
    if (a->active) {
        exchange_send(c, wanted, bytes);
    } else {
        exchange_receive(c, data, bytes);
        if (memcmp(data, wanted, (size_t)bytes) != 0) actor_fail(c, "a message of %d bytes is wrong", bytes);
    }
    look(a);
}

/* ---- Mappings ---- */
static void use_mapping(struct act *a, unsigned char *at, uint64_t offset, size_t bytes, int prot,
                        uint64_t seed) {
    unsigned char *wanted = malloc(bytes);
    space_read(a->peer, offset, bytes, wanted);
    if ((prot & SCIF_PROT_READ) && memcmp(at, wanted, bytes) != 0)
        actor_fail(a->c, "a mapping shows wrong bytes");
    free(wanted);
    if (prot & SCIF_PROT_WRITE) pattern_fill(at, bytes, seed);
    scif_munmap(at, bytes);
}

static void do_map(struct act *a) {
    struct connection *c = a->c;
    struct random *r = &c->random;
    uint64_t offset = some_offset(a->peer, r) / PAGE * PAGE, seed = random_next(r);
    size_t bytes = (some_bytes(a->peer, offset, r) + PAGE - 1) / PAGE * PAGE;
    int prot = random_chance(r, 2) ? SCIF_PROT_READ : SCIF_PROT_READ | SCIF_PROT_WRITE;
    int wanted = space_check(a->peer, offset, bytes, prot);
    struct outcome o = {0};
    actor_does(c, "%s: map %zu bytes at %#llx, prot %d", a->active ? "acting" : "watching", bytes,
               (unsigned long long)offset, prot);
    if (a->active) {
        void *at = scif_mmap(NULL, bytes, prot, 0, c->epd, (off_t)offset);
        o.error = error_of(c, at == SCIF_MMAP_FAILED ? -1 : 0);
        if (!o.error) use_mapping(a, at, offset, bytes, prot, seed);
    }
    settle(a, "scif_mmap", o, wanted, wanted);
    if (!wanted && (prot & SCIF_PROT_WRITE)) {
        unsigned char *data = malloc(bytes);
        pattern_fill(data, bytes, seed);
        space_write(a->peer, offset, bytes, data);
        free(data);
    }
    look(a);
}

/* ---- Steps ---- */
void step_run(struct connection *c) {
    static const struct {
        const char *name;
        void (*run)(struct act *a);
        unsigned weight;
    } kinds[] = {{"register", do_register, 20},
                 {"unregister", do_unregister, 10},
                 {"transfer", do_transfer, 50},
                 {"signal", do_signal, 8},
                 {"mark", do_mark, 3},
                 {"messages", do_messages, 8},
                 {"map", do_map, 10}};
    unsigned actor = random_below(&c->random, 2), pick = random_below(&c->random, 109), i = 0;
    while (pick >= kinds[i].weight) pick -= kinds[i++].weight;
    if (kinds[i].run == do_map && !atomic_load(&arena->maps)) i = 2;
    struct act a = {c, actor == c->side, &c->space[actor], &c->space[!actor]};
    actor_at(c->self, "%s, %s", kinds[i].name, a.active ? "acting" : "watching");
    kinds[i].run(&a);
    atomic_fetch_add(&arena->steps, 1);
}

static void see_the_end(struct connection *c, int bytes, uint64_t seed) {
    unsigned char data[64], wanted[64], byte;
    pattern_fill(wanted, sizeof wanted, seed);
    if (bytes) {
        int n = scif_recv(c->epd, data, bytes, SCIF_RECV_BLOCK);
        if (n < 0 && errno == ECONNRESET) actor_lost(c);
        if (n != bytes || memcmp(data, wanted, (size_t)bytes) != 0)
            actor_fail(c, "what was sent before the close is not received");
    }
    if (scif_recv(c->epd, &byte, 1, SCIF_RECV_BLOCK) != -1 || errno != ECONNRESET)
        actor_fail(c, "the peer's close is not seen");
    if (scif_vwriteto(c->epd, wanted, 8, (off_t)OFFSET_BASE, 0) != -1 || errno != ECONNRESET)
        actor_fail(c, "a transfer to a peer that has closed does not fail as it has to");
}

void step_close(struct connection *c) {
    unsigned first = random_below(&c->random, 2), bytes = random_below(&c->random, 64);
    uint64_t seed = random_next(&c->random);
    const char *wrong;
    if (first == c->side) {
        unsigned char data[64];
        pattern_fill(data, sizeof data, seed);
        if (bytes && scif_send(c->epd, data, (int)bytes, SCIF_SEND_BLOCK) != (int)bytes) actor_lost(c);
    } else {
        see_the_end(c, (int)bytes, seed);
    }
    scif_close(c->epd);
    c->open = false;
    c->pasts = 0;
    if ((wrong = space_compare(&c->space[c->side]))) actor_fail(c, "after the close: %s", wrong);
    for (int s = 0; s < 2; s++) space_clear(&c->space[s]);
}
