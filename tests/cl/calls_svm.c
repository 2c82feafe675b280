/* Shared virtual memory and native kernels. In a context of one device: what it can do is its own. */
#include "calls.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define COUNT 1000

static const char source[] = "typedef struct node { int value; __global struct node *next; } node;\n"
                             "__kernel void add(__global int *p, int v) { p[get_global_id(0)] += v; }\n"
                             "__kernel void walk(__global node *n, __global int *sum) {\n"
                             "    int s = 0; for (; n; n = n->next) s += n->value; sum[0] = s; }\n"
                             "__kernel void say(int x) { printf(\"the kernel says %d\\n\", x); }\n";

struct one {
    cl_context c;
    cl_command_queue q;
    cl_program p;
    cl_kernel add, walk, say;
};

static void open_one(struct cltest *t, struct one *o) {
    const char *text = source;
    cl_int err = 99;
    o->c = clCreateContext(NULL, 1, t->dev, NULL, NULL, &err);
    OK(err);
    o->q = clCreateCommandQueueWithProperties(o->c, t->dev[0], NULL, &err);
    OK(err);
    o->p = clCreateProgramWithSource(o->c, 1, &text, NULL, &err);
    OK(err);
    OK(clBuildProgram(o->p, 0, NULL, "", NULL, NULL));
    o->add = clCreateKernel(o->p, "add", &err);
    OK(err);
    o->walk = clCreateKernel(o->p, "walk", &err);
    OK(err);
    o->say = clCreateKernel(o->p, "say", &err);
    OK(err);
}

static void close_one(struct one *o) {
    OK(clReleaseKernel(o->add));
    OK(clReleaseKernel(o->walk));
    OK(clReleaseKernel(o->say));
    OK(clReleaseProgram(o->p));
    OK(clReleaseCommandQueue(o->q));
    OK(clReleaseContext(o->c));
}

static bool has_svm(struct cltest *t) {
    return calls_number(t->dev[0], CL_DEVICE_SVM_CAPABILITIES) & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER;
}

static void *alloc(struct one *o, size_t bytes) {
    void *p = clSVMAlloc(o->c, CL_MEM_READ_WRITE, bytes, 0);
    CHECK(p);
    return p;
}

static void map(struct one *o, void *p, size_t bytes, cl_map_flags flags) {
    OK(clEnqueueSVMMap(o->q, CL_TRUE, flags, p, bytes, 0, NULL, NULL));
}

static void unmap(struct one *o, void *p) { OK(clEnqueueSVMUnmap(o->q, p, 0, NULL, NULL)); }

static void run_add(struct one *o, int *p, int v, size_t items) {
    OK(clSetKernelArgSVMPointer(o->add, 0, p));
    OK(clSetKernelArg(o->add, 1, sizeof v, &v));
    OK(clEnqueueNDRangeKernel(o->q, o->add, 1, NULL, &items, NULL, 0, NULL, NULL));
}

void calls__svm_map(struct cltest *t) {
    struct one o;
    if (!has_svm(t)) return cltest_note("no shared virtual memory");
    open_one(t, &o);
    int *p = alloc(&o, COUNT * sizeof *p);
    map(&o, p, COUNT * sizeof *p, CL_MAP_WRITE_INVALIDATE_REGION);
    for (int i = 0; i < COUNT; i++) p[i] = i;
    unmap(&o, p);
    run_add(&o, p, 5, COUNT);
    run_add(&o, p + 10, 100, 10); /* from within */
    map(&o, p, COUNT * sizeof *p, CL_MAP_READ);
    for (int i = 0; i < COUNT; i++) CHECK_EQ(p[i], i + 5 + (i >= 10 && i < 20 ? 100 : 0));
    unmap(&o, p);
    /* A piece, changed where it is mapped. */
    map(&o, p + 100, 4 * sizeof *p, CL_MAP_READ | CL_MAP_WRITE);
    p[101] = -1;
    unmap(&o, p + 100);
    run_add(&o, p, 1, COUNT);
    map(&o, p, COUNT * sizeof *p, CL_MAP_READ);
    CHECK_EQ(p[100], 106);
    CHECK_EQ(p[101], 0);
    unmap(&o, p);
    OK(clFinish(o.q));
    clSVMFree(o.c, p);
    clSVMFree(o.c, NULL);
    close_one(&o);
}

