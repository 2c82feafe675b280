/* Fake backend for tests: it records commands, and the test says when each completes (or lets all do, in an
 * order drawn from a seed). A command has its effect on the fake memory at the moment it completes, so that a
 * missing dependency shows as wrong data. Single-threaded. */
#ifndef WEFT_OPENCL_FRONT_FAKE_BACKEND_H
#define WEFT_OPENCL_FRONT_FAKE_BACKEND_H
#include "opencl/backend.h"
#include "opencl/front/entries.h"
#include "opencl/front/platform.h"

#define FAKE_OBJECTS     8192
#define FAKE_WAITS       512
#define FAKE_ARGS        8
#define FAKE_NO_CONSTANT 99 /* a constant's id that is refused */

enum fake_state { FAKE_PENDING, FAKE_DONE };

struct fake_object {
    enum bk_kind kind;
    bool live;
    /* MEM */
    unsigned char *data;
    size_t size, origin;
    uint32_t parent;
    struct fake_object *twin; /* of another fake: whose data it has; NULL: its own */
    size_t extent[3], element, row; /* images */
    /* QUEUE */
    bool out_of_order;
    /* KERNEL */
    struct bk_arg args[FAKE_ARGS];
    unsigned set_args;
    bool adds; /* "add": adds its value to every byte of its buffer; else "copy", and "shade" for images */
    /* EVENT, and every command has one */
    bool user;
    enum fake_state state;
    cl_int status;
    bk_complete_fn *notify[8];
    void *notify_arg[8];
    unsigned notify_count;
};

struct fake_command {
    struct bk_command c;
    bk_ref waits[FAKE_WAITS];
    uint32_t event;
    bool done;
    unsigned char *sent; /* WRITE: the data, which is taken when the command is enqueued */
    unsigned char add;   /* kernel arguments as they were */
    bk_ref args[FAKE_ARGS];
};

struct fake {
    struct backend base;
    struct inventory_platform platform;
    struct inventory_device device[2];
    struct fake_object objects[FAKE_OBJECTS];
    uint32_t object_count, live;
    struct fake_command *commands;
    unsigned command_count, room, done_count;
    unsigned builds, headers, exec_svm, format_questions;
    cl_uint specialized; /* the last constant set */
    cl_int build_status;
};

/* New fakes as nodes 0, 1, … with one device each; platforms are set once a process (fakes_reset between
 * tests). */
extern struct fake fakes[3];
extern unsigned fake_twins; /* a bit each: those that have buffers in one memory */
extern cl_platform_id fake_platform;
extern cl_device_id fake_devices[3];
void fakes_setup(void);
void fakes_reset(void); /* checks that nothing is left alive first */
unsigned fakes_live(void);

bool fake_runnable(struct fake *f, unsigned command);
void fake_complete(struct fake *f, unsigned command, cl_int status);
/* Completes runnable commands of all fakes, in an order drawn from the seed, until none is left. False: some
 * can never run. */
bool fakes_run(unsigned *seed);
/* The n-th command of an operation, from `from` on; -1: none. */
int fake_find(const struct fake *f, enum bk_op op, unsigned from);

#endif
