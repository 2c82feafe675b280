/* shm receiving: the rings of all links, and, less often or after a sleep, their sockets: newcomers,
 * wake-ups, hang-ups. */
#include "adapter/shm_internal.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLLS_PER_EVENTS 64 /* the sockets cost a system call, a ring costs a cached load */
#define LOOKS_MAX        4  /* links beside the hot ones that peek() looks at each time */
#define EVENTS_MAX       32
#define ACCEPT_MAX       32
#define WAKES_MAX        16

static void newcomer_end(struct shm *s, struct shm_link *l) {
    weft_list_remove(&l->node);
    s->newcomer_count--;
}

static void newcomer_refuse(struct shm *s, struct shm_link *l) {
    shm_unwatch(s, l);
    shm_link_destroy(l);
    shm_count(SHM_LINKS_REFUSED, 1);
}

/* Makes the newcomer's link a peer's: a new peer's, or the second of two that crossed. */
static int newcomer_admit(struct shm *s, struct shm_link *l, const struct shm_address *from) {
    struct adapter_peer *peer = shm_peer_find(s, from->token);
    if (!peer) return shm_peer_add(s, from, l, &peer);
    if (!peer->link[0]->made || peer->link[1]) {
        weft_warn("shm", "refused a further link from process %u", from->pid);
        return WEFT_E_PROTO;
    }
    shm_peer_add_link(s, peer, l);
    return 0;
}

static void newcomer_hello(struct shm *s, struct shm_link *l) {
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    struct shm_address from;
    int rc = shm_link_take(s, l, blob, &blob_bytes, &from);
    if (rc == WEFT_E_AGAIN) return;
    if (!rc && s->armed) shm_link_set_armed(l, true);
    newcomer_end(s, l);
    if (!rc) rc = newcomer_admit(s, l, &from);
    if (rc)
        newcomer_refuse(s, l);
    else
        shm_count(SHM_LINKS_ACCEPTED, 1);
}

/* Owns the socket. */
static void newcomer_add(struct shm *s, int sock) {
    struct shm_link *l = s->newcomer_count < SHM_NEWCOMERS_MAX ? shm_link_create(sock) : NULL;
    if (!l) {
        close(sock);
        shm_count(SHM_LINKS_REFUSED, 1);
        return;
    }
    if (shm_link_identify(l) || shm_watch(s, l)) {
        shm_link_destroy(l);
        shm_count(SHM_LINKS_REFUSED, 1);
        return;
    }
    weft_list_push_back(&s->newcomers, &l->node);
    s->newcomer_count++;
    newcomer_hello(s, l);
}

static void accept_newcomers(struct shm *s) {
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int sock = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (sock >= 0) {
            newcomer_add(s, sock);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN && !s->accept_failed) weft_warn("shm", "newcomers have to wait: accept: %m");
        s->accept_failed = errno != EAGAIN;
        return;
    }
}

/* Reads a link's socket to its end, which may be the end of the link: wake-ups of one byte, and what the peer
 * says of its windows. */
static void socket_event(struct shm *s, struct shm_link *l) {
    uint8_t text[SHM_NOTICE_BYTES];
    for (int i = 0; i < WAKES_MAX; i++) {
        int fd;
        ssize_t n = shm_socket_receive(l->sock, text, sizeof text, &fd);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (n <= 0) {
            shm_peer_hang_up(s, l->peer);
            return;
        }
        if (n > 1 || fd >= 0) shm_window_notice(l, text, (size_t)n, fd);
    }
    /* The wake-up was for a sleeper that is still armed, not for this poll: the next one must be sent too. */
    if (s->armed) shm_link_set_armed(l, true);
}

static void link_event(struct shm *s, struct shm_link *l, bool died) {
    if (!l->peer)
        newcomer_hello(s, l);
    else if (died)
        shm_peer_hang_up(s, l->peer);
    else
        socket_event(s, l);
}

