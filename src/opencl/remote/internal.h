/* Remote, for its own files. Lock order: a node's send_lock before its lock; no lock is held while completion
 * functions run. The endpoint may be called under both. */
#ifndef WEFT_OPENCL_REMOTE_INTERNAL_H
#define WEFT_OPENCL_REMOTE_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "opencl/remote/remote.h"
#include "opencl/remote/share.h"
#include "opencl/wire/wire.h"

#define REMOTE_COPY_BYTES ((size_t)32 << 10) /* up to this, data is copied when it is sent */
#define REMOTE_REPLY_MAX  ((uint64_t)1 << 30)

enum remote_state { REMOTE_IDLE, REMOTE_STARTING, REMOTE_UP, REMOTE_LOST };

/* What the executor says of this side's memory for buffers. */
enum remote_region { REMOTE_REGION_UNKNOWN, REMOTE_REGION_SHARED, REMOTE_REGION_REFUSED };

struct remote_slot {
    uint32_t generation, next_free;
    uint8_t kind;
    void *record;
};

/* Contents that the executor has (reuse.c). */
#define REMOTE_HASH_BYTES 32
enum { REMOTE_KEPT_FREE, REMOTE_KEPT_ON_ITS_WAY, REMOTE_KEPT_REFUSED, REMOTE_KEPT_THERE, REMOTE_KEPT_LOST };
struct remote_kept {
    atomic_int state;
    uint8_t hash[REMOTE_HASH_BYTES];
    size_t bytes;
    uint64_t used; /* by the clock */
};
struct remote_reuse {
    pthread_mutex_t lock; /* taken before the node's; not for `state` */
    struct remote_kept kept[WIRE_KEPT_MAX];
    size_t cap_bytes, used_bytes;
    uint64_t least_Bps, clock;
    uint64_t missed_bytes; /* looked for in vain since something was found */
    unsigned skipped;
};
/* What was done about one write. */
struct remote_reuse_choice {
    uint64_t slot;      /* where the data is, or shall be kept; 0: neither */
    bool known, locked; /* known: it is there, and need not travel */
};
/* How fast large data travels to the node while some does. */
struct remote_rate {
    uint64_t bytes, busy_ns, since_ns;
    uint64_t spared_ns; /* of the time that follows: what a message takes whatever its size */
    unsigned under_way;
};

/* Results of one executor that follow from another's: held back until as many of that one's are told. */
struct remote_mark {
    struct weft_list link; /* in node->marks */
    uint64_t result;       /* those after so many of the node's results */
    struct remote_node *of;
    uint32_t number; /* which executor of it */
    uint64_t until;
};

struct remote_node {
    struct weft_list link; /* in the hub */
    struct remote_hub *hub;
    uint32_t id;
    char host[NODE_NAME_MAX];
    bool executor_given;
    struct node_executor executor; /* once started */

    pthread_mutex_t send_lock; /* state, peer, unsent, retry: what is sent is sent in the order of calls */
    enum remote_state state;
    struct ep_peer *peer;
    struct weft_list
        unsent;         /* commands waiting for the connection, for room in the endpoint, or the next one */
    unsigned unhurried; /* of them, those that wait for the next one */
    unsigned run;       /* commands for queues that followed each other fast */
    unsigned together;  /* of them, the last ones, which the endpoint holds back for the next */
    uint64_t run_ns, together_ns; /* the latest command; the first of those */
    bool retry_armed;
    bool settled;    /* LOST, and everything that was under way has its end */
    uint32_t number; /* of the executor, among all that this process ever had; 0: not connected */

    pthread_mutex_t lock; /* all below, and records and queues */
    struct remote_slot *slots;
    uint32_t slot_count, first_free; /* 0: none free; slot 0 is not used */
    uint64_t opened_ns;              /* when OPEN was sent; send_lock */
    int64_t clock_offset;            /* the executor's clock less this process's, ns */
    struct weft_map requests;
    uint64_t last_request;
    uint32_t next_sub_device;
    struct remote_rate rate;
    uint64_t last_transfer;
    struct weft_list transfers, deferred; /* of records: by in_node; by link */
    uint64_t results;                     /* that have come from the executor */
    struct weft_list marks;               /* by result */
    struct weft_list untold;              /* of records whose result has come: by in_untold, by result */

    struct share_region *region; /* of the hub's pool; NULL: none (yet); changed under both locks */
    bool region_tried;           /* the same */
    enum remote_region region_state;
    uint64_t places_sent, places_known; /* creations at places: sent, and carried out for certain */

