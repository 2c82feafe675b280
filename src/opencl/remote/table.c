/* Remote: the handles that this side makes. An index is used again, with the next generation, once its
 * RELEASE was sent and nothing under way names it. */
#include <stdlib.h>
#include <string.h>

#include "opencl/remote/internal.h"

static bool grow(struct remote_node *n) {
    uint32_t old = n->slot_count, count = old ? old * 2 : 64;
    if (count > WIRE_HANDLES_MAX) return false;
    struct remote_slot *slots = realloc(n->slots, count * sizeof *slots);
    if (!slots) return false;
    memset(slots + old, 0, (count - old) * sizeof *slots);
    for (uint32_t i = old ? old : 1; i < count; i++) slots[i].next_free = i + 1 < count ? i + 1 : 0;
    n->slots = slots;
    n->slot_count = count;
    n->first_free = old ? old : 1;
    return true;
}

uint64_t remote_slot_take(struct remote_node *n, enum bk_kind kind, void *record) {
    if (!n->first_free && !grow(n)) return 0;
    uint32_t index = n->first_free;
    struct remote_slot *s = &n->slots[index];
    n->first_free = s->next_free;
    if (!++s->generation) s->generation = 1;
    s->kind = (uint8_t)kind;
    s->record = record;
    return wire_handle(index, s->generation);
}

static struct remote_slot *at(struct remote_node *n, uint64_t handle) {
    uint32_t index = wire_handle_index(handle);
    if (!index || index >= n->slot_count) return NULL;
    struct remote_slot *s = &n->slots[index];
    return s->kind && s->generation == wire_handle_generation(handle) ? s : NULL;
}

bool remote_slot_is(struct remote_node *n, uint64_t handle, enum bk_kind kind) {
    struct remote_slot *s = at(n, handle);
    return s && s->kind == kind;
}

void *remote_slot_record(struct remote_node *n, uint64_t handle, enum bk_kind kind) {
    struct remote_slot *s = at(n, handle);
    return s && s->kind == kind ? s->record : NULL;
}

void remote_slot_free(struct remote_node *n, uint64_t handle) {
    struct remote_slot *s = at(n, handle);
    if (!s) return;
    s->kind = 0;
    s->record = NULL;
    s->next_free = n->first_free;
    n->first_free = wire_handle_index(handle);
}

uint64_t remote_handle(struct remote_node *n, enum bk_kind kind, void *record) {
    pthread_mutex_lock(&n->lock);
    uint64_t handle = remote_slot_take(n, kind, record);
    pthread_mutex_unlock(&n->lock);
    return handle;
}

void remote_queue_put(struct remote_queue *q) {
    if (!q || --q->holds) return;
    pthread_mutex_destroy(&q->host_lock);
    free(q);
}

void remote_release(struct backend *b, enum bk_kind kind, bk_ref ref) {
    struct remote_node *n = remote_node_of(b);
    pthread_mutex_lock(&n->lock);
    bool there = remote_slot_is(n, ref, kind);
    struct remote_record *r = kind == BK_EVENT ? remote_slot_record(n, ref, kind) : NULL;
    if (r && r->released) there = false;
    if (r) r->released = true;
    pthread_mutex_unlock(&n->lock);
    if (!there) return;
    struct wire_out out;
    wire_begin(&out, RELEASE, release, .object = ref);
    remote_send_unhurried(n, &out, NULL, 0);
    if (r) {
        remote_record_put(r);
        return;
    }
    pthread_mutex_lock(&n->lock);
    if (kind == BK_QUEUE) remote_queue_put(remote_slot_record(n, ref, kind));
    struct remote_mem *m = kind == BK_MEM ? remote_slot_record(n, ref, kind) : NULL;
    struct remote_context *c = kind == BK_CONTEXT ? remote_slot_record(n, ref, kind) : NULL;
    remote_slot_free(n, ref);
    pthread_mutex_unlock(&n->lock);
    remote_mem_drop(m);
    free(c);
}
