/* shm peers: the tables of links and peers, and how a peer goes. Nothing is freed while a poll is under way:
 * its callbacks may disconnect any peer. */
#include "adapter/shm_internal.h"
#include "base/error.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What epoll hands back: the link, with the lowest bit set for its pidfd (or what SHM_EVENT_LEAVING says). */
int shm_watch(struct shm *s, struct shm_link *l) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = (uintptr_t)l};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, l->sock, &e) ? WEFT_E_NOMEM : 0;
}

/* For peers' links only: a newcomer, which may be freed between two events of a batch, must not have two. */
static void watch_death(struct shm *s, struct shm_link *l) {
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uintptr_t)l | 1};
    if (l->pidfd >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, l->pidfd, &e))
        weft_warn("shm", "process %d is watched by its socket only: %m", l->pid);
}

void shm_unwatch(struct shm *s, struct shm_link *l) {
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, l->sock, NULL);
    if (l->pidfd >= 0) epoll_ctl(s->epoll, EPOLL_CTL_DEL, l->pidfd, NULL);
}

static void links_add(struct shm *s, struct shm_link *l) {
    s->fresh_count++;
    weft_list_push_back(&s->fresh, &l->node);
}

void shm_links_take_in(struct shm *s) {
    if (s->link_count + s->fresh_count > s->link_cap) {
        size_t cap = s->link_cap ? 2 * s->link_cap : 16;
        while (cap < s->link_count + s->fresh_count) cap *= 2;
        struct shm_link **links = realloc(s->links, cap * sizeof *links);
        if (!links) return; /* tried again at the next poll */
        s->links = links;
        s->link_cap = cap;
    }
    for (struct weft_list *n; (n = weft_list_pop_front(&s->fresh)); s->fresh_count--) {
        struct shm_link *l = weft_list_entry(n, struct shm_link, node);
        l->index = s->link_count;
        s->links[s->link_count++] = l;
    }
}

void shm_link_cool(struct shm *s, const struct shm_link *l) {
    size_t n = 0;
    for (size_t i = 0; i < SHM_HOT_MAX; i++)
        if (s->hot[i] && s->hot[i] != l) s->hot[n++] = s->hot[i];
    while (n < SHM_HOT_MAX) s->hot[n++] = NULL;
}

static void links_remove(struct shm *s, struct shm_link *l) {
    if (l->index == SIZE_MAX) {
        if (!weft_list_empty(&l->node)) s->fresh_count--;
        weft_list_remove(&l->node);
        return;
    }
    s->links[l->index] = NULL;
    l->index = SIZE_MAX;
    s->holes = true;
    shm_link_cool(s, l);
}

static void links_compact(struct shm *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->link_count; i++) {
        if (!s->links[i]) continue;
        s->links[n] = s->links[i];
        s->links[n]->index = n;
        n++;
    }
    s->link_count = n;
    s->holes = false;
}

void shm_peer_add_link(struct shm *s, struct adapter_peer *peer, struct shm_link *link) {
    links_add(s, link);
    link->peer = peer;
    watch_death(s, link);
    peer->link[peer->link[0] ? 1 : 0] = link;
}

int shm_peer_add(struct shm *s, const struct shm_address *address, struct shm_link *link,
                 struct adapter_peer **out) {
    struct adapter_peer *p = calloc(1, sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    p->address = *address;
    p->blob_bytes = shm_address_encode(address, p->blob);
    int rc = weft_map_put(&s->peers, address->token, p);
    if (rc) {
        free(p);
        return rc;
    }
    shm_views_init(&p->views);
    weft_map_init(&p->told);
    shm_peer_add_link(s, p, link);
    p->listed = true;
    weft_list_push_back(&s->all, &p->node);
    *out = p;
    return 0;
}

static void unlist(struct shm *s, struct adapter_peer *peer) {
    if (peer->listed) weft_map_remove(&s->peers, peer->address.token);
    peer->listed = false;
}

void shm_peer_hang_up(struct shm *s, struct adapter_peer *peer) {
    unlist(s, peer);
    for (int i = 0; i < 2; i++) {
        struct shm_link *l = peer->link[i];
        if (!l || l->hung) continue;
        l->hung = true;
        shm_unwatch(s, l);
    }
}

struct adapter_peer *shm_peer_find(struct shm *s, uint64_t token) {
    struct adapter_peer *peer = weft_map_get(&s->peers, token);
    if (!peer || !shm_link_hung_up(peer->link[0])) return peer;
    shm_peer_hang_up(s, peer);
    return NULL;
}

/* The memory goes, the descriptors stay until the peer is freed: shm_read() may be using them. */
static void detach_links(struct shm *s, struct adapter_peer *peer) {
    shm_peer_hang_up(s, peer);
    for (int i = 0; i < 2; i++) {
        struct shm_link *l = peer->link[i];
        if (!l || !l->control) continue;
        links_remove(s, l);
        shm_link_unmap(l);
        shutdown(l->sock, SHUT_RDWR);
    }
}

void shm_peer_lose(struct shm *s, struct adapter_peer *peer) {
    if (peer->lost) return;
    detach_links(s, peer);
    peer->lost = true;
    shm_leftover_take(s, peer);
    if (peer->holds == 0) {
        shm_peer_free(s, peer);
        return;
    }
    shm_count(SHM_PEERS_LOST, 1);
    weft_info("shm", "process %u is gone", peer->address.pid);
    s->callbacks.on_peer_lost(s->callbacks.ctx, &s->base, peer, false);
}

void shm_peer_free(struct shm *s, struct adapter_peer *peer) {
    /* A send or a read may have told the caller of the end, who then did not wait for shm_peer_lose(). */
    if (!peer->lost && (atomic_load(&peer->dead) || shm_link_hung_up(peer->link[0])))
        shm_leftover_take(s, peer);
    detach_links(s, peer);
    peer->lost = true;
    weft_list_remove(&peer->node);
    weft_list_push_back(&s->graves, &peer->node);
    if (!s->in_poll) shm_peers_bury(s);
}

void shm_peers_bury(struct shm *s) {
    struct weft_list *n;
    while ((n = weft_list_pop_front(&s->graves))) {
        struct adapter_peer *p = weft_list_entry(n, struct adapter_peer, node);
        for (int i = 0; i < 2; i++)
            if (p->link[i]) shm_link_destroy(p->link[i]);
        shm_views_fini(&p->views);
        weft_map_fini(&p->told);
        free(p);
    }
    if (s->holes) links_compact(s);
}
