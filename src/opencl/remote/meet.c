/* Remote: executors that deal with each other. Two are named to each other (PEER) when they first have to;
 * from then on this side says only what shall pass between them. When nothing passes any more, which either
 * may say, or when one of them is lost, what is open is done from here: contents are collected and supplied,
 * events are set. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "opencl/remote/internal.h"

#define PASS_MIN ((size_t)64 << 10) /* less travels with the news of it */

/* ---- pairs ---- */
/* What must be known of an executor; false: it is not up. */
static bool look_at(struct remote_node *n, uint32_t *number, struct node_executor *x) {
    pthread_mutex_lock(&n->send_lock);
    bool up = n->state == REMOTE_UP && !atomic_load(&n->hub->closing);
    if (up) {
        *number = n->number;
        *x = n->executor;
    }
    pthread_mutex_unlock(&n->send_lock);
    return up;
}

/* Under the pair lock. */
static struct remote_pair *find(struct remote_hub *h, uint32_t a, uint32_t b) {
    weft_list_for_each(it, &h->pairs) {
        struct remote_pair *p = weft_list_entry(it, struct remote_pair, link);
        if ((p->number_a == a && p->number_b == b) || (p->number_a == b && p->number_b == a)) return p;
    }
    return NULL;
}

static bool name_to(struct remote_node *to, uint32_t self, uint32_t other, const struct node_executor *x) {
    uint64_t token[2];
    if (!wire_peer_token(x->token, sizeof x->token, self, token)) return false;
    struct wire_out m;
    wire_begin(&m, PEER, peer, .number = other, .self = self, .token_low = token[0], .token_high = token[1]);
    return remote_send(to, &m, x->address, x->address_bytes, NULL, NULL);
}

/* The two know each other, or do from now on. */
static bool introduce(struct remote_node *a, struct remote_node *b, uint32_t *number_a, uint32_t *number_b) {
    struct node_executor xa, xb;
    if (!look_at(a, number_a, &xa) || !look_at(b, number_b, &xb)) return false;
    struct remote_hub *h = a->hub;
    pthread_mutex_lock(&h->pair_lock);
    struct remote_pair *p = find(h, *number_a, *number_b);
    bool new = !p && (p = calloc(1, sizeof *p));
    if (new) {
        *p = (struct remote_pair){.a = a, .b = b, .number_a = *number_a, .number_b = *number_b};
        weft_list_push_back(&h->pairs, &p->link);
    }
    bool good = p && p->ready && !p->off;
    pthread_mutex_unlock(&h->pair_lock);
    if (!new) return good;
    good = name_to(a, *number_a, *number_b, &xb) && name_to(b, *number_b, *number_a, &xa);
    pthread_mutex_lock(&h->pair_lock);
    p->ready = true; /* until now others did without */
    p->off |= !good;
    good = !p->off;
    pthread_mutex_unlock(&h->pair_lock);
    return good;
}

static bool is_off(struct remote_hub *h, uint32_t a, uint32_t b) {
    pthread_mutex_lock(&h->pair_lock);
    const struct remote_pair *p = find(h, a, b);
    bool off = !p || p->off;
    pthread_mutex_unlock(&h->pair_lock);
    return off;
}

void remote_pairs_fini(struct remote_hub *h) {
    struct weft_list *it;
    size_t at = 0;
    uint64_t move;
    struct share_place *place;
    while ((place = weft_map_next(&h->passes, &at, &move))) share_put(place);
    weft_map_fini(&h->passes);
    while ((it = weft_list_pop_front(&h->pairs))) free(weft_list_entry(it, struct remote_pair, link));
}

/* ---- moves ----
 * Contents pass from the one executor to the other in memory that both and this process have, where they can:
 * the source's half takes a place there for both. Each executor's is free when its half has ended. */
bool remote_meet(struct backend *from, struct backend *to, struct bk_meeting *out) {
    struct remote_node *a = remote_node_of(from), *b = remote_node_of(to);
    *out = (struct bk_meeting){0};
    bool good = a == b ? !remote_node_is_lost(a) : introduce(a, b, &out->from, &out->to);
    if (good) out->move = atomic_fetch_add(&a->hub->last_move, 1) + 1;
    return good;
}

