/* Remote: contents that need not travel again. The executor keeps what large writes brought, in slots that
 * this side hands out; a write of the same contents later names the slot instead. What is the same is known
 * by its SHA-256, so only where data travels slower than it is hashed.
 *
 * A slot is used again when its data has wholly left and been stored there. Looking for one and sending the
 * command that names it are one step under the lock: no other command gives the slot another content in
 * between, and the executor hears of a slot's contents before it is named. It may be named while they are on
 * their way: the devices of a node that begin with the same operand at the same time get it once. The
 * contents are those that the memory had when the write was enqueued: OpenCL forbids to change it before the
 * write has completed. */
#include <string.h>

#include "base/option.h"
#include "opencl/remote/internal.h"
#include "transport/crypto.h"

#define LEAST_BYTES    ((size_t)64 << 10)
#define MEASURED_BYTES ((uint64_t)1 << 20)   /* before that the rate is not known */
#define UNMEASURED_MIN ((size_t)256 << 10)   /* kept even so: to send it again over a slow line takes long */
#define AGED_BYTES     ((uint64_t)256 << 20) /* what was measured counts half */
#define SAMPLE         16u
#define LATENCY_NS                                                                                           \
    (100 * WEFT_NS_PER_US) /* waking threads and the device's work: no matter of the line's rate */

_Static_assert(CRYPTO_HASH_BYTES == REMOTE_HASH_BYTES, "a content's name is its hash");

void remote_reuse_init(struct remote_reuse *u) {
    pthread_mutex_init(&u->lock, NULL);
    u->cap_bytes = (size_t)weft_option_int("opencl_reuse_bytes");
    u->least_Bps = (uint64_t)weft_option_int("opencl_reuse_rate");
}

/* ---- how fast data travels; under the node's lock ---- */

void remote_rate_begin(struct remote_rate *r, uint64_t now) {
    if (r->under_way++) return;
    r->since_ns = now;
    r->spared_ns = LATENCY_NS;
}

void remote_rate_end(struct remote_rate *r, uint64_t now, size_t bytes) {
    uint64_t took_ns = now - r->since_ns, spared_ns = took_ns < r->spared_ns ? took_ns : r->spared_ns;
    r->bytes += bytes;
    r->busy_ns += took_ns - spared_ns;
    r->spared_ns -= spared_ns;
    r->since_ns = now;
    r->under_way--;
    if (r->bytes < AGED_BYTES) return;
    r->bytes /= 2;
    r->busy_ns /= 2;
}

/* Before the rate is known, small writes only help to measure it: to keep them takes memory that is touched
 * for the first time, and they would look slow for that. */
static bool is_slow(struct remote_node *n, size_t bytes) {
    pthread_mutex_lock(&n->lock);
    struct remote_rate r = n->rate;
    pthread_mutex_unlock(&n->lock);
    if (r.bytes < MEASURED_BYTES) return bytes >= UNMEASURED_MIN;
    return (double)r.bytes * WEFT_NS_PER_S < (double)n->reuse.least_Bps * (double)r.busy_ns;
}

/* ---- slots; under the lock ---- */

/* What is there, or comes. */
static struct remote_kept *find(struct remote_reuse *u, const uint8_t *hash, size_t bytes) {
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) {
        struct remote_kept *k = &u->kept[i];
        int state = atomic_load(&k->state);
        bool counts = state == REMOTE_KEPT_THERE || state == REMOTE_KEPT_ON_ITS_WAY;
        if (counts && k->bytes == bytes && !memcmp(k->hash, hash, sizeof k->hash)) return k;
    }
    return NULL;
}

/* Nothing is under way for it, but it has room. */
static bool is_over(int state) { return state == REMOTE_KEPT_THERE || state == REMOTE_KEPT_LOST; }

/* A free slot, else the one that was not used for longest; NULL: all are on their way. */
static struct remote_kept *choose(struct remote_reuse *u, bool free_too) {
    struct remote_kept *best = NULL;
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) {
        struct remote_kept *k = &u->kept[i];
        int state = atomic_load(&k->state);
        if (state == REMOTE_KEPT_FREE && free_too) return k;
        if (is_over(state) && (!best || k->used < best->used)) best = k;
    }
    return best;
}

static uint64_t number_of(const struct remote_reuse *u, const struct remote_kept *k) {
    return (uint64_t)(k - u->kept) + 1;
}

/* As the executor rounds. */
static size_t room_for(size_t bytes) {
    size_t room = LEAST_BYTES;
    while (room < bytes) room *= 2;
    return room;
}

