/* Executor, for its own files. */
#ifndef WEFT_OPENCL_EXECUTOR_INTERNAL_H
#define WEFT_OPENCL_EXECUTOR_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "opencl/executor/executor.h"
#include "opencl/executor/objects.h"
#include "opencl/executor/outlet.h"
#include "opencl/executor/peers.h"
#include "opencl/executor/staging.h"

#define EXECUTOR_SOURCE_MAX ((uint64_t)256 << 20) /* bytes of a program's source or binaries */
#define EXECUTOR_TEXT_MAX   ((uint64_t)4 << 20)   /* options, a kernel's name, an argument */
#define EXECUTOR_HELD_MAX   ((size_t)256 << 20)   /* bytes of commands held back */

/* Contents that the client may write again by naming their slot. */
struct kept {
    struct staging *data; /* held; NULL: none */
    size_t bytes;
    bool arriving; /* the data is on its way */
};

/* News of ends that need not leave at once (results.c); the executor's lock. */
#define ENDS_HELD_MAX 32u
struct held_end {
    uint64_t event, times[4];
    cl_int status;
    bool has_times;
};
struct held_ends {
    struct held_end at[ENDS_HELD_MAX];
    unsigned count;
    uint64_t taken;         /* how many were ever held back: the number of the last one */
    uint64_t since_ns;      /* the first of them */
    uint64_t left_ns;       /* when news left for the client */
    struct ep_timer *timer; /* NULL: nothing is held back */
    bool timer_set;
};

struct executor {
    const struct drivers *drivers;
    uint8_t token[NODE_TOKEN_BYTES];
    atomic_bool ended;

    struct objects objects; /* the serving thread only */
    struct quota quota;
    cl_device_id *sub_devices; /* by number - WIRE_SUB_DEVICES; the serving thread only */
    size_t sub_device_room;
    struct weft_list orphans; /* the serving thread only */

    pthread_mutex_t in_lock;   /* for the fields below */
    struct weft_list incoming; /* commands not carried out yet, in order */
    struct weft_list gated;    /* writes that were carried out, and whose data is on its way */
    struct weft_list arrived;  /* gated ones whose data has come */
    struct weft_list linked;   /* build jobs whose program is for the serving thread to take */
    size_t held_bytes;         /* of incoming */
    struct weft_map hosted;    /* the client's buffer -> where it is in this process's memory (hosted.c) */

    void
        *shared; /* the client's memory for buffers; NULL: none. The serving thread only, with the next two */
    size_t shared_bytes;
    struct weft_map works_here; /* device -> whether it works in the host's memory (share.c) */

    struct staging_pool staging;
    struct kept kept[WIRE_KEPT_MAX]; /* the serving thread only, with the next */
    struct weft_list followers;      /* writes of what is on its way there (kept.c) */

    pthread_mutex_t lock; /* for the fields below; taken last, may be held while sending */
    struct ep *ep;        /* from executor_attach to the end of executor_run */
    struct outlet client;
    uint64_t results;      /* that were sent to it, or kept for it */
    struct weft_list owed; /* of struct owed: what it must know before the next result */
    struct held_ends ends;
    struct weft_list dirty; /* queues with commands not flushed */

    pthread_mutex_t done_lock; /* for the fields below */
    pthread_cond_t done_cond;  /* in_flight is 0 */
    unsigned long in_flight;   /* completions that a driver still owes, or that are being told */
    struct weft_list under_way, zombies, untold; /* untold: have ended */
    struct weft_map named;                       /* of what is under way: the client's event -> completion */
    struct weft_map failed; /* of events that the client has and that were told: -> status, of failures */
    uint64_t seq;           /* of the latest command that is watched */
    bool telling;           /* a thread passes ends on */
    atomic_bool look;       /* time to look at them */

    uint64_t look_timer; /* the serving thread's */
    struct builder *builder;
    struct capture *capture;
    struct peers peers;
};

/* ---- dispatch.c: one command ---- */
struct call {
    struct executor *x;
    const struct wire_in *in;
    const void *data; /* complete; NULL with data still to come into staging (writes only) */
    size_t data_bytes;
    struct staging
        *staging;      /* the data's, if it is there already: the function may take it over (sets NULL) */
    cl_event gate;     /* writes with data to come: set when it has come; NULL otherwise */
    bool placed;       /* a write whose data is in its place, or comes there by itself */
    bool accepted;     /* set by a placed write: its end is to be told when its data is there */
    struct move *move; /* that this command is half of: told of its end */
    struct object *object[WIRE_FIELDS_MAX]; /* by field; NULL for numbers and absent ones */
    union {
        cl_mem mems[WIRE_WORDS_MAX];
        cl_program programs[WIRE_WORDS_MAX];
    };
    struct object *mem_objects[WIRE_WORDS_MAX]; /* of mems */
    cl_uint mem_count;                          /* of either */
    cl_event waits[WIRE_WORDS_MAX + 1];         /* the gate, too */
    cl_uint wait_count;
};
/* Carries out a decoded command; every error goes back to the client. Does not free staging that was not
 * taken over. */
