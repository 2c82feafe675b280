/* Executor: who may speak, and in which order commands are carried out. The first peer that shows the token
 * is the client; all others are turned away.
 *
 * Handlers only queue commands; they are carried out by the thread of executor_run, which polls the endpoint
 * itself and so needs no hand-over. It is outside any handler then: while a driver takes its time, the
 * endpoint's progress thread goes on answering the client. Commands are carried out in the order of their
 * headers. One that needs data which is still on its way stops those behind it, but for a write, whose data
 * the driver waits for by itself (gate). */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/copy.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "opencl/executor/internal.h"

#define LOOK_NS          (100 * WEFT_NS_PER_MS)
#define BACKLOG_HARD_MAX (2 * EXECUTOR_HELD_MAX)

/* A command of the client. */
struct incoming {
    struct weft_list link; /* in x->incoming; then, if its data is still to come, in x->gated */
    struct executor *x;
    struct staging *data;
    struct memory *memory; /* of the buffer that the data goes straight into (hosted.c), held */
    size_t data_bytes;
    cl_int error;  /* refused on arrival */
    bool stuck;    /* must wait for its data */
    bool alone;    /* a write that waits for its data, which needs no gate, until another command comes */
    bool arriving; /* the endpoint still fills data */
    bool lost;     /* the data never comes */
    bool carried_out, accepted; /* accepted: its end is to be told when the data is there */
    cl_event gate;              /* set when the data is there */
    size_t word_count;
    uint64_t words[];
};

static size_t cost(const struct incoming *m) { return sizeof *m + m->word_count * 8 + m->data_bytes; }

static void free_incoming(struct incoming *m) {
    staging_put(m->data);
    memory_put(m->memory);
    free(m);
}

/* ---- carrying out ---- */
/* NULL: the driver has none, or the queue is not known. */
static cl_event create_gate(struct executor *x, const struct wire_in *in) {
    struct object *queue;
    if (object_find(&x->objects, in->words[2], BK_QUEUE, &queue)) return NULL;
    return executor_create_gate(queue->context->context);
}

cl_event executor_create_gate(cl_context context) {
    cl_int err = CL_SUCCESS;
    if (!DRIVER(context)->clCreateUserEvent) return NULL;
    cl_event e = DRIVER(context)->clCreateUserEvent(context, &err);
    return err ? NULL : e;
}

static void open_gate(struct incoming *m) {
    if (!m->gate) return;
    bool fail =
        m->lost &&
        !atomic_load(&m->x->ended); /* at the end nobody sees the data, and some drivers cannot fail */
    cl_int status = fail ? CL_OUT_OF_RESOURCES : CL_COMPLETE;
    DRIVER(m->gate)->clSetUserEventStatus(m->gate, status);
    DRIVER(m->gate)->clReleaseEvent(m->gate);
    m->gate = NULL;
    kept_arrived(m->x, m->data, status);
}

/* Its data is there, or never comes. */
static void end_placed(struct incoming *m) {
    uint64_t event = m->words[1];
    cl_int status = m->lost ? CL_OUT_OF_RESOURCES : CL_COMPLETE;
    if (m->accepted) results_event(m->x, event, status, NULL, NULL, RESULTS_NOW);
}

static void has_arrived(struct incoming *m) {
    open_gate(m);
    end_placed(m);
    free_incoming(m);
}

static void carry_out(struct executor *x, struct incoming *m, const struct wire_in *in) {
    struct call c = {.in = in,
                     .data = m->data ? m->data->mem : NULL,
                     .data_bytes = m->data_bytes,
                     .gate = m->gate,
                     .placed = m->memory};
    if (m->error) {
        executor_refuse(x, in, m->error);
        return;
    }
    if (m->data) {
        staging_hold(m->data);
        c.staging = m->data;
    }
    executor_carry_out(x, &c);
    m->accepted = c.accepted;
    staging_put(c.staging);
}

