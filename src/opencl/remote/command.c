/* Remote: commands for queues. A command is sent at once, with its wait list: the executor's driver orders
 * it. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

/* ---- wait lists ---- */
/* A long wait list is gathered by markers, each waiting for a piece of it and nothing else. */
struct waits {
    uint64_t *at;
    size_t count;
    uint64_t *made;
    size_t made_count;
};

static void release_waits(struct backend *b, struct waits *w) {
    struct remote_node *n = remote_node_of(b);
    for (size_t i = 0; i < w->made_count; i++) {
        struct wire_out msg;
        wire_begin(&msg, RELEASE, release, .object = w->made[i]);
        remote_send(n, &msg, NULL, 0, NULL, NULL);
        pthread_mutex_lock(&n->lock);
        remote_slot_free(n, w->made[i]);
        pthread_mutex_unlock(&n->lock);
    }
    free(w->at);
    free(w->made);
}

static bool gather(struct remote_node *n, bk_ref queue, struct waits *w) {
    size_t left = 0;
    for (size_t i = 0; i < w->count; i += WIRE_WAITS_MAX) {
        size_t piece = w->count - i < WIRE_WAITS_MAX ? w->count - i : WIRE_WAITS_MAX;
        uint64_t handle = remote_handle(n, BK_EVENT, NULL);
        if (!handle) return false;
        w->made[w->made_count++] = handle;
        struct wire_out msg;
        wire_begin(&msg, MARKER, marker, .event = handle, .queue = queue, .options = WIRE_APART);
        wire_add_array(&msg, w->at + i, piece);
        if (!remote_send(n, &msg, NULL, 0, NULL, NULL)) return false;
        w->at[left++] = handle;
    }
    w->count = left;
    return true;
}

static cl_int prepare_waits(struct remote_node *n, const struct bk_command *c, struct waits *w) {
    *w = (struct waits){.count = c->wait_count};
    if (!c->wait_count) return CL_SUCCESS;
    w->at = malloc(c->wait_count * sizeof *w->at);
    w->made = c->wait_count > WIRE_WAITS_MAX ? malloc(c->wait_count * sizeof *w->made) : NULL;
    if (!w->at || (!w->made && c->wait_count > WIRE_WAITS_MAX)) return CL_OUT_OF_HOST_MEMORY;
    memcpy(w->at, c->waits, c->wait_count * sizeof *w->at);
    while (w->count > WIRE_WAITS_MAX) {
        if (!gather(n, c->queue, w)) return CL_OUT_OF_RESOURCES;
    }
    return CL_SUCCESS;
}