void executor_carry_out(struct executor *x, struct call *c);
/* Answers a command with an error, wherever it wants it. */
void executor_refuse(struct executor *x, const struct wire_in *in, cl_int error);
#define CALL(NAME, name, ...) cl_int carry_out_##name(struct call *c);
#include "opencl/wire/calls.def"

/* What kind of transfer a command is. */
bool executor_is_read(unsigned call);
bool executor_is_write(unsigned call);
/* A user event of the context, for the driver to wait for; NULL: it has none. */
cl_event executor_create_gate(cl_context context);

/* ---- create.c ---- */
/* The driver's object behind a claimed slot. Objects share their context's info, which lives as long as they
 * do.
 */
void keep_handle(struct object *o, void *handle, struct context_info *context);
cl_command_queue executor_create_queue(cl_context context, cl_device_id device,
                                       cl_command_queue_properties props, cl_int *err);

/* ---- transfer.c ---- */
/* The data in staging memory: what was received there, or a copy of what came with the header; NULL: no
 * memory. */
struct staging *transfer_data(struct call *c);
/* Of a write: nothing is left that it waits for, and nobody asks for its contents again, nor for its event.
 */
bool transfer_has_turn(const struct wire_in *in);
/* The driver has taken a transfer's command, or not (err, which is returned). The staging memory goes to what
 * watches its end; else that of a write goes back to the call, that of a read is given up. */
cl_int transfer_write_began(struct call *c, cl_int err, cl_event event, struct staging *s, size_t bytes);
cl_int transfer_read_began(struct call *c, cl_int err, cl_event event, struct staging *s, size_t bytes);
/* Writes to the call's buffer, and takes the data over if it succeeds. */
cl_int enqueue_write(struct call *c, size_t offset, struct staging *s, size_t size);

/* ---- image.c ---- */
/* A region of an image; packed in host memory. */
struct box {
    size_t origin[3], region[3], bytes, row, slice;
};
/* Of a command whose only numbers are one box, of the image that its fourth field names. */
cl_int executor_take_box(struct call *c, struct box *b);

/* ---- completion.c ---- */
/* The watched commands of a queue, in the order of enqueueing: their ends are told so that none comes before
 * one that it implies. */
struct lane {
    atomic_uint holds; /* the queue's and its commands' */
    bool in_order;
    bool clock_known;     /* of the thread that tells ends, with the next */
    int64_t to_clock;     /* from the device's clock to this machine's, ns */
    uint64_t barrier;     /* commands from now on wait for those before this number; done_lock */
    struct weft_list all; /* done_lock */
};
struct lane *lane_create(bool in_order);
void lane_release(struct lane *l); /* NULL is nothing */
void lane_barrier(struct executor *x, struct lane *l);
enum completion_what { COMPLETION_FREE, COMPLETION_EVENT, COMPLETION_READ, COMPLETION_REPLY };
/* Where the driver shall put the event: NULL when nobody needs it. */
cl_event *enqueue_event(struct call *c, cl_event *at, bool needed);
/* Has the driver call back at the event's end. The callback may give the event up, on another thread and at
 * once: the driver's call still works with it, so it is held meanwhile. */
cl_int completion_call(cl_event event, void(CL_CALLBACK *fn)(cl_event, cl_int, void *), void *arg);
/* After a successful enqueue: keeps, watches and releases the event; takes over the staging memory. */
void enqueue_track(struct call *c, cl_event event, enum completion_what what, struct staging *s,
                   size_t bytes);
/* Watches a piece of a move, which is not the last. Takes over the event. */
void completion_piece(struct executor *x, cl_event event, struct move *m, unsigned piece,
                      struct object *queue);
/* Answers a request when the event (taken over) completes. */
cl_int completion_reply(struct executor *x, cl_event event, uint64_t request, struct object *queue);
void completion_look(struct executor *x); /* for ends that the driver did not tell */
void completion_poison(struct executor *x,
                       uint64_t event); /* what waits for it under way ends with an error */
/* The command of that event ends with an error, whatever the driver says, and what waits for it too. */
void completion_fail(struct executor *x, uint64_t event, cl_int status);
/* Tells the event's end to another executor, at once if it has ended. Takes over `t`. */
void completion_tell(struct executor *x, uint64_t event, struct teller *t);
void completion_forget(struct executor *x, uint64_t event); /* the client released it */
bool completion_any(struct executor *x);
void completion_wait_all(struct executor *x);

/* ---- serve.c ---- */
bool executor_keep_orphan(struct executor *x, struct object *user_event);

/* ---- enqueue.c ---- */
void executor_flush_dirty(struct executor *x);
void executor_forget_queue(struct executor *x, struct object *queue);

