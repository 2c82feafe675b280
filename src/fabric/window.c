/* Windows at the target: who may read and write which memory of this process, and doing it for them. */
#include "base/log.h"
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"

#include <stdlib.h>
#include <sys/random.h>

#define HANDLE_MAGIC   0x4e575457u /* "WTWN" */
#define HANDLE_VERSION 1
#define COPY_BYTES                                                                                           \
    4096 /* data of gets that is sent as a copy, since that costs less than keeping account of it */

struct weft_window {
    struct weft_list node; /* in weft.windows */
    struct weft *w;
    uint64_t key;
    uint64_t only; /* serial of the peer that may use it; 0: any */
    uint8_t *ptr;
    size_t bytes;
    unsigned access;
    struct weft_mem *mem;
    struct pin *pin;
    bool revoked;
    size_t refs;  /* 1 until revoked, and the puts that are being stored */
    size_t reads; /* gets whose data the transport holds */
};

/* -- export and revoke -- */

static void put_handle(const struct weft_window *win, struct weft_window_handle *h) {
    memset(h, 0, sizeof *h);
    le_put32(h->opaque, HANDLE_MAGIC);
    le_put16(h->opaque + 4, HANDLE_VERSION);
    le_put16(h->opaque + 6, (uint16_t)win->access);
    le_put64(h->opaque + 8, win->key);
    le_put64(h->opaque + 16, win->bytes);
}

/* With the lock. Keys are random, so that they cannot be guessed: 2^64 of them, and a connection ends at no
 * wrong one but each costs a message. */
static int enter(struct weft *w, struct weft_window *win) {
    int rc;
    do {
        if (getrandom(&win->key, sizeof win->key, 0) != sizeof win->key) return WEFT_E_IO;
        rc = win->key ? weft_map_put(&w->window_keys, win->key, win) : WEFT_E_EXIST;
    } while (rc == WEFT_E_EXIST);
    return rc;
}

int weft_window_export(struct weft *w, struct weft_buf range, unsigned access, struct weft_peer *only,
                       struct weft_window **out, struct weft_window_handle *handle) {
    if (!range.bytes || !access || access & ~(unsigned)(WEFT_READ | WEFT_WRITE)) return WEFT_E_INVAL;
    struct weft_window *win = calloc(1, sizeof *win);
    if (!win) return WEFT_E_NOMEM;
    *win = (struct weft_window){.w = w,
                                .only = only ? only->serial : 0,
                                .bytes = range.bytes,
                                .access = access,
                                .mem = range.mem,
                                .refs = 1};
    void *ptr;
    int rc = buf_take(w, &range, &ptr, &win->pin);
    if (rc) {
        free(win);
        return rc;
    }
    win->ptr = ptr;
    pthread_mutex_lock(&w->lock);
    rc = enter(w, win);
    if (rc)
        buf_give(win->mem, win->pin);
    else
        weft_list_push_back(&w->windows, &win->node);
    pthread_mutex_unlock(&w->lock);
    if (rc) {
        free(win);
        return rc;
    }
    put_handle(win, handle);
    *out = win;
    return 0;
}

/* With the lock. */
static void drop(struct weft_window *win) {
    if (--win->refs == 0) free(win);
}

void window_put_over(struct weft_window *win) { drop(win); }

void window_free_all(struct weft *w) {
    for (struct weft_list *n; (n = weft_list_pop_front(&w->windows));) {
        struct weft_window *win = weft_list_entry(n, struct weft_window, node);
        buf_give(win->mem, win->pin);
        free(win);
    }
}

/* A put that is being stored in the window; 0: none. With the lock. */
static uint64_t being_stored(struct weft *w, const struct weft_window *win) {
    weft_list_for_each(it, &w->peers) {
        struct weft_peer *p = weft_list_entry(it, struct weft_peer, node);
        weft_list_for_each(at, &p->arrivals) {
            struct arrival *a = weft_list_entry(at, struct arrival, node);
            if (a->window != win || a->canceled) continue;
            a->canceled = true;
            return a->token;
        }
    }
    return 0;
}

static bool is_unread(void *arg) {
    struct weft_window *win = arg;
    pthread_mutex_lock(&win->w->lock);
    bool unread = win->reads == 0;
    pthread_mutex_unlock(&win->w->lock);
    return unread;
}