/* The first command, if it can be carried out now. */
static struct incoming *next_command(struct executor *x, struct wire_in *in) {
    pthread_mutex_lock(&x->in_lock);
    struct incoming *m =
        weft_list_empty(&x->incoming) ? NULL : weft_list_entry(x->incoming.next, struct incoming, link);
    bool arriving = m && m->arriving, last = m && m->link.next == &x->incoming;
    pthread_mutex_unlock(&x->in_lock);
    if (!m) return NULL;
    wire_decode(in, m->words, m->word_count * 8, m->data_bytes, WIRE_COMMANDS); /* held before */
    bool staged = arriving && !m->memory;
    m->alone = staged && last && executor_is_write(in->call);
    if (m->alone) return NULL;
    if (staged && executor_is_write(in->call)) m->gate = create_gate(x, in);
    bool stuck = staged && !m->gate;
    pthread_mutex_lock(&x->in_lock);
    m->stuck = stuck;
    if (!stuck) {
        if (m->lost && !m->error) m->error = CL_OUT_OF_RESOURCES; /* lost from now on: its gate tells */
        weft_list_remove(&m->link);
        x->held_bytes -= cost(m);
    }
    pthread_mutex_unlock(&x->in_lock);
    return stuck ? NULL : m;
}

static void run_commands(struct executor *x) {
    struct wire_in in;
    struct incoming *m;
    while (!atomic_load(&x->ended) && (m = next_command(x, &in))) {
        carry_out(x, m, &in);
        pthread_mutex_lock(&x->in_lock);
        m->carried_out = true;
        bool arriving = m->arriving;
        if (arriving) weft_list_push_back(&x->gated, &m->link);
        pthread_mutex_unlock(&x->in_lock);
        if (!arriving) has_arrived(m);
    }
}

/* Opens the gates of writes whose data has come. */
static void run_arrived(struct executor *x) {
    for (;;) {
        pthread_mutex_lock(&x->in_lock);
        struct weft_list *it = weft_list_pop_front(&x->arrived);
        pthread_mutex_unlock(&x->in_lock);
        if (!it) return;
        has_arrived(weft_list_entry(it, struct incoming, link));
    }
}

/* ---- the client's messages; handlers from here ---- */
static void on_data(void *arg, int status) {
    struct incoming *m = arg;
    struct executor *x = m->x;
    pthread_mutex_lock(&x->in_lock);
    m->arriving = false;
    m->lost = status != 0;
    if (m->carried_out) {
        weft_list_remove(&m->link);
        weft_list_push_back(&x->arrived, &m->link);
    }
    pthread_mutex_unlock(&x->in_lock);
}

static uint64_t data_limit(const struct executor *x, const struct wire_in *in) {
    if (executor_is_write(in->call) || in->call == WIRE_SUPPLY) return x->staging.cap_bytes;
    switch (in->call) {
    case WIRE_CREATE_PROGRAM_SOURCE:
    case WIRE_CREATE_PROGRAM_IL:
    case WIRE_CREATE_PROGRAM_BINARY: return EXECUTOR_SOURCE_MAX;
    default: return EXECUTOR_TEXT_MAX;
    }
}

static void drop_client(struct executor *x) {
    struct ep_peer *peer = x->client.peer;
    results_drop(x);
    if (peer) ep_disconnect(peer);
    executor_stop(x);
}

/* The command with room for its data; over a limit it is queued all the same, as refused, so that its error
 * comes in order. */
