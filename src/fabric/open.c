/* Opening and closing the process's place on the fabric, and waiting on it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/option.h"
#include "fabric/fabric.h"
#include "node/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_POSTS    65536
#define MAX_ARRIVALS 1024

/* The first version of weft_config. Members that later ones add behind it are as weft_config_init leaves
 * them. */
#define CONFIG_LEAST_BYTES (offsetof(struct weft_config, max_arrivals) + sizeof(uint32_t))

_Static_assert(WEFT_HEADER_MAX + 64 <= EP_HEADER_MAX, "headers of both layers must fit");

const char *weft_strerror(int code) { return weft_error_text(code); }

/* -- inside of callbacks -- */

static _Thread_local const struct weft *inside;

const struct weft *fabric_enter(const struct weft *w) {
    const struct weft *before = inside;
    inside = w;
    return before;
}
void fabric_leave(const struct weft *before) { inside = before; }
bool fabric_in_callback(const struct weft *w) { return inside == w; }

/* -- open -- */

static int check(const struct weft_config *cfg) {
    const unsigned known = WEFT_ALONE | WEFT_NO_THREAD | WEFT_NO_ACCEPT;
    if (cfg->size < CONFIG_LEAST_BYTES || cfg->size > sizeof *cfg) {
        weft_error("fabric", "weft_open: a config of %zu bytes; this library takes %zu to %zu", cfg->size,
                   CONFIG_LEAST_BYTES, sizeof *cfg);
        return WEFT_E_INVAL;
    }
    if (cfg->flags & ~known || cfg->handler_count > WEFT_HANDLERS_MAX) return WEFT_E_INVAL;
    return cfg->handler_count && !cfg->handlers ? WEFT_E_INVAL : 0;
}

static void init(struct weft *w, const struct weft_config *cfg) {
    w->flags = cfg->flags;
    w->on_accept = cfg->on_accept;
    w->on_peer_down = cfg->on_peer_down;
    w->ctx = cfg->ctx;
    w->max_posts = cfg->max_posts ? cfg->max_posts : MAX_POSTS;
    w->max_arrivals = cfg->max_arrivals ? cfg->max_arrivals : MAX_ARRIVALS;
    w->ordered_bytes = (size_t)weft_option_int("eager_bytes");
    w->self = (struct weft_id){0, (uint32_t)getpid()};
    pthread_mutex_init(&w->lock, NULL);
    struct weft_list *lists[] = {&w->peers,    &w->cntrs, &w->mems,     &w->windows,
                                 &w->free_ops, &w->late,  &w->late_free};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) weft_list_init(lists[i]);
    weft_map_init(&w->cntr_ids);
    weft_map_init(&w->posts);
    weft_map_init(&w->window_keys);
}