int weft_window_revoke(struct weft_window *win, uint64_t timeout_ns) {
    struct weft *w = win->w;
    uint64_t token;
    pthread_mutex_lock(&w->lock);
    if (!win->revoked) weft_map_remove(&w->window_keys, win->key);
    win->revoked = true;
    while ((token = being_stored(w, win))) {
        pthread_mutex_unlock(&w->lock);
        ep_cancel(w->ep, token); /* not known any more: then it is stored already */
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    int rc = is_unread(win) ? 0 : fabric_wait(w, is_unread, win, timeout_ns);
    if (rc) return rc;
    pthread_mutex_lock(&w->lock);
    buf_give(win->mem, win->pin);
    weft_list_remove(&win->node);
    drop(win);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

/* -- access -- */

/* With the lock. */
static int check(struct weft_peer *p, uint64_t key, unsigned access, uint64_t offset, uint64_t bytes,
                 struct weft_window **out) {
    struct weft_window *win = weft_map_get(&p->w->window_keys, key);
    if (!win) return WEFT_E_NOENT;
    if ((win->only && win->only != p->serial) || !(win->access & access)) return WEFT_E_ACCESS;
    if (offset > win->bytes || bytes > win->bytes - offset) return WEFT_E_INVAL;
    *out = win;
    return 0;
}

/* Small aligned data in one piece, so that it can be a flag; what came before is visible to who sees it. */
static void store(uint8_t *to, const void *from, size_t bytes) {
    if (bytes == 8 && (uintptr_t)to % 8 == 0) {
        uint64_t v;
        memcpy(&v, from, 8);
        __atomic_store_n((uint64_t *)(void *)to, v, __ATOMIC_RELEASE);
    } else if (bytes == 4 && (uintptr_t)to % 4 == 0) {
        uint32_t v;
        memcpy(&v, from, 4);
        __atomic_store_n((uint32_t *)(void *)to, v, __ATOMIC_RELEASE);
    } else if (bytes == 2 && (uintptr_t)to % 2 == 0) {
        uint16_t v;
        memcpy(&v, from, 2);
        __atomic_store_n((uint16_t *)(void *)to, v, __ATOMIC_RELEASE);
    } else if (bytes == 1) {
        __atomic_store_n(to, *(const uint8_t *)from, __ATOMIC_RELEASE);
    } else if (bytes) {
        memcpy(to, from, bytes);
    }
}

static void refuse_put(struct weft_peer *p, uint64_t op, int status) {
    fabric_count(COUNT_PUTS_REFUSED, 1);
    if (!op && !p->store_error) p->store_error = status;
    reply(p, op, status);
}

struct put {
    uint64_t key, offset, op;
    uint32_t target_cntr;
    bool quiet;
};

/* Large data: it goes to the window itself. */
static int await_data(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink,
                      const struct put *put) {
    int status;
    struct weft *w = p->w;
    struct weft_window *win;
    struct arrival *a = arrival_create(p, m, FABRIC_PUT, 0, &status);
    if (!a) return status;
    a->op = put->op;
    a->target_cntr = put->target_cntr;
    a->quiet = put->quiet;
    pthread_mutex_lock(&w->lock);
    status = check(p, put->key, WEFT_WRITE, put->offset, m->data_bytes, &win);
    if (status == 0) {
        a->window = win;
        win->refs++;
        *sink = (struct ep_sink){.buf = win->ptr + put->offset, .on_data = arrival_on_data, .arg = a};
        sink->unpinned = buf_is_unpinned(w, win->mem, win->pin, win->bytes);
    }
    pthread_mutex_unlock(&w->lock);
    if (status == 0) return 0;
    fabric_count(COUNT_PUTS_REFUSED, 1);
    arrival_end(a, status);
    return 0;
}

void window_on_put(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    const uint8_t *b = m->header;
    if (m->header_bytes != WIRE_PUT_BYTES) {
        peer_fail(p, WEFT_E_PROTO, "a put that does not hold");
        return;
    }
    struct weft *w = p->w;
    const struct put put = {.key = le_get64(b),
                            .offset = le_get64(b + 8),
                            .op = le_get64(b + 16),
                            .target_cntr = le_get32(b + 24),
                            .quiet = le_get32(b + 28) & WIRE_QUIET};
    int status;
    if (m->data_bytes && !m->data) {
        status = await_data(p, m, sink, &put);
        if (status) refuse_put(p, put.op, status);
        return;
    }
    struct weft_window *win;
    pthread_mutex_lock(&w->lock);
    status = check(p, put.key, WEFT_WRITE, put.offset, m->data_bytes, &win);
    if (status == 0) store(win->ptr + put.offset, m->data, m->data_bytes);
    pthread_mutex_unlock(&w->lock);
    if (status) {
        refuse_put(p, put.op, status);
        return;
    }
    cntr_count_named(w, put.target_cntr, put.quiet);
    if (!put.quiet) notice_post(&p->notice, m->data_bytes, 0);
    reply(p, put.op, 0);
}

/* -- gets -- */

struct got {
    struct weft_peer *peer;
    struct weft_window *window;
};

static void on_sent(void *arg, int status) {
    struct got *g = arg;
    struct weft *w = g->peer->w;
    pthread_mutex_lock(&w->lock);
    g->window->reads--;
    g->peer->gets--;
    peer_drop(g->peer);
    pthread_mutex_unlock(&w->lock);
    free(g);
}

static void answer_get(struct weft_peer *p, uint64_t op, int status, struct ep_send *s) {
    uint8_t b[WIRE_REPLY_BYTES] = {0};
    le_put64(b, op);
    le_put32(b + 8, (uint32_t)status);
    s->handler = FABRIC_GOT;
    s->header = b;
    s->header_bytes = sizeof b;
    int rc = atomic_load(&p->gone) ? 0 : ep_send(p->ep, s);
    if (rc && s->arg) on_sent(s->arg, rc);
    if (rc == WEFT_E_LIMIT || rc == WEFT_E_NOMEM) peer_fail(p, rc, "it cannot be answered");
}

/* With the lock: the window's data as the answer's. */
static int lend(struct weft_peer *p, struct weft_window *win, uint64_t offset, uint64_t bytes,
                struct ep_send *s) {
    s->data = win->ptr + offset;
    s->data_bytes = bytes;
    s->unpinned = buf_is_unpinned(win->w, win->mem, win->pin, win->bytes);
    s->copy = bytes <= COPY_BYTES;
    if (s->copy) return 0;
    if (p->gets >= p->w->max_arrivals) return WEFT_E_LIMIT;
    struct got *g = malloc(sizeof *g);
    if (!g) return WEFT_E_NOMEM;
    *g = (struct got){p, win};
    peer_hold(p);
    p->gets++;
    win->reads++;
    s->on_done = on_sent;
    s->arg = g;
    return 0;
}

void window_on_get(struct weft_peer *p, const struct ep_msg *m, struct ep_sink *sink) {
    const uint8_t *b = m->header;
    if (m->header_bytes != WIRE_GET_BYTES || m->data_bytes) {
        peer_fail(p, WEFT_E_PROTO, "a get that does not hold");
        return;
    }
    uint64_t key = le_get64(b), offset = le_get64(b + 8), bytes = le_get64(b + 16);
    struct ep_send s = {0};
    struct weft_window *win;
    pthread_mutex_lock(&p->w->lock);
    int status = check(p, key, WEFT_READ, offset, bytes, &win);
    if (status == 0) status = lend(p, win, offset, bytes, &s);
    /* A copy is made under the lock: after a revoke nobody looks at the memory. */
    if (status == 0 && s.copy) answer_get(p, le_get64(b + 24), 0, &s);
    pthread_mutex_unlock(&p->w->lock);
    if (status == 0 && s.copy) return;
    if (status) {
        fabric_count(COUNT_GETS_REFUSED, 1);
        s = (struct ep_send){0};
    }
    answer_get(p, le_get64(b + 24), status, &s);
}

/* -- import -- */

int weft_window_import(struct weft_peer *p, const struct weft_window_handle *h, struct weft_remote *out) {
    if (!p || le_get32(h->opaque) != HANDLE_MAGIC) return WEFT_E_INVAL;
    if (le_get16(h->opaque + 4) != HANDLE_VERSION) return WEFT_E_VERSION;
    unsigned access = le_get16(h->opaque + 6);
    if (!access || access & ~(unsigned)(WEFT_READ | WEFT_WRITE) || !le_get64(h->opaque + 16))
        return WEFT_E_INVAL;
    *out = (struct weft_remote){
        .peer = p, .key = le_get64(h->opaque + 8), .bytes = le_get64(h->opaque + 16), .access = access};
    return 0;
}