/* ---- share.c ---- */
/* The memory at a place of the client's; NULL: there is none, or not so much. */
void *share_at(const struct executor *x, uint64_t place, uint64_t bytes);
/* The driver of that one device works in the memory that a buffer is made over, and nowhere else. */
bool share_device_works(struct executor *x, cl_context context, cl_device_id device);
/* The place is the client's again as soon as the buffer is gone. False: then it never is. */
bool share_watch(struct executor *x, cl_mem m, uint64_t place);
void share_fini(struct executor *x);

/* ---- hosted.c: buffers in this process's own memory ---- */
/* flags: with CL_MEM_USE_HOST_PTR. Known by its handle until hosted_forget. NULL: it cannot be. */
cl_mem hosted_create(struct executor *x, cl_context context, uint64_t handle, cl_mem_flags flags,
                     size_t bytes);
/* A part of a buffer, which may be there. */
void hosted_part(struct executor *x, uint64_t parent, uint64_t handle, size_t origin, size_t bytes);
/* Where those bytes of the buffer are, to be put; NULL: elsewhere. Any thread. */
struct memory *hosted_find(struct executor *x, uint64_t handle, uint64_t offset, uint64_t bytes, char **at);
void memory_put(struct memory *m); /* any thread; NULL is nothing */
void hosted_forget(struct executor *x, uint64_t handle);
void hosted_fini(struct executor *x);

/* ---- create.c: user events ---- */
/* Once. Negative: failing. */
cl_int executor_set_user_event(struct executor *x, struct object *o, uint64_t handle, cl_int status);

/* ---- results.c ---- */
/* Sends a result, or keeps it until it can be sent. Any thread. data: must stay until done, unless `done` is
 * NULL (then it is copied: small data only). */
void results_send(struct executor *x, const struct wire_out *out, const void *data, size_t bytes,
                  results_done_fn *done, void *arg);
void results_reply(struct executor *x, uint64_t request, cl_int status, void *data,
                   size_t bytes); /* frees data */
enum results_when {
    RESULTS_NOW,
    RESULTS_SOON,  /* more of the same is to be expected: it may wait for that, but not for long */
    RESULTS_FLUSH, /* it need not leave before results_flush */
};
/* first: others that are told before (the list is freed). */
void results_event(struct executor *x, uint64_t event, cl_int status, const uint64_t *times,
                   struct teller *first, enum results_when when);
void results_print(struct executor *x, const void *text, size_t bytes);
void results_not_kept(struct executor *x, uint64_t slot);
void results_context_hosts(struct executor *x, uint64_t context);
void results_place_free(struct executor *x, uint64_t place);
void results_queue_error(struct executor *x, uint64_t queue, cl_int status);
void results_peer_down(struct executor *x, uint32_t number);
/* What follows comes after so many results of that executor: said before the next result. */
void results_after(struct executor *x, struct owed *o, uint64_t results);
void results_flush(struct executor *x);     /* what need not have left yet */
uint64_t results_count(struct executor *x); /* what is held back has left then */
void results_attach(struct executor *x, struct ep *ep);
void results_detach(struct executor *x); /* before the endpoint is closed */
void results_retry(struct executor *x);  /* sends what is kept, if it can now */
bool results_congested(struct executor *x);
void results_drop(struct executor *x); /* the client is gone */

/* ---- devices.c ---- */
/* A platform's device, or a sub-device of one, by the client's number; NULL: there is none. */
cl_device_id executor_device(struct executor *x, const struct driver_platform *p, uint64_t number);
void executor_release_sub_devices(struct executor *x);

/* ---- svm.c ---- */
/* A pointer into shared virtual memory, or NULL if mem is. */
cl_int executor_set_svm_arg(cl_kernel k, cl_uint index, const struct object *mem, uint64_t offset);

/* ---- link.c ---- */
void executor_take_linked(struct executor *x);
void executor_drop_linked(struct executor *x);

/* ---- kept.c ---- */
/* Keeps the data, beside whoever has it, in place of what was in the slot. Slot 0: not. */
void kept_put(struct executor *x, uint64_t slot, struct staging *s, size_t bytes, bool arriving);
void kept_forget(struct executor *x, uint64_t slot);
/* The data has come, or (status) never will. */
void kept_arrived(struct executor *x, const struct staging *s, cl_int status);
void kept_drop_all(struct executor *x);

/* ---- build.c ---- */
void builder_destroy(struct builder *b); /* waits for the build under way; NULL is nothing */

/* ---- capture.c ---- */
void capture_drain(struct executor *x); /* sends what was printed so far; any thread */
bool capture_waits(struct executor *x); /* it paused for a slow client, and may go on */
void capture_resume(struct executor *x);
void capture_close(struct executor *x); /* no more watching */
void capture_destroy(struct executor *x);

#endif
