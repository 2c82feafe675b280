/* A layer that counts what a program holds of PoCL's events, and ends the process when it does what the
 * specification forbids: to release an event that it does not hold, to use one after that, or to give the
 * last hold away while another thread is in a call with it.
 *
 * POCL_COUNT_REPORT is a directory. Each process that uses events keeps a file there, by its number: "MADE
 * HELD", and what it did wrong; always up to date, since executors are killed when their program has ended.
 * With POCL_COUNT_JITTER_US threads sleep now and then, up to so long, where others may overtake them. */
#include "layer.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUCKETS 4096u
#define DEPTH   512

struct counted {
    struct counted *next;
    cl_event event;
    unsigned holds;
    unsigned users;   /* calls under way */
    const char *call; /* the latest of these */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counted *buckets[BUCKETS];
static unsigned long made, held;
static unsigned jitter_us;

/* The events that this thread is in calls with: a callback may run inside of one. */
static _Thread_local cl_event inside[DEPTH];
static _Thread_local unsigned depth;

/* ---- the report ---- */
#define REPORT_BYTES 4096

static char *report; /* NULL: not wanted, or not yet */

static void open_report(void) {
    char path[4096];
    const char *dir = getenv("POCL_COUNT_REPORT");
    if (!dir) return;
    snprintf(path, sizeof path, "%s/%ld", dir, (long)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    void *at = MAP_FAILED;
    if (fd >= 0 && !ftruncate(fd, REPORT_BYTES))
        at = mmap(NULL, REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        perror(path);
        abort();
    }
    close(fd);
    memset(at, '\n', REPORT_BYTES);
    report = at;
}

/* Numbers of a fixed width: what is read half-way is only a little old. Under the lock. */
static void count(long more) {
    char line[64];
    held += (unsigned long)more;
    if (more > 0 && !made++) open_report();
    int n = snprintf(line, sizeof line, "%12lu %12lu", made, held);
    if (report) memcpy(report, line, (size_t)n);
}

static void wrong(const char *call, const char *what, cl_event e) {
    if (report) snprintf(report + 64, REPORT_BYTES - 64, "%s of event %p: %s\n", call, (void *)e, what);
    fprintf(stderr, "counting driver: %s of event %p: %s\n", call, (void *)e, what);
    abort();
}

/* ---- counting ---- */
static struct counted **find(cl_event e) {
    struct counted **at = &buckets[(uintptr_t)e / 64 % BUCKETS];
    while (*at && (*at)->event != e) at = &(*at)->next;
    return at;
}

static void born(cl_event e) {
    struct counted *c = malloc(sizeof *c);
    if (!c) abort();
    pthread_mutex_lock(&lock);
    struct counted **at = find(e);
    if (*at) wrong("the making", "it is held already", e);
    *c = (struct counted){.event = e, .holds = 1};
    *at = c;
    count(1);
    pthread_mutex_unlock(&lock);
}

static void enter(const char *call, cl_event e) {
    pthread_mutex_lock(&lock);
    struct counted *c = *find(e);
    if (!c) wrong(call, "nobody holds it", e);
    if (depth == DEPTH) wrong(call, "too many at once for this layer", e);
    c->users++;
    c->call = call;
    inside[depth++] = e;
    pthread_mutex_unlock(&lock);
}

/* It may be gone: a callback inside of the call gave it away. */
static void leave(cl_event e) {
    pthread_mutex_lock(&lock);
    struct counted *c = *find(e);
    if (c) c->users--;
    depth--;
    pthread_mutex_unlock(&lock);
}

static void enter_all(const char *call, cl_uint count, const cl_event *list) {
    for (cl_uint i = 0; list && i < count; i++) enter(call, list[i]);
}

static void leave_all(cl_uint count, const cl_event *list) {
    for (cl_uint i = count; list && i-- > 0;) leave(list[i]);
}

static unsigned own_uses(cl_event e) {
    unsigned n = 0;
    for (unsigned i = 0; i < depth; i++) n += inside[i] == e;
    return n;
}

static void give_away(cl_event e) {
    pthread_mutex_lock(&lock);
    struct counted **at = find(e), *c = *at;
    if (!c) wrong("release", "nobody holds it", e);
    bool last = !--c->holds;
    if (last && c->users > own_uses(e))
        wrong(c->call, "another thread gives away the last hold meanwhile", e);
    if (last) {
        *at = c->next;
        free(c);
        count(-1);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- jitter ---- */
static void dawdle(void) {
    static _Thread_local uint32_t state;
    if (!jitter_us) return;
    if (!state) state = (uint32_t)(uintptr_t)&state * 2654435761u | 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (state % 8 == 0) usleep(state / 8 % jitter_us);
}

/* ---- events ---- */
static cl_int CL_API_CALL retain(cl_event e) {
    pthread_mutex_lock(&lock);
    struct counted *c = *find(e);
    if (!c) wrong("retain", "nobody holds it", e);
    c->holds++;
    pthread_mutex_unlock(&lock);
    return layer_below.clRetainEvent(e);
}

static cl_int CL_API_CALL release(cl_event e) {
    dawdle();
    give_away(e);
    return layer_below.clReleaseEvent(e);
}

static cl_event CL_API_CALL create_user_event(cl_context context, cl_int *err) {
    cl_event e = layer_below.clCreateUserEvent(context, err);
    if (e) born(e);
    return e;
}

static cl_int CL_API_CALL set_user_event(cl_event e, cl_int status) {
    enter("setting", e);
    dawdle();
    cl_int rc = layer_below.clSetUserEventStatus(e, status);
    dawdle();
    leave(e);
    return rc;
}

static cl_int CL_API_CALL wait_for(cl_uint count, const cl_event *list) {
    enter_all("wait", count, list);
    cl_int rc = layer_below.clWaitForEvents(count, list);
    leave_all(count, list);
    return rc;
}

static cl_int CL_API_CALL event_info(cl_event e, cl_event_info param, size_t room, void *value,
                                     size_t *size) {
    enter("info", e);
    dawdle();
    cl_int rc = layer_below.clGetEventInfo(e, param, room, value, size);
    leave(e);
    return rc;
}

static cl_int CL_API_CALL event_times(cl_event e, cl_profiling_info param, size_t room, void *value,
                                      size_t *size) {
    enter("times", e);
    dawdle();
    cl_int rc = layer_below.clGetEventProfilingInfo(e, param, room, value, size);
    leave(e);
    return rc;
}

struct callback {
    void(CL_CALLBACK *fn)(cl_event, cl_int, void *);
    void *data;
};

static void CL_CALLBACK on_event(cl_event e, cl_int status, void *arg) {
    struct callback cb = *(struct callback *)arg;
    free(arg);
    dawdle();
    cb.fn(e, status, cb.data);
    dawdle();
}

static cl_int CL_API_CALL set_callback(cl_event e, cl_int type,
                                       void(CL_CALLBACK *fn)(cl_event, cl_int, void *), void *data) {
    struct callback *cb = malloc(sizeof *cb);
    if (!cb) return CL_OUT_OF_HOST_MEMORY;
    *cb = (struct callback){fn, data};
    enter("callback", e);
    dawdle();
    cl_int rc = layer_below.clSetEventCallback(e, type, on_event, cb);
    dawdle();
    leave(e);
    if (rc) free(cb);
    return rc;
}

/* ---- commands ---- */
/* Of one with a wait list and an event: what it is given before these, as declared and as passed on. */
#define COMMAND(name, parameters, arguments)                                                                 \
    static cl_int CL_API_CALL count_##name(UNPACK parameters, cl_uint waits, const cl_event *list,           \
                                           cl_event *out) {                                                  \
        enter_all(#name, waits, list);                                                                       \
        dawdle();                                                                                            \
        cl_int rc = layer_below.name(UNPACK arguments, waits, list, out);                                    \
        leave_all(waits, list);                                                                              \
        if (rc == CL_SUCCESS && out) born(*out);                                                             \
        return rc;                                                                                           \
    }
#define UNPACK(...) __VA_ARGS__
#define QUEUE       cl_command_queue q
#define SIZES       const size_t *
#include "counting_calls.def"
#undef COMMAND

static void *CL_API_CALL map_buffer(cl_command_queue q, cl_mem m, cl_bool blocking, cl_map_flags flags,
                                    size_t offset, size_t size, cl_uint waits, const cl_event *list,
                                    cl_event *out, cl_int *err) {
    enter_all("clEnqueueMapBuffer", waits, list);
    void *at = layer_below.clEnqueueMapBuffer(q, m, blocking, flags, offset, size, waits, list, out, err);
    leave_all(waits, list);
    if (at && out) born(*out);
    return at;
}

static void *CL_API_CALL map_image(cl_command_queue q, cl_mem m, cl_bool blocking, cl_map_flags flags,
                                   const size_t *origin, const size_t *region, size_t *row, size_t *slice,
                                   cl_uint waits, const cl_event *list, cl_event *out, cl_int *err) {
    enter_all("clEnqueueMapImage", waits, list);
    void *at = layer_below.clEnqueueMapImage(q, m, blocking, flags, origin, region, row, slice, waits, list,
                                             out, err);
    leave_all(waits, list);
    if (at && out) born(*out);
    return at;
}

void layer_change(cl_icd_dispatch *table) {
    const char *jitter = getenv("POCL_COUNT_JITTER_US");
    jitter_us = jitter ? (unsigned)atoi(jitter) : 0;
    table->clRetainEvent = retain;
    table->clReleaseEvent = release;
    table->clCreateUserEvent = create_user_event;
    table->clSetUserEventStatus = set_user_event;
    table->clWaitForEvents = wait_for;
    table->clGetEventInfo = event_info;
    table->clGetEventProfilingInfo = event_times;
    table->clSetEventCallback = set_callback;
    table->clEnqueueMapBuffer = map_buffer;
    table->clEnqueueMapImage = map_image;
#define COMMAND(name, parameters, arguments) table->name = count_##name;
#include "counting_calls.def"
}