static void events(struct shm *s) {
    struct epoll_event e[EVENTS_MAX];
    int n = epoll_wait(s->epoll, e, EVENTS_MAX, 0);
    s->events_due = n == EVENTS_MAX;
    for (int i = 0; i < n; i++) {
        uint64_t what = e[i].data.u64;
        struct shm_link *l = (struct shm_link *)(uintptr_t)(what & ~1ull);
        if (!what)
            accept_newcomers(s);
        else if (what & SHM_EVENT_LEAVING)
            shm_leftover_event(s, (struct shm_leaving *)(uintptr_t)(what & ~2ull));
        else if (!l->hung)
            link_event(s, l, what & 1);
    }
}

static void release(struct shm_link *l) {
    if (shm_ring_release(&l->rx)) shm_link_wake(l);
}

/* The end of a link that hung up: when its sibling has been read to the end too, the peer is lost. */
static void link_drained(struct shm *s, struct shm_link *l) {
    struct adapter_peer *peer = l->peer;
    l->drained = true;
    shm_link_cool(s, l);
    for (int i = 0; i < 2; i++)
        if (peer->link[i] && !peer->link[i]->drained) return;
    shm_peer_lose(s, peer);
}

static void count_received(size_t len) {
    shm_count(SHM_PACKETS_RECEIVED, 1);
    shm_count(SHM_BYTES_RECEIVED, len);
}

static void deliver(struct shm *s, struct shm_link *l, size_t len) {
    struct adapter_peer *peer = l->peer;
    struct adapter_packet_in in = {.data = s->packet,
                                   .len_bytes = len,
                                   .peer = peer->holds ? peer : NULL,
                                   .from = peer->blob,
                                   .from_bytes = peer->blob_bytes};
    s->callbacks.on_packet(s->callbacks.ctx, &s->base, &in);
}

/* What shm_ring_read() put into s->packet. */
static void fill_message(struct shm *s, struct shm_link *l, size_t len, struct adapter_message *m) {
    m->peer = l->peer->holds ? l->peer : NULL;
    memcpy(&m->word, s->packet, sizeof m->word);
    m->data = s->packet + sizeof m->word;
    m->len_bytes = len - sizeof m->word;
}

static void deliver_message(struct shm *s, struct shm_link *l, size_t len) {
    struct adapter_message m;
    fill_message(s, l, len, &m);
    if (s->callbacks.on_message) s->callbacks.on_message(s->callbacks.ctx, &s->base, &m);
}

static void heat(struct shm *s, struct shm_link *l) {
    if (s->hot[0] == l) return;
    size_t i = 1;
    while (i < SHM_HOT_MAX - 1 && s->hot[i] && s->hot[i] != l) i++;
    memmove(&s->hot[1], &s->hot[0], i * sizeof s->hot[0]);
    s->hot[0] = l;
}

static void nonsense(struct shm *s, struct shm_link *l) {
    weft_warn("shm", "process %d wrote nonsense into its ring: link closed", l->pid);
    shm_peer_hang_up(s, l->peer);
}

/* The callback may disconnect the peer: the link's memory is gone then, the link itself stays until the
 * poll's end. */
static unsigned receive(struct shm *s, struct shm_link *l, unsigned max) {
    unsigned got = 0;
    int rc = 0;
    size_t len;
    while (got < max && (rc = shm_ring_read(&l->rx, s->packet, &len)) > 0) {
        got++;
        count_received(len);
        if (rc == SHM_RECORD_MESSAGE)
            deliver_message(s, l, len);
        else
            deliver(s, l, len);
        if (!l->control) return got;
        if (l->rx.head - l->rx.head_published > l->rx.mask / 4) release(l);
    }
    release(l);
    if (got) heat(s, l);
    if (rc < 0) nonsense(s, l);
    if (l->hung && (rc < 0 || !shm_ring_readable(&l->rx))) link_drained(s, l);
    return got;
}