/* What is left is nobody's any more: no thread of the endpoint runs. */
static void destroy(struct weft *w) {
    peer_free_all(w);
    window_free_all(w);
    mem_free_all(w);
    cntr_free_all(w);
    op_free_pool(w);
    done_fini(w);
    for (size_t i = 0; i < WEFT_HANDLERS_MAX; i++) free(atomic_load(&w->handlers[i]));
    weft_map_fini(&w->cntr_ids);
    weft_map_fini(&w->posts);
    weft_map_fini(&w->window_keys);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static int register_handlers(struct weft *w, const struct weft_config *cfg) {
    int rc = 0;
    for (size_t i = 0; i < cfg->handler_count && rc == 0; i++)
        if (cfg->handlers[i].on_header) rc = weft_handler_register(w, (uint16_t)i, &cfg->handlers[i]);
    return rc;
}

static int open_endpoint(struct weft *w, const struct weft_config *cfg) {
    struct ep_config ec = {.adapters = cfg->adapters,
                           .run_dir = cfg->run_dir,
                           .bind_host = cfg->bind_host,
                           .key = cfg->key,
                           .accept = !(cfg->flags & WEFT_NO_ACCEPT),
                           .no_thread = cfg->flags & WEFT_NO_THREAD};
    peer_configure(&ec, w);
    int rc = cfg->flags & WEFT_ALONE ? 0 : node_endpoint_config(&ec);
    if (rc) return rc;
    rc = ep_open(&w->ep, &ec);
    if (!(cfg->flags & WEFT_ALONE)) node_endpoint_config_done(&ec);
    return rc;
}

int weft_open(struct weft **out, const struct weft_config *given) {
    struct weft_config cfg;
    weft_config_init(&cfg);
    if (inside) return WEFT_E_BUSY; /* it waits for the daemon */
    int rc = given ? check(given) : 0;
    if (rc) return rc;
    if (given) memcpy(&cfg, given, given->size);
    struct weft *w = calloc(1, sizeof *w);
    if (!w) return WEFT_E_NOMEM;
    init(w, &cfg);
    rc = register_handlers(w, &cfg);
    if (rc == 0) rc = open_endpoint(w, &cfg);
    if (rc == 0) rc = done_init(w);
    struct weft *before = *out;
    *out = w; /* peers may find this process, and handlers run, before this returns */
    if (rc == 0 && !(cfg.flags & WEFT_ALONE)) rc = directory_attach(w, cfg.node);
    if (rc == 0) weft_record_self((struct weft_record_id){w->self.node, w->self.process});
    if (rc == 0) return 0;
    *out = before;
    if (w->ep) ep_close(w->ep, 0);
    destroy(w);
    return rc;
}

void weft_close(struct weft *w, unsigned linger_ms) {
    if (!w) return;
    if (fabric_in_callback(w)) {
        weft_error("fabric", "weft_close was called by a handler");
        return;
    }
    atomic_store(&w->closing, true);
    ep_close(w->ep, linger_ms);
    directory_detach(w); /* peers hear of the end of this process when everything has been said */
    const struct weft *before = fabric_enter(w); /* nothing else runs now: this is the last callback */
    post_fail_all(w, WEFT_E_CLOSED);
    done_late_all(w);
    fabric_leave(before);
    destroy(w);
}

struct weft_id weft_self(const struct weft *w) {
    return w->self;
}

int weft_handler_register(struct weft *w, uint16_t id, const struct weft_handler *handler) {
    if (id >= WEFT_HANDLERS_MAX || !handler || !handler->on_header) return WEFT_E_INVAL;
    struct weft_handler *h = malloc(sizeof *h), *none = NULL;
    if (!h) return WEFT_E_NOMEM;
    *h = *handler;
    if (atomic_compare_exchange_strong(&w->handlers[id], &none, h)) return 0;
    free(h);
    return WEFT_E_EXIST;
}

/* -- waiting -- */

int fabric_wait(struct weft *w, bool (*done)(void *arg), void *arg, uint64_t timeout_ns) {
    if (fabric_in_callback(w)) return WEFT_E_BUSY;
    uint64_t now = weft_now_ns();
    uint64_t deadline = timeout_ns > WEFT_TIME_NEVER - now ? WEFT_TIME_NEVER : now + timeout_ns;
    return ep_wait(w->ep, done, arg, deadline);
}

struct asked {
    int (*done)(void *arg);
    void *arg;
};

static bool ask(void *arg) {
    struct asked *a = arg;
    return a->done(a->arg) != 0;
}

int weft_wait(struct weft *w, int (*done)(void *arg), void *arg, uint64_t timeout_ns) {
    if (!done) return WEFT_E_INVAL;
    struct asked a = {done, arg};
    return fabric_wait(w, ask, &a, timeout_ns);
}

int weft_poll(struct weft *w) { return fabric_in_callback(w) ? 0 : ep_progress(w->ep); }
void weft_wake(struct weft *w) { ep_wake(w->ep); }

int weft_fd(struct weft *w) {
    if (!(w->flags & WEFT_NO_THREAD)) return WEFT_E_NOSUP;
    int fd = ep_fd(w->ep);
    return fd < 0 ? WEFT_E_CLOSED : fd;
}

int weft_fd_prepare(struct weft *w) {
    if (!(w->flags & WEFT_NO_THREAD)) return WEFT_E_NOSUP;
    return ep_prepare_sleep(w->ep) ? 0 : WEFT_E_AGAIN;
}

int weft_fd_timeout_ms(struct weft *w) { return ep_timeout_ms(w->ep); }
