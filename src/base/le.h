/* Little-endian integers at any address, as they travel. */
#ifndef WEFT_BASE_LE_H
#define WEFT_BASE_LE_H
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void le_put16(void *p, uint16_t v) { memcpy(p, &(uint16_t){htole16(v)}, 2); }
static inline void le_put32(void *p, uint32_t v) { memcpy(p, &(uint32_t){htole32(v)}, 4); }
static inline void le_put64(void *p, uint64_t v) { memcpy(p, &(uint64_t){htole64(v)}, 8); }
static inline uint16_t le_get16(const void *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return le16toh(v);
}
static inline uint32_t le_get32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}
static inline uint64_t le_get64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return le64toh(v);
}

#endif