/* take() tells the writer of room now and then only; here the rest is told. */
static void release_taken(struct shm_link *l) {
    if (l->control && l->rx.head != l->rx.head_published) release(l);
}

int shm_poll(struct adapter *a, unsigned max) {
    struct shm *s = (struct shm *)a;
    s->in_poll = true;
    if (s->events_due || ++s->polls % POLLS_PER_EVENTS == 0) events(s);
    if (s->fresh_count) shm_links_take_in(s);
    unsigned got = 0;
    size_t n = s->link_count, i = s->first < n ? s->first : 0;
    for (size_t k = 0; k < n && got < max; k++, i = i + 1 < n ? i + 1 : 0) {
        struct shm_link *l = s->links[i];
        if (!l || l->drained) continue;
        if (l->hung || shm_ring_readable(&l->rx))
            got += receive(s, l, max - got);
        else
            release_taken(l);
    }
    s->first = i;
    s->in_poll = false;
    if (s->holes || !weft_list_empty(&s->graves)) shm_peers_bury(s);
    return (int)got;
}

/* -- without the lock -- */

bool shm_peek(struct adapter *a) {
    struct shm *s = (struct shm *)a;
    for (size_t i = 0; i < SHM_HOT_MAX && s->hot[i]; i++)
        if (shm_ring_readable(&s->hot[i]->rx)) return true;
    size_t n = s->link_count < LOOKS_MAX ? s->link_count : LOOKS_MAX;
    for (size_t k = 0; k < n; k++) {
        size_t i = s->next_look = s->next_look + 1 < s->link_count ? s->next_look + 1 : 0;
        struct shm_link *l = s->links[i];
        if (!l || l->drained || !shm_ring_readable(&l->rx)) continue;
        heat(s, l);
        return true;
    }
    return false;
}

static struct shm_link *readable_hot(struct shm *s) {
    for (size_t i = 0; i < SHM_HOT_MAX && s->hot[i]; i++)
        if (shm_ring_readable(&s->hot[i]->rx)) return s->hot[i];
    return NULL;
}

int shm_take(struct adapter *a, struct adapter_message *out) {
    struct shm *s = (struct shm *)a;
    struct shm_link *l = readable_hot(s);
    size_t len;
    if (!l || l->drained) return 0;
    if (shm_ring_read_message(&l->rx, s->packet, &len) != SHM_RECORD_MESSAGE)
        return 0; /* poll() finds nonsense too */
    count_received(len);
    fill_message(s, l, len, out);
    if (l->rx.head - l->rx.head_published > l->rx.mask / 4) release(l);
    return 1;
}

/* -- sleeping -- */

static void set_armed(struct shm *s, bool armed) {
    s->armed = armed;
    for (size_t i = 0; i < s->link_count; i++)
        if (!s->links[i]->hung) shm_link_set_armed(s->links[i], armed);
}

static bool anything_to_do(struct shm *s) {
    for (size_t i = 0; i < s->link_count; i++) {
        struct shm_link *l = s->links[i];
        if (l->hung || shm_ring_readable(&l->rx)) return true;
        release_taken(l);
        if (l->room_wanted && shm_ring_want_room(&l->tx)) {
            l->room_wanted = false; /* told once: the sender may have nothing to send any more */
            return true;
        }
    }
    struct pollfd p = {.fd = s->epoll, .events = POLLIN};
    return s->fresh_count || poll(&p, 1, 0) > 0;
}

int shm_arm(struct adapter *a) {
    struct shm *s = (struct shm *)a;
    if (s->fresh_count) shm_links_take_in(s);
    set_armed(s, true);
    if (!anything_to_do(s)) return 0;
    set_armed(s, false);
    s->events_due = true;
    return WEFT_E_AGAIN;
}

void shm_disarm(struct adapter *a) {
    struct shm *s = (struct shm *)a;
    if (!s->armed) return;
    set_armed(s, false);
    s->events_due = true;
}
