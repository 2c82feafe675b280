/* The driver of the stress test: it pairs the processes anew in each round, kills one now and then, watches
 * that none hangs, and counts at the end what is left. It makes no call of SCIF itself. */
#include "stress.h"
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "Usage: scif_stress [--seconds N] [--rounds N] [--seed N] [--hang N] [--no-kill]\n"
    "Eight processes make random calls of SCIF, from a seed, and check each other by a model. Within\n"
    "`weft run --nodes 2 --` half of them are on node 1. Runs for 10 seconds or as many rounds as asked "
    "for.\n"
    "--hang: after so many seconds without a word a process hangs (default 30).\n";

static struct {
    pid_t pid;
    int control;
    bool busy;
} actor[ACTORS];
static struct random chance;
static uint64_t seed;
static unsigned hang_s = 30, kills;

static uint64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static _Noreturn void give_up(const char *why) {
    fprintf(stderr, "%s; seed %llu\n", why, (unsigned long long)seed);
    for (int i = 0; i < ACTORS; i++)
        fprintf(stderr, "  process %d (pid %d)%s: %s\n", i, (int)actor[i].pid, actor[i].busy ? ", busy" : "",
                arena->actor[i].where);
    for (int i = 0; i < ACTORS; i++)
        if (actor[i].pid > 0) kill(actor[i].pid, SIGKILL);
    exit(1);
}

/* ---- Processes ---- */
/* The other node of this host: its daemon listens beside that of node 0. */
static void move_to_node_1(void) {
    const char *socket = getenv("WEFT_NODE_SOCKET"), *node = socket ? strstr(socket, "/node0/") : NULL;
    char other[512];
    if (!node) return;
    snprintf(other, sizeof other, "%.*s/node1/%s", (int)(node - socket), socket, node + 7);
    setenv("WEFT_NODE_SOCKET", other, 1);
}

static void start(unsigned i) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) give_up("no socket");
    atomic_store(&arena->actor[i].dead, false);
    atomic_store(&arena->actor[i].doomed, false);
    atomic_store(&arena->actor[i].port, 0);
    atomic_fetch_add(&arena->actor[i].incarnation, 1);
    fflush(NULL);
    actor[i].pid = fork();
    if (actor[i].pid < 0) give_up("no process");
    if (actor[i].pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int k = 0; k < ACTORS; k++)
            if (actor[k].control > 0) close(actor[k].control);
        close(pair[0]);
        if (i % 2) move_to_node_1();
        actor_main(i, pair[1]);
    }
    close(pair[1]);
    actor[i].control = pair[0];
    actor[i].busy = true; /* until it says that it is there */
}

static void order(unsigned i, struct order o) {
    if (send(actor[i].control, &o, sizeof o, MSG_NOSIGNAL) != sizeof o) give_up("a process has ended");
    actor[i].busy = true;
}

static void end(unsigned i) {
    atomic_store(&arena->actor[i].dead, true);
    kill(actor[i].pid, SIGKILL);
    waitpid(actor[i].pid, NULL, 0);
    close(actor[i].control);
    actor[i].control = -1;
    actor[i].busy = false;
    actor[i].pid = 0;
    kills++;
}

static void hear(unsigned i) {
    char done;
    if (recv(actor[i].control, &done, 1, 0) != 1) {
        int status = 0;
        waitpid(actor[i].pid, &status, 0);
        actor[i].pid = 0;
        fprintf(stderr, "process %u ends with status %#x at: %s\n", i, (unsigned)status,
                arena->actor[i].where);
        give_up("a process has failed");
    }
    actor[i].busy = false;
}

/* All are done; if one is to be killed, it is after that time. */
static void await_all(int doomed, uint64_t kill_at) {
    uint64_t deadline = now_ms() + hang_s * 1000ull;
    for (;;) {
        struct pollfd p[ACTORS];
        bool busy = false;
        for (int i = 0; i < ACTORS; i++) {
            p[i] = (struct pollfd){.fd = actor[i].busy ? actor[i].control : -1, .events = POLLIN};
            busy |= actor[i].busy;
        }
        uint64_t now = now_ms();
        if (doomed >= 0 && now >= kill_at) {
            end((unsigned)doomed);
            doomed = -1;
            continue;
        }
        if (!busy && doomed < 0) return;
        if (now >= deadline) give_up("a process hangs");
        uint64_t until = doomed >= 0 && kill_at < deadline ? kill_at : deadline;
        if (poll(p, ACTORS, (int)(until - now)) < 0) continue;
        for (unsigned i = 0; i < ACTORS; i++)
            if (p[i].fd >= 0 && p[i].revents) hear(i);
    }
}

/* ---- Rounds ---- */
static void shuffle(unsigned of[ACTORS]) {
    for (unsigned i = 0; i < ACTORS; i++) of[i] = i;
    for (unsigned i = ACTORS - 1; i > 0; i--) {
        unsigned k = random_below(&chance, i + 1), kept = of[i];
        of[i] = of[k];
        of[k] = kept;
    }
}

