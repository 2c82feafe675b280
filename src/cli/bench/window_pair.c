/* Two processes that have a window each. The other one answers puts with puts while it is told to, and
 * otherwise waits, as a program does whose memory is used by others. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/process.h"
#include "cli/bench/window.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE       64
#define IN_FLIGHT  (4u << 20)
#define SLOTS_MIN  4
#define WARM_UP    16
#define SLICE_NS   (100 * WEFT_NS_PER_MS)
#define SLICES     600
#define LOOK_POLLS (1u << 16)
#define CONNECT_NS (10 * WEFT_NS_PER_S)
#define CLOSE_NS   (5 * WEFT_NS_PER_S)

enum handler { ON_WINDOW, ON_SETUP_WINDOW, ON_ECHO, HANDLERS };
enum order { ORDER_NONE, ORDER_SETUP, ORDER_ECHO };

/* Both sides run the same program. */
struct setup_window {
    struct weft_window_handle handle; /* of the first process's window */
    uint64_t size;
    uint32_t slots, written;
};
struct answer {
    struct weft_window_handle handle;
    int status;
};
struct echo {
    uint64_t turn, count;
};

/* -- handlers -- */

static void on_setup(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                     struct weft_action *action) {
    struct window_pair *p = ctx;
    struct setup_window s;
    if (msg->header_bytes != sizeof s) return;
    memcpy(&s, msg->header, sizeof s);
    p->handle = s.handle;
    p->order_size = s.size;
    p->order_slots = s.slots;
    p->order_written = s.written;
    atomic_store(&p->order, ORDER_SETUP);
}

static void on_window(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                      struct weft_action *action) {
    struct window_pair *p = ctx;
    struct answer a;
    if (msg->header_bytes != sizeof a) return;
    memcpy(&a, msg->header, sizeof a);
    p->handle = a.handle;
    p->answer_status = a.status;
    atomic_store(&p->answered, 1);
}

static void on_echo(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                    struct weft_action *action) {
    struct window_pair *p = ctx;
    struct echo e;
    if (msg->header_bytes != sizeof e) return;
    memcpy(&e, msg->header, sizeof e);
    p->order_turn = e.turn;
    p->order_count = e.count;
    atomic_store(&p->order, ORDER_ECHO);
}

static int on_accept(void *ctx, struct weft_peer *peer, struct weft_id id) {
    struct window_pair *p = ctx;
    p->peer = peer;
    return 0;
}

static void on_down(void *ctx, struct weft_peer *peer, int status) {
    struct window_pair *p = ctx;
    atomic_store(&p->down, status ? status : WEFT_E_PEER_LOST);
}

static int open_fabric(struct window_pair *p, const struct bench_options *o) {
    struct weft_config c;
    const struct weft_handler handlers[HANDLERS] = {
        [ON_WINDOW] = {on_window, p}, [ON_SETUP_WINDOW] = {on_setup, p}, [ON_ECHO] = {on_echo, p}};
    weft_config_init(&c);
    c.flags = WEFT_ALONE;
    c.adapters = o->adapter;
    c.handlers = handlers;
    c.handler_count = HANDLERS;
    c.on_accept = on_accept;
    c.on_peer_down = on_down;
    c.ctx = p;
    return weft_open(&p->w, &c);
}

/* -- memory -- */

static void drop_memory(struct window_pair *p) {
    if (p->exported) weft_window_revoke(p->exported, SLICE_NS);
    weft_free(p->w, p->window, p->bytes);
    weft_free(p->w, p->data, p->bytes);
    p->exported = NULL;
    p->window = p->data = NULL;
}

static int make_memory(struct window_pair *p, uint64_t size, uint32_t slots,
                       struct weft_window_handle *handle) {
    void *window = NULL, *data = NULL;
    if (!slots || slots > WINDOW_SLOTS_MAX || size > BENCH_SIZE_MAX) return WEFT_E_PROTO;
    drop_memory(p);
    p->size = size;
    p->slots = slots;
    p->stride = (size + LINE - 1) / LINE * LINE;
    p->bytes = p->stride * slots + LINE;
    int rc = weft_alloc(p->w, p->bytes, &window);
    p->window = window;
    if (!rc) rc = weft_alloc(p->w, p->bytes, &data);
    p->data = data;
    if (rc) return rc;
    memset(window, 1, p->bytes - LINE); /* the flag stays zero */
    memset(data, 1, p->bytes);
    return weft_window_export(p->w, weft_buf_ptr(p->window, p->bytes), WEFT_READ | WEFT_WRITE, NULL,
                              &p->exported, handle);
}