struct node {
    int value;
    struct node *next;
};

/* Pointers mean the same on the device, also into another allocation. */
void calls__svm_pointers(struct cltest *t) {
    struct one o;
    if (!has_svm(t)) return;
    open_one(t, &o);
    struct node *a = alloc(&o, 8 * sizeof *a), *b = alloc(&o, 8 * sizeof *b);
    int *sum = alloc(&o, sizeof *sum);
    map(&o, a, 8 * sizeof *a, CL_MAP_WRITE);
    map(&o, b, 8 * sizeof *b, CL_MAP_WRITE);
    for (int i = 0; i < 8; i++) {
        a[i] = (struct node){.value = 1 + i, .next = &b[i]};
        b[i] = (struct node){.value = 100 * (1 + i), .next = i < 7 ? &a[i + 1] : NULL};
    }
    unmap(&o, a);
    unmap(&o, b);
    void *used[] = {b};
    size_t one = 1;
    OK(clSetKernelExecInfo(o.walk, CL_KERNEL_EXEC_INFO_SVM_PTRS, sizeof used, used));
    OK(clSetKernelArgSVMPointer(o.walk, 0, a));
    OK(clSetKernelArgSVMPointer(o.walk, 1, sum));
    OK(clEnqueueNDRangeKernel(o.q, o.walk, 1, NULL, &one, NULL, 0, NULL, NULL));
    map(&o, sum, sizeof *sum, CL_MAP_READ);
    CHECK_EQ(*sum, 36 + 3600);
    unmap(&o, sum);
    OK(clFinish(o.q));
    clSVMFree(o.c, a);
    clSVMFree(o.c, b);
    clSVMFree(o.c, sum);
    close_one(&o);
}

static cl_command_type type_of(cl_event e) {
    cl_command_type type = 0;
    OK(clGetEventInfo(e, CL_EVENT_COMMAND_TYPE, sizeof type, &type, NULL));
    OK(clReleaseEvent(e));
    return type;
}

void calls__svm_copy_and_fill(struct cltest *t) {
    struct one o;
    int host[COUNT], back[COUNT] = {0}, seven = 7;
    cl_event e[4];
    if (!has_svm(t)) return;
    open_one(t, &o);
    for (int i = 0; i < COUNT; i++) host[i] = 3 * i;
    int *a = alloc(&o, sizeof host), *b = alloc(&o, sizeof host);
    OK(clEnqueueSVMMemFill(o.q, b, &seven, sizeof seven, sizeof host, 0, NULL, &e[0]));
    OK(clEnqueueSVMMemcpy(o.q, CL_FALSE, a, host, sizeof host, 1, e, &e[1]));
    OK(clEnqueueSVMMemcpy(o.q, CL_TRUE, b + 1, a, 10 * sizeof *a, 0, NULL, &e[2]));
    OK(clEnqueueSVMMigrateMem(o.q, 1, (const void **)&b, NULL, 0, 0, NULL, &e[3]));
    OK(clEnqueueSVMMemcpy(o.q, CL_TRUE, back, b, sizeof back, 0, NULL, NULL));
    for (int i = 0; i < COUNT; i++) CHECK_EQ(back[i], i >= 1 && i <= 10 ? 3 * (i - 1) : 7);
    CHECK_EQ(type_of(e[0]), CL_COMMAND_SVM_MEMFILL);
    CHECK_EQ(type_of(e[1]), CL_COMMAND_SVM_MEMCPY);
    CHECK_EQ(type_of(e[2]), CL_COMMAND_SVM_MEMCPY);
    CHECK_EQ(type_of(e[3]), CL_COMMAND_SVM_MIGRATE_MEM);
    OK(clFinish(o.q));
    clSVMFree(o.c, a);
    clSVMFree(o.c, b);
    close_one(&o);
}

struct freed {
    pthread_mutex_t lock;
    pthread_cond_t change;
    cl_context context;
    cl_uint count;
};

static void CL_CALLBACK on_free(cl_command_queue q, cl_uint count, void **ptrs, void *arg) {
    struct freed *f = arg;
    for (cl_uint i = 0; i < count; i++) clSVMFree(f->context, ptrs[i]);
    pthread_mutex_lock(&f->lock);
    f->count += count;
    pthread_cond_signal(&f->change);
    pthread_mutex_unlock(&f->lock);
}

