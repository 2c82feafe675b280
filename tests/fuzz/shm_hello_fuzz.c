/* The hello of a shared-memory link, over a socket: with sound memory, small memory or none, and the input as
 * its text; the first byte says which, and whether the words that a stranger cannot know are put right. */
#include "adapter/shm_internal.h"
#include "base/error.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {}
static void on_peer_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {}

static struct adapter *shm;

static void close_shm(void) { adapter_shm_ops.close(shm); }

static struct shm *open_shm(void) {
    struct adapter_config cfg = {.callbacks = {.on_packet = on_packet, .on_peer_lost = on_peer_lost},
                                 .run_dir = fuzz_run_dir()};
    if (adapter_shm_ops.open(&shm, &cfg) || atexit(close_shm)) abort();
    return (struct shm *)shm;
}

static int memory(off_t bytes) {
    int fd = memfd_create("fuzz", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        abort();
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct shm *s;
    static int sound, small;
    uint8_t text[1024], blob[ADAPTER_ADDRESS_MAX];
    size_t blob_bytes;
    struct shm_address from;
    int pair[2];
    if (!s) {
        s = open_shm();
        sound = memory(SHM_CONTROL_BYTES + 2 * (off_t)SHM_RING_BYTES_MIN);
        small = memory(4096);
    }
    if (size < 1 || size - 1 > sizeof text) return 0;
    uint8_t how = data[0];
    memcpy(text, data + 1, size - 1);
    if (how & 4 && size - 1 >= 16) memcpy(text + 8, &s->address.token, 8);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair)) abort();
    struct shm_link *l = shm_link_create(pair[0]);
    if (!l) abort();
    l->pid = getpid();
    int fd = how & 2 ? -1 : how & 1 ? small : sound;
    if (shm_socket_send(pair[1], text, size - 1, fd) == 0 &&
        shm_link_take(s, l, blob, &blob_bytes, &from) == 0)
        FUZZ_CHECK(fd == sound && blob_bytes <= sizeof blob);
    shm_link_destroy(l);
    close(pair[1]);
    return 0;
}
