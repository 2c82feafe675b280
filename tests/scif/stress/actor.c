/* One of the processes: it does what the driver orders, with one partner at a time, and keeps its connections
 * to the others meanwhile. */
#include "stress.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct arena *arena;
static struct connection connection[ACTORS];

void actor_at(unsigned self, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(arena->actor[self].where, sizeof arena->actor[self].where, format, ap);
    va_end(ap);
}

void actor_does(struct connection *c, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(c->past[c->pasts % PAST], sizeof *c->past, format, ap);
    va_end(ap);
    actor_at(c->self, "%s", c->past[c->pasts++ % PAST]);
}

static void print_past(const struct connection *c) {
    for (unsigned i = c->pasts < PAST ? 0 : c->pasts - PAST; i < c->pasts; i++)
        fprintf(stderr, "  %u with %u, %u: %s\n", c->self, c->partner, i, c->past[i % PAST]);
}

void actor_fail(const struct connection *c, const char *format, ...) {
    char text[500];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fprintf(stderr, "process %u with %u (%s, %s, %u steps of all): %s\n", c->self, c->partner,
            c->side ? "accepted" : "connected", arena->actor[c->self].where,
            (unsigned)atomic_load(&arena->steps), text);
    if (!strstr(text, "though the partner lives")) print_past(c);
    _exit(1);
}

void actor_lost(struct connection *c) {
    if (!atomic_load(&arena->actor[c->partner].doomed))
        actor_fail(c, "the connection is lost though the partner lives");
    siglongjmp(c->lost, 1);
}

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); }

static bool is_gone(const struct connection *c) {
    return atomic_load(&arena->actor[c->partner].dead) ||
           atomic_load(&arena->actor[c->partner].incarnation) != c->incarnation;
}

/* ---- Connections ---- */
static void drop(struct connection *c) {
    c->pasts = 0;
    if (c->epd >= 0) scif_close(c->epd);
    c->open = false;
    for (int s = 0; s < 2; s++) space_clear(&c->space[s]);
}

/* The partner that it was connected to was killed meanwhile, and did nothing here: all is as it was. */
static void bury(struct connection *c) {
    char byte;
    struct scif_pollepd p = {.epd = c->epd, .events = SCIF_POLLIN};
    actor_at(c->self, "waits for the end of a connection to one who was killed");
    if (scif_poll(&p, 1, 10000) != 1 || !(p.revents & SCIF_POLLHUP))
        actor_fail(c, "the death of the peer is not seen: revents %#x", (unsigned)p.revents);
    if (scif_recv(c->epd, &byte, 1, SCIF_RECV_BLOCK) != -1 || errno != ECONNRESET)
        actor_fail(c, "a dead peer sends");
    const char *wrong = space_compare(&c->space[c->side]);
    if (wrong) actor_fail(c, "after the peer's death: %s", wrong);
    drop(c);
}

static int listen_somewhere(struct connection *c) {
    struct actor_state *own = &arena->actor[c->self];
    uint16_t node = 0;
    int l = scif_open(), port = l < 0 ? -1 : scif_bind(l, 0);
    if (port < 0 || scif_listen(l, 2 + (int)random_below(&(struct random){c->self}, 4)))
        actor_fail(c, "no listener: %s", strerror(errno));
    scif_get_nodeIDs(NULL, 0, &node);
    atomic_store(&own->node, node);
    atomic_store(&own->port, (uint16_t)port);
    return l;
}

/* Both sides of a pair know one number: the port of a process that was killed may be another one's by now. */
static bool is_the_pair(const struct connection *c) {
    uint64_t own = c->random.state, other = 0;
    return scif_send(c->epd, &own, sizeof own, SCIF_SEND_BLOCK) == sizeof own &&
           scif_recv(c->epd, &other, sizeof other, SCIF_RECV_BLOCK) == sizeof other && other == own;
}

static void hang_up(struct connection *c) {
    if (c->epd >= 0) scif_close(c->epd);
    c->epd = -1;
}

static bool try_to_accept(struct connection *c, int listener) {
    struct scif_portID peer;
    if (scif_accept(listener, &peer, &c->epd, 0)) {
        c->epd = -1;
        if (errno != EAGAIN && !is_gone(c)) actor_fail(c, "scif_accept: %s", strerror(errno));
        return false;
    }
    if (is_the_pair(c)) return true;
    hang_up(c);
    return false;
}

/* False: the partner was killed meanwhile. */
static bool accept_partner(struct connection *c) {
    int l = listen_somewhere(c);
    bool good;
    actor_at(c->self, "accepts");
    while (!(good = try_to_accept(c, l)) && !is_gone(c)) {
        struct scif_pollepd p = {.epd = l, .events = SCIF_POLLIN};
        scif_poll(&p, 1, 20);
    }
    atomic_store(&arena->actor[c->self].port, 0);
    scif_close(l);
    return good;
}

static bool connect_partner(struct connection *c) {
    struct actor_state *there = &arena->actor[c->partner];
    struct scif_portID at = {0};
    actor_at(c->self, "waits for a listener");
    while (!(at.port = atomic_load(&there->port)) && !is_gone(c)) nap();
    at.node = atomic_load(&there->node);
    c->epd = scif_open();
    if (c->epd < 0) actor_fail(c, "scif_open: %s", strerror(errno));
    actor_at(c->self, "connects to %u:%u", at.node, at.port);
    if (at.port && scif_connect(c->epd, &at) > 0 && is_the_pair(c)) return true;
    if (at.port && !atomic_load(&there->doomed)) actor_fail(c, "scif_connect: %s", strerror(errno));
    hang_up(c);
    return false;
}

