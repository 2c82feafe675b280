/* The headers of fabric messages: little-endian, fixed size, checked by their readers (docs/PROTOCOL.md,
 * section 14). */
#ifndef WEFT_FABRIC_WIRE_H
#define WEFT_FABRIC_WIRE_H
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_HELLO_BYTES  16 /* magic u32, version u16, flags u16, node u32, process u32 */
#define WIRE_REFUSE_BYTES 8  /* status i32, spare u32 */
#define WIRE_EAGER_BYTES  8  /* handler u16, spare u16, spare u32; then the program's header */
#define WIRE_AM_BYTES     24 /* handler u16, spare u16, target counter u32, tag u64, op u64; then the header */
#define WIRE_PUT_BYTES    32 /* key u64, offset u64, op u64, target counter u32, spare u32 */
#define WIRE_GET_BYTES    32 /* key u64, offset u64, bytes u64, op u64 */
#define WIRE_REPLY_BYTES  16 /* op u64, status i32, spare u32; of GOT too */
#define WIRE_FLUSH_BYTES  8  /* op u64 */

enum wire_hello_flag { WIRE_HELLO_LISTED = 1 << 0 /* node and process are from a daemon, which knows it */ };

static inline void put16(uint8_t *p, uint16_t v) { memcpy(p, &(uint16_t){htole16(v)}, 2); }
static inline void put32(uint8_t *p, uint32_t v) { memcpy(p, &(uint32_t){htole32(v)}, 4); }
static inline void put64(uint8_t *p, uint64_t v) { memcpy(p, &(uint64_t){htole64(v)}, 8); }
static inline uint16_t get16(const void *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return le16toh(v);
}
static inline uint32_t get32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}
static inline uint64_t get64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return le64toh(v);
}

#endif