    struct remote_reuse reuse;
};

struct remote_backend {
    struct backend base;
    struct remote_node *node;
    uint32_t platform;
};

/* Two executors that were named to each other. */
struct remote_pair {
    struct weft_list link;
    struct remote_node *a, *b;
    uint32_t number_a, number_b;
    bool ready; /* both were told of the other */
    bool off;   /* nothing passes between them any more */
};

struct remote_hub {
    struct ep *ep;
    struct node_client *client;
    struct weft_list nodes; /* grows only; lock */
    pthread_mutex_t lock;
    atomic_bool closing;
    atomic_uint last_number;
    _Atomic uint64_t last_move;
    atomic_uint mark_count;     /* of all nodes */
    pthread_mutex_t order_lock; /* before the nodes' locks: to remove marks */
    pthread_mutex_t pair_lock;  /* before the nodes' locks; for the next two */
    struct weft_list pairs;
    struct weft_map passes;  /* of moves of which the one half was sent: number -> the target's place, held */
    struct share_pool *pool; /* for buffers of executors of this machine; NULL: none (yet); lock */
    bool pool_tried;
};

/* A context handle's record. */
struct remote_context {
    bool hosts; /* its device works in its host's memory; the node's lock */
};

/* Transfers are reads, and writes from the program's memory; they are numbered in a node. One is under way as
 * long as the endpoint uses that memory: until a write is acknowledged, or from a read's first word to its
 * last byte. The end of a command is a small message, which may overtake the data of those before it: the
 * program is told after them. Which those are: all up to a number, of its own queue, and of any. */
struct remote_after {
    uint64_t own, any;
};

struct remote_queue {
    uint64_t handle;
    uint64_t context;
    bool in_order, profiles;
    unsigned holds;             /* the handle, and records */
    cl_int error;               /* sticky */
    struct remote_after after;  /* what the next command comes after */
    struct weft_list transfers; /* under way */
    /* Commands by number, in the order sent; all up to `over` have ended (host.c). */
    uint64_t sent, over;
    uint64_t result;           /* the last result of one of them, as in its record */
    unsigned enqueuing;        /* calls that are about to send one */
    bool hosting;              /* one whose transfer this process does by itself */
    uint64_t gate;             /* an event that the commands after that one wait for; 0: none yet */
    pthread_mutex_t host_lock; /* taken before all others: around the sending of what gate and turn need */
};

/* A box of host memory: bytes of a row, rows, slices; bytes from row to row and from slice to slice. */
struct remote_box {
    char *host; /* its first byte */
    size_t region[3], row, slice, bytes;
};

/* Events of other nodes that are set when a record is done (meet.c). */
struct remote_heir {
    struct remote_heir *next;
    struct remote_node *node;
    uint64_t event;
};

/* A command under way, or an event. */
struct remote_record {
    struct weft_list link; /* in queue->transfers or node->deferred */
    struct weft_list in_node, in_untold;
    struct remote_node *node;
    struct remote_queue *queue; /* held; NULL for user events */
    uint64_t handle, transfer;  /* transfer 0: none */
    struct remote_after after;
    unsigned holds; /* the caller's event, the command under way, a waiter */
    atomic_bool done;
    bool want_result; /* an EVENT or READ_DATA comes */
    bool result_in, announced, released, user, reading, unseen;
    bool moving; /* a transfer under way: link is in queue->transfers */
    cl_int status;
    cl_ulong times[4];
    bk_complete_fn *fn, *notify; /* of the enqueue; of event_notify */
    void *arg, *notify_arg;
    uint64_t number, places;     /* number 0: its end does not tell of others'; places: as remote_request's */
    uint64_t result;             /* how many results had come when this one's did; 0: none */
    struct remote_node *source;  /* bridge, or half of a move: the node where it comes from */
    uint64_t source_event, move; /* of a bridge; of a move */
    struct share_place
        *pass;        /* half of a move: where its executor has the contents, held; NULL: nowhere, or over */
    uint64_t staging; /* its offset */
    bool taken_over;  /* what it waits for comes by way of this process */
    struct remote_heir *heirs;
    uint64_t keep_slot;  /* WRITE: where the executor keeps the data, or 0 */
    void *host, *packed; /* READ: where the data goes (packed: first, then spread over box) */
    size_t bytes;
    struct remote_box box;
};