static void run_round(bool kills_too) {
    unsigned of[ACTORS], steps = 5 + random_below(&chance, 60);
    int doomed = random_chance(&chance, 8) && kills_too ? (int)random_below(&chance, ACTORS) : -1;
    unsigned delay = random_below(&chance, 12);
    shuffle(of);
    if (doomed >= 0) atomic_store(&arena->actor[doomed].doomed, true);
    for (unsigned i = 0; i < ACTORS; i += 2) {
        uint64_t pair_seed = random_next(&chance);
        for (unsigned side = 0; side < 2; side++)
            order(of[i + side], (struct order){.kind = ORDER_EPISODE,
                                               .partner = of[i + !side],
                                               .side = side,
                                               .steps = steps,
                                               .seed = pair_seed});
    }
    await_all(doomed, now_ms() + delay);
    if (doomed < 0) return;
    start((unsigned)doomed);
    await_all(-1, 0);
}

static void order_all(enum order_kind kind) {
    for (unsigned i = 0; i < ACTORS; i++) order(i, (struct order){.kind = kind});
    if (kind != ORDER_LEAVE) await_all(-1, 0);
}

/* ---- What is left ---- */
static bool is_our_service(const char *pid) {
    char path[300], exe[256], text[8192], mark[300];
    const char *run = getenv("XDG_RUNTIME_DIR");
    snprintf(path, sizeof path, "/proc/%s/exe", pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    if (n < 0 || (exe[n] = 0, !strstr(exe, "weft-scif"))) return false;
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *f = fopen(path, "re");
    n = f ? (ssize_t)fread(text, 1, sizeof text - 1, f) : 0;
    if (f) fclose(f);
    text[n > 0 ? n : 0] = 0;
    snprintf(mark, sizeof mark, "XDG_RUNTIME_DIR=%s", run ? run : "");
    for (char *at = text; at < text + n; at += strlen(at) + 1)
        if (!strcmp(at, mark)) return true;
    return !run;
}

static unsigned entries(const char *path) {
    unsigned n = 0;
    DIR *dir = opendir(path);
    while (dir && readdir(dir)) n++;
    if (dir) closedir(dir);
    return n;
}

/* That the services of this run directory have. */
static unsigned service_descriptors(void) {
    unsigned n = 0;
    char path[300];
    DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !is_our_service(e->d_name)) continue;
        snprintf(path, sizeof path, "/proc/%s/fd", e->d_name);
        n += entries(path);
    }
    if (dir) closedir(dir);
    return n;
}

static bool is_clean(unsigned services) {
    bool clean = true;
    unsigned left = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        struct actor_state *s = &arena->actor[i];
        if (s->descriptors[1] <= s->descriptors[0] && s->files[1] <= s->files[0] &&
            s->mappings[1] <= s->mappings[0])
            continue;
        fprintf(stderr,
                "process %u: %u descriptors (%u at the beginning), %u files of SCIF (%u), %u mapped (%u)\n",
                i, s->descriptors[1], s->descriptors[0], s->files[1], s->files[0], s->mappings[1],
                s->mappings[0]);
        clean = false;
    }
    for (uint64_t end_ms = now_ms() + 5000; (left = service_descriptors()) > services && now_ms() < end_ms;)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    if (left > services)
        fprintf(stderr, "the services have %u descriptors, %u at the beginning\n", left, services);
    return clean && left <= services;
}

/* ---- Start ---- */
static bool number(const char *text, uint64_t *to) {
    char *rest;
    *to = strtoull(text, &rest, 0);
    return *text && !*rest;
}

int main(int argc, char **argv) {
    uint64_t seconds = 10, rounds = 0, hang = hang_s, done = 0;
    bool kills_too = true, seeded = false, good = true;
    for (int i = 1; i < argc && good; i++) {
        if (!strcmp(argv[i], "--help")) return fputs(help, stdout), 0;
        if (!strcmp(argv[i], "--no-kill")) {
            kills_too = false;
            continue;
        }
        uint64_t *to = !strcmp(argv[i], "--seconds")  ? &seconds
                       : !strcmp(argv[i], "--rounds") ? &rounds
                       : !strcmp(argv[i], "--seed")   ? &seed
                       : !strcmp(argv[i], "--hang")   ? &hang
                                                      : NULL;
        seeded |= to == &seed;
        good = to && i + 1 < argc && number(argv[++i], to);
    }
    if (!good || !hang) return fputs(help, stderr), 2;
    hang_s = (unsigned)hang;
    if (!seeded && getrandom(&seed, sizeof seed, 0) != sizeof seed) return 1;
    seed = seeded ? seed : seed % 1000000;
    chance.state = seed;
    arena = mmap(NULL, sizeof *arena, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) return 1;
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < ACTORS; i++) start(i);
    await_all(-1, 0);
    unsigned services = service_descriptors();
    for (uint64_t end_ms = now_ms() + seconds * 1000; rounds ? done < rounds : now_ms() < end_ms; done++)
        run_round(kills_too);
    order_all(ORDER_CHECK);
    order_all(ORDER_CLOSE_ALL);
    printf("%llu rounds, %u steps, %u calls, %u killed, %u connections lost%s\n", (unsigned long long)done,
           (unsigned)atomic_load(&arena->steps), (unsigned)atomic_load(&arena->calls), kills,
           (unsigned)atomic_load(&arena->losses), atomic_load(&arena->maps) ? ", with mappings" : "");
    good = is_clean(services);
    order_all(ORDER_LEAVE);
    for (unsigned i = 0; i < ACTORS; i++) {
        int status = 0;
        waitpid(actor[i].pid, &status, 0);
        if (status) fprintf(stderr, "process %u ends with status %#x\n", i, (unsigned)status);
        good = good && !status;
    }
    puts(good ? "verified" : "failed");
    return !good;
}
