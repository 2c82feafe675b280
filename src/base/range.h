/* Range set: sorted, disjoint, half-open ranges of 64-bit numbers, with a cap on their count so that a
 * hostile peer cannot make it grow. Used for acknowledgements and reassembly. No locking. */
#ifndef WEFT_BASE_RANGE_H
#define WEFT_BASE_RANGE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_range {
    uint64_t start, end;
};
struct weft_ranges {
    struct weft_range *at;
    size_t count, cap, max;
};

void weft_ranges_init(struct weft_ranges *r, size_t max_ranges);
void weft_ranges_fini(struct weft_ranges *r);
/* Adds [start, end), merging. WEFT_E_LIMIT when it would need more than max ranges, WEFT_E_INVAL when end <=
 * start. */
int weft_ranges_add(struct weft_ranges *r, uint64_t start, uint64_t end);
int weft_ranges_remove(struct weft_ranges *r, uint64_t start, uint64_t end);
bool weft_ranges_contains(const struct weft_ranges *r, uint64_t n);
void weft_ranges_drop_below(struct weft_ranges *r, uint64_t n);
/* Drops the lowest range (to make room). */
void weft_ranges_drop_lowest(struct weft_ranges *r);

#endif
