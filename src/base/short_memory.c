/* The linker sends a test program's allocations here (--wrap). */
#include "base/short_memory.h"

#include <stdatomic.h>
#include <stdlib.h>

bool (*_Atomic short_memory_fails)(void);
static _Atomic ptrdiff_t live;

size_t short_memory_live(void) { return (size_t)atomic_load(&live); }

static bool fails_now(void) {
    bool (*fails)(void) = short_memory_fails;
    return fails && fails();
}

static void *note(void *p, ptrdiff_t more) {
    if (p) atomic_fetch_add_explicit(&live, more, memory_order_relaxed);
    return p;
}

/* Visible: the linker takes a shared library's allocations for references to these, though they are not sent
 * here. */
#define VISIBLE __attribute__((visibility("default")))

#define WRAP(result, name, params, args, more)                                                               \
    result __real_##name params;                                                                             \
    VISIBLE result __wrap_##name params;                                                                     \
    result __wrap_##name params {                                                                            \
        ptrdiff_t added = more; /* as it is before the call */                                               \
        return fails_now() ? NULL : note(__real_##name args, added);                                         \
    }
WRAP(void *, malloc, (size_t n), (n), 1)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), 1)
WRAP(void *, realloc, (void *p, size_t n), (p, n), !p)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), !p)
WRAP(void *, aligned_alloc, (size_t alignment, size_t n), (alignment, n), 1)
WRAP(char *, strdup, (const char *s), (s), 1)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), 1)

void __real_free(void *p);
VISIBLE void __wrap_free(void *p);
void __wrap_free(void *p) {
    note(p, -1);
    __real_free(p);
}

static _Thread_local int fail_in; /* allocations until the one that fails; 0: it has */

static bool count_down(void) { return fail_in > 0 && --fail_in == 0; }

int short_memory_fail_in(int n) {
    int left = fail_in;
    fail_in = n;
    if (n) short_memory_fails = count_down;
    return left;
}

int short_memory_fail_each(bool (*job)(void)) {
    for (int n = 1;; n++) {
        short_memory_fail_in(n);
        bool done = job();
        if (short_memory_fail_in(0)) return done ? n - 1 : 0;
    }
}
