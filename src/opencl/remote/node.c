/* Remote: a connection's life, and sending over it. Commands that come before the executor is up wait in
 * order; those for which the endpoint has no room, too; and those that nobody waits for, such as releases, so
 * that they neither wake the executor nor take a packet each. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "opencl/remote/internal.h"

#define RETRY_NS      (200 * WEFT_NS_PER_US) /* and until those that nobody waits for leave by themselves */
#define UNHURRIED_MAX 32u
#define RUN_GAP_NS    (10 * WEFT_NS_PER_US) /* commands for queues that follow each other faster are a run */
#define RUN_LEAST     4u                    /* after so many the next ones leave together */
#define TOGETHER_MAX  16u
#define TOGETHER_NS   (30 * WEFT_NS_PER_US)

struct unsent {
    struct weft_list link;
    struct wire_out out;
    const void *data;
    size_t bytes;
    void *copy;
    void (*on_done)(void *arg, int status);
    void *arg;
};

struct remote_node *remote_node_create(struct remote_hub *h, uint32_t id, const char *host) {
    struct remote_node *n = calloc(1, sizeof *n);
    if (!n) return NULL;
    n->hub = h;
    n->id = id;
    strncpy(n->host, host ? host : "", sizeof n->host - 1);
    pthread_mutex_init(&n->send_lock, NULL);
    pthread_mutex_init(&n->lock, NULL);
    weft_list_init(&n->unsent);
    weft_list_init(&n->transfers);
    weft_list_init(&n->deferred);
    weft_list_init(&n->marks);
    weft_list_init(&n->untold);
    weft_map_init(&n->requests);
    remote_reuse_init(&n->reuse);
    return n;
}

/* What the program did not release goes, too. */
static void drop_slots(struct remote_node *n) {
    for (uint32_t i = 1; i < n->slot_count; i++) {
        struct remote_slot *s = &n->slots[i];
        if (s->kind == BK_QUEUE) remote_queue_put(s->record);
        if (s->kind == BK_MEM) remote_mem_drop(s->record);
        if (s->kind == BK_CONTEXT) free(s->record);
        if (s->kind != BK_EVENT || !s->record) continue;
        struct remote_record *r = s->record;
        remote_queue_put(r->queue);
        remote_heirs_free(r->heirs);
        free(r->packed);
        free(r);
    }
    free(n->slots);
}

void remote_node_destroy(struct remote_node *n) {
    drop_slots(n);
    share_region_drop(n->region);
    remote_order_fini(n);
    weft_map_fini(&n->requests);
    pthread_mutex_destroy(&n->reuse.lock);
    pthread_mutex_destroy(&n->lock);
    pthread_mutex_destroy(&n->send_lock);
    free(n);
}

/* ---- sending; under the send lock ---- */
static int send_as(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                   void (*on_done)(void *, int), void *arg, bool more) {
    return ep_send(n->peer, &(struct ep_send){.handler = WIRE_HANDLER_COMMAND,
                                              .channel = WIRE_CHANNEL,
                                              .header = out->words,
                                              .header_bytes = out->word_count * 8,
                                              .data = data,
                                              .data_bytes = bytes,
                                              .copy = bytes && !on_done,
                                              .more = more,
                                              .on_done = on_done,
                                              .arg = arg,
                                              .answered = out->answered});
}

/* Whether a command may leave with the next one: in a run of commands for queues, where a packet for each
 * would take longer than all else. Whatever else is sent, whoever waits, and the timer make them leave. */
static bool joins_next(struct remote_node *n, const struct wire_out *out, size_t bytes) {
    const struct wire_desc *d = wire_describe(out->head.call);
    uint64_t now = weft_now_ns();
    bool queued = d->field_count && d->fields[0].type == WIRE_EVENT_OUT && !bytes;
    n->run = queued && now - n->run_ns < RUN_GAP_NS ? n->run + 1 : 0;
    n->run_ns = now;
    if (!n->together) n->together_ns = now;
    return n->run >= RUN_LEAST && n->together < TOGETHER_MAX && now - n->together_ns < TOGETHER_NS;
}

static int send_now(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                    void (*on_done)(void *, int), void *arg) {
    return send_as(n, out, data, bytes, on_done, arg, false);
}

static bool keep(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                 void (*on_done)(void *, int), void *arg) {
    struct unsent *u = malloc(sizeof *u);
    if (!u) return false;
    *u = (struct unsent){.out = *out, .data = data, .bytes = bytes, .on_done = on_done, .arg = arg};
    if (bytes && !on_done) {
        u->copy = malloc(bytes);
        if (!u->copy) {
            free(u);
            return false;
        }
        u->data = memcpy(u->copy, data, bytes);
    }
    weft_list_push_back(&n->unsent, &u->link);
    return true;
}

static void on_retry(void *arg);

static void arm_retry(struct remote_node *n) {
    if (!n->retry_armed) n->retry_armed = ep_timer(n->hub->ep, weft_now_ns() + RETRY_NS, on_retry, n) != 0;
}

