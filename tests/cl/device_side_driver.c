/* A layer that gives PoCL pipes and queues of devices. Its kernels are PoCL's, built with DEVICE_SIDE_LAYER
 * defined, and see by the names of their arguments what they are: ..._pipe is a global int pointer (how many
 * were read, how many were written, and the packets), ..._queue an ulong, the queue's number, and an ulong
 * get_default is given the number of the device's default queue when the kernel is enqueued. */
#include "layer.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PIPES_MAX        1024
#define QUEUES_MAX       64
#define QUEUES_OF_DEVICE 2

struct queue {
    const void *dispatch;
    cl_context context;
    cl_device_id device;
    cl_ulong number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_mem pipes[PIPES_MAX];
static struct queue *queues[QUEUES_MAX], *defaults[QUEUES_MAX];

/* ---- devices ---- */
static cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info param, size_t room, void *value,
                                      size_t *size_ret) {
    cl_ulong number = 0;
    size_t size = sizeof(cl_uint);
    switch (param) {
    case CL_DEVICE_PIPE_SUPPORT:
    case CL_DEVICE_PIPE_MAX_ACTIVE_RESERVATIONS: number = 1; break;
    case CL_DEVICE_MAX_PIPE_ARGS: number = 16; break;
    case CL_DEVICE_PIPE_MAX_PACKET_SIZE: number = 1024; break;
    case CL_DEVICE_MAX_ON_DEVICE_QUEUES: number = QUEUES_OF_DEVICE; break;
    case CL_DEVICE_MAX_ON_DEVICE_EVENTS: number = 1024; break;
    case CL_DEVICE_QUEUE_ON_DEVICE_PREFERRED_SIZE: number = 16384; break;
    case CL_DEVICE_QUEUE_ON_DEVICE_MAX_SIZE: number = 262144; break;
    case CL_DEVICE_QUEUE_ON_DEVICE_PROPERTIES:
        number = CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE | CL_QUEUE_PROFILING_ENABLE;
        size = sizeof number;
        break;
    case CL_DEVICE_DEVICE_ENQUEUE_CAPABILITIES:
        number = CL_DEVICE_QUEUE_SUPPORTED | CL_DEVICE_QUEUE_REPLACEABLE_DEFAULT;
        size = sizeof number;
        break;
    default: return layer_below.clGetDeviceInfo(device, param, room, value, size_ret);
    }
    if (value && room < size) return CL_INVALID_VALUE;
    if (value) memcpy(value, &number, size);
    if (size_ret) *size_ret = size;
    return CL_SUCCESS;
}

/* ---- pipes ---- */
static cl_mem *find_pipe(cl_mem m) {
    for (size_t i = 0; i < PIPES_MAX; i++)
        if (pipes[i] == m) return &pipes[i];
    return NULL;
}

static cl_mem CL_API_CALL create_pipe(cl_context context, cl_mem_flags flags, cl_uint packet_bytes,
                                      cl_uint packets, const cl_pipe_properties *properties, cl_int *err) {
    size_t bytes = 2 * sizeof(cl_int) + (size_t)packet_bytes * packets;
    void *empty = calloc(1, bytes);
    cl_mem m = layer_below.clCreateBuffer(context, CL_MEM_COPY_HOST_PTR, bytes, empty, err);
    free(empty);
    pthread_mutex_lock(&lock);
    if (m) *find_pipe(NULL) = m;
    pthread_mutex_unlock(&lock);
    return m;
}

static cl_int CL_API_CALL release_mem(cl_mem m) {
    cl_uint refs = 0;
    layer_below.clGetMemObjectInfo(m, CL_MEM_REFERENCE_COUNT, sizeof refs, &refs, NULL);
    pthread_mutex_lock(&lock);
    cl_mem *pipe = find_pipe(m);
    if (pipe && refs == 1) *pipe = NULL;
    pthread_mutex_unlock(&lock);
    return layer_below.clReleaseMemObject(m);
}

/* ---- queues of devices ---- */
static struct queue **find_queue(const void *handle) {
    for (size_t i = 0; i < QUEUES_MAX; i++)
        if (queues[i] == handle) return &queues[i];
    return NULL;
}

static struct queue *queue_of(const void *handle) {
    pthread_mutex_lock(&lock);
    struct queue **q = handle ? find_queue(handle) : NULL;
    pthread_mutex_unlock(&lock);
    return q ? *q : NULL;
}

