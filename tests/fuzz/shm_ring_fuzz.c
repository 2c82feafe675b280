/* The contents of a shared ring are the other process's to write: first word of the input is where its
 * positions stand, the rest is the ring. Reading them never leaves the ring and never returns more than fits.
 */
#include "adapter/shm_ring.h"
#include "base/error.h"
#include "fuzz.h"

#include <string.h>

#define RING 4096u /* smaller than any real one: its end is met often */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static _Alignas(128) uint8_t ring[RING + SHM_PACKET_MAX + 128], packet[SHM_PACKET_MAX];
    static struct shm_direction shared;
    struct shm_reader r;
    uint64_t start = 0;
    if (size >= 2) start = (uint64_t)(data[0] | data[1] << 8) * 64 % RING;
    memset(ring, 0, sizeof ring);
    if (size > 2) memcpy(ring, data + 2, size - 2 < RING ? size - 2 : RING);
    memset(&shared, 0, sizeof shared);
    shm_reader_init(&r, ring, RING, &shared);
    r.head = r.head_published = start;
    for (int i = 0; i < 200; i++) {
        size_t len = 0;
        int rc = shm_ring_read_message(&r, packet, &len);
        FUZZ_CHECK(rc <= 0 || rc == SHM_RECORD_MESSAGE);
        if (rc == SHM_RECORD_NONE) rc = shm_ring_read(&r, packet, &len);
        if (rc <= 0) break;
        FUZZ_CHECK(len <= sizeof packet);
        shm_ring_release(&r);
    }
    return 0;
}