void calls__svm_free(struct cltest *t) {
    struct one o;
    struct freed f = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, 0};
    if (!has_svm(t)) return;
    open_one(t, &o);
    f.context = o.c;
    void *two[] = {alloc(&o, 4096), alloc(&o, 10)}, *third = alloc(&o, 10);
    run_add(&o, two[0], 1, 10);
    OK(clEnqueueSVMFree(o.q, 2, two, on_free, &f, 0, NULL, NULL));
    OK(clEnqueueSVMFree(o.q, 1, &third, NULL, NULL, 0, NULL, NULL));
    OK(clFinish(o.q));
    pthread_mutex_lock(&f.lock);
    while (f.count < 2) pthread_cond_wait(&f.change, &f.lock);
    pthread_mutex_unlock(&f.lock);
    close_one(&o);
}

void calls__svm_many(struct cltest *t) {
    struct one o;
    static int *p[64];
    if (!has_svm(t)) return;
    open_one(t, &o);
    for (int i = 0; i < 64; i++) {
        p[i] = alloc(&o, (size_t)(i + 1) * 1000 * sizeof(int));
        OK(clEnqueueSVMMemFill(o.q, p[i], &i, sizeof i, (size_t)(i + 1) * 1000 * sizeof(int), 0, NULL, NULL));
    }
    for (int i = 0; i < 64; i++) {
        map(&o, p[i], (size_t)(i + 1) * 1000 * sizeof(int), CL_MAP_READ);
        CHECK_EQ(p[i][0], i);
        CHECK_EQ(p[i][(i + 1) * 1000 - 1], i);
        unmap(&o, p[i]);
    }
    OK(clFinish(o.q));
    for (int i = 0; i < 64; i++) clSVMFree(o.c, p[i]);
    close_one(&o);
}