cl_int remote_encode_half(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options,
                          uint64_t staging) {
    bool image = c->op == BK_READ_IMAGE || c->op == BK_WRITE_IMAGE;
    bool sends = c->op == BK_READ || c->op == BK_READ_IMAGE;
    uint64_t place[6] = {c->u.rw.offset, c->u.rw.size}, mem = image ? c->u.image.mem : c->u.rw.mem;
    if (!image && c->op != BK_READ && c->op != BK_WRITE) return CL_INVALID_OPERATION;
    if (image) {
        remote_put3(place, c->u.image.origin);
        remote_put3(place + 3, c->u.image.region);
    }
    if (sends) {
        wire_begin(m, SEND, send, .event = event, .queue = c->queue, .options = options, .mem = mem,
                   .peer = c->meeting->to, .move = c->meeting->move, .staging = staging);
    } else {
        wire_begin(m, RECEIVE, receive, .event = event, .queue = c->queue, .options = options, .mem = mem,
                   .peer = c->meeting->from, .move = c->meeting->move, .staging = staging);
    }
    return wire_add_array(m, place, image ? 6 : 2) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static struct remote_node *node_of(struct remote_hub *h, uint32_t number) {
    struct remote_node *found = NULL;
    pthread_mutex_lock(&h->pair_lock);
    weft_list_for_each(it, &h->pairs) {
        struct remote_pair *p = weft_list_entry(it, struct remote_pair, link);
        if (p->number_a == number) found = p->a;
        if (p->number_b == number) found = p->b;
    }
    pthread_mutex_unlock(&h->pair_lock);
    return found;
}

/* With a hold; NULL: the executor has none of this process's memory. */
static struct share_region *hold_region(struct remote_node *n) {
    pthread_mutex_lock(&n->lock);
    struct share_region *g = n->region_state == REMOTE_REGION_SHARED ? n->region : NULL;
    if (g) atomic_fetch_add(&g->holds, 1);
    pthread_mutex_unlock(&n->lock);
    return g;
}

static size_t bytes_of(const struct bk_command *c) {
    size_t bytes = c->u.image.element_bytes;
    if (c->op == BK_READ) return c->u.rw.size;
    for (int i = 0; i < 3; i++)
        if (__builtin_mul_overflow(bytes, c->u.image.region[i], &bytes)) return 0;
    return bytes;
}

void remote_pass_end(struct share_place *p) {
    if (p) share_free(p->region, p->at);
    share_put(p);
}

/* Where the source has the contents; the target's place is kept for its half. */
static struct share_place *begin_pass(struct remote_record *r, struct remote_node *target,
                                      const struct bk_command *c) {
    struct remote_hub *h = r->node->hub;
    size_t bytes = bytes_of(c);
    struct share_region *from = bytes < PASS_MIN ? NULL : hold_region(r->node);
    struct share_region *to = from ? hold_region(target) : NULL;
    struct share_place *here = to ? share_take(from, bytes) : NULL;
    struct share_place *there = here ? share_join(to, here) : NULL;
    share_region_drop(from);
    share_region_drop(to);
    pthread_mutex_lock(&h->pair_lock);
    bool kept = there && !weft_map_put(&h->passes, c->meeting->move, there);
    pthread_mutex_unlock(&h->pair_lock);
    if (kept) return here;
    remote_pass_end(there);
    remote_pass_end(here);
    return NULL;
}

static struct share_place *take_pass(struct remote_hub *h, uint64_t move) {
    pthread_mutex_lock(&h->pair_lock);
    struct share_place *p = weft_map_remove(&h->passes, move);
    pthread_mutex_unlock(&h->pair_lock);
    return p;
}

void remote_move_begins(struct remote_record *r, const struct bk_command *c) {
    struct remote_hub *h = r->node->hub;
    const struct bk_meeting *m = c->meeting;
    bool sends = c->op == BK_READ || c->op == BK_READ_IMAGE;
    struct remote_node *target = sends && m->to ? node_of(h, m->to) : NULL;
    struct remote_node *source = m->from ? node_of(h, m->from) : r->node;
    struct share_place *pass = !sends ? take_pass(h, m->move) : target ? begin_pass(r, target, c) : NULL;
    pthread_mutex_lock(&r->node->lock);
    r->pass = pass;
    r->staging = pass ? pass->at : 0;
    if (!sends) r->source = source;
    if (!sends) r->move = m->move;
    pthread_mutex_unlock(&r->node->lock);
}

void remote_move_over(struct remote_record *r) {
    pthread_mutex_lock(&r->node->lock);
    struct share_place *pass = r->pass;
    r->pass = NULL;
    pthread_mutex_unlock(&r->node->lock);
    remote_pass_end(pass);
}

void remote_move_refused(struct remote_hub *h, const struct bk_command *c) {
    remote_pass_end(take_pass(h, c->meeting->move));
}

void remote_move_failed(struct remote_record *r) {
    struct wire_out m;
    wire_begin(&m, DROP, drop, .move = r->move);
    if (r->source) remote_send(r->source, &m, NULL, 0, NULL, NULL);
}

/* ---- events ---- */
static void take_over_record(struct remote_node *to, uint64_t handle);

/* Of the source, still under way, with one more hold; NULL: it has ended. */
static struct remote_record *hold_source(struct remote_node *n, bk_ref event) {
    pthread_mutex_lock(&n->lock);
    struct remote_record *r = remote_slot_record(n, event, BK_EVENT);
    if (r && (r->user || !r->want_result || atomic_load(&r->done))) r = NULL;
    if (r) r->holds++;
    pthread_mutex_unlock(&n->lock);
    return r;
}

static bool send_bridge(struct remote_record *bridge, bk_ref context, uint32_t number_to,
                        uint32_t number_from) {
    struct wire_out make, tell;
    wire_begin(&make, CREATE_FAR_EVENT, create_far_event, .event = bridge->handle, .context = context,
               .peer = number_from);
    wire_begin(&tell, TELL, tell, .peer = number_to, .name = bridge->handle, .event = bridge->source_event);
    return remote_send(bridge->node, &make, NULL, 0, NULL, NULL) &&
           remote_send(bridge->source, &tell, NULL, 0, NULL, NULL);
}

bool remote_bridge(struct backend *to, bk_ref context, struct backend *from, bk_ref event, bk_ref *out) {
    struct remote_node *a = remote_node_of(from), *b = remote_node_of(to);
    uint32_t number_a, number_b;
    if (a == b || !introduce(a, b, &number_a, &number_b)) return false;
    struct remote_record *source = hold_source(a, event);
    if (!source) return false;
    struct remote_record *r = remote_record_create(b, 0);
    if (r) {
        r->user = true;
        r->source = a;
        r->source_event = event;
        *out = r->handle;
    }
    bool sent = r && send_bridge(r, context, number_b, number_a);
    remote_record_put(source);
    if (r && !sent) remote_end_bridge(to, r->handle, CL_OUT_OF_RESOURCES);
    if (sent && is_off(b->hub, number_a, number_b)) take_over_record(b, r->handle);
    return sent;
}

void remote_end_bridge(struct backend *b, bk_ref bridge, cl_int status) {
    struct remote_node *n = remote_node_of(b);
    pthread_mutex_lock(&n->lock);
    struct remote_record *r = remote_slot_record(n, bridge, BK_EVENT);
    if (r && r->released) r = NULL;
    if (r) r->released = r->result_in = true;
    pthread_mutex_unlock(&n->lock);
    if (!r) return;
    struct wire_out m;
    wire_begin(&m, END_FAR_EVENT, end_far_event, .event = bridge,
               .status = (uint64_t)(int64_t)(status > CL_COMPLETE ? CL_COMPLETE : status));
    remote_send(n, &m, NULL, 0, NULL, NULL);
    remote_record_put(r);
}

/* ---- when nothing passes between two any more ---- */
static void set_event(struct remote_node *n, uint64_t event, cl_int status) {
    struct wire_out m;
    wire_begin(&m, SET_USER_EVENT, set_user_event, .event = event, .status = (uint64_t)(int64_t)status);
    remote_send(n, &m, NULL, 0, NULL, NULL);
}

void remote_inherit(struct remote_heir *heirs, cl_int status) {
    for (struct remote_heir *next; heirs; heirs = next) {
        next = heirs->next;
        set_event(heirs->node, heirs->event, status);
        free(heirs);
    }
}

void remote_heirs_free(struct remote_heir *heirs) {
    for (struct remote_heir *next; heirs; heirs = next) {
        next = heirs->next;
        free(heirs);
    }
}

/* Sets the bridge when the source ends, or now. */
static void take_over_event(struct remote_node *to, uint64_t bridge, struct remote_node *from,
                            uint64_t event) {
    struct remote_heir *h = malloc(sizeof *h);
    if (h) *h = (struct remote_heir){.node = to, .event = bridge};
    pthread_mutex_lock(&from->lock);
    struct remote_record *r = remote_slot_record(from, event, BK_EVENT);
    bool done = !r || atomic_load(&r->done);
    cl_int status = r && done ? r->status : CL_DEVICE_NOT_AVAILABLE;
    if (h && !done) {
        h->next = r->heirs;
        r->heirs = h;
        h = NULL;
    }
    pthread_mutex_unlock(&from->lock);
    if (done) set_event(to, bridge, status);
    free(h);
}

/* Contents on their way through this process. */
struct supply {
    struct remote_node *to;
    uint64_t move;
};

static void supply(const struct supply *s, cl_int status, void *data, size_t bytes) {
    struct wire_out m;
    wire_begin(&m, SUPPLY, supply, .move = s->move, .status = (uint64_t)(int64_t)status);
    remote_send_owned(s->to, &m, data, bytes);
}

static void on_collected(struct remote_request *r) {
    struct supply *s = r->arg;
    bool good = r->status == CL_SUCCESS && r->data;
    supply(s,
           good            ? CL_SUCCESS
           : r->status < 0 ? r->status
                           : CL_OUT_OF_RESOURCES,
           good ? r->data : NULL, good ? r->bytes : 0);
    if (good) r->data = NULL;
    free(s);
}

static void take_over_move(struct remote_node *to, uint64_t move, struct remote_node *from) {
    struct supply now = {.to = to, .move = move}, *s = malloc(sizeof *s);
    struct remote_request *r = s ? remote_request_create(from) : NULL;
    if (!r) {
        free(s);
        supply(&now, CL_OUT_OF_HOST_MEMORY, NULL, 0);
        return;
    }
    *s = now;
    r->arg = s;
    r->fn = on_collected;
    struct wire_out m;
    wire_begin(&m, COLLECT, collect, .move = move, .request = r->id);
    if (!remote_send(from, &m, NULL, 0, NULL, NULL))
        remote_request_answer(from, r->id, CL_DEVICE_NOT_AVAILABLE, NULL, 0); /* unless the loss did */
}

/* Once. */
static void take_over_record(struct remote_node *to, uint64_t handle) {
    pthread_mutex_lock(&to->lock);
    struct remote_record *r = remote_slot_record(to, handle, BK_EVENT);
    bool open = r && r->source && !r->result_in && !r->taken_over;
    if (open) r->taken_over = true;
    struct remote_node *from = open ? r->source : NULL;
    uint64_t event = open ? r->source_event : 0, move = open ? r->move : 0;
    pthread_mutex_unlock(&to->lock);
    if (open && move)
        take_over_move(to, move, from);
    else if (open)
        take_over_event(to, handle, from, event);
}

void remote_move_sent(struct remote_record *r, uint32_t from) {
    uint32_t self = 0;
    struct node_executor x;
    if (!r->move || !look_at(r->node, &self, &x)) return;
    if (is_off(r->node->hub, self, from)) take_over_record(r->node, r->handle);
}

/* What `to` still waits for from `from`. */
static void take_over(struct remote_node *to, struct remote_node *from) {
    for (uint32_t i = 1;; i++) {
        pthread_mutex_lock(&to->lock);
        bool end = i >= to->slot_count;
        const struct remote_record *r = !end && to->slots[i].kind == BK_EVENT ? to->slots[i].record : NULL;
        uint64_t handle = r && r->source == from ? r->handle : 0;
        pthread_mutex_unlock(&to->lock);
        if (end) return;
        if (handle) take_over_record(to, handle);
    }
}

static void say_off(struct remote_node *n, uint32_t self, uint32_t other, bool gone) {
    uint32_t number = 0;
    struct node_executor x;
    if (!look_at(n, &number, &x) || number != self) return;
    struct wire_out m;
    wire_begin(&m, PEER_OFF, peer_off, .number = other, .gone = gone);
    remote_send(n, &m, NULL, 0, NULL, NULL);
}

/* gone: the node that is lost; NULL: neither. */
static void turn_off(struct remote_pair *p, const struct remote_node *gone) {
    say_off(p->a, p->number_a, p->number_b, p->b == gone);
    say_off(p->b, p->number_b, p->number_a, p->a == gone);
    take_over(p->a, p->b);
    take_over(p->b, p->a);
}

/* A pair that is not off yet of that executor (and the other, unless 0), which is off from now on; copied:
 * pairs stay. */
static bool next_pair(struct remote_hub *h, const struct remote_node *n, uint32_t other,
                      struct remote_pair *out) {
    bool found = false;
    pthread_mutex_lock(&h->pair_lock);
    weft_list_for_each(it, &h->pairs) {
        struct remote_pair *p = weft_list_entry(it, struct remote_pair, link);
        bool its = (p->a == n && (!other || p->number_b == other)) ||
                   (p->b == n && (!other || p->number_a == other));
        if (found || p->off || !its) continue;
        p->off = true;
        *out = *p;
        found = true;
    }
    pthread_mutex_unlock(&h->pair_lock);
    return found;
}

void remote_peer_down(struct remote_node *n, uint32_t number) {
    struct remote_pair p;
    if (!number || atomic_load(&n->hub->closing) || !next_pair(n->hub, n, number, &p)) return;
    weft_warn(
        "opencl",
        "the executors of nodes %u and %u do not reach each other: what moves between them goes through "
        "this process",
        p.a->id, p.b->id);
    turn_off(&p, NULL);
}

void remote_pairs_lost(struct remote_node *n) {
    struct remote_pair p;
    while (next_pair(n->hub, n, 0, &p)) turn_off(&p, n);
}