/* A question that is answered by a REPLY. */
struct remote_request {
    uint64_t id, places; /* places: creations sent before it */
    atomic_bool done;
    cl_int status;
    uint64_t result; /* how many results had come when the answer did */
    void *data;
    size_t bytes;
    void (*fn)(struct remote_request *r); /* NULL: somebody waits; else called at the end, then freed */
    bk_built_fn *built;
    void *arg;
};

/* ---- node.c ---- */
struct remote_node *remote_node_create(struct remote_hub *h, uint32_t id, const char *host);
void remote_node_destroy(struct remote_node *n);
/* Sends a command in order, now or when the connection is there. data: must stay until on_done; without
 * on_done it is copied. False: the node is lost (on_done is not called then). */
bool remote_send(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                 void (*on_done)(void *arg, int status), void *arg);
/* Small commands that nobody waits for: they leave with the next one, at the latest soon. Data is copied. */
bool remote_send_unhurried(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes);
/* Commands for queues in a fast run leave together, at the latest soon: those that wait for the next one
 * leave now. Sending anything else and ep_wait do it, too. */
void remote_node_flush(struct remote_node *n);
/* The same as remote_send with heap data that is freed when sent (in any case). */
bool remote_send_owned(struct remote_node *n, const struct wire_out *out, void *data, size_t bytes);
/* Copies data when it must. False: lost, or no memory. */
bool remote_send_copy(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes);
void remote_node_connect(struct remote_node *n);
void remote_node_lost(struct remote_node *n, const char *reason);
bool remote_node_is_lost(struct remote_node *n);
bool remote_node_has_peer(struct remote_node *n, const struct ep_peer *peer); /* it is not an earlier one */
/* Another executor may be started for a lost node. What the lost one had is unknown to it, and refused. */
void remote_node_retry(struct remote_node *n);

/* ---- table.c; under the node's lock ---- */
uint64_t remote_slot_take(struct remote_node *n, enum bk_kind kind,
                          void *record); /* 0: no memory, or too many */
void *remote_slot_record(struct remote_node *n, uint64_t handle,
                         enum bk_kind kind); /* NULL: stale or of other kind */
bool remote_slot_is(struct remote_node *n, uint64_t handle, enum bk_kind kind);
void remote_slot_free(struct remote_node *n, uint64_t handle);
void remote_queue_put(struct remote_queue *q); /* gives up a hold; NULL is nothing */
/* Takes the lock itself. */
uint64_t remote_handle(struct remote_node *n, enum bk_kind kind, void *record);
void remote_release(struct backend *b, enum bk_kind kind, bk_ref ref);

/* ---- record.c ---- */
/* A record with its handle and one hold. NULL: no memory. queue 0: a user event. */
struct remote_record *remote_record_create(struct remote_node *n, uint64_t queue);
void remote_record_put(struct remote_record *r); /* gives up a hold */
/* The result is in: completes, or waits until the endpoint is done with the program's memory; either takes
 * over the hold of the command under way. False: there was a result before. */
bool remote_record_result(struct remote_record *r, cl_int status, const uint64_t *times);
/* A command is about to be sent: what it comes after. r: its record, or NULL; transfers: it is a transfer. */
void remote_put_after(struct remote_node *n, struct remote_queue *q, const struct bk_command *c,
                      struct remote_record *r, bool transfers); /* under the lock */
bool remote_queue_transfers(struct remote_node *n,
                            struct remote_queue *q); /* some are under way; under the lock */
/* Results of its commands, up to that one, that the program was not told; under the lock. */
bool remote_queue_has_untold(struct remote_node *n, const struct remote_queue *q, uint64_t result);
/* Starts and ends the time during which the endpoint uses the program's memory. */
void remote_record_sending(struct remote_record *r);
void remote_record_sent(void *record, int status);
void remote_record_arriving(struct remote_record *r);
void remote_record_arrived(struct remote_record *r, cl_int status,
                           const uint64_t *times); /* with its result */
/* Takes back a record whose command could not be sent. False: it completed already. */
bool remote_record_abandon(struct remote_record *r);
void remote_records_lost(struct remote_node *n);
cl_int remote_record_wait(struct remote_record *r);
cl_int remote_queue_take_error(struct remote_node *n, uint64_t queue);
struct remote_after remote_queue_after(struct remote_node *n, uint64_t queue);
bool remote_queue_may_finish(struct remote_node *n, uint64_t queue, const struct remote_after *after,
                             uint64_t result);
