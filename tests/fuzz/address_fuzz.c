/* Addresses of adapters, as another process may give them: decoded, and asked whether they can be reached. */
#include "adapter/adapter.h"
#include "adapter/shm_internal.h"
#include "fuzz.h"

#include <stdlib.h>

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {}
static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {}

static struct adapter *self, *shm, *udp, *sim;

static struct adapter *open_one(const struct adapter_ops *ops, const char *dir) {
    struct adapter *a = NULL;
    struct adapter_config cfg = {.callbacks = {.on_packet = on_packet, .on_peer_lost = on_peer_lost},
                                 .run_dir = dir};
    return ops->open(&a, &cfg) ? NULL : a;
}

static void close_all(void) {
    struct adapter *const all[] = {self, shm, udp, sim};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) all[i]->ops->close(all[i]);
}

static void open_all(void) {
    const char *dir = fuzz_run_dir();
    self = open_one(&adapter_self_ops, dir);
    shm = open_one(&adapter_shm_ops, dir);
    udp = open_one(&adapter_udp_ops, dir);
    sim = open_one(&adapter_sim_ops, dir);
    if (atexit(close_all)) abort();
}

/* An address that can be reached may be connected to; shm would look for the process. */
static void try(struct adapter *a, const uint8_t *data, size_t size, bool connect) {
    struct adapter_peer *peer;
    if (!a) return;
    bool reachable = a->ops->reachable(a, data, size);
    if (!connect || !reachable || a->ops->connect(a, data, size, &peer)) return;
    FUZZ_CHECK(a->ops->path_packet_bytes(a, peer) <= a->attr.packet_max_bytes);
    a->ops->disconnect(a, peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!self) open_all();
    struct shm_address address;
    if (shm_address_decode(data, size, &address) == 0) {
        char path[SHM_SOCKET_PATH_MAX];
        shm_address_socket_path(&address, path);
    }
    if (size > ADAPTER_ADDRESS_MAX) return 0;
    try(self, data, size, true);
    try(shm, data, size, false);
    try(udp, data, size, true);
    try(sim, data, size, true);
    return 0;
}
