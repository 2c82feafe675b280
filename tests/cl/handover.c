/* Host memory that one command fills and a later one sends: the data is what is there when the later one's
 * turn comes, not what was there when it was enqueued. */
#include "func.h"
#include <stdlib.h>
#include <string.h>

#define SEED 5

static const size_t sizes[] = {100, 6000, 300000};
#define SIZES (sizeof sizes / sizeof *sizes)

struct handover {
    size_t bytes;
    unsigned char *host;
    cl_mem from, to; /* from: holds the pattern */
    cl_event gate;   /* what fills the host memory waits for it */
};

static void begin(struct cltest *t, struct handover *h, size_t bytes) {
    cl_int err;
    h->bytes = bytes;
    h->host = calloc(1, bytes);
    CHECK(h->host);
    cltest_pattern(h->host, bytes, SEED);
    h->from = cltest_buffer(t, CL_MEM_READ_WRITE, bytes, NULL);
    h->to = cltest_buffer(t, CL_MEM_READ_WRITE, bytes, NULL);
    OK(clEnqueueWriteBuffer(t->queue[0], h->from, CL_TRUE, 0, bytes, h->host, 0, NULL, NULL));
    memset(h->host, 0, bytes);
    h->gate = clCreateUserEvent(t->ctx, &err);
    OK(err);
}

/* Opens the gate, and looks at what was sent through `q`. */
static void end(struct cltest *t, struct handover *h, cl_command_queue q) {
    unsigned char *back = calloc(1, h->bytes);
    CHECK(back);
    OK(clFlush(t->queue[0]));
    OK(clFlush(q));
    OK(clSetUserEventStatus(h->gate, CL_COMPLETE));
    OK(clEnqueueReadBuffer(q, h->to, CL_TRUE, 0, h->bytes, back, 0, NULL, NULL));
    CHECK(cltest_has_pattern(back, h->bytes, SEED));
    OK(clReleaseEvent(h->gate));
    OK(clReleaseMemObject(h->from));
    OK(clReleaseMemObject(h->to));
    free(h->host);
    free(back);
}

void handover__by_event(struct cltest *t) {
    for (size_t i = 0; i < 2 * SIZES; i++) {
        struct handover h;
        cl_event filled, sent;
        cl_command_queue q = i < SIZES ? t->queue[t->other] : cltest_queue(t, 0, 0);
        begin(t, &h, sizes[i % SIZES]);
        OK(clEnqueueReadBuffer(t->queue[0], h.from, CL_FALSE, 0, h.bytes, h.host, 1, &h.gate, &filled));
        OK(clEnqueueWriteBuffer(q, h.to, CL_FALSE, 0, h.bytes, h.host, 1, &filled, &sent));
        CHECK(cltest_status(sent) != CL_COMPLETE);
        end(t, &h, q);
        CHECK_EQ(cltest_status(sent), CL_COMPLETE);
        OK(clReleaseEvent(filled));
        OK(clReleaseEvent(sent));
        if (i >= SIZES) OK(clReleaseCommandQueue(q));
    }
}

void handover__in_one_queue(struct cltest *t) {
    cl_command_queue q = t->queue[0];
    for (size_t i = 0; i < SIZES; i++) {
        struct handover h;
        begin(t, &h, sizes[i]);
        OK(clEnqueueReadBuffer(q, h.from, CL_FALSE, 0, h.bytes, h.host, 1, &h.gate, NULL));
        OK(clEnqueueWriteBuffer(q, h.to, CL_FALSE, 0, h.bytes, h.host, 0, NULL, NULL));
        end(t, &h, q);
    }
}

void handover__by_the_program(struct cltest *t) {
    for (size_t i = 0; i < SIZES; i++) {
        struct handover h;
        cl_command_queue q = t->queue[0];
        begin(t, &h, sizes[i]);
        OK(clEnqueueWriteBuffer(q, h.to, CL_FALSE, 0, h.bytes, h.host, 1, &h.gate, NULL));
        cltest_pattern(h.host, h.bytes, SEED);
        end(t, &h, q);
    }
}

void handover__rect(struct cltest *t) {
    const size_t zero[3] = {0}, at[3] = {3, 1, 0}, region[3] = {50, 20, 1};
    unsigned char *wide = calloc(1, 64 * 64);
    struct handover h;
    cl_event filled;
    cl_command_queue q = cltest_queue(t, 0, 0);
    CHECK(wide);
    begin(t, &h, 1000);
    OK(clEnqueueReadBufferRect(t->queue[0], h.from, CL_FALSE, zero, at, region, 50, 0, 64, 0, wide, 1,
                               &h.gate, &filled));
    OK(clEnqueueWriteBufferRect(q, h.to, CL_FALSE, zero, at, region, 50, 0, 64, 0, wide, 1, &filled, NULL));
    end(t, &h, q);
    OK(clReleaseEvent(filled));
    OK(clReleaseCommandQueue(q));
    free(wide);
}

/* What is read later stays. */
void handover__of_the_same_memory(struct cltest *t) {
    static const size_t parts[] = {64, 6000, 1u << 20};
    enum { BYTES = 4u << 20, TIMES = 20 };
    cl_command_queue q = t->queue[0];
    unsigned char *host = malloc(BYTES);
    CHECK(host);
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        cl_mem all = cltest_buffer(t, CL_MEM_READ_WRITE, BYTES, NULL),
               part = cltest_buffer(t, CL_MEM_READ_WRITE, parts[i], NULL);
        cltest_pattern(host, BYTES, SEED);
        OK(clEnqueueWriteBuffer(q, all, CL_TRUE, 0, BYTES, host, 0, NULL, NULL));
        cltest_pattern(host, parts[i], SEED + 1);
        OK(clEnqueueWriteBuffer(q, part, CL_TRUE, 0, parts[i], host, 0, NULL, NULL));
        for (int k = 0; k < TIMES; k++) {
            size_t at = BYTES - parts[i];
            memset(host, 0, BYTES);
            OK(clEnqueueReadBuffer(q, all, CL_FALSE, 0, BYTES, host, 0, NULL, NULL));
            OK(clEnqueueReadBuffer(q, part, CL_FALSE, 0, parts[i], host + at, 0, NULL, NULL));
            OK(clFinish(q));
            CHECK(cltest_has_pattern(host, at, SEED));
            CHECK(cltest_has_pattern(host + at, parts[i], SEED + 1));
        }
        OK(clReleaseMemObject(all));
        OK(clReleaseMemObject(part));
    }
    free(host);
}