/* The default one of a device in a context; NULL: there is none. Under the lock. */
static struct queue **find_default(cl_context context, cl_device_id device) {
    for (size_t i = 0; i < QUEUES_MAX; i++)
        if (defaults[i] && defaults[i]->context == context && defaults[i]->device == device)
            return &defaults[i];
    return NULL;
}

static void set_default(struct queue *q) {
    struct queue **at = find_default(q->context, q->device);
    for (size_t i = 0; !at && i < QUEUES_MAX; i++)
        if (!defaults[i]) at = &defaults[i];
    *at = q;
}

static cl_command_queue create_on_device(cl_context context, cl_device_id device, bool is_default,
                                         cl_int *err) {
    static cl_ulong last = 100;
    unsigned there = 0;
    struct queue *q = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < QUEUES_MAX; i++)
        there += queues[i] && queues[i]->context == context && queues[i]->device == device;
    if (there < QUEUES_OF_DEVICE && (q = malloc(sizeof *q))) {
        *q = (struct queue){*(const void **)context, context, device, ++last};
        *find_queue(NULL) = q;
        if (is_default) set_default(q);
    }
    pthread_mutex_unlock(&lock);
    *err = q ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
    return (cl_command_queue)q;
}

static cl_command_queue CL_API_CALL create_queue(cl_context context, cl_device_id device,
                                                 const cl_queue_properties *list, cl_int *err) {
    cl_command_queue_properties bits = 0;
    for (const cl_queue_properties *p = list; p && *p; p += 2)
        if (*p == CL_QUEUE_PROPERTIES) bits = p[1];
    if (bits & CL_QUEUE_ON_DEVICE)
        return create_on_device(context, device, bits & CL_QUEUE_ON_DEVICE_DEFAULT, err);
    return layer_below.clCreateCommandQueueWithProperties(context, device, list, err);
}

static cl_int CL_API_CALL release_queue(cl_command_queue handle) {
    struct queue *q = queue_of(handle);
    if (!q) return layer_below.clReleaseCommandQueue(handle);
    pthread_mutex_lock(&lock);
    *find_queue(q) = NULL;
    struct queue **first = find_default(q->context, q->device);
    if (first && *first == q) *first = NULL;
    pthread_mutex_unlock(&lock);
    free(q);
    return CL_SUCCESS;
}

static cl_int CL_API_CALL set_default_queue(cl_context context, cl_device_id device,
                                            cl_command_queue handle) {
    struct queue *q = queue_of(handle);
    if (!q || q->context != context || q->device != device) return CL_INVALID_COMMAND_QUEUE;
    pthread_mutex_lock(&lock);
    set_default(q);
    pthread_mutex_unlock(&lock);
    return CL_SUCCESS;
}

/* ---- kernels ---- */
enum kind { OTHER, PIPE, QUEUE, DEFAULT };

static enum kind kind_of(cl_kernel kernel, cl_uint index) {
    char name[64] = "";
    layer_below.clGetKernelArgInfo(kernel, index, CL_KERNEL_ARG_NAME, sizeof name, name, NULL);
    if (!strcmp(name, "get_default")) return DEFAULT;
    const char *last = strrchr(name, '_');
    return !last ? OTHER : !strcmp(last, "_pipe") ? PIPE : !strcmp(last, "_queue") ? QUEUE : OTHER;
}

