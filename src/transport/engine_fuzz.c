/* Fuzz entry of the engine: the input is a sequence of records (kind u8, length u8 × 8, bytes): raw packets,
 * bodies of CTRL and DATA packets with a right header and checksum, and steps of the clock. Whatever comes,
 * the engine must neither crash nor hang nor lose memory. The unit test feeds it random input; built with
 * WEFT_FUZZ it is a libFuzzer target. */
#include "transport/hand_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hand h;
    hand_open(&h, true);
    hand_accept(&h);
    while (size >= 2) {
        size_t len = (size_t)data[1] * 8;
        uint8_t kind = data[0];
        data += 2;
        size -= 2;
        if (len > size) len = size;
        switch (kind % 4) {
        case 0: hand_raw(&h, data, len < HAND_PATH_BYTES ? len : HAND_PATH_BYTES); break;
        case 1: hand_packet(&h, WIRE_DATA, data, len); break;
        case 2: hand_packet(&h, WIRE_CTRL, data, len); break;
        default: hand_advance(&h, (uint64_t)kind * 10 * WEFT_NS_PER_US); break;
        }
        hand_settle(&h);
        data += len;
        size -= len;
    }
    hand_close(&h);
    return 0;
}