/* ---- encoding ---- */
static cl_int encode_ndrange(struct wire_out *m, const struct bk_command *c, uint64_t event,
                             uint32_t options) {
    uint64_t geometry[9];
    size_t count = 0;
    cl_uint dims = c->u.ndrange.dims;
    if (dims < 1 || dims > 3) return CL_INVALID_WORK_DIMENSION;
    for (cl_uint i = 0; i < dims; i++) geometry[count++] = c->u.ndrange.global[i];
    for (cl_uint i = 0; c->u.ndrange.has_local && i < dims; i++) geometry[count++] = c->u.ndrange.local[i];
    for (cl_uint i = 0; c->u.ndrange.has_offset && i < dims; i++) geometry[count++] = c->u.ndrange.offset[i];
    options |= (c->u.ndrange.has_local ? WIRE_LOCAL : 0) | (c->u.ndrange.has_offset ? WIRE_OFFSET : 0);
    wire_begin(m, NDRANGE, ndrange, .event = event, .queue = c->queue, .options = options,
               .kernel = c->u.ndrange.kernel, .dims = dims);
    return wire_add_array(m, geometry, count) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static cl_int encode_rect(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options) {
    uint64_t rect[8];
    remote_put3(rect, c->u.rect.buffer_origin);
    remote_put3(rect + 3, c->u.rect.region);
    rect[6] = c->u.rect.buffer_row_pitch;
    rect[7] = c->u.rect.buffer_slice_pitch;
    if (c->op == BK_READ_RECT) {
        wire_begin(m, READ_RECT, read_rect, .event = event, .queue = c->queue, .options = options,
                   .mem = c->u.rect.mem);
    } else {
        wire_begin(m, WRITE_RECT, write_rect, .event = event, .queue = c->queue, .options = options,
                   .mem = c->u.rect.mem);
    }
    return wire_add_array(m, rect, 8) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static cl_int encode_copy_rect(struct wire_out *m, const struct bk_command *c, uint64_t event,
                               uint32_t options) {
    uint64_t rect[13];
    remote_put3(rect, c->u.copy_rect.src_origin);
    remote_put3(rect + 3, c->u.copy_rect.dst_origin);
    remote_put3(rect + 6, c->u.copy_rect.region);
    rect[9] = c->u.copy_rect.src_row_pitch;
    rect[10] = c->u.copy_rect.src_slice_pitch;
    rect[11] = c->u.copy_rect.dst_row_pitch;
    rect[12] = c->u.copy_rect.dst_slice_pitch;
    wire_begin(m, COPY_RECT, copy_rect, .event = event, .queue = c->queue, .options = options,
               .src = c->u.copy_rect.src, .dst = c->u.copy_rect.dst);
    return wire_add_array(m, rect, 13) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static cl_int encode_fill(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options) {
    uint64_t pattern[WIRE_PATTERN_BYTES / 8] = {0};
    if (c->u.fill.pattern_size > sizeof pattern) return CL_INVALID_VALUE;
    memcpy(pattern, c->u.fill.pattern, c->u.fill.pattern_size);
    wire_begin(m, FILL, fill, .event = event, .queue = c->queue, .options = options, .mem = c->u.fill.mem,
               .offset = c->u.fill.offset, .size = c->u.fill.size, .pattern_size = c->u.fill.pattern_size);
    return wire_add_array(m, pattern, (c->u.fill.pattern_size + 7) / 8) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

static cl_int encode_migrate(struct wire_out *m, const struct bk_command *c, uint64_t event,
                             uint32_t options) {
    /* A hint: of a long list, the part that fits is as good a hint. */
    size_t count = c->u.migrate.count < 32 ? c->u.migrate.count : 32;
    wire_begin(m, MIGRATE, migrate, .event = event, .queue = c->queue, .options = options,
               .flags = c->u.migrate.flags);
    return wire_add_array(m, c->u.migrate.mems, count) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

/* With the data, or with the name of what the executor has. */
static cl_int encode_write(struct wire_out *m, const struct bk_command *c, uint64_t event, uint32_t options,
                           const struct remote_reuse_choice *reuse) {
    if (reuse->known) {
        wire_begin(m, WRITE_KEPT, write_kept, .event = event, .queue = c->queue, .options = options,
                   .mem = c->u.rw.mem, .offset = c->u.rw.offset, .slot = reuse->slot);
    } else {
        wire_begin(m, WRITE, write, .event = event, .queue = c->queue, .options = options, .mem = c->u.rw.mem,
                   .offset = c->u.rw.offset, .keep = reuse->slot);
    }
    return CL_SUCCESS;
}

static cl_int encode(struct wire_out *m, const struct bk_command *c, const struct remote_record *r,
                     uint32_t options, const struct remote_reuse_choice *reuse) {
    uint64_t event = r && r->want_result ? r->handle : 0;
    if (c->meeting) return remote_encode_half(m, c, event, options, r ? r->staging : 0);
    switch (c->op) {
    case BK_NDRANGE: return encode_ndrange(m, c, event, options);
    case BK_READ:
        wire_begin(m, READ, read, .event = event, .queue = c->queue, .options = options, .mem = c->u.rw.mem,
                   .offset = c->u.rw.offset, .size = c->u.rw.size);
        return CL_SUCCESS;
    case BK_WRITE: return encode_write(m, c, event, options, reuse);
    case BK_READ_RECT:
    case BK_WRITE_RECT: return encode_rect(m, c, event, options);
    case BK_COPY:
        wire_begin(m, COPY, copy, .event = event, .queue = c->queue, .options = options, .src = c->u.copy.src,
                   .dst = c->u.copy.dst, .src_offset = c->u.copy.src_offset,
                   .dst_offset = c->u.copy.dst_offset, .size = c->u.copy.size);
        return CL_SUCCESS;
    case BK_COPY_RECT: return encode_copy_rect(m, c, event, options);
    case BK_FILL: return encode_fill(m, c, event, options);
    case BK_MARKER:
        wire_begin(m, MARKER, marker, .event = event, .queue = c->queue, .options = options);
        return CL_SUCCESS;
    case BK_BARRIER:
        wire_begin(m, BARRIER, barrier, .event = event, .queue = c->queue, .options = options);
        return CL_SUCCESS;
    case BK_MIGRATE: return encode_migrate(m, c, event, options);
    default: return remote_encode_image(m, c, event, options);
    }
}

/* ---- data ---- */
/* What travels with a write, and where a read's data goes. */
struct payload {
    const void *data;
    void *owned;
    size_t bytes;
    bool borrowed;
    struct remote_reuse_choice reuse;
};

static bool is_read(const struct bk_command *c) {
    return !c->meeting && (c->op == BK_READ || c->op == BK_READ_RECT || c->op == BK_READ_IMAGE);
}
static bool is_write(const struct bk_command *c) {
    return !c->meeting && (c->op == BK_WRITE || c->op == BK_WRITE_RECT || c->op == BK_WRITE_IMAGE);
}

static cl_int prepare_write(const struct bk_command *c, struct payload *p) {
    struct remote_box box;
    bool plain = c->op == BK_WRITE;
    if (plain) {
        p->data = c->u.rw.host_src ? c->u.rw.host_src : c->u.rw.host;
        p->bytes = c->u.rw.size;
        if (!p->data || !p->bytes) return CL_INVALID_VALUE;
    } else {
        if (!remote_box_of(c, &box)) return CL_INVALID_VALUE;
        p->data = box.host;
        p->bytes = box.bytes;
    }
    if (!plain && !remote_box_is_packed(&box)) {
        p->owned = malloc(p->bytes);
        if (!p->owned) return CL_OUT_OF_HOST_MEMORY;
        remote_box_pack(p->owned, &box);
        return CL_SUCCESS;
    }
    p->borrowed = p->bytes > REMOTE_COPY_BYTES;
    return CL_SUCCESS;
}

static cl_int prepare_read(const struct bk_command *c, struct remote_record *r) {
    r->reading = true;
    if (c->op == BK_READ) {
        r->host = c->u.rw.host;
        r->bytes = c->u.rw.size;
        return r->host && r->bytes ? CL_SUCCESS : CL_INVALID_VALUE;
    }
    if (!remote_box_of(c, &r->box)) return CL_INVALID_VALUE;
    r->host = r->box.host;
    r->bytes = r->box.bytes;
    if (remote_box_is_packed(&r->box)) return CL_SUCCESS;
    r->packed = malloc(r->bytes);
    return r->packed ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

/* Contents that the executor has already do not travel. */
static void look_for_reuse(struct remote_node *n, struct payload *p) {
    remote_reuse_begin(n, &p->reuse, p->data, p->bytes);
    if (!p->reuse.known) return;
    p->data = NULL;
    p->bytes = 0;
    p->borrowed = false;
}

/* ---- enqueue ---- */
static bool send_command(struct remote_node *n, const struct wire_out *m, struct payload *p,
                         struct remote_record *r) {
    if (p->owned) {
        void *owned = p->owned;
        p->owned = NULL;
        return remote_send_owned(n, m, owned, p->bytes);
    }
    if (!p->borrowed) return remote_send(n, m, p->data, p->bytes, NULL, NULL);
    remote_record_sending(r);
    if (remote_send(n, m, p->data, p->bytes, remote_record_sent, r)) return true;
    remote_record_sent(r, CL_DEVICE_NOT_AVAILABLE);
    return false;
}

/* The command with its record (NULL: nobody asks for its end). */
static cl_int send_with(struct backend *b, const struct bk_command *c, struct payload *p,
                        struct remote_record *r, bool turn) {
    struct remote_node *n = remote_node_of(b);
    struct waits waits;
    cl_int err = prepare_waits(n, c, &waits);
    bool told = r && r->want_result;
    uint32_t options =
        (told ? WIRE_NOTIFY : 0) | (c->want_event ? 0 : WIRE_TRANSIENT) | (turn ? WIRE_TURN : 0);
    struct wire_out m;
    if (!err) err = encode(&m, c, r, options, &p->reuse);
    if (!err && !wire_add_array(&m, waits.at, waits.count)) err = CL_OUT_OF_RESOURCES;
    m.answered = told;
    if (!err && !send_command(n, &m, p, r)) err = CL_OUT_OF_RESOURCES;
    release_waits(b, &waits);
    return err;
}

/* From here on a loss of the node completes the record: it may end while the command is being sent, so this
 * call has a hold of its own, which remote_enqueue gives back. */
static void expect_result(struct remote_record *r, const struct bk_command *c, bool read) {
    pthread_mutex_lock(&r->node->lock);
    r->unseen = c->unseen;
    r->want_result = c->want_event || c->on_complete || c->blocking || read;
    r->fn = c->on_complete;
    r->arg = c->arg;
    r->holds += 1u + c->want_event + c->blocking;
    pthread_mutex_unlock(&r->node->lock);
}

/* The command was not sent: the record goes, unless the loss of the node completed it. */
static cl_int give_up(struct remote_record *r, const struct bk_command *c, cl_int err) {
    if (!r) return err;
    if (r->want_result && !remote_record_abandon(r)) return CL_SUCCESS;
    if (r->move) remote_move_failed(r);
    remote_move_over(r);
    remote_record_put(r);
    if (c->want_event) remote_record_put(r);
    if (c->blocking) remote_record_put(r);
    return err;
}

static cl_int wait_blocking(struct remote_record *r, const struct bk_command *c) {
    struct remote_node *n = r->node;
    cl_int status = remote_record_wait(r);
    remote_record_put(r);
    cl_int sticky = remote_queue_take_error(n, c->queue);
    return status < 0 ? status : sticky;
}

static cl_int enter_and_send(struct backend *b, const struct bk_command *c, struct payload *p,
                             struct remote_record *r, bool transfers, bool turn) {
    struct remote_node *n = remote_node_of(b);
    remote_queue_enter(n, c, r, transfers, turn);
    cl_int err = send_with(b, c, p, r, turn);
    remote_queue_leave(n, c->queue);
    return err;
}

cl_int remote_send_turn(struct backend *b, const struct bk_command *c, struct remote_record **out) {
    struct remote_node *n = remote_node_of(b);
    struct payload p = {0};
    struct remote_record *r = remote_record_create(n, c->queue);
    if (!r) return remote_node_is_lost(n) ? CL_OUT_OF_RESOURCES : CL_OUT_OF_HOST_MEMORY;
    expect_result(r, c, false);
    remote_queue_enter(n, c, r, false, true);
    cl_int err = send_with(b, c, &p, r, false);
    remote_queue_leave(n, c->queue);
    if (err) err = give_up(r, c, err);
    if (!err) *out = r;
    remote_record_put(r);
    return err;
}

static cl_int enqueue(struct backend *b, const struct bk_command *c, bk_ref *event) {
    struct remote_node *n = remote_node_of(b);
    bool read = is_read(c);
    struct payload p = {0};
    cl_int err = CL_SUCCESS;
    if (remote_host_command(b, c, event, &err)) return err;
    err = is_write(c) ? prepare_write(c, &p) : CL_SUCCESS;
    if (err) return err;
    if (c->op == BK_WRITE && p.borrowed) look_for_reuse(n, &p);
    struct remote_record *r = NULL;
    if (c->want_event || c->on_complete || c->blocking || read || p.borrowed) {
        r = remote_record_create(n, c->queue);
        err = r ? CL_SUCCESS : remote_node_is_lost(n) ? CL_OUT_OF_RESOURCES : CL_OUT_OF_HOST_MEMORY;
    }
    if (!err && read) err = prepare_read(c, r);
    if (r) expect_result(r, c, read);
    if (r && c->meeting) remote_move_begins(r, c);
    if (r && p.borrowed) r->bytes = p.bytes;
    if (r && p.reuse.slot && !p.reuse.known) r->keep_slot = p.reuse.slot;
    struct remote_queue *turn = err ? NULL : remote_turn_begin(n, c);
    if (!err) err = enter_and_send(b, c, &p, r, read || p.borrowed, turn);
    if (!err && r && c->meeting && c->meeting->from) remote_move_sent(r, c->meeting->from);
    remote_reuse_end(n, &p.reuse, !err);
    free(p.owned);
    if (err && c->meeting) remote_move_refused(n->hub, c);
    if (err)
        err = give_up(r, c, err);
    else if (r && !r->want_result)
        remote_record_put(r);
    if (!err && c->want_event && event) *event = r->handle;
    if (!err && c->blocking) err = wait_blocking(r, c);
    remote_turn_end(n, turn);
    if (r) remote_record_put(r);
    return err;
}

/* A meeting may go with its command's end, which may be told before this returns: when the node is lost. */
cl_int remote_enqueue(struct backend *b, const struct bk_command *c, bk_ref *event) {
    if (!c->meeting) return enqueue(b, c, event);
    struct bk_meeting meeting = *c->meeting;
    struct bk_command half = *c;
    half.meeting = &meeting;
    return enqueue(b, &half, event);
}

cl_int remote_flush(struct backend *b, bk_ref queue) {
    struct remote_node *n = remote_node_of(b);
    struct wire_out msg;
    wire_begin(&msg, FLUSH, flush, .queue = queue);
    return remote_send(n, &msg, NULL, 0, NULL, NULL) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}

struct finish {
    struct remote_node *node;
    struct remote_request *request;
    uint64_t queue;
    struct remote_after after;
};

static bool is_finished(void *arg) {
    struct finish *f = arg;
    return atomic_load(&f->request->done) &&
           remote_queue_may_finish(f->node, f->queue, &f->after, f->request->result);
}

cl_int remote_finish(struct backend *b, bk_ref queue) {
    struct remote_node *n = remote_node_of(b);
    if (remote_queue_is_quiet(n, queue)) return remote_queue_take_error(n, queue);
    uint64_t last = remote_queue_last(n, queue);
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct finish f = {.node = n, .request = r, .queue = queue, .after = remote_queue_after(n, queue)};
    struct wire_out msg;
    wire_begin(&msg, FINISH, finish, .queue = queue, .request = r->id);
    bool sent = remote_send(n, &msg, NULL, 0, NULL, NULL);
    cl_int err = remote_request_wait(n, r, sent);
    if (sent) ep_wait(n->hub->ep, is_finished, &f, WEFT_TIME_NEVER);
    remote_request_drop(n, r);
    if (!err) remote_queue_over(n, queue, last);
    cl_int sticky = remote_queue_take_error(n, queue);
    return err ? err : sticky;
}
