/* Endpoint: opening and closing, peers and messages. The threads' side is progress.c. */
#include "transport/endpoint.h"
#include "base/board.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/thread.h"
#include "transport/ep_internal.h"
#include "transport/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define SEND_TURNS           3 /* after the first, for as much as goes unasked: waking another thread takes as long */
#define DISCONNECT_LINGER_NS (5 * WEFT_NS_PER_S)

WEFT_OPTIONS(
    transport, "transport",
    {.name = "adapter",
     .type = WEFT_OPTION_STRING,
     .help = "Adapters to use between processes, best first, separated by commas; unset: all that open."},
    {.name = "security",
     .type = WEFT_OPTION_ENUM,
     .value = "auto",
     .choices = "auto|crc|aes",
     .help =
         "How packets are protected where there is a cluster key: encrypted between hosts, and within one by "
         "what the adapter guarantees (auto); never encrypted, for trusted networks (crc); always encrypted "
         "(aes)."},
    {.name = "spin_us",
     .type = WEFT_OPTION_INT,
     .value = "-1",
     .unit = "us",
     .min = -1,
     .max = 1000000,
     .help =
         "How long a waiting thread polls before it sleeps; -1: 30, less on fewer than 3 CPUs, and longer "
         "where a device is waited for whose answers mostly come soon."},
    {.name = "eager_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "16K",
     .unit = "bytes",
     .min = 0,
     .max = 65536,
     .help = "Messages with at most this much data are sent without asking the receiver for a buffer."},
    {.name = "method2_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "240K",
     .unit = "bytes",
     .min = 0,
     .max = WIRE_STAGED_SUPERPACKETS * WIRE_SUPERPACKET_BYTES,
     .help =
         "Messages with at most this much data follow their header at once, without asking the receiver."},
    {.name = "method2_superpackets",
     .type = WEFT_OPTION_INT,
     .value = "4",
     .unit = "superpackets",
     .min = 0,
     .max = 16,
     .help = "Superpackets that a peer is sent at once without having asked for them."},
    {.name = "staging_peer_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "240K",
     .unit = "bytes",
     .min = 0,
     .max = 1ll << 30,
     .help = "Memory for what one peer sends unasked, until its handler has said where it goes."},
    {.name = "staging_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "16M",
     .unit = "bytes",
     .min = 0,
     .max = 1ll << 40,
     .help = "The same for all peers together."},
    {.name = "bulk_patience_ms",
     .type = WEFT_OPTION_INT,
     .value = "5000",
     .unit = "ms",
     .min = 0,
     .max = 3600000,
     .help = "How long large messages wait at most while one to another peer leaves; 0: all share the line."},
    {.name = "tag_min_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "4K",
     .unit = "bytes",
     .min = 0,
     .max = 1 << 20,
     .help = "Announced messages with at most this much data are not worth a tag entry of the receiver."},
    {.name = "window_superpackets",
     .type = WEFT_OPTION_INT,
     .value = "16",
     .unit = "superpackets",
     .min = 1,
     .max = 64,
     .help = "Superpackets of one large message that a receiver lets a sender have under way."},
    {.name = "queue_bytes",
     .type = WEFT_OPTION_SIZE,
     .value = "256M",
     .unit = "bytes",
     .min = 1 << 20,
     .max = 1ll << 40,
     .help = "Most that the queue towards one peer may hold in copied bytes."},
    {.name = "keepalive_ms",
     .type = WEFT_OPTION_INT,
     .value = "1000",
     .unit = "ms",
     .min = 10,
     .max = 3600000,
     .help = "Silence after which an idle peer is asked whether it is still there."},
    {.name = "connect_timeout_ms",
     .type = WEFT_OPTION_INT,
     .value = "5000",
     .unit = "ms",
     .min = 10,
     .max = 3600000,
     .help = "How long a connection may take to be made."},
    {.name = "dead_ms",
     .type = WEFT_OPTION_INT,
     .value = "2000",
     .unit = "ms",
     .min = 100,
     .max = 3600000,
     .help = "Least silence of a peer that owes an answer after which it counts as lost."})

/* -- fork -- */

static unsigned fork_generation; /* changes in a forked child, before any other code of it runs */
static void after_fork_in_child(void) { fork_generation++; }
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

bool ep_is_ours(const struct ep *ep) { return ep->fork_generation == fork_generation; }

_Thread_local const struct ep *ep_handler_of;

/* -- open and close -- */

