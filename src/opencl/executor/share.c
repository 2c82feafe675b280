/* Executor: buffers in memory that the client has, too. Where client and executor share a machine, and a
 * device works in the host's memory anyway, its buffers lie in one memory object of the client's, so that the
 * client puts data into a buffer and takes it out with one copy of its own, or none.
 *
 * The client chooses the places, and may write whatever it likes there at any time: that harms its own
 * buffers alone. Nothing else is in that memory, sizes are checked against the object's, which is sealed so
 * that it cannot shrink, and what the executor must know of a buffer it keeps to itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "opencl/executor/internal.h"

#define SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define PROBE_BYTES ((size_t)4096)

/* ---- the client's memory ---- */
static const char *check_name(int fd, const struct wire_share *s) {
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return "it is no memory object";
    if (st.st_dev != s->device || st.st_ino != s->inode) return "it is another object than the client's";
    return s->size && (uint64_t)st.st_size == s->size ? NULL : "it is not of the size that was said";
}

static const char *check(int fd, const struct wire_share *s) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 || (seals & SEALS) != SEALS ? "seals are missing" : check_name(fd, s);
}

static const char *map_client_memory(struct executor *x, int fd, const struct wire_share *s) {
    const char *why = check(fd, s);
    if (why) return why;
    void *at = mmap(WIRE_SHARED_AT, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (at == MAP_FAILED) return strerror(errno);
    madvise(at, s->size, MADV_DONTDUMP);
    x->shared = at;
    x->shared_bytes = s->size;
    return NULL;
}

cl_int carry_out_share(struct call *c) {
    const struct wire_share *s = &c->in->share;
    char path[64];
    if (c->x->shared) return CL_INVALID_OPERATION;
    snprintf(path, sizeof path, "/proc/%u/fd/%u", (unsigned)s->pid, (unsigned)s->fd);
    int fd = open(path, O_PATH | O_CLOEXEC); /* what another object does when it is opened is not tried */
    const char *why = fd < 0 ? strerror(errno) : check_name(fd, s);
    if (!why) {
        close(fd);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        why = fd < 0 ? strerror(errno) : map_client_memory(c->x, fd, s);
    }
    if (fd >= 0) close(fd);
    if (why) weft_info("executor", "the client's memory is not shared: %s", why);
    if (why) return CL_OUT_OF_RESOURCES;
    results_reply(c->x, s->request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

cl_int carry_out_sync(struct call *c) {
    results_reply(c->x, c->in->sync.request, CL_SUCCESS, NULL, 0);
    return CL_SUCCESS;
}

void *share_at(const struct executor *x, uint64_t place, uint64_t bytes) {
    if (place % WIRE_PLACE_ALIGN || place > x->shared_bytes || bytes > x->shared_bytes - place) return NULL;
    return (char *)x->shared + place;
}

void share_fini(struct executor *x) {
    if (x->shared) munmap(x->shared, x->shared_bytes);
}

/* ---- the buffers there ---- */
struct watched {
    struct executor *x;
    uint64_t place;
};

static void CL_CALLBACK on_gone(cl_mem m, void *arg) {
    struct watched *w = arg;
    results_place_free(w->x, w->place);
    free(w);
}

bool share_watch(struct executor *x, cl_mem m, uint64_t place) {
    struct watched *w = malloc(sizeof *w);
    if (!w) return false;
    *w = (struct watched){x, place};
    if (!DRIVER(m)->clSetMemObjectDestructorCallback(m, on_gone, w)) return true;
    free(w);
    return false;
}

/* ---- devices ---- */
static bool is_all(const unsigned char *p, unsigned char value) {
    for (size_t i = 0; i < PROBE_BYTES; i++)
        if (p[i] != value) return false;
    return true;
}

/* What the host stores the device reads, before and after it has used the buffer, and what the device writes
 * the host sees. */
static bool sees_host(cl_command_queue q, cl_mem m, unsigned char *host) {
    const cl_icd_dispatch *d = DRIVER(q);
    unsigned char data[PROBE_BYTES];
    memset(host, 1, PROBE_BYTES);
    if (d->clEnqueueReadBuffer(q, m, CL_TRUE, 0, PROBE_BYTES, data, 0, NULL, NULL) || !is_all(data, 1))
        return false;
    memset(data, 2, PROBE_BYTES);
    if (d->clEnqueueWriteBuffer(q, m, CL_TRUE, 0, PROBE_BYTES, data, 0, NULL, NULL) || !is_all(host, 2))
        return false;
    memset(host, 3, PROBE_BYTES);
    return !d->clEnqueueReadBuffer(q, m, CL_TRUE, 0, PROBE_BYTES, data, 0, NULL, NULL) && is_all(data, 3);
}

static bool try_device(cl_context context, cl_device_id device, unsigned char *host) {
    const cl_icd_dispatch *d = DRIVER(context);
    cl_int err = CL_SUCCESS;
    cl_mem m = d->clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, PROBE_BYTES, host, &err);
    cl_command_queue q = m ? executor_create_queue(context, device, 0, &err) : NULL;
    bool sees = q && sees_host(q, m, host);
    if (q) d->clReleaseCommandQueue(q);
    if (m) d->clReleaseMemObject(m);
    return sees;
}

/* It takes as long as three small commands on a device that has nothing else to do. */
static bool find_out(cl_context context, cl_device_id device) {
    const cl_icd_dispatch *d = DRIVER(device);
    cl_device_type type = 0;
    cl_bool unified = CL_FALSE;
    if (d->clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL) || !(type & CL_DEVICE_TYPE_CPU))
        return false;
    d->clGetDeviceInfo(device, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
    if (!unified || !d->clSetMemObjectDestructorCallback) return false;
    unsigned char *host = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
    if (!host) return false;
    memset(host, 0, PROBE_BYTES);
    bool works = try_device(context, device, host);
    free(host);
    if (!works)
        weft_info("executor", "a device keeps copies of the host's memory: nothing is shared with it");
    return works;
}

/* OpenCL lets a driver keep a copy of such a buffer's memory; so it is tried, once, and only with CPUs. */
bool share_device_works(struct executor *x, cl_context context, cl_device_id device) {
    static char yes, no;
    void *known = weft_map_get(&x->works_here, (uintptr_t)device);
    if (known) return known == &yes;
    bool works = find_out(context, device);
    weft_map_put(&x->works_here, (uintptr_t)device, works ? &yes : &no);
    return works;
}