static struct incoming *create_incoming(struct executor *x, const struct wire_in *in, uint64_t data_bytes,
                                        bool full, char **into) {
    struct incoming *m = malloc(sizeof *m + in->word_count * 8);
    if (!m) return NULL;
    *m = (struct incoming){.x = x, .word_count = in->word_count};
    memcpy(m->words, in->words, in->word_count * 8);
    full = full && !executor_is_write(in->call);
    if (data_bytes && transfer_has_turn(in))
        m->memory = hosted_find(x, in->write.mem, in->write.offset, data_bytes, into);
    if (!m->memory && data_bytes && !full && data_bytes <= data_limit(x, in))
        m->data = staging_get(&x->staging, data_bytes);
    if (m->data) *into = m->data->mem;
    if (m->data || m->memory)
        m->data_bytes = data_bytes;
    else if (data_bytes || full)
        m->error = CL_OUT_OF_HOST_MEMORY;
    return m;
}

static size_t backlog(struct executor *x) {
    pthread_mutex_lock(&x->in_lock);
    size_t bytes = x->held_bytes;
    pthread_mutex_unlock(&x->in_lock);
    return bytes;
}

static void take_message(struct executor *x, const struct ep_msg *msg, struct ep_sink *sink) {
    struct wire_in in;
    if (!wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_COMMANDS)) {
        weft_error("executor", "the client broke the protocol: a bad command of %zu bytes",
                   msg->header_bytes);
        drop_client(x);
        return;
    }
    size_t behind = backlog(x);
    struct incoming *m = NULL;
    char *into = NULL;
    bool full = behind > EXECUTOR_HELD_MAX;
    if (behind <= BACKLOG_HARD_MAX) m = create_incoming(x, &in, msg->data_bytes, full, &into);
    if (!m) {
        weft_error("executor", "no memory for the client's commands");
        drop_client(x);
        return;
    }
    if (into && msg->data) weft_copy(into, msg->data, msg->data_bytes);
    m->arriving = into && !msg->data;
    if (m->arriving) *sink = (struct ep_sink){.buf = into, .on_data = on_data, .arg = m};
    pthread_mutex_lock(&x->in_lock);
    weft_list_push_back(&x->incoming, &m->link);
    x->held_bytes += cost(m);
    pthread_mutex_unlock(&x->in_lock);
}

/* ---- admission ---- */
/* In constant time: the token must not be guessed byte by byte. */
static bool token_fits(const struct executor *x, const struct wire_open *o) {
    uint8_t shown[NODE_TOKEN_BYTES], differs = 0;
    memcpy(shown, &o->token_low, 8);
    memcpy(shown + 8, &o->token_high, 8);
    for (size_t i = 0; i < sizeof shown; i++) differs |= shown[i] ^ x->token[i];
    return !differs;
}

static void answer_open(struct executor *x, int status) {
    struct wire_out out;
    wire_begin(&out, OPENED, opened, .version = WIRE_VERSION, .status = (uint64_t)(int64_t)status,
               .clock = weft_now_ns(), .boot = wire_boot());
    results_send(x, &out, NULL, 0, NULL, NULL);
}

static void admit(struct executor *x, struct ep_peer *peer, const struct ep_msg *msg) {
    struct wire_in in;
    bool open = wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_COMMANDS) &&
                in.call == WIRE_OPEN;
    if (x->client.peer || !open || !token_fits(x, &in.open)) {
        weft_warn("executor", "a stranger was turned away");
        ep_disconnect(peer);
        return;
    }
    pthread_mutex_lock(&x->lock);
    x->client.peer = peer;
    pthread_mutex_unlock(&x->lock);
    if (in.open.version == WIRE_VERSION) {
        answer_open(x, 0);
        return;
    }
    weft_error("executor", "the client speaks version %u, this side %u", (unsigned)in.open.version,
               WIRE_VERSION);
    answer_open(x, WEFT_E_VERSION);
}

static void on_header(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct executor *x = ctx;
    if (atomic_load(&x->ended)) return;
    if (x->client.peer && x->client.peer == peer)
        take_message(x, msg, sink);
    else if (ep_peer_context(peer))
        peers_break(x, peer);
    else
        admit(x, peer, msg);
}