static uint64_t spin_time(bool yields) {
    int64_t us = weft_option_int("spin_us");
    if (us >= 0) return (uint64_t)us * WEFT_NS_PER_US;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus >= 3 ? 30 * WEFT_NS_PER_US : cpus == 2 && !yields ? 20 * WEFT_NS_PER_US : 0;
}

static int security_of(const char *name, enum engine_security *out) {
    static const char *const names[] = {
        [ENGINE_SECURITY_AUTO] = "auto", [ENGINE_SECURITY_CRC] = "crc", [ENGINE_SECURITY_AES] = "aes"};
    if (!name) name = weft_option_string("security");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i])) continue;
        *out = (enum engine_security)i;
        return 0;
    }
    weft_error("transport", "there is no security \"%s\": it is auto, crc or aes", name);
    return WEFT_E_INVAL;
}

static int open_engine(struct ep *ep) {
    enum engine_security security;
    int rc = security_of(ep->cfg.security, &security);
    if (rc) return rc;
    if (security == ENGINE_SECURITY_AES && !ep->cfg.key) {
        weft_error("transport", "security \"aes\" needs a cluster key, and there is none");
        return WEFT_E_INVAL;
    }
    struct engine_config cfg = {
        .io = ep_engine_io,
        .key = ep->cfg.key,
        .security = security,
        .accept = ep->cfg.accept,
        .patient = ep->cfg.patient,
        .answered = ep->cfg.answered,
        .late_acks = !ep->cfg.no_thread,
        .eager_bytes = (uint32_t)weft_option_int("eager_bytes"),
        .window_superpackets = (uint32_t)weft_option_int("window_superpackets"),
        .method2_bytes = (uint32_t)weft_option_int("method2_bytes"),
        .method2_superpackets = (uint32_t)weft_option_int("method2_superpackets"),
        .staging_peer_bytes = (uint64_t)weft_option_int("staging_peer_bytes"),
        .staging_bytes = (uint64_t)weft_option_int("staging_bytes"),
        .tag_min_bytes = (uint32_t)weft_option_int("tag_min_bytes"),
        .bulk_patience_ns = (uint64_t)weft_option_int("bulk_patience_ms") * WEFT_NS_PER_MS,
        .queue_bytes = (uint64_t)weft_option_int("queue_bytes"),
        .keepalive_ns = (uint64_t)weft_option_int("keepalive_ms") * WEFT_NS_PER_MS,
        .connect_timeout_ns = (uint64_t)weft_option_int("connect_timeout_ms") * WEFT_NS_PER_MS,
        .dead_ns = (uint64_t)weft_option_int("dead_ms") * WEFT_NS_PER_MS,
    };
    cfg.io.ctx = ep;
    uint8_t random[sizeof cfg.boot_id + sizeof cfg.seed];
    if (getrandom(random, sizeof random, 0) != sizeof random) return WEFT_E_IO;
    memcpy(cfg.boot_id, random, sizeof cfg.boot_id);
    memcpy(&cfg.seed, random + sizeof cfg.boot_id, sizeof cfg.seed);
    return engine_create(&ep->engine, &cfg);
}

static int open_bell(struct ep *ep) {
    ep->epoll = epoll_create1(EPOLL_CLOEXEC);
    ep->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN};
    if (ep->epoll >= 0 && ep->bell >= 0 && epoll_ctl(ep->epoll, EPOLL_CTL_ADD, ep->bell, &ev) == 0) return 0;
    weft_error("transport", "epoll: %m");
    return weft_error_from_errno(errno);
}

static int start_thread(struct ep *ep) {
    ep->has_thread = true;
    int rc = weft_thread_start(&ep->thread, ep_thread_main, ep);
    if (rc) ep->has_thread = false;
    return rc;
}

static void init_locks(struct ep *ep) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&ep->lock, NULL);
    pthread_cond_init(&ep->changed, &attr);
    pthread_cond_init(&ep->thread_wake, &attr);
    pthread_cond_init(&ep->callback_over, &attr);
    pthread_condattr_destroy(&attr);
}

static void destroy(struct ep *ep) {
    engine_destroy(ep->engine);
    ep_links_close(ep);
    ep_watch_fini(ep);
    ep_memory_fini(ep);
    if (ep->bell >= 0) close(ep->bell);
    if (ep->epoll >= 0) close(ep->epoll);
    pthread_cond_destroy(&ep->callback_over);
    pthread_cond_destroy(&ep->thread_wake);
    pthread_cond_destroy(&ep->changed);
    pthread_mutex_destroy(&ep->lock);
    free(ep);
}