void remote_release_deferred(struct remote_node *n); /* those that nothing keeps back any more; no lock */
cl_int remote_create_user_event(struct backend *b, bk_ref context, bk_ref *out);
cl_int remote_set_user_event(struct backend *b, bk_ref event, cl_int status);
cl_int remote_wait_event(struct backend *b, bk_ref event);
cl_int remote_event_status(struct backend *b, bk_ref event);
cl_int remote_event_times(struct backend *b, bk_ref event, cl_ulong times[4]);
cl_int remote_event_notify(struct backend *b, bk_ref event, bk_complete_fn *fn, void *arg);

/* ---- order.c ---- */
/* Another result has come, and was taken. */
void remote_order_result(struct remote_node *n);
/* What comes from now on follows from so many results of that executor. */
void remote_order_after(struct remote_node *n, uint32_t number, uint64_t results);
bool remote_order_blocks(const struct remote_node *n, uint64_t result); /* under the lock */
/* Its executor is gone, and all that it had to tell has ended: its marks would be in the way of the next
 * one's. No lock. */
void remote_order_lost(struct remote_node *n);
void remote_order_fini(struct remote_node *n);
void remote_order_check(struct remote_hub *h); /* something was told; no lock */

/* ---- meet.c ---- */
bool remote_meet(struct backend *from, struct backend *to, struct bk_meeting *out);
bool remote_bridge(struct backend *to, bk_ref context, struct backend *from, bk_ref event, bk_ref *out);
void remote_end_bridge(struct backend *b, bk_ref bridge, cl_int status);
cl_int remote_encode_half(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options,
                          uint64_t staging);
/* A command that is half of a move: what its record must know. */
void remote_move_begins(struct remote_record *r, const struct bk_command *c);
/* The half has ended, however; without the lock. */
void remote_move_over(struct remote_record *r);
void remote_pass_end(struct share_place *p); /* NULL is nothing */
/* It was not sent: there will be no other half, or this one was it. */
void remote_move_refused(struct remote_hub *h, const struct bk_command *c);
/* It was sent; from which executor: unless that pair was off meanwhile. */
void remote_move_sent(struct remote_record *r, uint32_t from);
/* It failed, or was not sent: its source need not keep the contents. */
void remote_move_failed(struct remote_record *r);
void remote_peer_down(struct remote_node *n, uint32_t number); /* its executor says so */
void remote_pairs_lost(struct remote_node *n);
void remote_heirs_free(struct remote_heir *heirs);
void remote_inherit(struct remote_heir *heirs, cl_int status);
void remote_pairs_fini(struct remote_hub *h);

/* ---- request.c ---- */
struct remote_request *remote_request_create(struct remote_node *n);
void remote_request_answer(struct remote_node *n, uint64_t id, cl_int status, void *data,
                           size_t bytes); /* takes data */
bool remote_request_known(struct remote_node *n, uint64_t id);
/* Waits for the answer; then the caller reads and frees it. sent false: gives it up and returns
 * CL_OUT_OF_RESOURCES. */
cl_int remote_request_wait(struct remote_node *n, struct remote_request *r, bool sent);
void remote_request_drop(struct remote_node *n, struct remote_request *r);
void remote_requests_lost(struct remote_node *n);

/* ---- results.c ---- */
/* The executor's clock less this process's. On one machine it is one clock; else it is taken to be read in
 * the middle between the question and the answer. */
int64_t remote_clock_offset(uint64_t asked_ns, uint64_t answered_ns, uint64_t clock, bool same_machine);
void remote_on_result(void *hub, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink);

/* ---- reuse.c ---- */
void remote_reuse_init(struct remote_reuse *u);
/* Around the sending of a write that has an end which the endpoint tells: what may be done. */
void remote_reuse_begin(struct remote_node *n, struct remote_reuse_choice *choice, const void *data,
                        size_t bytes);
void remote_reuse_end(struct remote_node *n, struct remote_reuse_choice *choice, bool sent);
void remote_reuse_stored(struct remote_node *n, uint64_t slot,
                         bool stored);                           /* the endpoint is done with the write */
void remote_reuse_refused(struct remote_node *n, uint64_t slot); /* the executor keeps nothing there */
void remote_reuse_lost(struct remote_node *n);                   /* the executor is gone with what it kept */
void remote_rate_begin(struct remote_rate *r, uint64_t now);
void remote_rate_end(struct remote_rate *r, uint64_t now, size_t bytes);