static cl_int answer_text(const char *text, size_t room, void *value, size_t *size_ret) {
    size_t size = strlen(text) + 1;
    if (value && room < size) return CL_INVALID_VALUE;
    if (value) memcpy(value, text, size);
    if (size_ret) *size_ret = size;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL arg_info(cl_kernel kernel, cl_uint index, cl_kernel_arg_info param, size_t room,
                                   void *value, size_t *size_ret) {
    enum kind kind = kind_of(kernel, index);
    if (kind == QUEUE && param == CL_KERNEL_ARG_TYPE_NAME)
        return answer_text("queue_t", room, value, size_ret);
    if (kind == PIPE && param == CL_KERNEL_ARG_TYPE_NAME) return answer_text("int", room, value, size_ret);
    cl_int rc = layer_below.clGetKernelArgInfo(kernel, index, param, room, value, size_ret);
    if (rc || kind != PIPE || param != CL_KERNEL_ARG_TYPE_QUALIFIER || !value) return rc;
    const cl_kernel_arg_type_qualifier qualifier = CL_KERNEL_ARG_TYPE_PIPE;
    memcpy(value, &qualifier, sizeof qualifier);
    return rc;
}

static cl_int CL_API_CALL set_arg(cl_kernel kernel, cl_uint index, size_t size, const void *value) {
    void *handle = NULL;
    enum kind kind = kind_of(kernel, index);
    if (kind != PIPE && kind != QUEUE) return layer_below.clSetKernelArg(kernel, index, size, value);
    if (size != sizeof handle) return CL_INVALID_ARG_SIZE;
    if (value) memcpy(&handle, value, size);
    pthread_mutex_lock(&lock);
    bool known = handle && (kind == PIPE ? (void *)find_pipe(handle) : (void *)find_queue(handle));
    cl_ulong number = known && kind == QUEUE ? ((struct queue *)handle)->number : 0;
    pthread_mutex_unlock(&lock);
    if (!known) return kind == PIPE ? CL_INVALID_MEM_OBJECT : CL_INVALID_DEVICE_QUEUE;
    return layer_below.clSetKernelArg(kernel, index, size, kind == PIPE ? value : &number);
}

static void give_default(cl_command_queue q, cl_kernel kernel) {
    cl_uint args = 0;
    cl_context context = NULL;
    cl_device_id device = NULL;
    layer_below.clGetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof args, &args, NULL);
    layer_below.clGetCommandQueueInfo(q, CL_QUEUE_CONTEXT, sizeof(cl_context), &context, NULL);
    layer_below.clGetCommandQueueInfo(q, CL_QUEUE_DEVICE, sizeof(cl_device_id), &device, NULL);
    for (cl_uint i = 0; i < args; i++) {
        if (kind_of(kernel, i) != DEFAULT) continue;
        pthread_mutex_lock(&lock);
        struct queue **first = find_default(context, device);
        cl_ulong number = first ? (*first)->number : 0;
        pthread_mutex_unlock(&lock);
        layer_below.clSetKernelArg(kernel, i, sizeof number, &number);
    }
}

static cl_int CL_API_CALL launch(cl_command_queue q, cl_kernel kernel, cl_uint dims, const size_t *offset,
                                 const size_t *global, const size_t *local, cl_uint waits,
                                 const cl_event *list, cl_event *event) {
    if (queue_of(q)) return CL_INVALID_COMMAND_QUEUE;
    give_default(q, kernel);
    return layer_below.clEnqueueNDRangeKernel(q, kernel, dims, offset, global, local, waits, list, event);
}

static cl_int CL_API_CALL build(cl_program program, cl_uint count, const cl_device_id *devices,
                                const char *options, void(CL_CALLBACK *fn)(cl_program, void *), void *data) {
    static const char own[] = " -DDEVICE_SIDE_LAYER -cl-kernel-arg-info";
    size_t length = options ? strlen(options) : 0;
    char *all = malloc(length + sizeof own);
    if (!all) return CL_OUT_OF_HOST_MEMORY;
    if (length) memcpy(all, options, length);
    memcpy(all + length, own, sizeof own);
    cl_int rc = layer_below.clBuildProgram(program, count, devices, all, fn, data);
    free(all);
    return rc;
}

/* Its kernels have children, which end a second after them. */
static cl_int CL_API_CALL event_times(cl_event event, cl_profiling_info param, size_t room, void *value,
                                      size_t *size_ret) {
    if (param != CL_PROFILING_COMMAND_COMPLETE)
        return layer_below.clGetEventProfilingInfo(event, param, room, value, size_ret);
    cl_int rc = layer_below.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, room, value, size_ret);
    cl_ulong ns;
    if (rc || !value) return rc;
    memcpy(&ns, value, sizeof ns);
    ns += 1000000000;
    memcpy(value, &ns, sizeof ns);
    return rc;
}

void layer_change(cl_icd_dispatch *table) {
    table->clGetDeviceInfo = device_info;
    table->clCreatePipe = create_pipe;
    table->clReleaseMemObject = release_mem;
    table->clCreateCommandQueueWithProperties = create_queue;
    table->clReleaseCommandQueue = release_queue;
    table->clSetDefaultDeviceCommandQueue = set_default_queue;
    table->clGetKernelArgInfo = arg_info;
    table->clSetKernelArg = set_arg;
    table->clEnqueueNDRangeKernel = launch;
    table->clBuildProgram = build;
    table->clGetEventProfilingInfo = event_times;
}