static void write_slot(const struct window_pair *p, uint32_t slot) {
    uint8_t *at = p->data + slot * p->stride;
    for (uint64_t i = 0; p->written && i + sizeof i <= p->size; i += LINE) {
        volatile uint64_t *word = (volatile uint64_t *)(void *)(at + i);
        *word = *word + 1;
    }
}

/* -- a put that is seen -- */

static int put(struct window_pair *p, uint64_t offset, const void *from, size_t bytes,
               const struct weft_notify *notify) {
    int rc;
    while ((rc = weft_put(&p->remote, offset, weft_buf_ptr(from, bytes), notify)) == WEFT_E_LIMIT)
        weft_poll(p->w);
    return rc;
}

/* The data, and behind it the number of the turn, which the peer waits for. Of 8 B the number is the data. */
static int put_turn(struct window_pair *p, uint64_t turn) {
    uint64_t *flag = &p->flag[turn % 2];
    int rc = 0;
    if (p->size > sizeof *flag) rc = put(p, 0, p->data + turn % 2 * p->stride, p->size, NULL);
    if (!rc && p->size > WEFT_EAGER_MAX) rc = weft_fence(p->peer);
    *flag = turn;
    return rc ? rc : put(p, p->stride * p->slots, flag, sizeof *flag, NULL);
}

static int await_turn(struct window_pair *p, uint64_t turn) {
    const uint64_t *flag = (const uint64_t *)(const void *)(p->window + p->stride * p->slots);
    uint64_t start_ns = 0;
    for (uint32_t polls = 1; __atomic_load_n(flag, __ATOMIC_ACQUIRE) != turn; polls++) {
        weft_poll(p->w);
        if (polls % LOOK_POLLS) continue;
        if (!start_ns) start_ns = weft_now_ns();
        if (atomic_load(&p->down)) return atomic_load(&p->down);
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
        if (weft_now_ns() - start_ns > SLICE_NS * SLICES) return WEFT_E_TIMEDOUT;
    }
    return 0;
}

/* -- the other process -- */

static int has_order(void *arg) {
    struct window_pair *p = arg;
    return atomic_load_explicit(&p->order, memory_order_acquire) != ORDER_NONE || atomic_load(&p->down);
}

static void set_up(struct window_pair *p) {
    struct answer a = {.status = 0};
    p->written = p->order_written;
    a.status = make_memory(p, p->order_size, p->order_slots, &a.handle);
    if (!a.status) a.status = weft_window_import(p->peer, &p->handle, &p->remote);
    weft_send_eager(p->peer, ON_WINDOW, &a, sizeof a, NULL, 0);
}

static void echo(struct window_pair *p) {
    uint64_t turn = p->order_turn;
    for (uint64_t i = 0; i < p->order_count && !await_turn(p, ++turn); i++) {
        if (put_turn(p, turn)) return;
        write_slot(p, (turn + 1) % 2);
    }
}