void calls__svm_errors(struct cltest *t) {
    struct one o;
    int x = 0;
    if (calls_fragile(t)) return;
    open_one(t, &o);
    if (!has_svm(t)) {
        CHECK(!clSVMAlloc(o.c, CL_MEM_READ_WRITE, 64, 0));
        CHECK_EQ(clEnqueueSVMMap(o.q, CL_TRUE, CL_MAP_READ, &x, sizeof x, 0, NULL, NULL),
                 CL_INVALID_OPERATION);
        CHECK_EQ(clSetKernelArgSVMPointer(o.add, 0, &x), CL_INVALID_OPERATION);
        close_one(&o);
        return;
    }
    int *p = alloc(&o, 64);
    CHECK(!clSVMAlloc(o.c, CL_MEM_READ_WRITE, 0, 0));
    CHECK(!clSVMAlloc(o.c, CL_MEM_READ_WRITE, 64, 3));
    CHECK(!clSVMAlloc(o.c, CL_MEM_READ_WRITE | CL_MEM_SVM_ATOMICS, 64, 0));
    CHECK(!clSVMAlloc(NULL, CL_MEM_READ_WRITE, 64, 0));
    CHECK_EQ(clSetKernelArgSVMPointer(o.add, 1, p), CL_INVALID_ARG_VALUE);
    CHECK_EQ(clSetKernelArgSVMPointer(o.add, 2, p), CL_INVALID_ARG_INDEX);
    CHECK_EQ(clSetKernelArgSVMPointer(NULL, 0, p), CL_INVALID_KERNEL);
    CHECK_EQ(clEnqueueSVMMap(o.q, CL_TRUE, CL_MAP_READ, NULL, 4, 0, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clEnqueueSVMMap(o.q, CL_TRUE, CL_MAP_READ, p, 0, 0, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clEnqueueSVMMap(NULL, CL_TRUE, CL_MAP_READ, p, 4, 0, NULL, NULL), CL_INVALID_COMMAND_QUEUE);
    CHECK_EQ(clEnqueueSVMMemcpy(o.q, CL_TRUE, p + 1, p, 32, 0, NULL, NULL), CL_MEM_COPY_OVERLAP);
    CHECK_EQ(clEnqueueSVMMemcpy(o.q, CL_TRUE, NULL, p, 32, 0, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clEnqueueSVMMemFill(o.q, p, &x, 3, 33, 0, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clEnqueueSVMFree(o.q, 1, NULL, NULL, NULL, 0, NULL, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clSetKernelExecInfo(o.add, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, NULL), CL_INVALID_VALUE);
    CHECK_EQ(clSetKernelExecInfo(o.add, 0x7777, sizeof p, &p), CL_INVALID_VALUE);
    /* Freed before it is used. */
    size_t one = 1;
    OK(clSetKernelArgSVMPointer(o.add, 0, p));
    OK(clSetKernelArg(o.add, 1, sizeof x, &x));
    clSVMFree(o.c, p);
    CHECK_EQ(clEnqueueNDRangeKernel(o.q, o.add, 1, NULL, &one, NULL, 0, NULL, NULL), CL_INVALID_KERNEL_ARGS);
    close_one(&o);
}

/* ---- native kernels ---- */
struct native_args {
    int *memory;
    int add;
};

static void CL_CALLBACK add_natively(void *arg) {
    const struct native_args *a = arg;
    for (int i = 0; i < 16; i++) a->memory[i] += a->add;
}

/* Its memory objects are buffers. */
static void check_native_image(struct cltest *t) {
    const cl_image_format f = {CL_RGBA, CL_UNSIGNED_INT8};
    const cl_image_desc d = {.image_type = CL_MEM_OBJECT_IMAGE2D, .image_width = 4, .image_height = 4};
    cl_int err = 99;
    cl_mem image = clCreateImage(t->ctx, CL_MEM_READ_WRITE, &f, &d, NULL, &err);
    struct native_args args = {.memory = NULL};
    const void *place = &args.memory;
    if (!image || calls_fragile(t)) return;
    CHECK_EQ(clEnqueueNativeKernel(t->queue[0], add_natively, &args, sizeof args, 1, &image, &place, 0, NULL,
                                   NULL),
             CL_INVALID_MEM_OBJECT);
    OK(clReleaseMemObject(image));
}

void calls__native_kernel(struct cltest *t) {
    cl_device_exec_capabilities able = calls_number(t->dev[0], CL_DEVICE_EXECUTION_CAPABILITIES);
    int v[16];
    for (int i = 0; i < 16; i++) v[i] = i;
    cl_mem m = cltest_buffer(t, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof v, v);
    struct native_args args = {.memory = NULL, .add = 4};
    const void *place = &args.memory;
    cl_int rc =
        clEnqueueNativeKernel(t->queue[0], add_natively, &args, sizeof args, 1, &m, &place, 0, NULL, NULL);
    if (able & CL_EXEC_NATIVE_KERNEL) {
        CHECK_EQ(rc, CL_SUCCESS);
        OK(clEnqueueReadBuffer(t->queue[0], m, CL_TRUE, 0, sizeof v, v, 0, NULL, NULL));
        for (int i = 0; i < 16; i++) CHECK_EQ(v[i], i + 4);
        check_native_image(t);
        CHECK_EQ(clEnqueueNativeKernel(t->queue[0], NULL, &args, sizeof args, 0, NULL, NULL, 0, NULL, NULL),
                 CL_INVALID_VALUE);
        CHECK_EQ(clEnqueueNativeKernel(t->queue[0], add_natively, &args, 0, 0, NULL, NULL, 0, NULL, NULL),
                 CL_INVALID_VALUE);
    } else {
        CHECK_EQ(rc, CL_INVALID_OPERATION);
    }
    OK(clReleaseMemObject(m));
}

/* ---- printf ---- */
/* What a kernel prints comes out at this process's standard output. */
void calls__printf(struct cltest *t) {
    struct one o;
    char text[256] = "";
    int x = 4711;
    size_t one = 1;
    open_one(t, &o);
    FILE *f = tmpfile();
    CHECK(f);
    fflush(stdout);
    int kept = dup(1);
    CHECK(kept >= 0 && dup2(fileno(f), 1) == 1);
    cl_int rc = clSetKernelArg(o.say, 0, sizeof x, &x);
    if (!rc) rc = clEnqueueNDRangeKernel(o.q, o.say, 1, NULL, &one, NULL, 0, NULL, NULL);
    if (!rc) rc = clFinish(o.q);
    fflush(stdout);
    dup2(kept, 1);
    close(kept);
    OK(rc);
    rewind(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    CHECK(strstr(text, "the kernel says 4711\n"));
    close_one(&o);
}
