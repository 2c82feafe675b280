/* Matrix product on every OpenCL device in sight: an ordinary OpenCL 1.2 program. It follows the test
 * application of clOpenCL (Alves, Rufino, Pina, Santos: clOpenCL - Supporting Distributed Heterogeneous
 * Computing in HPC Clusters), whose kernel `sbmp` it runs. */
#include "clerror.h"
#include "matmul.h"
#include "matrix.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int job_fail(struct job *j, const struct cldevice *d, const char *call, cl_int code) {
    atomic_store(&j->stop, true);
    pthread_mutex_lock(&j->lock);
    if (!j->failure.set) {
        char where[300] = "";
        if (d) snprintf(where, sizeof where, " on %s (node %u, host %s)", d->name, d->node, d->host);
        snprintf(j->failure.text, sizeof j->failure.text, "%s: %s (%d)%s", call, clerror_name(code), code,
                 where);
        if (code == CL_INVALID_BUFFER_SIZE || code == CL_MEM_OBJECT_ALLOCATION_FAILURE)
            strncat(j->failure.text, "; a smaller SLICE needs smaller buffers",
                    sizeof j->failure.text - strlen(j->failure.text) - 1);
        j->failure.set = true;
    }
    pthread_cond_broadcast(&j->change);
    pthread_mutex_unlock(&j->lock);
    return -1;
}

static int find_devices(struct job *j, const struct cldevice_filter *f) {
    const char *call;
    cl_int err = cldevice_list(f, &j->devices, &j->n_devices, &call);
    if (err) return job_fail(j, NULL, call, err);
    if (!j->n_devices) return job_fail(j, NULL, "looking for devices", CL_DEVICE_NOT_FOUND);
    j->workers = calloc(j->n_devices, sizeof *j->workers);
    if (!j->workers) return job_fail(j, NULL, "calloc", CL_OUT_OF_HOST_MEMORY);
    for (unsigned i = 0; i < j->n_devices; i++)
        j->workers[i] = (struct worker){.job = j, .device = &j->devices[i]};
    return 0;
}

static int make_matrices(struct job *j) {
    size_t bytes = (size_t)j->n * j->n * sizeof(float);
    double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE);
    if (3.0 * (double)bytes > have)
        return job_fail(j, NULL, "three matrices of this order exceed the memory", CL_OUT_OF_HOST_MEMORY);
    j->a = malloc(bytes);
    j->bt = malloc(bytes);
    j->c = malloc(bytes);
    if (!j->a || !j->bt || !j->c) return job_fail(j, NULL, "allocating the matrices", CL_OUT_OF_HOST_MEMORY);
    matrix_fill(j->a, j->n, 1);
    matrix_fill(j->bt, j->n, 2);
    memset(j->c, 0xff, bytes); /* not-a-number: a block that never arrives is no product of anything */
    return 0;
}

static int check_and_report(struct job *j, bool json) {
    struct matrix_fault fault;
    int right = matrix_check(j->a, j->bt, j->c, j->n, &fault);
    if (right < 0) return job_fail(j, NULL, "checking the product", CL_OUT_OF_HOST_MEMORY);
    uint64_t sum = matrix_checksum(j->c, j->n);
    if (json)
        report_json(j, right, sum, stdout);
    else
        report_table(j, sum, stdout);
    if (right) {
        if (!json) puts("verified: the product is exact");
        return 0;
    }
    char text[160];
    snprintf(text, sizeof text, "WRONG: element (%d, %d) is %.9g, must be %.9g", fault.row, fault.col,
             fault.got, fault.want);
    if (json)
        fprintf(stderr, "matmul: %s\n", text);
    else
        puts(text);
    return 1;
}

/* Leaves without touching OpenCL again: a thread is still inside a call to a device that does not answer. */
static void leave_at_once(void) {
    fflush(NULL);
    _exit(1);
}

int main(int argc, char **argv) {
    struct options o;
    options_parse(argc, argv, &o);
    struct job j = {
        .n = o.n,
        .slice = o.slice,
        .prefetch = o.prefetch,
        .tail_aware = o.tail_aware,
        .blocks_a_side = (o.n + o.slice - 1) / o.slice,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .change = PTHREAD_COND_INITIALIZER,
    };
    bool hung = false;
    if (j.prefetch) j.near = near_create(&j);
    int wrong = 0;
    int failed =
        find_devices(&j, &o.filter) || make_matrices(&j) || platforms_open(&j) || product_run(&j, &hung);
    if (!failed) {
        wrong = check_and_report(&j, o.json);
        if (wrong < 0) failed = 1;
    }
    if (failed) fprintf(stderr, "matmul: %s\n", j.failure.text);
    if (hung) leave_at_once();
    platforms_close(&j);
    near_destroy(j.near);
    free(j.workers);
    free(j.devices);
    free(j.a);
    free(j.bt);
    free(j.c);
    return failed || wrong ? 1 : 0;
}
