/* Events: of commands (a backend's event behind them), of the program (user events), and of weft itself (data
 * on the way to another backend; never shown to the program).
 *
 * A command that waits for an event of another backend waits for a bridge: a user event in its own backend
 * that is set when the event ends, by the backends themselves if they can (ops->bridge). An event keeps its
 * bridges, one a slot. Nothing is asked of the backend about an event's end until a bridge or a callback
 * needs it. */
#ifndef WEFT_OPENCL_FRONT_EVENT_H
#define WEFT_OPENCL_FRONT_EVENT_H
#include "opencl/front/context.h"

struct event_callback {
    struct event_callback *next;
    struct event *event; /* held */
    cl_int type, status;
    void(CL_CALLBACK *fn)(cl_event, cl_int, void *);
    void *data;
};

struct event_bridge {
    struct event_bridge *next;
    cl_uint slot;
    bk_ref ref;
    bool far; /* it ends by itself (ops->bridge) */
};

struct event {
    struct object object;
    struct context *context; /* held */
    struct queue *queue;     /* held; NULL: user event, or weft's own */
    cl_command_type type;
    cl_uint slot;
    struct backend *backend; /* NULL: user event: `status` is all there is */
    bk_ref ref;
    uint64_t enqueued_ns; /* of direct backends' commands in queues that profile; else 0 */
    atomic_int status;    /* final once 0 or negative; before, only user events' is kept here */
    bool profiled;        /* its queue profiled when it was enqueued */
    bool watched, ended;  /* the backend was asked to tell the end; event_end was called. Lock of events */
    struct event_bridge *bridges;     /* lock of events to add, then constant */
    struct event_callback *callbacks; /* lock of events */
    struct weft_record_kernel *recorded; /* where the time of its command goes; NULL: nowhere */
};

static inline struct event *event_from(cl_event h) { return object_check(h, OBJECT_EVENT); }
/* An event of a command about to be enqueued; queue NULL: weft's own. The caller fills slot, backend and ref.
 */
struct event *event_new(struct context *c, struct queue *q, cl_command_type type);
struct event *event_new_user(struct context *c);
/* An end: CL_COMPLETE or an error. For user events and weft's own; true: it was the first. Leaf locks only.
 */
bool event_end(struct event *e, cl_int status);
/* CL_QUEUED … CL_COMPLETE or an error, without waiting. */
cl_int event_status(struct event *e);
/* Of a command that the backend has just taken: when it has ended, its time is added there. */
void event_record(struct event *e, struct weft_record_kernel *to);
/* Waits for the end; its status. */
cl_int event_wait(struct event *e);

/* Adds a callback, or runs it soon if the event is as far already. One for a state on the way is called at the end else. Takes over cb. Any thread, no lock held. */
void event_add_callback(struct event *e, struct event_callback *cb);

/* What a command waits for, as references of its backend; the events are held, so that these stay valid. */
#define WAITS_SMALL 16
struct waits {
    cl_uint slot, count, room;
    bool keep; /* also those that have ended */
    bk_ref *refs, small_refs[WAITS_SMALL];
    struct event **at, *small[WAITS_SMALL];
};
static inline void waits_init(struct waits *w, cl_uint slot) {
    w->slot = slot;
    w->count = 0;
    w->keep = false;
    w->room = WAITS_SMALL;
    w->refs = w->small_refs;
    w->at = w->small;
}
void waits_fini(struct waits *w);
/* Adds an event, by a bridge if need be; one of another backend that is complete adds nothing. */
cl_int waits_add(struct waits *w, struct event *e);
/* Checks a program's wait list for a command in a context, and adds it. */
cl_int waits_add_list(struct waits *w, struct context *c, cl_uint count, const cl_event *list);

#endif
