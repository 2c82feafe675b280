/* Object pools: type-stable slots in 64 KiB chunks, a table of all chunks, and free lists in order of
 * release. */
#include "opencl/front/object.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 65536u
#define CHUNK_HEAD  64u /* bytes before the first slot */
#define TABLE_BITS  14  /* at most 16384 chunks: 1 GiB of objects */
#define TABLE_SIZE  (1u << TABLE_BITS)
#define STALE_SLOTS 128 /* a freed slot is used again after that many later ones */

struct chunk {
    uint32_t kind, slot_bytes;
};

struct pool {
    pthread_mutex_t lock;
    struct object *free_head, *free_tail;
    size_t free_count;
    char *fresh, *fresh_end; /* never used slots of the newest chunk */
    void (*_Atomic end)(void *object);
};

static struct pool pools[OBJECT_KINDS] = {[0 ... OBJECT_KINDS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};
static _Atomic uintptr_t table[TABLE_SIZE];
static unsigned table_count;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static unsigned table_start(uintptr_t chunk) {
    return (unsigned)((chunk / CHUNK_BYTES) * 0x9e3779b97f4a7c15ull >> (64 - TABLE_BITS));
}

static bool table_add(uintptr_t chunk) {
    pthread_mutex_lock(&table_lock);
    bool room = table_count < TABLE_SIZE / 2;
    if (room) {
        unsigned i = table_start(chunk);
        while (atomic_load_explicit(&table[i], memory_order_relaxed)) i = (i + 1) % TABLE_SIZE;
        atomic_store_explicit(&table[i], chunk, memory_order_release);
        table_count++;
    }
    pthread_mutex_unlock(&table_lock);
    return room;
}

static bool table_has(uintptr_t chunk) {
    for (unsigned i = table_start(chunk);; i = (i + 1) % TABLE_SIZE) {
        uintptr_t found = atomic_load_explicit(&table[i], memory_order_acquire);
        if (found == chunk) return true;
        if (!found) return false;
    }
}

static bool add_chunk(struct pool *p, enum object_kind kind, size_t slot_bytes) {
    struct chunk *c = aligned_alloc(CHUNK_BYTES, CHUNK_BYTES);
    if (!c) return false;
    memset(c, 0, CHUNK_BYTES);
    *c = (struct chunk){.kind = kind, .slot_bytes = (uint32_t)slot_bytes};
    if (!table_add((uintptr_t)c)) {
        free(c);
        return false;
    }
    p->fresh = (char *)c + CHUNK_HEAD;
    p->fresh_end = p->fresh + (CHUNK_BYTES - CHUNK_HEAD) / slot_bytes * slot_bytes;
    return true;
}

static struct object *take_free(struct pool *p) {
    struct object *o = p->free_head;
    p->free_head = o->next_free;
    if (!p->free_head) p->free_tail = NULL;
    p->free_count--;
    return o;
}

static struct object *take_slot(struct pool *p, enum object_kind kind, size_t bytes) {
    if (p->free_count > STALE_SLOTS) return take_free(p);
    if (p->fresh == p->fresh_end && !add_chunk(p, kind, bytes)) return p->free_head ? take_free(p) : NULL;
    struct object *o = (struct object *)p->fresh;
    p->fresh += bytes;
    o->dispatch = &front_dispatch;
    o->kind = kind;
    return o;
}

void *object_new(enum object_kind kind, size_t bytes, void (*end)(void *object)) {
    struct pool *p = &pools[kind];
    bytes = (bytes + 15) / 16 * 16;
    pthread_mutex_lock(&p->lock);
    struct object *o = take_slot(p, kind, bytes);
    pthread_mutex_unlock(&p->lock);
    if (!o) return NULL;
    atomic_store_explicit(&p->end, end, memory_order_relaxed);
    memset(o + 1, 0, bytes - sizeof *o);
    o->serial++;
    o->next_free = NULL;
    atomic_store_explicit(&o->holds, 1, memory_order_relaxed);
    atomic_store_explicit(&o->refs, 1, memory_order_release);
    return o;
}

bool object_is_slot(const void *address, enum object_kind kind) {
    uintptr_t a = (uintptr_t)address, base = a & ~(uintptr_t)(CHUNK_BYTES - 1);
    if (!base || !table_has(base)) return false;
    const struct chunk *c = (const struct chunk *)base;
    return c->kind == (uint32_t)kind && a - base >= CHUNK_HEAD &&
           (a - base - CHUNK_HEAD) % c->slot_bytes == 0;
}

void *object_check(const void *handle, enum object_kind kind) {
    if (!object_is_slot(handle, kind)) return NULL;
    struct object *o = (struct object *)handle;
    return atomic_load_explicit(&o->refs, memory_order_acquire) ? o : NULL;
}

bool object_retain_live(void *object) {
    struct object *o = object;
    uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
    do
        if (refs == 0) return false;
    while (!atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1, memory_order_acq_rel,
                                                  memory_order_relaxed));
    return true;
}

bool object_release(void *object) {
    struct object *o = object;
    uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
    do
        if (refs == 0) return false; /* released twice at the same time by two threads */
    while (!atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs - 1, memory_order_acq_rel,
                                                  memory_order_relaxed));
    return refs == 1;
}

void object_drop_last(struct object *o) {
    struct pool *p = &pools[o->kind];
    void (*end)(void *) = atomic_load_explicit(&p->end, memory_order_relaxed);
    if (end) end(o);
    atomic_store_explicit(&o->refs, 0, memory_order_relaxed); /* an object that the program never saw */
    pthread_mutex_lock(&p->lock);
    o->next_free = NULL;
    if (p->free_tail)
        p->free_tail->next_free = o;
    else
        p->free_head = o;
    p->free_tail = o;
    p->free_count++;
    pthread_mutex_unlock(&p->lock);
}
