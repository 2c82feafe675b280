/* The MPI program that weft bench --peers builds and runs: what weft bench measures between two processes,
 * over MPI's point-to-point calls. Prints "seconds_each" and, below it, the seconds one way (latency) or for
 * a message (bandwidth).
 *
 *   mpi_pingpong latency|bandwidth SIZE COUNT WINDOW written|static huge|plain CPU0 CPU1 */
#define _GNU_SOURCE
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINE       64
#define HUGE_PAGE  ((size_t)2 << 20)
#define WINDOW_MAX 256

struct run {
    int rank, other, size, window;
    long count;
    int written;
    size_t stride;
    char *out, *in; /* window buffers each */
};

static char *allocate(size_t bytes, int huge) {
    void *p = NULL;
    bytes = (bytes + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;
    if (posix_memalign(&p, huge ? HUGE_PAGE : 4096, bytes)) MPI_Abort(MPI_COMM_WORLD, 1);
    madvise(p, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(p, 1, bytes);
    return p;
}

static void write_lines(const struct run *r, char *at) {
    for (int i = 0; r->written && i + 8 <= r->size; i += LINE) ++*(volatile long *)(void *)(at + i);
}

/* Time to write is not measured; the other side writes while this one does. */
static double trips(const struct run *r, long count) {
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
static double stream(const struct run *r, long count) {
    static MPI_Request request[WINDOW_MAX];
    char word = 0;
    for (int i = 0; i < r->window; i++) request[i] = MPI_REQUEST_NULL;
    double before = MPI_Wtime();
    for (long i = 0; i < count; i++) {
        int slot = (int)(i % r->window);
        size_t at = (size_t)slot * r->stride;
        MPI_Wait(&request[slot], MPI_STATUS_IGNORE);
        if (r->rank == 0) {
            write_lines(r, r->out + at);
            MPI_Isend(r->out + at, r->size, MPI_BYTE, 1, 0, MPI_COMM_WORLD, &request[slot]);
        } else {
            MPI_Irecv(r->in + at, r->size, MPI_BYTE, 0, 0, MPI_COMM_WORLD, &request[slot]);
        }
    }
    MPI_Waitall(r->window, request, MPI_STATUSES_IGNORE);
    if (r->rank == 0)
        MPI_Recv(&word, 1, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(&word, 1, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    return (MPI_Wtime() - before) / (double)count;
}

int main(int argc, char **argv) {
    struct run r = {0};
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.rank);
    if (argc != 9) MPI_Abort(MPI_COMM_WORLD, 2);
    r.size = atoi(argv[2]);
    r.count = atol(argv[3]);
    r.window = atoi(argv[4]);
    r.written = !strcmp(argv[5], "written");
    int latency = !strcmp(argv[1], "latency"), cpu = atoi(argv[7 + r.rank % 2]);
    if (r.size < 0 || r.count < 1 || r.window < 2 || r.window > WINDOW_MAX) MPI_Abort(MPI_COMM_WORLD, 2);
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    r.stride = ((size_t)r.size + LINE - 1) / LINE * LINE;
    r.out = allocate(r.stride * (size_t)r.window, !strcmp(argv[6], "huge"));
    r.in = allocate(r.stride * (size_t)r.window, !strcmp(argv[6], "huge"));
    MPI_Barrier(MPI_COMM_WORLD);
    long warm_up = r.count / 10 + 2;
    double s =
        latency ? (trips(&r, warm_up), trips(&r, r.count)) : (stream(&r, warm_up), stream(&r, r.count));
    if (r.rank == 0) printf("seconds_each\n%.12g\n", s);
    MPI_Finalize();
    return 0;
}
