/* Registered address spaces as they have to be. Windows may share a block: what is written through one is
 * seen through the other. */
#include "stress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct window *space_find(struct space *s, uint64_t offset) {
    for (int i = 0; i < WINDOWS; i++) {
        struct window *w = &s->window[i];
        if (w->used && w->offset <= offset && offset - w->offset < w->bytes) return w;
    }
    return NULL;
}

bool space_is_free(struct space *s, uint64_t offset, size_t bytes) {
    for (int i = 0; i < WINDOWS; i++) {
        struct window *w = &s->window[i];
        if (w->used && w->offset < offset + bytes && offset < w->offset + w->bytes) return false;
    }
    return true;
}

int space_check(struct space *s, uint64_t offset, size_t bytes, int prot) {
    int error = 0;
    for (uint64_t end = offset + bytes; offset < end;) {
        struct window *w = space_find(s, offset);
        if (!w) return ENXIO;
        if ((w->prot & prot) != prot) error = EPERM;
        offset = w->offset + w->bytes;
    }
    return error;
}

static void copy(struct space *s, uint64_t offset, size_t bytes, unsigned char *buffer, bool to_shadow) {
    while (bytes) {
        struct window *w = space_find(s, offset);
        size_t within = offset - w->offset, n = w->bytes - within < bytes ? w->bytes - within : bytes;
        unsigned char *shadow = w->block->shadow + w->at + within;
        memcpy(to_shadow ? shadow : buffer, to_shadow ? buffer : shadow, n);
        offset += n;
        buffer += n;
        bytes -= n;
    }
}

void space_read(struct space *s, uint64_t offset, size_t bytes, unsigned char *to) {
    copy(s, offset, bytes, to, false);
}
void space_write(struct space *s, uint64_t offset, size_t bytes, const unsigned char *from) {
    copy(s, offset, bytes, (unsigned char *)from, true);
}

struct block *space_new_block(struct space *s, size_t bytes, bool own, bool shared, uint64_t seed) {
    struct block *b = s->block;
    while (b < s->block + BLOCKS && b->used) b++;
    if (b == s->block + BLOCKS) return NULL;
    *b = (struct block){.used = true, .shared = shared, .bytes = bytes, .shadow = malloc(bytes)};
    if (!b->shadow) abort();
    pattern_fill(b->shadow, bytes, seed);
    if (!own) return b;
    b->memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
    if (b->memory == MAP_FAILED) abort();
    memcpy(b->memory, b->shadow, bytes);
    return b;
}

static void end_block(struct block *b) {
    if (b->memory) munmap(b->memory, b->bytes);
    free(b->shadow);
    *b = (struct block){0};
}

void space_drop_block(struct space *s, struct block *b) {
    for (int i = 0; i < WINDOWS; i++)
        if (s->window[i].used && s->window[i].block == b) return;
    end_block(b);
}

void space_add(struct space *s, uint64_t offset, size_t bytes, size_t at, int prot, struct block *b) {
    struct window *w = s->window;
    while (w->used) w++;
    *w = (struct window){.used = true, .offset = offset, .bytes = bytes, .at = at, .prot = prot, .block = b};
}

static const char *describe(const struct space *s, const struct block *b) {
    static char text[400];
    size_t from = 0, to = b->bytes;
    while (b->memory[from] == b->shadow[from]) from++;
    while (b->memory[to - 1] == b->shadow[to - 1]) to--;
    int n = snprintf(text, sizeof text, "bytes %zu to %zu of %zu of block %d are wrong; its windows:", from,
                     to, b->bytes, (int)(b - s->block));
    for (int i = 0; i < WINDOWS; i++)
        if (s->window[i].block == b)
            n += snprintf(text + n, sizeof text - (size_t)n, " %#llx (%zu from %zu, prot %d)",
                          (unsigned long long)s->window[i].offset, s->window[i].bytes, s->window[i].at,
                          s->window[i].prot);
    return text;
}

const char *space_compare(struct space *s) {
    for (int i = 0; i < BLOCKS; i++) {
        struct block *b = &s->block[i];
        if (b->memory && memcmp(b->memory, b->shadow, b->bytes) != 0) return describe(s, b);
    }
    return NULL;
}

void space_clear(struct space *s) {
    for (int i = 0; i < BLOCKS; i++)
        if (s->block[i].used) end_block(&s->block[i]);
    memset(s->window, 0, sizeof s->window);
}
