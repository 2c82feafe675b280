/* A paced device: an OpenCL 1.2 vendor library for tests. Its devices know the kernels of kernel.c by name;
 * they compute what those compute, and take as long as a given rate says. So a machine of few CPUs stands for
 * a cluster of many devices.
 *
 * The environment says what there is. OCL_PACED_DEVICES: a letter a device, C (a CPU) or G (a GPU), as in
 * "GGC"; without it there is no platform. OCL_PACED_CPU_FLOPS, OCL_PACED_GPU_FLOPS: floating-point operations
 * a second of a C and of a G; 0, the default, is as fast as it goes.
 *
 * A device runs one kernel at a time. Transfers take what the copy takes. Queues are in order. What is not
 * needed by weft's executor and by plain programs (images, maps, sub-buffers, binaries) is not there: those
 * slots of the table are NULL. */
#ifndef PACED_H
#define PACED_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_icd.h>

#define PACED_DEVICES_MAX 16
#define PACED_ARGS_MAX    8

/* Every object begins so. */
struct paced_head {
    const cl_icd_dispatch *dispatch;
    atomic_uint refs;
    void (*destroy)(void *object);
};
extern const cl_icd_dispatch paced_dispatch;
void *paced_new(size_t bytes, void (*destroy)(void *)); /* one reference; NULL: no memory */
cl_int paced_retain(void *object);
cl_int paced_release(void *object);
/* Answers a query with that value. */
cl_int paced_answer(const void *value, size_t bytes, size_t room, void *out, size_t *size);

/* ---- platform.c ---- */
struct _cl_platform_id {
    struct paced_head head;
};
struct _cl_device_id {
    struct paced_head head;
    bool is_gpu;
    char name[32];
    double flops; /* a second; 0: any */
    pthread_mutex_t busy;
};
extern struct _cl_platform_id paced_platform;

/* ---- object.c ---- */
struct _cl_context {
    struct paced_head head;
    cl_uint count;
    cl_device_id device[PACED_DEVICES_MAX];
};
struct _cl_mem {
    struct paced_head head;
    cl_context context;
    cl_mem_flags flags;
    size_t bytes;
    unsigned char *data;
};
bool paced_has_device(cl_context c, cl_device_id d);

/* ---- program.c, kernel.c ---- */
struct paced_value {
    bool set;
    cl_mem mem;
    cl_int number;
};
struct paced_kernel {
    const char *name;
    cl_uint args;
    struct {
        const char *name;
        bool is_buffer; /* float *; else int */
    } arg[PACED_ARGS_MAX];
    /* Whether the buffers are large enough for it. */
    bool (*fits)(const struct paced_value *arg, const size_t global[2]);
    double (*flops)(const struct paced_value *arg, const size_t global[2]);
    void (*compute)(const struct paced_value *arg, const size_t global[2]);
};
const struct paced_kernel *paced_find_kernel(const char *name);
extern const struct paced_kernel paced_kernels[];
extern const size_t paced_kernel_count;

struct _cl_program {
    struct paced_head head;
    cl_context context;
    char *source, *options;
    cl_build_status status;
    const char *log;
};
struct _cl_kernel {
    struct paced_head head;
    cl_program program;
    const struct paced_kernel *what;
    struct paced_value arg[PACED_ARGS_MAX]; /* buffers are not held: the program keeps them, as OpenCL asks */
};

/* ---- event.c ---- */
struct paced_callback;
struct _cl_event {
    struct paced_head head;
    cl_context context;
    cl_command_queue queue; /* only to be told; NULL: a user event */
    cl_command_type type;
    cl_int status; /* with the times: the lock of event.c */
    cl_ulong time[4];
    struct paced_callback *callbacks;
};
cl_event paced_event_new(cl_context context, cl_command_queue queue, cl_command_type type);
void paced_event_set(cl_event e, cl_int status); /* with the time; calls back */
cl_int paced_event_wait(cl_event e);             /* its final status */
cl_ulong paced_now_ns(void);

/* ---- queue.c ---- */
struct paced_command;
struct _cl_command_queue {
    struct paced_head head;
    cl_context context;
    cl_device_id device;
    cl_command_queue_properties properties;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct paced_command *first, **last;
    bool working, closed;
};

/* The functions of the table, by file. */
#define PACED_API(returns, name, ...) returns CL_API_CALL paced_##name(__VA_ARGS__)
#endif