static bool make_room(struct remote_node *n, size_t bytes) {
    struct remote_reuse *u = &n->reuse;
    while (u->used_bytes + room_for(bytes) > u->cap_bytes) {
        struct remote_kept *k = choose(u, false);
        struct wire_out msg;
        if (!k) return false;
        wire_begin(&msg, FORGET, forget, .slot = number_of(u, k));
        if (!remote_send(n, &msg, NULL, 0, NULL, NULL)) return false;
        u->used_bytes -= room_for(k->bytes);
        atomic_store(&k->state, REMOTE_KEPT_FREE);
    }
    return true;
}

static void keep(struct remote_node *n, struct remote_reuse_choice *choice, const uint8_t *hash,
                 size_t bytes) {
    struct remote_reuse *u = &n->reuse;
    struct remote_kept *k = make_room(n, bytes) ? choose(u, true) : NULL;
    if (!k) return;
    if (is_over(atomic_load(&k->state))) u->used_bytes -= room_for(k->bytes);
    u->used_bytes += room_for(bytes);
    memcpy(k->hash, hash, sizeof k->hash);
    k->bytes = bytes;
    k->used = ++u->clock;
    atomic_store(&k->state, REMOTE_KEPT_ON_ITS_WAY);
    choice->slot = number_of(u, k);
}

/* Where nothing ever comes again, most writes are not looked at. */
static bool is_worth_it(struct remote_reuse *u) {
    pthread_mutex_lock(&u->lock);
    bool worth = u->missed_bytes <= u->cap_bytes || ++u->skipped % SAMPLE == 0;
    pthread_mutex_unlock(&u->lock);
    return worth;
}

/* ---- for a write ---- */

void remote_reuse_begin(struct remote_node *n, struct remote_reuse_choice *choice, const void *data,
                        size_t bytes) {
    struct remote_reuse *u = &n->reuse;
    uint8_t hash[REMOTE_HASH_BYTES];
    *choice = (struct remote_reuse_choice){0};
    if (bytes < LEAST_BYTES || bytes > u->cap_bytes / 2 || !is_slow(n, bytes)) return;
    if (!is_worth_it(u) || crypto_hash(data, bytes, NULL, 0, hash)) return;
    pthread_mutex_lock(&u->lock);
    choice->locked = true;
    struct remote_kept *k = find(u, hash, bytes);
    if (k) {
        k->used = ++u->clock;
        choice->slot = number_of(u, k);
        choice->known = true;
        u->missed_bytes = 0;
    } else {
        u->missed_bytes += bytes;
        keep(n, choice, hash, bytes);
    }
}

/* After its command was sent, or not. */
void remote_reuse_end(struct remote_node *n, struct remote_reuse_choice *choice, bool sent) {
    if (!choice->locked) return;
    if (choice->slot && !choice->known && !sent) remote_reuse_stored(n, choice->slot, false);
    pthread_mutex_unlock(&n->reuse.lock);
}

/* Without the lock, both: the endpoint calls, and whoever has the lock may be waiting for that. A slot that
 * has nothing keeps its room until it is chosen again, and is not chosen while the endpoint has the data. */
void remote_reuse_stored(struct remote_node *n, uint64_t slot, bool stored) {
    int was = REMOTE_KEPT_ON_ITS_WAY;
    if (!atomic_compare_exchange_strong(&n->reuse.kept[slot - 1].state, &was,
                                        stored ? REMOTE_KEPT_THERE : REMOTE_KEPT_LOST))
        atomic_store(&n->reuse.kept[slot - 1].state, REMOTE_KEPT_LOST);
}

void remote_reuse_lost(struct remote_node *n) {
    for (size_t i = 0; i < WIRE_KEPT_MAX; i++) {
        int was = REMOTE_KEPT_THERE;
        atomic_compare_exchange_strong(&n->reuse.kept[i].state, &was, REMOTE_KEPT_LOST);
    }
}

void remote_reuse_refused(struct remote_node *n, uint64_t slot) {
    if (slot < 1 || slot > WIRE_KEPT_MAX) return;
    int was = REMOTE_KEPT_ON_ITS_WAY;
    if (atomic_compare_exchange_strong(&n->reuse.kept[slot - 1].state, &was, REMOTE_KEPT_REFUSED)) return;
    was = REMOTE_KEPT_THERE;
    atomic_compare_exchange_strong(&n->reuse.kept[slot - 1].state, &was, REMOTE_KEPT_LOST);
}