int ep_open(struct ep **out, const struct ep_config *cfg) {
    pthread_once(&fork_once, watch_forks);
    weft_board_open();
    struct ep *ep = calloc(1, sizeof *ep);
    if (!ep) return WEFT_E_NOMEM;
    ep->cfg = *cfg;
    ep->fork_generation = fork_generation;
    ep->epoll = ep->bell = -1;
    ep->spin_ns = spin_time(cfg->yields);
    ep->learns = cfg->yields && weft_option_int("spin_us") < 0;
    lull_init(&ep->lull);
    init_locks(ep);
    weft_list_init(&ep->watches);
    weft_list_init(&ep->memory);
    weft_list_init(&ep->timer_list);
    heap_init(&ep->timers);
    int rc = open_bell(ep);
    if (rc == 0) rc = open_engine(ep);
    if (rc == 0) rc = ep_links_open(ep);
    ep->cfg.adapters = ep->cfg.run_dir = ep->cfg.bind_host = ep->cfg.security =
        NULL; /* need not outlive the call */
    ep->cfg.key = NULL;
    if (rc == 0 && !cfg->no_thread) rc = start_thread(ep);
    if (rc) {
        destroy(ep);
        return rc;
    }
    *out = ep;
    return 0;
}

static bool all_down(const struct ep *ep) {
    for (struct conn *c = NULL; (c = engine_conn_next(ep->engine, c));)
        if (!engine_conn_is_down(c)) return false;
    return true;
}

/* The last thread that makes progress: closes every connection in order, then without. */
static void close_connections(struct ep *ep, uint64_t deadline) {
    uint64_t now = weft_now_ns();
    for (struct conn *c = NULL; (c = engine_conn_next(ep->engine, c));)
        engine_close(ep->engine, now, c, deadline);
    do {
        ep_begin(ep);
        int did = ep_dispatch(ep);
        ep_end(ep);
        if (!did && !all_down(ep)) ep_sleep_briefly(ep, deadline);
    } while (!all_down(ep) && weft_now_ns() < deadline);
    for (struct conn *c = engine_conn_next(ep->engine, NULL), *next; c; c = next) {
        next = engine_conn_next(ep->engine, c);
        engine_abort(ep->engine, now, c, WEFT_E_CLOSED);
    }
    while (engine_has_event(ep->engine)) {
        ep_begin(ep);
        ep_dispatch(ep);
        ep_end(ep);
    }
}

void ep_close(struct ep *ep, unsigned linger_ms) {
    if (!ep || !ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    ep->stop = true;
    pthread_cond_signal(&ep->thread_wake);
    if (ep->poller == EP_POLLER_THREAD) ep_ring(ep);
    pthread_mutex_unlock(&ep->lock);
    if (ep->has_thread) pthread_join(ep->thread, NULL);
    pthread_mutex_lock(&ep->lock);
    ep->has_thread = false;
    close_connections(ep, weft_now_ns() + linger_ms * WEFT_NS_PER_MS);
    for (struct conn *c = NULL; (c = engine_conn_next(ep->engine, c));) {
        free(engine_conn_user(c));
        engine_conn_set_user(c, NULL);
    }
    pthread_mutex_unlock(&ep->lock);
    destroy(ep);
}

/* -- peers -- */

int ep_connect(struct ep *ep, const void *addr, size_t len, void *peer_ctx, struct ep_peer **out) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    if (len > EP_ADDRESS_MAX) return WEFT_E_INVAL;
    struct ep_peer *peer = calloc(1, sizeof *peer);
    if (!peer) return WEFT_E_NOMEM;
    const void *part;
    size_t part_len;
    pthread_mutex_lock(&ep->lock);
    struct ep_link *l = ep_link_for(ep, addr, len, &part, &part_len);
    struct engine_from from = {l ? &l->engine : NULL, NULL, l ? part : NULL, l ? part_len : 0};
    uint64_t now = weft_now_ns();
    int rc = l ? engine_connect(ep->engine, now, &from, peer, &peer->conn) : WEFT_E_UNREACHABLE;
    if (rc) goto fail;
    peer->ep = ep;
    peer->ctx = peer_ctx;
    peer->connected = true;
    peer->adapter = l->adapter->ops->name;
    *out = peer; /* before anybody can be told of it */
    engine_output(ep->engine, now);
    ep_changed(ep);
    pthread_mutex_unlock(&ep->lock);
    return 0;
fail:
    pthread_mutex_unlock(&ep->lock);
    free(peer);
    return rc;
}