static bool meet(struct connection *c, const struct order *o) {
    unsigned now = atomic_load(&arena->actor[c->partner].incarnation);
    if (c->open && c->incarnation != now) bury(c);
    c->random.state = o->seed;
    if (c->open) return true; /* and the sides are those of then */
    c->side = o->side;
    c->incarnation = now;
    c->open = c->side ? accept_partner(c) : connect_partner(c);
    return c->open;
}

static void episode(unsigned self, const struct order *o) {
    struct connection *c = &connection[o->partner];
    c->self = self;
    c->partner = o->partner;
    if (!meet(c, o)) {
        atomic_fetch_add(&arena->losses, 1);
        return;
    }
    if (sigsetjmp(c->lost, 0)) {
        atomic_fetch_add(&arena->losses, 1);
        drop(c);
        return;
    }
    for (unsigned i = 0; i < o->steps; i++) step_run(c);
    if (random_chance(&c->random, 5)) step_close(c);
}

/* ---- What is left ---- */
static bool is_scif(const char *name) { return strstr(name, "memfd:scif") || strstr(name, "[io_uring]"); }

static void count(struct actor_state *s, int when) {
    char line[600], path[300], target[256];
    FILE *f = fopen("/proc/self/maps", "re");
    s->mappings[when] = s->descriptors[when] = s->files[when] = 0;
    while (f && fgets(line, sizeof line, f)) s->mappings[when] += is_scif(line);
    if (f && when && s->mappings[1] > s->mappings[0]) /* which: for the reader */
        for (rewind(f); fgets(line, sizeof line, f);)
            if (is_scif(line)) fprintf(stderr, "process %d: %s", (int)getpid(), line);
    if (f) fclose(f);
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0) continue;
        target[n] = 0;
        s->descriptors[when]++;
        s->files[when] += is_scif(target);
    }
    if (dir) closedir(dir);
}

static void on_alarm(int sig) {}

/* A call that sleeps, until a signal comes. */
static void sleep_once(struct connection *c, scif_epd_t epd) {
    struct itimerval soon = {.it_value.tv_usec = 1000, .it_interval.tv_usec = 1000}, never = {0};
    char byte;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    if (scif_recv(epd, &byte, 1, SCIF_RECV_BLOCK) != -1 || errno != EINTR)
        actor_fail(c, "a signal does not end scif_recv");
    setitimer(ITIMER_REAL, &never, NULL);
}

/* One connection to itself, and all that a thread keeps for the next time is there. Whether mappings work is
 * found out, too. */
static void warm_up(unsigned self) {
    struct connection c = {.self = self, .partner = self};
    struct scif_portID at, peer;
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), word[8] = {0};
    int l = listen_somewhere(&c), a = scif_open(), b = -1;
    at = (struct scif_portID){arena->actor[self].node, arena->actor[self].port};
    atomic_store(&arena->actor[self].port, 0);
    fcntl(a, F_SETFL, O_NONBLOCK);
    scif_connect(a, &at);
    if (scif_accept(l, &peer, &b, SCIF_ACCEPT_SYNC)) actor_fail(&c, "scif_accept: %s", strerror(errno));
    fcntl(a, F_SETFL, 0);
    if (scif_connect(a, &at) < 0) actor_fail(&c, "scif_connect: %s", strerror(errno));
    sleep_once(&c, b);
    off_t off = scif_register(b, page, PAGE, 0, SCIF_PROT_READ | SCIF_PROT_WRITE, 0);
    if (off < 0 || scif_vwriteto(a, word, 8, off, 0)) actor_fail(&c, "no RMA here: %s", strerror(errno));
    void *map = scif_mmap(NULL, PAGE, SCIF_PROT_READ, 0, a, off);
    if (map != SCIF_MMAP_FAILED) {
        scif_munmap(map, PAGE);
        atomic_store(&arena->maps, true);
    }
    if (scif_vwriteto(a, word, 8, off, 0)) actor_fail(&c, "no RMA to what was mapped: %s", strerror(errno));
    scif_close(a);
    scif_close(b);
    scif_close(l);
    munmap(page, PAGE);
}

/* Nobody acts any more: what each has is as it has to be. */
static void check_all(void) {
    for (unsigned i = 0; i < ACTORS; i++) {
        struct connection *c = &connection[i];
        if (c->open && c->incarnation != atomic_load(&arena->actor[i].incarnation)) bury(c);
        const char *wrong = c->open ? space_compare(&c->space[c->side]) : NULL;
        if (wrong) actor_fail(c, "at the end: %s", wrong);
    }
}

static void close_all(unsigned self) {
    for (unsigned i = 0; i < ACTORS; i++)
        if (connection[i].open) drop(&connection[i]);
    /* A thread of the library may be at them yet. */
    for (int i = 0; i < 10000; i++, nap()) {
        struct actor_state *s = &arena->actor[self];
        count(s, 1);
        if (s->descriptors[1] <= s->descriptors[0] && s->files[1] <= s->files[0] &&
            s->mappings[1] <= s->mappings[0])
            break;
    }
}

_Noreturn void actor_main(unsigned self, int control) {
    struct order o;
    char done = 'd';
    for (unsigned i = 0; i < ACTORS; i++) connection[i].epd = -1;
    warm_up(self);
    count(&arena->actor[self], 0);
    while (send(control, &done, 1, MSG_NOSIGNAL) == 1 && recv(control, &o, sizeof o, 0) == sizeof o) {
        if (o.kind == ORDER_LEAVE) break;
        if (o.kind == ORDER_EPISODE) episode(self, &o);
        if (o.kind == ORDER_CHECK) check_all();
        if (o.kind == ORDER_CLOSE_ALL) close_all(self);
        actor_at(self, "rests");
    }
    exit(0);
}
