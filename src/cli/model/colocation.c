/* Workloads: see colocation.h. Each is a process, pinned, that works between two words in shared memory. What it did is
 * counted by its own CPU time: on a quiet machine that is the time that passes, on a busy one it leaves out when it
 * had to wait for its CPU. */
#include "cli/model/colocation.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES     64
#define DATAGRAM_BYTES 1024
#define STREAM_CACHES  4           /* a stream is that many times as large as the last cache */
#define STREAM_MOST    (512u << 20)
#define CACHE_BYTES    (32u << 20) /* where the system does not tell it */

const char *const colocation_names[COLOCATION_WORKLOADS] = {"compute", "stream", "cache", "network"};

struct colocation_shared {
    atomic_int ready, at_work, go; /* how many are; go: 1: work, 2: stop */
    double rate[2];
};

/* --- The workloads: each does a piece of a tenth of a millisecond or so --- */

struct work {
    float *stream; /* three arrays */
    size_t floats; /* of each */
    uint32_t *next; /* of each line the next one, in random order */
    uint32_t at;
    size_t position;
    int socket;
    volatile float sink;
};

static void compute(struct work *w) {
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < 20000; i++)
        for (int k = 0; k < 8; k++) x[k] = x[k] * 0.999f + 0.001f;
    w->sink = x[0] + x[1] + x[2] + x[3] + x[4] + x[5] + x[6] + x[7];
}

static void stream(struct work *w) {
    const size_t piece = 32768;
    float *a = w->stream, *b = a + w->floats, *c = b + w->floats;
    if (w->position + piece > w->floats) w->position = 0;
    for (size_t i = w->position; i < w->position + piece; i++) a[i] = b[i] + 3.0f * c[i];
    w->position += piece;
}

static void cache(struct work *w) {
    uint32_t at = w->at;
    for (int i = 0; i < 2000; i++) at = w->next[(size_t)at * (LINE_BYTES / sizeof *w->next)];
    w->at = at;
}

static void network(struct work *w) {
    char message[DATAGRAM_BYTES] = "";
    for (int i = 0; i < 10; i++)
        if (send(w->socket, message, sizeof message, 0) < 0 || recv(w->socket, message, sizeof message, 0) < 0)
            _exit(3);
}

/* A UDP socket that is connected to itself. */
static int open_socket(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) || getsockname(fd, (struct sockaddr *)&at, &len) ||
        connect(fd, (struct sockaddr *)&at, len))
        _exit(2);
    return fd;
}

/* All lines in one circle, in an order that no prefetcher finds. */
static void make_circle(uint32_t *next, size_t bytes) {
    const size_t lines = bytes / LINE_BYTES, step = LINE_BYTES / sizeof *next;
    uint64_t seed = 1;
    for (size_t i = 0; i < lines; i++) next[i * step] = (uint32_t)i;
    for (size_t i = lines - 1; i > 0; i--) { /* Sattolo's shuffle: one circle */
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t k = (size_t)(seed >> 33) % i;
        uint32_t t = next[i * step];
        next[i * step] = next[k * step];
        next[k * step] = t;
    }
}

static void prepare(struct work *w, const struct colocation *c, int side, int workload) {
    char *memory = c->memory[side];
    *w = (struct work){.stream = (float *)(void *)memory,
                       .floats = c->stream_bytes / sizeof(float) / 3,
                       .next = (uint32_t *)(void *)(memory + c->stream_bytes),
                       .socket = -1};
    if (workload == WORK_NETWORK) w->socket = open_socket();
    if (workload == WORK_CACHE)
        for (size_t i = 0; i < c->cache_bytes / LINE_BYTES / 2000 + 1; i++) cache(w); /* it is in the cache */
}