static void end_peer(struct ep_peer *peer, bool abort) {
    struct ep *ep = peer->ep;
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    struct conn *c = peer->conn;
    uint64_t now = weft_now_ns();
    if (abort)
        engine_abort(ep->engine, now, c, WEFT_E_PEER_LOST);
    else
        engine_close(ep->engine, now, c, now + DISCONNECT_LINGER_NS);
    engine_silence(c);
    ep_wait_for_callback(ep, c, NULL);
    engine_conn_set_user(c, NULL);
    free(peer);
    engine_release(ep->engine, c, true);
    engine_output(ep->engine, now);
    ep_changed(ep);
    pthread_mutex_unlock(&ep->lock);
}

void ep_disconnect(struct ep_peer *peer) { end_peer(peer, false); }
void ep_abort(struct ep_peer *peer) { end_peer(peer, true); }

void ep_peer_keep(struct ep_peer *peer) {
    if (!ep_is_ours(peer->ep)) return;
    pthread_mutex_lock(&peer->ep->lock);
    peer->connected = true;
    pthread_mutex_unlock(&peer->ep->lock);
}

void ep_peer_fail(struct ep_peer *peer, int status) {
    struct ep *ep = peer->ep;
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    engine_abort(ep->engine, weft_now_ns(), peer->conn, status);
    ep_changed(ep);
    pthread_mutex_unlock(&ep->lock);
}

void ep_peer_set_context(struct ep_peer *peer, void *ctx) {
    __atomic_store_n(&peer->ctx, ctx, __ATOMIC_RELEASE);
}
void *ep_peer_context(const struct ep_peer *peer) { return __atomic_load_n(&peer->ctx, __ATOMIC_ACQUIRE); }
const char *ep_peer_adapter(const struct ep_peer *peer) { return peer->adapter; }

bool ep_peer_is_up(const struct ep_peer *peer) {
    if (!ep_is_ours(peer->ep)) return false;
    pthread_mutex_lock(&peer->ep->lock);
    bool up = engine_conn_is_up(peer->conn);
    pthread_mutex_unlock(&peer->ep->lock);
    return up;
}

uint64_t ep_peer_rtt_ns(const struct ep_peer *peer) {
    if (!ep_is_ours(peer->ep)) return 0;
    pthread_mutex_lock(&peer->ep->lock);
    uint64_t ns = engine_conn_rtt_ns(peer->conn);
    pthread_mutex_unlock(&peer->ep->lock);
    return ns;
}

/* -- messages -- */

static int send_queued(struct ep *ep, struct conn *c, const struct ep_send *s) {
    uint64_t now = weft_now_ns();
    int rc = engine_send(ep->engine, now, c, s);
    if (rc) return rc;
    if (engine_holds_back(c)) {
        ep->held = true;
        return 0;
    }
    unsigned turns =
        s->data_bytes > WIRE_SUPERPACKET_BYTES ? SEND_TURNS : 0; /* small ones wait for one only */
    while (engine_output(ep->engine, now) && turns) turns--;
    ep_changed(ep);
    return 0;
}

int ep_send(struct ep_peer *peer, const struct ep_send *s) {
    struct ep *ep = peer->ep;
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    pthread_mutex_lock(&ep->lock);
    int rc = engine_send_lane(ep->engine, peer->conn, s);
    if (rc == WEFT_E_AGAIN)
        rc = send_queued(ep, peer->conn, s);
    else if (s->on_done)
        ep_changed(ep);
    pthread_mutex_unlock(&ep->lock);
    return rc;
}

int ep_cancel(struct ep *ep, uint64_t token) {
    if (!ep_is_ours(ep)) return WEFT_E_CLOSED;
    pthread_mutex_lock(&ep->lock);
    int rc = engine_cancel(ep->engine, token);
    if (rc == 0) {
        engine_output(ep->engine, weft_now_ns());
        ep_changed(ep);
        /* Handlers and reads are the same thread's: a handler never finds one under way. */
        ep->callback_waiters++;
        while (ep->reading_token == token) pthread_cond_wait(&ep->callback_over, &ep->lock);
        ep->callback_waiters--;
    }
    pthread_mutex_unlock(&ep->lock);
    return rc;
}

void ep_flush(struct ep_peer *peer) {
    struct ep *ep = peer->ep;
    if (!ep_is_ours(ep)) return;
    pthread_mutex_lock(&ep->lock);
    engine_flush(ep->engine, peer->conn);
    engine_output(ep->engine, weft_now_ns());
    ep_changed(ep);
    pthread_mutex_unlock(&ep->lock);
}
