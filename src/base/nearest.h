/* Nearest: "did you mean": the known name closest to a mistyped one, by edit distance. */
#ifndef WEFT_BASE_NEAREST_H
#define WEFT_BASE_NEAREST_H
#include <stddef.h>

#define WEFT_NEAREST_NAME_MAX 64 /* longer names are never near */

/* Insertions, deletions, replacements and swaps of neighbours, without regard to case; SIZE_MAX when a name
 * is longer than WEFT_NEAREST_NAME_MAX. */
size_t weft_edit_distance(const char *a, const char *b);

/* Feed candidates one by one; `best` is the nearest so far, NULL while none is near enough to be a likely
 * slip. */
struct weft_nearest {
    const char *wanted, *best;
    size_t distance;
};
void weft_nearest_init(struct weft_nearest *n, const char *wanted);
void weft_nearest_offer(struct weft_nearest *n, const char *candidate);

#endif
