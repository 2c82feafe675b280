/* The MPI program that weft bench --peers builds and runs: what weft bench measures between two processes,
 * over MPI's point-to-point and one-sided calls. Prints a heading and, below it, the seconds one way
 * (latency, put), until the data is here (get) or for a message (the others; bidirectional: one in each
 * direction), and the CPU seconds that each side used for it.
 *
 *   mpi_pingpong TEST SIZE COUNT WINDOW written|static huge|plain CPU0 CPU1
 *
 * TEST is latency, bandwidth, bidirectional, put, puts, get or gets. */
#define _GNU_SOURCE
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define LINE       64
#define HUGE_PAGE  ((size_t)2 << 20)
#define WINDOW_MAX 256

struct run {
    int rank, other, size, window;
    long count;
    int written, both, gets;
    size_t stride;
    char *out, *in; /* window buffers each */
    /* one-sided: `in` is the window, with a line for the flag behind the buffers */
    MPI_Win win;
    long turn;
};

static void advise(char *p, size_t bytes, int huge) {
    madvise(p, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(p, 1, bytes);
}

static char *allocate(size_t bytes, int huge) {
    void *p = NULL;
    bytes = (bytes + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    if (posix_memalign(&p, huge ? HUGE_PAGE : 4096, bytes)) MPI_Abort(MPI_COMM_WORLD, 1);
    advise(p, bytes, huge);
    return p;
}

static void write_lines(const struct run *r, char *at) {
    for (int i = 0; r->written && i + 8 <= r->size; i += LINE) ++*(volatile long *)(void *)(at + i);
}

/* Time to write is not measured; the other side writes while this one does. */
static double trips(struct run *r, long count) {
    double start = MPI_Wtime(), writing = 0;
    for (long i = 0; i < count; i++) {
        char *out = r->out + (size_t)(i % 2) * r->stride;
        double before = r->written ? MPI_Wtime() : 0;
        write_lines(r, out);
        if (r->written) writing += MPI_Wtime() - before;
        if (r->rank == 0) {
            MPI_Send(out, r->size, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
            MPI_Recv(r->in, r->size, MPI_BYTE, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(r->in, r->size, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(out, r->size, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
        }
    }
    return (MPI_Wtime() - start - writing) / 2 / (double)count;
}

/* A window of messages in flight, then a word that all are there. */
static double stream(struct run *r, long count) {
    static MPI_Request sent[WINDOW_MAX], received[WINDOW_MAX];
    char word = 0, answer;
    for (int i = 0; i < r->window; i++) sent[i] = received[i] = MPI_REQUEST_NULL;
    double before = MPI_Wtime();
    for (long i = 0; i < count; i++) {
        int slot = (int)(i % r->window);
        size_t at = (size_t)slot * r->stride;
        if (r->both || r->rank == 1) {
            MPI_Wait(&received[slot], MPI_STATUS_IGNORE);
            MPI_Irecv(r->in + at, r->size, MPI_BYTE, r->other, 0, MPI_COMM_WORLD, &received[slot]);
        }
        if (r->both || r->rank == 0) {
            MPI_Wait(&sent[slot], MPI_STATUS_IGNORE);
            write_lines(r, r->out + at);
            MPI_Isend(r->out + at, r->size, MPI_BYTE, r->other, 0, MPI_COMM_WORLD, &sent[slot]);
        }
    }
    MPI_Waitall(r->window, sent, MPI_STATUSES_IGNORE);
    MPI_Waitall(r->window, received, MPI_STATUSES_IGNORE);
    if (r->rank == 0)
        MPI_Recv(&answer, 1, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(&word, 1, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    return (MPI_Wtime() - before) / (double)count;
}

/* -- one-sided -- */

static void put(const struct run *r, const void *from, int bytes, size_t at) {
    MPI_Put(from, bytes, MPI_BYTE, r->other, (MPI_Aint)at, bytes, MPI_BYTE, r->win);
}

/* The data, then the turn's number behind it, which the other polls. Of 8 bytes the number is the data. */
static void put_turn(const struct run *r, long turn) {
    if (r->size > (int)sizeof turn) {
        put(r, r->out + (size_t)(turn % 2) * r->stride, r->size, 0);
        MPI_Win_flush(r->other, r->win);
    }
    put(r, &turn, sizeof turn, r->stride * (size_t)r->window);
    MPI_Win_flush(r->other, r->win);
}

static void await_turn(const struct run *r, long turn) {
    const volatile long *flag = (const volatile long *)(const void *)(r->in + r->stride * (size_t)r->window);
    while (*flag != turn) MPI_Win_sync(r->win);
}

static double put_trips(struct run *r, long count) {
    double start = MPI_Wtime(), writing = 0;
    for (long i = 0; i < count; i++) {
        double before = r->written ? MPI_Wtime() : 0;
        ++r->turn;
        write_lines(r, r->out + (size_t)(r->turn % 2) * r->stride);
        if (r->written) writing += MPI_Wtime() - before;
        if (r->rank == 0) put_turn(r, r->turn);
        await_turn(r, r->turn);
        if (r->rank == 1) put_turn(r, r->turn);
    }
    return (MPI_Wtime() - start - writing) / 2 / (double)count;
}

static double get_each(struct run *r, long count) {
    double start = MPI_Wtime();
    for (long i = 0; i < count && r->rank == 0; i++) {
        MPI_Get(r->out, r->size, MPI_BYTE, 1, 0, r->size, MPI_BYTE, r->win);
        MPI_Win_flush(1, r->win);
    }
    return (MPI_Wtime() - start) / (double)count;
}

static double access_stream(struct run *r, long count) {
    double start = MPI_Wtime();
    for (long i = 0; i < count && r->rank == 0; i++) {
        size_t at = (size_t)(i % r->window) * r->stride;
        if (r->gets) {
            MPI_Get(r->out + at, r->size, MPI_BYTE, 1, (MPI_Aint)at, r->size, MPI_BYTE, r->win);
        } else {
            write_lines(r, r->out + at);
            put(r, r->out + at, r->size, at);
        }
        if ((i + 1) % r->window == 0) MPI_Win_flush(1, r->win);
    }
    if (r->rank == 0) MPI_Win_flush(1, r->win);
    return (MPI_Wtime() - start) / (double)count;
}

/* -- */

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void measure(struct run *r, double (*test)(struct run *r, long count)) {
    test(r, r->count / 10 + 2);
    MPI_Barrier(MPI_COMM_WORLD);
    double before = cpu_s(), s = test(r, r->count), used = (cpu_s() - before) / (double)r->count, theirs;
    if (r->rank == 1) {
        MPI_Send(&used, 1, MPI_DOUBLE, 0, 2, MPI_COMM_WORLD);
        return;
    }
    MPI_Recv(&theirs, 1, MPI_DOUBLE, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    printf("seconds_each sender_cpu_s receiver_cpu_s\n%.12g %.12g %.12g\n", s, used, theirs);
}

static void pin(int cpu) {
    cpu_set_t set;
    if (cpu < 0) return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        double (*test)(struct run *r, long count);
        int one_sided;
    } tests[] = {{"latency", trips, 0},     {"bandwidth", stream, 0},   {"bidirectional", stream, 0},
                 {"put", put_trips, 1},     {"puts", access_stream, 1}, {"get", get_each, 1},
                 {"gets", access_stream, 1}};
    struct run r = {0};
    size_t k = 0, n = sizeof tests / sizeof *tests;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.rank);
    if (argc != 9) MPI_Abort(MPI_COMM_WORLD, 2);
    while (k < n && strcmp(tests[k].name, argv[1])) k++;
    r.other = 1 - r.rank;
    r.size = atoi(argv[2]);
    r.count = atol(argv[3]);
    r.window = atoi(argv[4]);
    r.written = !strcmp(argv[5], "written");
    r.both = !strcmp(argv[1], "bidirectional");
    r.gets = !strcmp(argv[1], "gets");
    if (k == n || r.size < 0 || r.count < 1 || r.window < 2 || r.window > WINDOW_MAX)
        MPI_Abort(MPI_COMM_WORLD, 2);
    pin(atoi(argv[7 + r.rank % 2]));
    int huge = !strcmp(argv[6], "huge");
    r.stride = ((size_t)r.size + LINE - 1) / LINE * LINE;
    size_t bytes = r.stride * (size_t)r.window;
    r.out = allocate(bytes, huge);
    if (tests[k].one_sided) {
        MPI_Win_allocate((MPI_Aint)(bytes + LINE), 1, MPI_INFO_NULL, MPI_COMM_WORLD, &r.in, &r.win);
        advise(r.in, bytes, huge);
        memset(r.in + bytes, 0, LINE);
        MPI_Win_lock_all(0, r.win);
    } else {
        r.in = allocate(bytes, huge);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    measure(&r, tests[k].test);
    if (tests[k].one_sided) {
        MPI_Win_unlock_all(r.win);
        MPI_Win_free(&r.win);
    }
    MPI_Finalize();
    return 0;
}