/* ---- host.c ---- */
/* Before the executor is told of the first context: memory that it can have, too. */
void remote_share_begin(struct remote_node *n);
void remote_share_tell(struct remote_node *n); /* connected; send lock held */
void remote_share_lost(struct remote_node *n);
/* The record of a new buffer; NULL: it is not in shared memory. */
struct remote_mem *remote_mem_create(struct remote_node *n, size_t bytes);
/* Of a new buffer in the memory of another node's; NULL: there it cannot be, or not for certain. */
struct remote_mem *remote_mem_twin(struct remote_node *n, bk_ref context, struct remote_node *other,
                                   bk_ref mem);
/* Of a part of the parent. */
struct remote_mem *remote_mem_part(struct remote_node *n, bk_ref parent, size_t offset);
void remote_mem_sent(struct remote_node *n, struct remote_mem *m); /* its creation was sent */
void remote_mem_drop(struct remote_mem *m);                        /* NULL is nothing */
/* An answer came to what was sent after so many creations. Under the lock. */
void remote_places_are_known(struct remote_node *n, uint64_t places);
void *remote_host_view(struct backend *b, bk_ref mem);
bool remote_is_one(struct backend *a, bk_ref x, struct backend *b, bk_ref y);
/* The executor says so. */
void remote_context_hosts(struct remote_node *n, uint64_t context);
/* Enters a command into its queue's order: what it comes after, its number. Held back while this process does
 * a transfer for an earlier one: behind a gate. `turn`: it is that transfer's own. Then remote_queue_leave.
 */
void remote_queue_enter(struct remote_node *n, const struct bk_command *c, struct remote_record *r,
                        bool transfers, bool turn);
void remote_queue_leave(struct remote_node *n, bk_ref queue);
/* A transfer that this process does by itself, and what needs nothing done at all. False: to be sent. */
bool remote_host_command(struct backend *b, const struct bk_command *c, bk_ref *event, cl_int *err);
/* Of a transfer that the executor does by itself because nothing is left to wait for (WIRE_TURN): the queue,
 * held; what is enqueued until remote_turn_end waits behind a gate. NULL: it is a command like any other. */
struct remote_queue *remote_turn_begin(struct remote_node *n, const struct bk_command *c);
void remote_turn_end(struct remote_node *n, struct remote_queue *q); /* NULL is nothing */
/* Sends the marker that stands for such a transfer; *out is to be waited for, and put. Of command.c. */
cl_int remote_send_turn(struct backend *b, const struct bk_command *c, struct remote_record **out);
/* Nothing of the queue is under way. */
bool remote_queue_is_quiet(struct remote_node *n, bk_ref queue);
/* The number of its last command, 0 if that is not to be told just now; and that all up to one have ended. */
uint64_t remote_queue_last(struct remote_node *n, bk_ref queue);
void remote_queue_over(struct remote_node *n, bk_ref queue, uint64_t number);

/* ---- rect.c ---- */
/* What a rect or image transfer moves. False: nothing, or more than there can be. */
bool remote_box_of(const struct bk_command *c, struct remote_box *out);
bool remote_box_is_packed(const struct remote_box *b);
void remote_box_pack(void *packed, const struct remote_box *b);
void remote_box_spread(const struct remote_box *b, const void *packed);

/* An origin or a region, as the wire has it. */
static inline void remote_put3(uint64_t *to, const size_t from[3]) {
    for (int i = 0; i < 3; i++) to[i] = from[i];
}

/* ---- image.c ---- */
cl_int remote_create_image(struct backend *b, bk_ref context, const struct bk_image *image, bk_ref *out);
cl_int remote_image_formats(struct backend *b, bk_ref context, cl_mem_flags flags, cl_mem_object_type type,
                            cl_image_format **out, cl_uint *count);
cl_int remote_create_sampler(struct backend *b, bk_ref context, const struct bk_sampler *sampler,
                             bk_ref *out);
cl_int remote_encode_image(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options);

/* ---- create.c ---- */
/* Sends a command that makes `handle`; takes the handle back when it cannot be sent. */
cl_int remote_send_creation(struct remote_node *n, uint64_t handle, const struct wire_out *msg,
                            const void *data, size_t bytes, bk_ref *out);
/* Sends one and waits for its verdict, which is the request's answer; drops the request (image.c). */
cl_int remote_create_checked(struct backend *b, enum bk_kind kind, uint64_t handle,
                             const struct wire_out *msg, struct remote_request *r, bk_ref *out);