/* --- Running them --- */

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void work(const struct colocation *c, int side, int workload, pid_t parent) {
    static void (*const piece[COLOCATION_WORKLOADS])(struct work *) = {compute, stream, cache, network};
    struct work w;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(c->cpu[side], &set);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || sched_setaffinity(0, sizeof set, &set)) _exit(2);
    prepare(&w, c, side, workload);
    atomic_fetch_add(&c->shared->ready, 1);
    while (!atomic_load(&c->shared->go)) sched_yield();
    uint64_t pieces = 0;
    piece[workload](&w);
    atomic_fetch_add(&c->shared->at_work, 1);
    double from = cpu_s();
    for (; atomic_load_explicit(&c->shared->go, memory_order_relaxed) == 1 || !pieces; pieces++) piece[workload](&w);
    c->shared->rate[side] = (double)pieces / (cpu_s() - from);
    _exit(0);
}

static void sleep_s(double s) {
    struct timespec t = {(time_t)s, (long)((s - (double)(time_t)s) * 1e9)};
    while (nanosleep(&t, &t) && errno == EINTR) {
    }
}

static bool ended(pid_t pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Until so many are; one of them may fail before. */
static bool await(const atomic_int *many, int wanted, const pid_t pid[2]) {
    while (atomic_load(many) < wanted) {
        for (int i = 0; i < 2; i++) {
            siginfo_t info = {.si_pid = 0};
            if (pid[i] > 0 && waitid(P_PID, (id_t)pid[i], &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid)
                return false;
        }
        sleep_s(0.001);
    }
    return true;
}

bool colocation_run(struct colocation *c, const int workload[2], double seconds, double rate[2]) {
    pid_t pid[2] = {0, 0}, self = getpid();
    int wanted = 0;
    bool good = true;
    atomic_store(&c->shared->ready, 0);
    atomic_store(&c->shared->at_work, 0);
    atomic_store(&c->shared->go, 0);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        c->shared->rate[i] = 0;
        if (workload[i] < 0) continue;
        pid[i] = fork();
        if (pid[i] == 0) work(c, i, workload[i], self);
        good &= pid[i] > 0;
        wanted++;
    }
    good = good && await(&c->shared->ready, wanted, pid);
    atomic_store(&c->shared->go, 1);
    good = good && await(&c->shared->at_work, wanted, pid); /* on a busy machine that takes its time */
    if (good) sleep_s(seconds);
    atomic_store(&c->shared->go, 2);
    for (int i = 0; i < 2; i++) {
        if (pid[i] > 0) good &= ended(pid[i]);
        rate[i] = c->shared->rate[i];
        good &= workload[i] < 0 || rate[i] > 0;
    }
    return good;
}

/* --- Beginning and ending --- */

static bool find_cpus(struct colocation *c) {
    cpu_set_t set;
    int n = 0;
    if (sched_getaffinity(0, sizeof set, &set)) return false;
    for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET(cpu, &set)) c->cpu[n++] = cpu;
    return n == 2;
}

static bool allocate(struct colocation *c) {
    size_t bytes = c->stream_bytes + c->cache_bytes;
    c->shared = mmap(NULL, sizeof *c->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good = c->shared != MAP_FAILED;
    for (int i = 0; i < 2; i++) {
        c->memory[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        good &= c->memory[i] != MAP_FAILED;
        if (!good) return false;
        memset(c->memory[i], 0, bytes);
        make_circle((uint32_t *)(void *)((char *)c->memory[i] + c->stream_bytes), c->cache_bytes);
    }
    return good;
}

bool colocation_init(struct colocation *c, const char *command) {
    long last = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t caches = last > 0 ? (size_t)last : CACHE_BYTES;
    if (caches > STREAM_MOST / STREAM_CACHES) caches = STREAM_MOST / STREAM_CACHES;
    *c = (struct colocation){.stream_bytes = STREAM_CACHES * caches, .cache_bytes = caches / 2};
    if (!find_cpus(c)) {
        fprintf(stderr, "weft %s: two CPUs are needed, one for each workload\n", command);
        return false;
    }
    if (allocate(c)) return true;
    fprintf(stderr, "weft %s: no memory\n", command);
    return false;
}

void colocation_fini(struct colocation *c) {
    for (int i = 0; i < 2; i++)
        if (c->memory[i]) munmap(c->memory[i], c->stream_bytes + c->cache_bytes);
    if (c->shared) munmap(c->shared, sizeof *c->shared);
}