/* Connected, its end is told by the fabric. */
static bool first_is_gone(const struct window_pair *p) {
    char byte;
    if (p->peer) return atomic_load(&p->down);
    return recv(p->control, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static void serve(struct window_pair *p) {
    for (;;) {
        int rc = weft_wait(p->w, has_order, p, p->peer ? WEFT_FOREVER : SLICE_NS);
        if ((rc && rc != WEFT_E_TIMEDOUT) || first_is_gone(p)) return;
        int order = atomic_exchange(&p->order, ORDER_NONE);
        if (order == ORDER_SETUP) set_up(p);
        if (order == ORDER_ECHO) echo(p);
    }
}

struct greeting {
    int status;
    struct weft_address address;
};

static _Noreturn void be_the_other(struct window_pair *p, const struct bench_options *o) {
    struct greeting g = {.status = 0};
    pid_t first = getppid();
    if (o->pin) bench_process_pin(o->cpu[1]);
    g.status = open_fabric(p, o);
    if (!g.status) g.status = weft_own_address(p->w, &g.address);
    if (send(p->control, &g, sizeof g, MSG_NOSIGNAL) != sizeof g || g.status) _exit(1);
    serve(p);
    weft_close(p->w, 100);
    bench_process_clean_up(p->control, false, first);
    _exit(0);
}

/* -- the first process -- */

static int hear(struct window_pair *p, struct greeting *g) {
    ssize_t n;
    while ((n = recv(p->control, g, sizeof *g, 0)) < 0 && errno == EINTR)
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    return n == sizeof *g ? g->status : WEFT_E_PEER_LOST;
}

int window_pair_open(struct window_pair *p, const struct bench_options *o) {
    static struct greeting g;
    *p = (struct window_pair){.control = -1};
    int rc = bench_process_start(&p->other, &p->control);
    if (!rc && !p->other) be_the_other(p, o);
    if (!rc && o->pin) bench_process_pin(o->cpu[0]);
    if (!rc) rc = hear(p, &g);
    if (!rc) rc = open_fabric(p, o);
    struct weft_peer *peer = NULL;
    if (!rc) rc = weft_connect(p->w, &g.address, NULL, &peer);
    p->peer = peer;
    if (!rc) rc = weft_connect_wait(p->peer, CONNECT_NS);
    if (rc && rc != WEFT_E_INTR)
        fprintf(stderr, "weft: no windows over adapter %s here: %s\n", o->adapter, weft_error_text(rc));
    return rc;
}

void window_pair_close(struct window_pair *p) {
    bool ended = !p->peer || weft_flush_wait(p->peer, CLOSE_NS) != WEFT_E_TIMEDOUT;
    if (p->w && ended) drop_memory(p); /* else what is under way needs it as long as the process lives */
    if (p->control >= 0) bench_process_say(p->control);
    weft_close(p->w, 100);
    if (p->control >= 0) close(p->control);
    if (p->other > 0) bench_process_await(p->other);
}

static int wait_for(struct window_pair *p, int (*done)(void *arg), void *arg) {
    for (int i = 0; i < SLICES; i++) {
        int rc = weft_wait(p->w, done, arg, SLICE_NS);
        if (rc != WEFT_E_TIMEDOUT) return rc;
        if (atomic_load(&p->down)) return atomic_load(&p->down);
        if (atomic_load(&bench_interrupted)) return WEFT_E_INTR;
    }
    return WEFT_E_TIMEDOUT;
}

static int is_answered(void *arg) { return atomic_load(&((struct window_pair *)arg)->answered); }

static int set_up_both(struct window_pair *p, uint64_t size, uint32_t slots) {
    struct setup_window s = {.size = size, .slots = slots, .written = p->written};
    int rc = make_memory(p, size, slots, &s.handle);
    atomic_store(&p->answered, 0);
    if (!rc) rc = weft_send_eager(p->peer, ON_SETUP_WINDOW, &s, sizeof s, NULL, 0);
    if (!rc) rc = wait_for(p, is_answered, p);
    if (!rc) rc = p->answer_status;
    return rc ? rc : weft_window_import(p->peer, &p->handle, &p->remote);
}

/* -- measuring -- */

static int take_puts(void *ctx, uint64_t count, struct bench_sample *s) {
    struct window_pair *p = ctx;
    struct echo e = {.turn = p->turn, .count = count};
    int rc = weft_send_eager(p->peer, ON_ECHO, &e, sizeof e, NULL, 0);
    uint64_t start = weft_now_ns();
    for (; s->count < count && !rc; s->count++) {
        write_slot(p, (p->turn + 1) % 2);
        uint64_t before = weft_now_ns();
        rc = put_turn(p, ++p->turn);
        if (!rc) rc = await_turn(p, p->turn);
        /* The first one may have to wake the other process. */
        if (s->count || count == 1) bench_values_add(&s->values, (double)(weft_now_ns() - before) / 2e9);
    }
    s->ns = weft_now_ns() - start;
    return rc;
}

static void ended(void *arg, int status) {
    struct window_slot *slot = arg;
    if (status) atomic_store(&slot->pair->failed, status);
    atomic_store_explicit(&slot->busy, false, memory_order_release);
}

static int is_free(void *arg) {
    return !atomic_load_explicit(&((struct window_slot *)arg)->busy, memory_order_acquire);
}

static int await_free(struct window_pair *p, struct window_slot *slot) {
    int rc = is_free(slot) ? 0 : wait_for(p, is_free, slot);
    return rc ? rc : atomic_load(&p->failed);
}

static int begin(struct window_pair *p, bool get, uint32_t i) {
    struct window_slot *slot = &p->slot[i];
    struct weft_done done = {.fn = ended, .arg = slot};
    struct weft_notify notify = {.completion = done};
    uint64_t at = i * p->stride;
    int rc = await_free(p, slot);
    if (rc) return rc;
    if (!get) write_slot(p, i);
    atomic_store(&slot->busy, true);
    if (!get) {
        rc = put(p, at, p->data + at, p->size, &notify);
    } else {
        while ((rc = weft_get_buffer(&p->remote, at, weft_buf_ptr(p->data + at, p->size), &done)) ==
               WEFT_E_LIMIT)
            weft_poll(p->w);
    }
    if (rc) atomic_store(&slot->busy, false);
    return rc;
}

static int take_gets(void *ctx, uint64_t count, struct bench_sample *s) {
    struct window_pair *p = ctx;
    int rc = 0;
    uint64_t start = weft_now_ns();
    for (; s->count < count && !rc; s->count++) {
        uint64_t before = weft_now_ns();
        rc = begin(p, true, 0);
        if (!rc) rc = await_free(p, &p->slot[0]);
        if (s->count || count == 1) bench_values_add(&s->values, (double)(weft_now_ns() - before) / 1e9);
    }
    s->ns = weft_now_ns() - start;
    return rc;
}

static int stream(struct window_pair *p, uint64_t count, bool get, struct bench_sample *s) {
    int rc = 0;
    uint64_t start = weft_now_ns();
    for (uint64_t i = 0; i < count && !rc; i++) rc = begin(p, get, (uint32_t)(i % p->slots));
    for (uint32_t i = 0; i < p->slots && !rc; i++) rc = await_free(p, &p->slot[i]);
    s->ns = weft_now_ns() - start;
    s->count = count;
    if (!rc) bench_values_add(&s->values, (double)count / ((double)s->ns / 1e9));
    return rc;
}

static int stream_puts(void *ctx, uint64_t count, struct bench_sample *s) {
    return stream(ctx, count, false, s);
}
static int stream_gets(void *ctx, uint64_t count, struct bench_sample *s) {
    return stream(ctx, count, true, s);
}

static int calibrate(struct bench_source *source, uint64_t count) {
    struct bench_sample s = {0};
    int rc = source->take(source->ctx, count, &s);
    s.count = 0;
    if (!rc) rc = source->take(source->ctx, count, &s);
    source->unit_ns = s.ns / count + 1;
    bench_values_free(&s.values);
    return rc;
}

int window_pair_setup(struct window_pair *p, const struct bench_options *o, uint64_t size,
                      struct bench_source *one, struct bench_source *many) {
    uint64_t slots = o->window ? o->window : IN_FLIGHT / size;
    slots = slots > WINDOW_SLOTS_MAX ? WINDOW_SLOTS_MAX : slots < SLOTS_MIN ? SLOTS_MIN : slots;
    bool get = o->kind == BENCH_GET;
    p->written = o->written;
    p->turn = 0;
    int rc = set_up_both(p, size, (uint32_t)slots);
    for (uint32_t i = 0; i < WINDOW_SLOTS_MAX; i++) p->slot[i].pair = p;
    *one = (struct bench_source){.take = get ? take_gets : take_puts, .ctx = p, .least = 2};
    *many = (struct bench_source){.take = get ? stream_gets : stream_puts, .ctx = p, .least = 2 * slots};
    if (!rc) rc = calibrate(one, WARM_UP);
    if (!rc) rc = calibrate(many, slots);
    return rc;
}
