/* Live regions, the owner's side: see the design notes in shm_live.h. */
#include "adapter/shm_live.h"

uint32_t shm_live_add(struct shm_live *l, uint64_t serial) {
    for (uint32_t i = 0; i < SHM_LIVE_MAX / 64; i++) {
        if (l->used[i] == UINT64_MAX) continue;
        uint32_t entry = i * 64 + (uint32_t)__builtin_ctzll(~l->used[i]);
        l->used[i] |= 1ull << entry % 64;
        atomic_store_explicit(&l->serial[entry], serial, memory_order_release);
        return entry;
    }
    return SHM_LIVE_MAX;
}

void shm_live_remove(struct shm_live *l, uint32_t entry) {
    if (entry >= SHM_LIVE_MAX) return;
    /* Read-modify-write: no later store of the program, also none past the caches, overtakes it. */
    atomic_exchange(&l->serial[entry], 0);
    l->used[entry / 64] &= ~(1ull << entry % 64);
}