static void on_peer_down(void *ctx, struct ep_peer *peer, int status) {
    struct executor *x = ctx;
    if (peers_down(x, peer) || peer != x->client.peer) return;
    weft_info("executor", "the client is gone: %s", weft_error_text(status));
    results_drop(x);
    executor_stop(x);
}

/* ---- life ---- */
struct executor *executor_create(const struct drivers *drivers, const uint8_t token[NODE_TOKEN_BYTES]) {
    struct executor *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    x->drivers = drivers;
    memcpy(x->token, token, sizeof x->token);
    weft_list_init(&x->incoming);
    weft_list_init(&x->gated);
    weft_list_init(&x->arrived);
    weft_list_init(&x->linked);
    weft_list_init(&x->followers);
    weft_list_init(&x->under_way);
    weft_list_init(&x->orphans);
    weft_list_init(&x->zombies);
    weft_list_init(&x->untold);
    weft_map_init(&x->named);
    weft_map_init(&x->hosted);
    weft_map_init(&x->works_here);
    pthread_mutex_init(&x->in_lock, NULL);
    outlet_init(&x->client, WIRE_HANDLER_RESULT);
    weft_list_init(&x->owed);
    weft_list_init(&x->dirty);
    weft_map_init(&x->failed);
    peers_init(x);
    x->quota.most = (uint64_t)weft_option_int("exec_buffer_bytes");
    staging_init(&x->staging, (size_t)weft_option_int("exec_staging_bytes"));
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_init(&x->done_lock, NULL);
    pthread_cond_init(&x->done_cond, NULL);
    return x;
}

void executor_configure(struct executor *x, struct ep_config *cfg) {
    cfg->accept = true;
    cfg->yields = true;
    cfg->patient = true;
    cfg->answered = true; /* by the program's next command, or another executor's next end */
    cfg->handlers[WIRE_HANDLER_COMMAND] = (struct ep_handler){on_header, x};
    cfg->handlers[WIRE_HANDLER_BETWEEN] = (struct ep_handler){peers_on_message, x};
    cfg->on_peer_down = on_peer_down;
    cfg->ctx = x;
}

void executor_attach(struct executor *x, struct ep *ep) { results_attach(x, ep); }

void executor_stop(struct executor *x) {
    atomic_store(&x->ended, true);
    pthread_mutex_lock(&x->lock);
    if (x->ep) ep_wake(x->ep);
    pthread_mutex_unlock(&x->lock);
}

static bool has_work(void *arg) {
    struct executor *x = arg;
    if (atomic_load(&x->ended)) return true;
    if (atomic_load(&x->look)) return true;
    results_retry(x);
    if (capture_waits(x) || peers_have_work(x)) return true;
    pthread_mutex_lock(&x->in_lock);
    struct incoming *m =
        weft_list_empty(&x->incoming) ? NULL : weft_list_entry(x->incoming.next, struct incoming, link);
    bool waits = m && m->arriving && (m->stuck || (m->alone && m->link.next == &x->incoming));
    bool work = (m && !waits) || !weft_list_empty(&x->arrived) || !weft_list_empty(&x->linked);
    pthread_mutex_unlock(&x->in_lock);
    return work;
}

static void on_look(void *arg) { atomic_store(&((struct executor *)arg)->look, true); }

/* While commands are under way: now and then, for ends that the driver did not tell. */
static void look_regularly(struct executor *x) {
    bool look = atomic_exchange(&x->look, false);
    if (look) completion_look(x);
    if (x->look_timer && look) {
        ep_cancel_timer(x->ep, x->look_timer);
        x->look_timer = 0;
    }
    if (!x->look_timer && completion_any(x))
        x->look_timer = ep_timer(x->ep, weft_now_ns() + LOOK_NS, on_look, x);
}

static void on_no_client(void *arg) {
    struct executor *x = arg;
    if (x->client.peer) return;
    weft_warn("executor", "no client came");
    executor_stop(x);
}