/* What waits; `more`: another command follows at once. */
static int send_unsent(struct remote_node *n, bool more) {
    while (!weft_list_empty(&n->unsent)) {
        struct unsent *u = weft_list_entry(n->unsent.next, struct unsent, link);
        bool last = u->link.next == &n->unsent;
        int status = send_as(n, &u->out, u->data, u->bytes, u->on_done, u->arg, more || !last);
        if (status == WEFT_E_LIMIT) arm_retry(n);
        if (status) return status; /* another failure: the loss that follows ends them all */
        weft_list_remove(&u->link);
        free(u->copy);
        free(u);
    }
    n->unhurried = 0;
    return 0;
}

static void leave(struct remote_node *n) {
    if (n->together && n->state == REMOTE_UP) ep_flush(n->peer);
    n->together = 0;
}

static void on_retry(void *arg) {
    struct remote_node *n = arg;
    pthread_mutex_lock(&n->send_lock);
    n->retry_armed = false;
    leave(n);
    int status = n->state == REMOTE_UP ? send_unsent(n, false) : 0;
    pthread_mutex_unlock(&n->send_lock);
    if (status && status != WEFT_E_LIMIT) remote_node_lost(n, weft_error_text(status));
}

static void start(struct remote_node *n);

static int send_or_join(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                        void (*on_done)(void *, int), void *arg) {
    bool joins = joins_next(n, out, bytes);
    if (joins) arm_retry(n);
    joins = joins && n->retry_armed;
    n->together = joins ? n->together + 1 : 0;
    return send_as(n, out, data, bytes, on_done, arg, joins);
}

void remote_node_flush(struct remote_node *n) {
    pthread_mutex_lock(&n->send_lock);
    leave(n);
    pthread_mutex_unlock(&n->send_lock);
}

bool remote_send(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes,
                 void (*on_done)(void *, int), void *arg) {
    pthread_mutex_lock(&n->send_lock);
    if (n->state == REMOTE_IDLE) start(n);
    int status = n->state == REMOTE_LOST ? WEFT_E_PEER_LOST : 0;
    if (n->state == REMOTE_UP && !weft_list_empty(&n->unsent)) status = send_unsent(n, true);
    if (n->state == REMOTE_STARTING) status = WEFT_E_LIMIT;
    if (!status) status = send_or_join(n, out, data, bytes, on_done, arg);
    if (status == WEFT_E_LIMIT) {
        status = keep(n, out, data, bytes, on_done, arg) ? 0 : WEFT_E_NOMEM;
        if (!status && n->state == REMOTE_UP) {
            int again = send_unsent(n, false); /* arms the timer */
            if (again != WEFT_E_LIMIT) status = again;
        }
    }
    bool lost = status && n->state != REMOTE_LOST;
    pthread_mutex_unlock(&n->send_lock);
    if (lost) remote_node_lost(n, weft_error_text(status));
    return !status;
}

/* Only if it need not be the one that makes others leave. */
static bool wait_for_next(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes) {
    pthread_mutex_lock(&n->send_lock);
    bool may = n->state == REMOTE_UP && n->unhurried < UNHURRIED_MAX;
    if (may) arm_retry(n);
    may = may && n->retry_armed && keep(n, out, data, bytes, NULL, NULL);
    if (may) n->unhurried++;
    pthread_mutex_unlock(&n->send_lock);
    return may;
}

bool remote_send_unhurried(struct remote_node *n, const struct wire_out *out, const void *data,
                           size_t bytes) {
    return wait_for_next(n, out, data, bytes) || remote_send(n, out, data, bytes, NULL, NULL);
}

static void free_data(void *arg, int status) { free(arg); }

bool remote_send_owned(struct remote_node *n, const struct wire_out *out, void *data, size_t bytes) {
    bool sent = remote_send(n, out, data, bytes, data ? free_data : NULL, data);
    if (!sent) free(data);
    return sent;
}

bool remote_send_copy(struct remote_node *n, const struct wire_out *out, const void *data, size_t bytes) {
    if (bytes <= REMOTE_COPY_BYTES) return remote_send(n, out, data, bytes, NULL, NULL);
    void *copy = malloc(bytes);
    if (!copy) return false;
    return remote_send_owned(n, out, memcpy(copy, data, bytes), bytes);
}

/* ---- connecting ---- */
/* Under the send lock. The first message shows the token; what waited follows it. */
static int connect_executor(struct remote_node *n, const struct node_executor *x) {
    n->executor = *x;
    n->number = atomic_fetch_add(&n->hub->last_number, 1) + 1;
    pthread_mutex_lock(&n->lock);
    n->results = 0;
    pthread_mutex_unlock(&n->lock);
    int status = ep_connect(n->hub->ep, x->address, x->address_bytes, n, &n->peer);
    if (status) return status;
    uint64_t token[2];
    memcpy(token, x->token, sizeof token);
    struct wire_out out;
    n->opened_ns = weft_now_ns();
    wire_begin(&out, OPEN, open, .version = WIRE_VERSION, .token_low = token[0], .token_high = token[1]);
    status = send_now(n, &out, NULL, 0, NULL, NULL);
    if (status) return status;
    remote_share_tell(n);
    n->state = REMOTE_UP;
    status = send_unsent(n, false);
    return status == WEFT_E_LIMIT ? 0 : status;
}

