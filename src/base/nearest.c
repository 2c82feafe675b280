/* Edit distance (optimal string alignment) with three rows of the table. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

size_t weft_edit_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][WEFT_NEAREST_NAME_MAX + 1];
    if (n > WEFT_NEAREST_NAME_MAX || m > WEFT_NEAREST_NAME_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) &&
                above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[n % 3][m];
}

void weft_nearest_init(struct weft_nearest *n, const char *wanted) {
    /* One slip in three letters is a likely slip; more is another word. */
    *n = (struct weft_nearest){.wanted = wanted, .distance = strlen(wanted) / 3 + 2};
}

void weft_nearest_offer(struct weft_nearest *n, const char *candidate) {
    size_t distance = weft_edit_distance(n->wanted, candidate);
    if (distance >= n->distance) return;
    n->distance = distance;
    n->best = candidate;
}
