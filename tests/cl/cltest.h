/* A small frame for test programs that use plain OpenCL 1.2 and nothing else: choice of devices, checks, a
 * runner.
 *
 * The devices under test are those of one platform, in one context. Environment:
 *   CLTEST_PLATFORM  substring of the platform's name; default: the first platform with devices
 *   CLTEST_NODE      the device under test is the first one on this node; default: the first of all
 *   CLTEST_TIMEOUT   seconds after which a test counts as hung; default 120
 *   CLTEST_SEED      where random tests begin; default 1
 *   CLTEST_STRICT    1: known deviations from the specification are failures too; risky: only those of the
 * group of that name in the error test */
#ifndef TESTS_CLTEST_H
#define TESTS_CLTEST_H
#include "cldevice.h"
#include "clerror.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLTEST_MAX_DEVICES 16

/* What every test gets. Queue i is in order, profiled, on device i. Device 0 is the one under test; device 1,
 * if there is one, sits on another node where possible. With a single device `other` is 0, so that two-device
 * tests still run, on one. */
struct cltest {
    unsigned n_devices, other;
    struct cldevice info[CLTEST_MAX_DEVICES];
    cl_device_id dev[CLTEST_MAX_DEVICES];
    cl_platform_id platform;
    cl_context ctx;
    cl_command_queue queue[CLTEST_MAX_DEVICES];
    cl_program prog; /* built from cltest_source for all devices */
};

struct cltest_case {
    const char *name;
    void (*run)(struct cltest *t);
    bool quiet; /* nothing is said if it holds */
};

/* The kernels of all tests. */
extern const char cltest_source[];

/* Runs the cases whose names contain one of the arguments, all without arguments; --list names them. Returns
 * the program's exit status: 0, 1 after failures, 2 for wrong usage, 77 where there is no device. */
int cltest_main(int argc, char **argv, const char *what, const struct cltest_case *cases, unsigned n_cases);

/* For programs that have no table of cases: devices, context, queues and program; 0, 1 or 77 as above. */
int cltest_open(struct cltest *t);
bool cltest_run(const struct cltest_case *c, struct cltest *t); /* whether it held */
bool cltest_close(struct cltest *t);

/* Ends the running test as failed. Only from the thread that runs it. */
_Noreturn void cltest_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a line to the output of the running test. */
void cltest_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A departure from the specification that a known implementation has: noted, or with CLTEST_STRICT a failure.
 */
void cltest_deviation(const char *what);

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) cltest_fail(__FILE__, __LINE__, "%s does not hold", #cond);                             \
    } while (0)
#define CHECK_EQ(a, b)                                                                                       \
    do {                                                                                                     \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                  \
        if (a_ != b_) cltest_fail(__FILE__, __LINE__, "%s is %lld, must be %s = %lld", #a, a_, #b, b_);      \
    } while (0)
#define OK(call)                                                                                             \
    do {                                                                                                     \
        cl_int ok_ = (call);                                                                                 \
        if (ok_) cltest_fail(__FILE__, __LINE__, "%s gives %s (%d)", #call, clerror_name(ok_), ok_);         \
    } while (0)

/* Shorthands that end the test on any error. */
cl_kernel cltest_kernel(struct cltest *t, const char *name);
cl_mem cltest_buffer(struct cltest *t, cl_mem_flags flags, size_t bytes, void *host);
cl_command_queue cltest_queue(struct cltest *t, unsigned device, cl_command_queue_properties props);
/* Launches `items` work items in one dimension; ev may be NULL. */
void cltest_launch(cl_command_queue q, cl_kernel k, size_t items, cl_uint n_wait, const cl_event *wait,
                   cl_event *ev);
cl_int cltest_status(cl_event e);
/* Byte i of pattern `seed`; filling and checking of memory with it. */
void cltest_pattern(void *p, size_t bytes, uint32_t seed);
bool cltest_has_pattern(const void *p, size_t bytes, uint32_t seed);

#endif
