/* Range sets as a sorted array: the sets are small (tens of ranges) and mostly grow at their end. */
#include "base/range.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define CAP_MIN 8

void weft_ranges_init(struct weft_ranges *r, size_t max_ranges) {
    *r = (struct weft_ranges){.max = max_ranges};
}

void weft_ranges_fini(struct weft_ranges *r) {
    free(r->at);
    *r = (struct weft_ranges){.max = r->max};
}

/* Index of the first range whose end is at least n (n inside it or at its end, or the range is above n). */
static size_t first_ending_from(const struct weft_ranges *r, uint64_t n) {
    size_t lo = 0, hi = r->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->at[mid].end >= n)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Makes the array hold one more at index i; what was there moves up. */
static int open_slot(struct weft_ranges *r, size_t i) {
    if (r->count >= r->max) return WEFT_E_LIMIT;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : CAP_MIN;
        if (cap > r->max) cap = r->max;
        struct weft_range *at = reallocarray(r->at, cap, sizeof *at);
        if (!at) return WEFT_E_NOMEM;
        r->at = at;
        r->cap = cap;
    }
    memmove(&r->at[i + 1], &r->at[i], (r->count - i) * sizeof *r->at);
    r->count++;
    return WEFT_OK;
}

/* Removes the ranges [i, j) of the array. */
static void close_slots(struct weft_ranges *r, size_t i, size_t j) {
    if (i == j) return;
    memmove(&r->at[i], &r->at[j], (r->count - j) * sizeof *r->at);
    r->count -= j - i;
}

int weft_ranges_add(struct weft_ranges *r, uint64_t start, uint64_t end) {
    if (end <= start) return WEFT_E_INVAL;
    size_t i = first_ending_from(r, start), j = i;
    while (j < r->count && r->at[j].start <= end) j++; /* [i, j) touch or overlap the new one */
    if (i == j) {
        int rc = open_slot(r, i);
        if (rc) return rc;
        r->at[i] = (struct weft_range){start, end};
        return WEFT_OK;
    }
    if (r->at[i].start < start) start = r->at[i].start;
    if (r->at[j - 1].end > end) end = r->at[j - 1].end;
    r->at[i] = (struct weft_range){start, end};
    close_slots(r, i + 1, j);
    return WEFT_OK;
}

int weft_ranges_remove(struct weft_ranges *r, uint64_t start, uint64_t end) {
    if (end <= start) return WEFT_E_INVAL;
    size_t i = first_ending_from(r, start);
    if (i < r->count && r->at[i].end == start) i++; /* only touches */
    if (i < r->count && r->at[i].start < start && r->at[i].end > end) {
        int rc = open_slot(r, i);
        if (rc) return rc;
        r->at[i].end = start; /* open_slot left a copy of the split range at i and i + 1 */
        r->at[i + 1].start = end;
        return WEFT_OK;
    }
    if (i < r->count && r->at[i].start < start) r->at[i++].end = start;
    size_t j = i;
    while (j < r->count && r->at[j].end <= end) j++;
    if (j < r->count && r->at[j].start < end) r->at[j].start = end;
    close_slots(r, i, j);
    return WEFT_OK;
}

bool weft_ranges_contains(const struct weft_ranges *r, uint64_t n) {
    size_t i = first_ending_from(r, n);
    if (i < r->count && r->at[i].end == n) i++;
    return i < r->count && r->at[i].start <= n;
}

void weft_ranges_drop_below(struct weft_ranges *r, uint64_t n) {
    if (n > 0) weft_ranges_remove(r, 0, n); /* never splits: nothing starts below 0 */
}

void weft_ranges_drop_lowest(struct weft_ranges *r) {
    if (r->count) close_slots(r, 0, 1);
}