void executor_run(struct executor *x, unsigned client_timeout_ms) {
    uint64_t timer = ep_timer(x->ep, weft_now_ns() + client_timeout_ms * WEFT_NS_PER_MS, on_no_client, x);
    while (!atomic_load(&x->ended)) {
        run_commands(x);
        run_arrived(x);
        peers_work(x);
        executor_take_linked(x);
        look_regularly(x);
        capture_resume(x);
        if (has_work(x) || (ep_progress(x->ep) && has_work(x))) continue;
        executor_flush_dirty(x); /* the input ran dry: what the drivers were given must not wait any longer */
        ep_wait(x->ep, has_work, x, WEFT_TIME_NEVER);
    }
    ep_cancel_timer(x->ep, timer);
    ep_cancel_timer(x->ep, x->look_timer);
    if (x->capture) capture_close(x);
    /* From here on nobody else speaks to the endpoint, and it may be closed. */
    atomic_store(&x->ended, true);
    results_drop(x);
    peers_close(x);
    results_detach(x);
}

/* What waits for an event that nobody sets any more must end, or releasing the queues would wait for ever. It
 * is let run: nobody sees what it does, and some drivers cannot fail (completion.c). */
static void set_user_event(void *arg, struct object *o) {
    if (o->user && !o->set && o->handle) DRIVER(o->handle)->clSetUserEventStatus(o->handle, CL_COMPLETE);
}

/* User events that the client released without setting them: until the end, as with the driver itself, what
 * waits for them waits. */
struct orphan {
    struct weft_list link;
    cl_event event;
};

bool executor_keep_orphan(struct executor *x, struct object *o) {
    struct orphan *keep = malloc(sizeof *keep);
    if (!keep) return false;
    keep->event = o->handle;
    DRIVER(o->handle)->clRetainEvent(o->handle);
    weft_list_push_back(&x->orphans, &keep->link);
    return true;
}

static void set_orphans(struct executor *x) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&x->orphans))) {
        struct orphan *o = weft_list_entry(it, struct orphan, link);
        DRIVER(o->event)->clSetUserEventStatus(o->event, CL_COMPLETE);
        DRIVER(o->event)->clReleaseEvent(o->event);
        free(o);
    }
}

/* Not clFinish: it waits for ever behind what some drivers do with failed commands. */
static void flush_queue(void *arg, struct object *o) {
    if (o->handle) DRIVER(o->handle)->clFlush(o->handle);
}

static void drop_incoming(struct executor *x) {
    struct weft_list all, *it;
    weft_list_init(&all);
    weft_list_splice(&all, &x->incoming);
    weft_list_splice(&all, &x->gated);
    weft_list_splice(&all, &x->arrived);
    while ((it = weft_list_pop_front(&all))) {
        struct incoming *m = weft_list_entry(it, struct incoming, link);
        m->lost = m->arriving;
        open_gate(m);
        free_incoming(m);
    }
}

void executor_destroy(struct executor *x) {
    atomic_store(&x->ended, true);
    results_drop(x);
    builder_destroy(x->builder);
    executor_drop_linked(x);
    objects_visit(&x->objects, BK_EVENT, set_user_event, NULL);
    set_orphans(x);
    drop_incoming(x);
    peers_end(x);
    objects_visit(&x->objects, BK_QUEUE, flush_queue, NULL);
    completion_wait_all(x);
    peers_fini(x);
    objects_fini(&x->objects);
    executor_release_sub_devices(x);
    capture_destroy(x);
    kept_drop_all(x);
    hosted_fini(x);
    share_fini(x);
    staging_fini(&x->staging);
    weft_map_fini(&x->works_here);
    weft_map_fini(&x->named);
    weft_map_fini(&x->failed);
    pthread_cond_destroy(&x->done_cond);
    pthread_mutex_destroy(&x->done_lock);
    pthread_mutex_destroy(&x->lock);
    pthread_mutex_destroy(&x->in_lock);
    free(x);
}
