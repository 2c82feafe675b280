/* Executor: the other executors of its client, and the connections to them. Each makes one when it first has
 * something to say and the other has made none; if both do at once, each speaks on its own. See peers.h. */
#include "opencl/executor/peers.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "opencl/executor/internal.h"

#define PEERS_MAX 4096u

void peers_init(struct executor *x) {
    struct peers *p = &x->peers;
    pthread_mutex_init(&p->lock, NULL);
    weft_list_init(&p->all);
    weft_list_init(&p->todo);
    weft_list_init(&p->notes);
    weft_map_init(&p->sources);
    weft_map_init(&p->targets);
    weft_map_init(&p->mapped);
    weft_map_init(&p->early);
}

/* ---- who they are; under the lock ---- */
static struct peer *find(struct executor *x, uint32_t number) {
    weft_list_for_each(it, &x->peers.all) {
        struct peer *p = weft_list_entry(it, struct peer, link);
        if (p->number == number) return p;
    }
    return NULL;
}

static struct peer *find_or_add(struct executor *x, uint32_t number) {
    struct peer *p = find(x, number);
    if (p || x->peers.closed || x->peers.count >= PEERS_MAX) return p;
    p = calloc(1, sizeof *p);
    if (!p) return NULL;
    x->peers.count++;
    p->number = p->owed.number = number;
    weft_list_init(&p->owed.link);
    outlet_init(&p->to, WIRE_HANDLER_BETWEEN);
    weft_list_push_back(&x->peers.all, &p->link);
    return p;
}

cl_int carry_out_peer(struct call *c) {
    const struct wire_peer *w = &c->in->peer;
    struct executor *x = c->x;
    if (!w->number || !w->self || w->number == w->self || !c->data_bytes || c->data_bytes > EP_ADDRESS_MAX)
        return CL_INVALID_VALUE;
    pthread_mutex_lock(&x->peers.lock);
    x->peers.self = (uint32_t)w->self;
    struct peer *p = find_or_add(x, (uint32_t)w->number);
    if (p) {
        p->token[0] = w->token_low;
        p->token[1] = w->token_high;
        memcpy(p->address, c->data, c->data_bytes);
        p->address_bytes = c->data_bytes;
    }
    pthread_mutex_unlock(&x->peers.lock);
    return p ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

/* ---- the end of a connection ---- */
/* What is left to do without the lock. */
struct ending {
    struct ep_peer *ours, *theirs;
    struct weft_list dropped;
};

/* Under the lock. False: it was off already. */
static bool shut(struct peer *p, struct ending *e) {
    weft_list_init(&e->dropped);
    e->ours = p->ours ? p->to.peer : NULL;
    e->theirs = p->in;
    bool first = !p->off;
    p->off = true;
    p->ours = false;
    p->in = NULL;
    outlet_shut(&p->to, &e->dropped);
    return first;
}

static void finish(struct ending *e) {
    if (e->ours) ep_disconnect(e->ours);
    if (e->theirs) ep_disconnect(e->theirs);
    outlet_end(&e->dropped);
}

static void turn_off(struct executor *x, struct peer *p, const char *reason) {
    struct ending e;
    pthread_mutex_lock(&x->peers.lock);
    bool first = shut(p, &e);
    pthread_mutex_unlock(&x->peers.lock);
    finish(&e);
    if (!first || atomic_load(&x->ended)) return;
    weft_info("executor", "no more of executor %u: %s", p->number, reason);
    results_peer_down(x, p->number);
}

bool peers_down(struct executor *x, struct ep_peer *peer) {
    struct peer *p = ep_peer_context(peer);
    if (!p) return false;
    pthread_mutex_lock(&x->peers.lock);
    bool theirs = p->in == peer; /* goes by itself */
    if (theirs) p->in = NULL;
    pthread_mutex_unlock(&x->peers.lock);
    turn_off(x, p, "the connection is gone");
    return true;
}

void peers_break(struct executor *x, struct ep_peer *peer) {
    turn_off(x, ep_peer_context(peer), "it broke the protocol");
}

cl_int carry_out_peer_off(struct call *c) {
    struct executor *x = c->x;
    uint32_t number = (uint32_t)c->in->peer_off.number;
    struct ending e;
    pthread_mutex_lock(&x->peers.lock);
    struct peer *p = find_or_add(x, number); /* if it is new: so that it never gets in */
    if (p) shut(p, &e);
    pthread_mutex_unlock(&x->peers.lock);
    if (!p) return CL_OUT_OF_HOST_MEMORY;
    finish(&e);
    if (c->in->peer_off.gone) moves_drop_for(x, number);
    return CL_SUCCESS;
}

/* ---- sending; under the lock ---- */
static int connect_to(struct executor *x, struct peer *p) {
    if (!p->address_bytes || !x->ep) return WEFT_E_UNREACHABLE;
    struct ep_peer *peer;
    int status = ep_connect(x->ep, p->address, p->address_bytes, p, &peer);
    if (status) return status;
    p->to.peer = peer;
    p->ours = true;
    struct wire_out out;
    wire_begin(&out, HELLO, hello, .from = x->peers.self, .token_low = p->token[0],
               .token_high = p->token[1]);
    return outlet_send(&p->to, &out, NULL, 0, NULL, NULL);
}

static int send_to(struct executor *x, struct peer *p, const struct wire_out *out, const void *data,
                   size_t bytes, results_done_fn *done, void *arg) {
    if (p->off || x->peers.closed) return WEFT_E_PEER_LOST;
    if (!p->to.peer) p->to.peer = p->in;
    int status = p->to.peer ? 0 : connect_to(x, p);
    return status ? status : outlet_send(&p->to, out, data, bytes, done, arg);
}

bool peer_send(struct executor *x, uint32_t number, const struct wire_out *out, const void *data,
               size_t bytes, results_done_fn *done, void *arg) {
    pthread_mutex_lock(&x->peers.lock);
    struct peer *p = find_or_add(x, number);
    int status = p ? send_to(x, p, out, data, bytes, done, arg) : WEFT_E_NOMEM;
    pthread_mutex_unlock(&x->peers.lock);
    if (status && p) turn_off(x, p, weft_error_text(status));
    return !status;
}

bool peer_send_locked(struct executor *x, uint32_t number, const struct wire_out *out) {
    struct peer *p = find_or_add(x, number);
    return p && !send_to(x, p, out, NULL, 0, NULL, NULL);
}

uint64_t peer_results(struct executor *x) { return results_count(x); }

/* ---- what comes ---- */
/* In constant time, as with the client's. */
static bool knows_us(const struct executor *x, const struct wire_hello *h) {
    uint64_t wanted[2], differs;
    if (!wire_peer_token(x->token, sizeof x->token, (uint32_t)h->from, wanted)) return false;
    differs = (wanted[0] ^ h->token_low) | (wanted[1] ^ h->token_high);
    return !differs;
}

bool peers_admit(struct executor *x, struct ep_peer *peer, const struct ep_msg *msg) {
    struct wire_in in;
    if (!wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_BETWEEN)) return false;
    if (in.call != WIRE_HELLO || !in.hello.from || !knows_us(x, &in.hello)) return false;
    pthread_mutex_lock(&x->peers.lock);
    struct peer *p = find_or_add(x, (uint32_t)in.hello.from);
    bool take = p && !p->in && !p->off && !x->peers.closed;
    if (take) p->in = peer;
    pthread_mutex_unlock(&x->peers.lock);
    if (take) ep_peer_set_context(peer, p);
    return take;
}