/* Device numbers as the wire wants them; false: too many. */
bool remote_add_devices(struct wire_out *out, cl_uint count, const cl_uint *devices);

/* ---- create.c, program.c, device.c, device_side.c, svm.c, command.c: operations ---- */
cl_int remote_create_pipe(struct backend *b, bk_ref context, cl_mem_flags flags, cl_uint packet_bytes,
                          cl_uint packets, bool check, bk_ref *out);
cl_int remote_create_device_queue(struct backend *b, bk_ref context, cl_uint device,
                                  cl_command_queue_properties properties, cl_uint bytes, bk_ref *out);
cl_ulong remote_event_children_ns(struct backend *b, bk_ref event);
cl_int remote_set_default_device_queue(struct backend *b, bk_ref context, cl_uint device, bk_ref queue);
cl_int remote_compile(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                      const char *options, cl_uint header_count, const bk_ref *headers,
                      const char *const *names, bk_built_fn *built, void *arg);
cl_int remote_link(struct backend *b, bk_ref context, cl_uint device_count, const cl_uint *devices,
                   const char *options, cl_uint input_count, const bk_ref *inputs, bk_built_fn *built,
                   void *arg, bk_ref *out);
cl_int remote_create_program_builtin(struct backend *b, bk_ref context, cl_uint device_count,
                                     const cl_uint *devices, const char *names, bk_built_fn *built, void *arg,
                                     bk_ref *out);
cl_int remote_create_program_il(struct backend *b, bk_ref context, const void *il, size_t bytes, bk_ref *out);
cl_int remote_set_specialization(struct backend *b, bk_ref program, cl_uint id, size_t size,
                                 const void *value);
cl_int remote_create_sub_devices(struct backend *b, cl_uint device,
                                 const cl_device_partition_property *properties, size_t property_count,
                                 bool ext, cl_uint *count, cl_uint *first, struct inventory **out);
cl_int remote_svm_alloc(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size,
                        cl_uint alignment, void **ptr, bk_ref *out);
void remote_svm_free(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref);
cl_int remote_set_exec_svm(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs,
                           const bk_ref *refs);
void remote_release_sub_device(struct backend *b, cl_uint number);
cl_int remote_timers(struct backend *b, cl_uint device, cl_ulong *device_ns, cl_ulong *host_ns);
cl_int remote_sub_group_info(struct backend *b, bk_ref kernel, cl_uint device, cl_kernel_sub_group_info param,
                             size_t input_count, const size_t *input, size_t room, void *value, size_t *size);
cl_int remote_create_context(struct backend *b, cl_uint device_count, const cl_uint *devices, bk_ref *out);
cl_int remote_create_queue(struct backend *b, bk_ref context, cl_uint device,
                           cl_command_queue_properties props, bk_ref *out);
cl_int remote_create_buffer(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size, void *host,
                            bk_ref *out);
bool remote_create_twin(struct backend *b, bk_ref context, cl_mem_flags flags, size_t size,
                        struct backend *of, bk_ref other, bk_ref *out);
cl_int remote_create_sub_buffer(struct backend *b, bk_ref parent, cl_mem_flags flags, size_t origin,
                                size_t size, bk_ref *out);
cl_int remote_create_program_source(struct backend *b, bk_ref context, const char *source, size_t bytes,
                                    bk_ref *out);
cl_int remote_create_program_binary(struct backend *b, bk_ref context, cl_uint device_count,
                                    const cl_uint *devices, const size_t *sizes,
                                    const unsigned char *const *binaries, cl_int *binary_status, bk_ref *out);
cl_int remote_build(struct backend *b, bk_ref program, cl_uint device_count, const cl_uint *devices,
                    const char *options, bk_built_fn *built, void *arg);
cl_int remote_get_binaries(struct backend *b, bk_ref program, cl_uint device_count, unsigned char **blobs,
                           size_t *sizes);
cl_int remote_create_kernel(struct backend *b, bk_ref program, const char *name, bk_ref *out);
cl_int remote_set_arg(struct backend *b, bk_ref kernel, const struct bk_arg *a, bool check);
cl_int remote_enqueue(struct backend *b, const struct bk_command *c, bk_ref *event);
cl_int remote_flush(struct backend *b, bk_ref queue);
cl_int remote_finish(struct backend *b, bk_ref queue);

static inline struct remote_node *remote_node_of(struct backend *b) {
    return ((struct remote_backend *)b)->node;
}

#endif
