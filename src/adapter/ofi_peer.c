/* ofi: peers. A forgotten peer is kept for a while, with its connection: what was sent to it must still go
 * out, and who comes back finds the way made. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The open adapters of this process. The shm provider has its endpoints reach each other without a mapping of
 * their own, and crashes on one that was closed: so such a one is never given to it. */
static struct weft_list here = {&here, &here}; /* of ofi.here */
static pthread_mutex_t here_lock = PTHREAD_MUTEX_INITIALIZER;

void ofi_here_add(struct ofi *s) {
    pthread_mutex_lock(&here_lock);
    weft_list_push_back(&here, &s->here);
    pthread_mutex_unlock(&here_lock);
}

void ofi_here_remove(struct ofi *s) {
    pthread_mutex_lock(&here_lock);
    weft_list_remove(&s->here);
    pthread_mutex_unlock(&here_lock);
}

/* The name alone tells too: what else an address says may be made up. */
static bool is_of_this_process(const struct ofi *s, const struct ofi_address *a) {
    char prefix[32];
    int n = snprintf(prefix, sizeof prefix, "fi_shm://%d:", (int)getpid());
    if (a->format == FI_ADDR_STR) return a->name_bytes > (size_t)n && !memcmp(a->name, prefix, (size_t)n);
    return a->pid == (uint32_t)getpid() && !memcmp(a->host, s->own.host, sizeof a->host);
}

bool ofi_is_closed_here(const struct ofi *s, const struct ofi_address *a) {
    if (!is_of_this_process(s, a)) return false;
    bool found = false;
    pthread_mutex_lock(&here_lock);
    weft_list_for_each(it, &here) {
        const struct ofi_address *own = &weft_list_entry(it, struct ofi, here)->own;
        found |= own->token == a->token && own->name_bytes == a->name_bytes &&
                 !memcmp(own->name, a->name, a->name_bytes);
    }
    pthread_mutex_unlock(&here_lock);
    return !found;
}

static uint64_t hash(uint64_t h, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++) {
        h = (h ^ data[i]) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return h;
}

struct adapter_peer *ofi_peer_find(struct ofi *s, const void *blob, size_t len) {
    struct adapter_peer *p = weft_map_get(&s->peers, hash(s->secret, blob, len));
    return p && p->blob_bytes == len && !memcmp(p->blob, blob, len) ? p : NULL;
}

void ofi_peer_free(struct ofi *s, struct adapter_peer *peer) {
    struct weft_list *n;
    while ((n = weft_list_pop_front(&peer->queue))) weft_list_push_back(&s->tx_free, n);
    weft_list_remove(&peer->backlog);
    weft_list_remove(&peer->hinted);
    weft_list_remove(&peer->idle);
    weft_map_remove(&s->peers, peer->key);
    ofi_death_forget(s, peer);
    if (peer->inserted) fi_av_remove(s->av, &peer->to, 1, 0);
    free(peer);
}

static int peer_new(struct ofi *s, const struct ofi_address *to, const void *blob, size_t len,
                    struct adapter_peer **out) {
    struct adapter_peer *p = calloc(1, sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    p->address = *to;
    p->same_host = !memcmp(to->host, s->own.host, sizeof to->host);
    memcpy(p->blob, blob, len);
    p->blob_bytes = len;
    p->key = hash(s->secret, blob, len);
    weft_list_init(&p->queue);
    weft_list_init(&p->backlog);
    weft_list_init(&p->hinted);
    weft_list_init(&p->idle);
    int rc = weft_map_put(&s->peers, p->key, p);
    if (rc) {
        free(p);
        return rc == WEFT_E_EXIST ? WEFT_E_LIMIT : rc;
    }
    ofi_death_watch(s, p);
    *out = p;
    return 0;
}

int ofi_connect(struct adapter *a, const void *addr, size_t len, struct adapter_peer **out) {
    struct ofi *s = (struct ofi *)a;
    struct ofi_address to;
    int rc = ofi_address_decode(s, addr, len, &to);
    if (rc) return rc;
    if (ofi_is_closed_here(s, &to)) return WEFT_E_REFUSED;
    pthread_mutex_lock(&s->lock);
    struct adapter_peer *p = ofi_peer_find(s, addr, len);
    if (!p) rc = peer_new(s, &to, addr, len, &p);
    if (!rc) {
        if (!weft_list_empty(&p->idle)) {
            weft_list_remove(&p->idle);
            s->idle_count--;
        }
        p->holds++;
        *out = p;
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* Lets the oldest forgotten peers go, but for those with packets under way. */
static void trim_idle(struct ofi *s) {
    weft_list_for_each_safe(it, &s->idle) {
        if (s->idle_count <= OFI_IDLE_MAX) return;
        struct adapter_peer *p = weft_list_entry(it, struct adapter_peer, idle);
        if (p->queued || p->flying) continue;
        ofi_peer_free(s, p);
        s->idle_count--;
    }
}

void ofi_disconnect(struct adapter *a, struct adapter_peer *peer) {
    struct ofi *s = (struct ofi *)a;
    pthread_mutex_lock(&s->lock);
    if (--peer->holds == 0) {
        weft_list_remove(&peer->hinted);
        weft_list_push_back(&s->idle, &peer->idle);
        s->idle_count++;
        trim_idle(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void ofi_peer_suspect(struct ofi *s, struct adapter_peer *peer, uint64_t now) {
    if (!peer->holds || !weft_list_empty(&peer->hinted)) return;
    if (peer->hinted_ns && now < peer->hinted_ns + s->stall_ns) return;
    peer->hinted_ns = now;
    weft_list_push_back(&s->hints, &peer->hinted);
}