void peers_on_message(void *executor, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct executor *x = executor;
    struct peer *p = ep_peer_context(peer);
    struct wire_in in;
    if (atomic_load(&x->ended)) return;
    if (!p) {
        if (peer == x->client.peer || peers_admit(x, peer, msg)) return;
        weft_warn("executor", "a stranger was turned away");
        ep_disconnect(peer);
        return;
    }
    if (!wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_BETWEEN)) {
        turn_off(x, p, "it broke the protocol");
        return;
    }
    switch (in.call) {
    case WIRE_GET: move_on_get(x, p, &in); break;
    case WIRE_CONTENT:
        results_after(x, &p->owed, in.content.results);
        move_on_content(x, p, &in, msg, sink);
        break;
    case WIRE_DONE:
        results_after(x, &p->owed, in.done.results);
        far_on_done(x, p, &in);
        break;
    default: turn_off(x, p, "it broke the protocol"); break;
    }
}

/* ---- the serving thread ---- */
void peer_work_is_there(struct executor *x, bool wake) {
    atomic_store(&x->peers.work, true);
    if (!wake) return;
    pthread_mutex_lock(&x->lock);
    if (x->ep) ep_wake(x->ep);
    pthread_mutex_unlock(&x->lock);
}

static void retry(struct executor *x) {
    pthread_mutex_lock(&x->peers.lock);
    weft_list_for_each(it, &x->peers.all) outlet_retry(&weft_list_entry(it, struct peer, link)->to);
    pthread_mutex_unlock(&x->peers.lock);
}

bool peers_have_work(struct executor *x) {
    retry(x);
    return atomic_load(&x->peers.work);
}

void peers_work(struct executor *x) {
    if (!atomic_exchange(&x->peers.work, false)) return;
    far_work(x);
    moves_work(x);
}

/* ---- the end ---- */
void peers_close(struct executor *x) {
    pthread_mutex_lock(&x->peers.lock);
    x->peers.closed = true;
    pthread_mutex_unlock(&x->peers.lock);
    weft_list_for_each(it, &x->peers.all) {
        struct peer *p = weft_list_entry(it, struct peer, link);
        struct ending e;
        pthread_mutex_lock(&x->peers.lock);
        shut(p, &e);
        pthread_mutex_unlock(&x->peers.lock);
        finish(&e);
    }
}

void peers_end(struct executor *x) {
    far_fini(x);
    moves_end(x);
}

void peers_fini(struct executor *x) {
    struct weft_list *it;
    moves_fini(x);
    while ((it = weft_list_pop_front(&x->peers.all))) {
        struct peer *p = weft_list_entry(it, struct peer, link);
        pthread_mutex_lock(&x->lock);
        weft_list_remove(&p->owed.link);
        pthread_mutex_unlock(&x->lock);
        free(p);
    }
    weft_map_fini(&x->peers.sources);
    weft_map_fini(&x->peers.targets);
    weft_map_fini(&x->peers.mapped);
    weft_map_fini(&x->peers.early);
    pthread_mutex_destroy(&x->peers.lock);
}