static void on_started(void *arg, int status, const char *reason, const struct node_executor *x) {
    struct remote_node *n = arg;
    char text[160] = "";
    strncpy(text, reason ? reason : weft_error_text(status), sizeof text - 1);
    pthread_mutex_lock(&n->send_lock);
    if (!status && n->state == REMOTE_STARTING) {
        status = connect_executor(n, x);
        if (status) strncpy(text, weft_error_text(status), sizeof text - 1);
    }
    pthread_mutex_unlock(&n->send_lock);
    if (status) remote_node_lost(n, text);
}

/* Under the send lock. A failure to start is reported from a handler, never from here: callers are in the
 * middle of making a record. */
static void on_start_failed(void *arg) { remote_node_lost(arg, "its executor cannot be started"); }

static void start(struct remote_node *n) {
    n->state = REMOTE_STARTING;
    int status;
    if (n->executor_given) {
        struct node_executor x = n->executor;
        status = connect_executor(n, &x);
    } else if (n->hub->client) {
        status = node_client_start_executor(n->hub->client, n->id, on_started, n);
    } else {
        status = WEFT_E_UNREACHABLE;
    }
    if (status) ep_timer(n->hub->ep, weft_now_ns(), on_start_failed, n);
}

void remote_node_connect(struct remote_node *n) {
    pthread_mutex_lock(&n->send_lock);
    if (n->state == REMOTE_IDLE) start(n);
    pthread_mutex_unlock(&n->send_lock);
}

/* ---- loss ---- */
bool remote_node_is_lost(struct remote_node *n) {
    pthread_mutex_lock(&n->send_lock);
    bool lost = n->state == REMOTE_LOST;
    pthread_mutex_unlock(&n->send_lock);
    return lost;
}

bool remote_node_has_peer(struct remote_node *n, const struct ep_peer *peer) {
    pthread_mutex_lock(&n->send_lock);
    bool has = n->peer == peer;
    pthread_mutex_unlock(&n->send_lock);
    return has;
}

static bool is_settled(void *arg) {
    struct remote_node *n = arg;
    pthread_mutex_lock(&n->send_lock);
    bool settled = n->state != REMOTE_LOST || n->settled;
    pthread_mutex_unlock(&n->send_lock);
    return settled;
}

void remote_node_retry(struct remote_node *n) {
    if (!n->hub->client || atomic_load(&n->hub->closing)) return;
    /* The program may know of the loss by the first of the ends that it brings. */
    ep_wait(n->hub->ep, is_settled, n, WEFT_TIME_NEVER);
    pthread_mutex_lock(&n->send_lock);
    if (n->state == REMOTE_LOST && n->settled) n->state = REMOTE_IDLE;
    pthread_mutex_unlock(&n->send_lock);
}

/* The endpoint is told first: after that it writes nothing into the program's memory any more. */
void remote_node_lost(struct remote_node *n, const char *reason) {
    struct weft_list unsent;
    weft_list_init(&unsent);
    pthread_mutex_lock(&n->send_lock);
    bool news = n->state != REMOTE_LOST, used = n->state != REMOTE_IDLE;
    struct ep_peer *peer = news ? n->peer : NULL;
    n->state = REMOTE_LOST;
    if (news) {
        n->peer = NULL;
        n->settled = false;
        weft_list_splice(&unsent, &n->unsent);
        n->unhurried = n->together = 0;
    }
    pthread_mutex_unlock(&n->send_lock);
    if (!news) return;
    if (!atomic_load(&n->hub->closing) && used) {
        weft_error("opencl",
                   "node %u (%s) is lost: %s; its devices are not available to the contexts made so far",
                   n->id, n->host, reason);
    }
    if (peer && atomic_load(&n->hub->closing))
        ep_disconnect(peer);
    else if (peer)
        ep_abort(peer);
    struct weft_list *it;
    while ((it = weft_list_pop_front(&unsent))) {
        struct unsent *u = weft_list_entry(it, struct unsent, link);
        if (u->on_done) u->on_done(u->arg, WEFT_E_PEER_LOST);
        free(u->copy);
        free(u);
    }
    remote_records_lost(n);
    remote_requests_lost(n);
    remote_reuse_lost(n);
    remote_share_lost(n);
    if (!atomic_load(&n->hub->closing)) remote_pairs_lost(n);
    remote_order_lost(n);
    pthread_mutex_lock(&n->send_lock);
    n->settled = true;
    pthread_mutex_unlock(&n->send_lock);
    ep_wake(n->hub->ep);
}
