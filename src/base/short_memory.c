/* The linker sends a test program's allocations here (--wrap). */
#include "base/short_memory.h"

#include <stdlib.h>

bool (*short_memory_fails)(void);

#define WRAP(result, name, params, args)                                                                     \
    result __real_##name params;                                                                             \
    result __wrap_##name params;                                                                             \
    result __wrap_##name params {                                                                            \
        return short_memory_fails && short_memory_fails() ? NULL : __real_##name args;                       \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(void *, aligned_alloc, (size_t alignment, size_t n), (alignment, n))
WRAP(char *, strndup, (const char *s, size_t n), (s, n))

static int fail_in; /* allocations until the one that fails; 0: it has */

static bool count_down(void) { return fail_in > 0 && --fail_in == 0; }

int short_memory_fail_in(int n) {
    int left = fail_in;
    fail_in = n;
    short_memory_fails = n ? count_down : NULL;
    return left;
}

int short_memory_fail_each(bool (*job)(void)) {
    for (int n = 1;; n++) {
        short_memory_fail_in(n);
        bool done = job();
        if (short_memory_fail_in(0)) return done ? n - 1 : 0;
    }
}
