#include "scif/share/cache.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* Of a page, beside its enum share_state. */
#define STATE       0x03u
#define WANTS_READ  0x04u /* the home has been asked */
#define WANTS_WRITE 0x08u
#define WANTS       (WANTS_READ | WANTS_WRITE)
#define THEN_WRITE  0x10u /* it will be asked to write, when it has answered */
#define UNMAPPED    0x20u

enum share_state cache_state(const struct cache *c, uint32_t page) { return c->state[page] & STATE; }
bool cache_is_mapped(const struct cache *c, uint32_t page) { return !(c->state[page] & UNMAPPED); }

void cache_init(struct cache *c, bool has_all) {
    c->mapped = c->pages;
    if (has_all) memset(c->state, c->writable ? SHARE_WRITE : SHARE_READ, c->pages);
}

static void say(struct cache *c, enum share_kind kind, uint32_t page, bool with_page) {
    struct share_message m = {
        .mapping = c->mapping, .kind = kind, .page = page, .bytes = with_page ? SHARE_PAGE : 0};
    c->ops->send(c->ctx, &m, with_page ? c->ops->bytes(c->ctx, page) : NULL);
}

static void set_state(struct cache *c, uint32_t page, enum share_state to) {
    c->state[page] = (unsigned char)((c->state[page] & ~STATE) | to);
}

static void change(struct cache *c, uint32_t page, enum share_state to) {
    if (cache_is_mapped(c, page)) c->ops->change(c->ctx, page, cache_state(c, page), to, NULL);
}

/* ---- Faults ---- */
static void ask(struct cache *c, uint32_t page, enum share_state want) {
    c->state[page] |= want == SHARE_WRITE ? WANTS_WRITE : WANTS_READ;
    say(c, want == SHARE_WRITE ? SHARE_WANT_WRITE : SHARE_WANT_READ, page, false);
}

int cache_fault(struct cache *c, uint32_t page, enum share_state want) {
    if (want == SHARE_WRITE && !c->writable) return EACCES;
    if (cache_state(c, page) >= want)
        change(c, page, cache_state(c, page));
    else if (!(c->state[page] & WANTS))
        ask(c, page, want);
    else if (want == SHARE_WRITE && !(c->state[page] & WANTS_WRITE))
        c->state[page] |= THEN_WRITE;
    return 0;
}

void cache_expect(struct cache *c, uint32_t page, enum share_state want) {
    if (page < c->pages && cache_is_mapped(c, page) && !(c->state[page] & WANTS) &&
        cache_state(c, page) < want)
        ask(c, page, want);
}

/* ---- What the home takes ---- */
static void give(struct cache *c, uint32_t page, uint32_t asked) {
    enum share_state was = cache_state(c, page), to = asked == SHARE_TAKE ? SHARE_NONE : SHARE_READ;
    if (was > to) change(c, page, to);
    say(c, SHARE_GAVE, page, was == SHARE_WRITE && !c->local);
    if (was > to) set_state(c, page, to);
}

static struct cache_held *held_find(struct cache *c, uint32_t page) {
    for (unsigned i = 0; i < CACHE_HELD_MAX; i++)
        if (c->holding->page[i].until_ns && c->holding->page[i].page == page) return &c->holding->page[i];
    return NULL;
}

static void held_release(struct cache *c, struct cache_held *held) {
    struct cache_held was = *held;
    *held = (struct cache_held){0};
    if (was.asked) give(c, was.page, was.asked);
}

static void hold(struct cache *c, uint32_t page, uint64_t now_ns) {
    struct cache_held *held = held_find(c, page);
    c->holding->grants++;
    if (!c->hold_ns) return;
    if (!held) held = &c->holding->page[c->holding->next++ % CACHE_HELD_MAX];
    held_release(c, held);
    *held = (struct cache_held){.page = page, .until_ns = now_ns + c->hold_ns};
}

static int on_asked(struct cache *c, uint32_t page, uint32_t kind, uint64_t now_ns) {
    struct cache_held *held = held_find(c, page);
    if (held && held->asked) return EPROTO;
    if (held && held->until_ns > now_ns)
        held->asked = kind;
    else
        give(c, page, kind);
    return 0;
}

uint64_t cache_deadline(const struct cache *c) {
    uint64_t first = WEFT_TIME_NEVER;
    for (unsigned i = 0; i < CACHE_HELD_MAX; i++)
        if (c->holding->page[i].asked && c->holding->page[i].until_ns < first)
            first = c->holding->page[i].until_ns;
    return first;
}

void cache_expire(struct cache *c, uint64_t now_ns) {
    for (unsigned i = 0; i < CACHE_HELD_MAX; i++)
        if (c->holding->page[i].asked && c->holding->page[i].until_ns <= now_ns)
            held_release(c, &c->holding->page[i]);
}

/* ---- What it grants ---- */
static int on_grant(struct cache *c, uint32_t page, enum share_state to, const void *bytes, uint64_t now_ns) {
    unsigned char *state = &c->state[page];
    enum share_state was = cache_state(c, page);
    bool brings = !c->local && was == SHARE_NONE;
    if (!(*state & (to == SHARE_WRITE ? WANTS_WRITE : WANTS_READ))) return EPROTO;
    *state &= (unsigned char)~WANTS;
    if (!cache_is_mapped(c, page)) { /* since it was asked for */
        say(c, SHARE_RETURN, page, false);
        return 0;
    }
    if (brings != !!bytes) return EPROTO;
    hold(c, page, now_ns);
    set_state(c, page, to); /* before it can be written */
    c->ops->change(c->ctx, page, was, to, bytes);
    if (*state & THEN_WRITE) {
        *state &= (unsigned char)~THEN_WRITE;
        ask(c, page, SHARE_WRITE);
    }
    return 0;
}

int cache_message(struct cache *c, const struct share_message *m, const void *page, uint64_t now_ns) {
    const void *bytes = m->bytes ? page : NULL;
    if (m->page >= c->pages || (m->bytes && m->bytes != SHARE_PAGE)) return EPROTO;
    switch (m->kind) {
    case SHARE_GRANT_READ: return on_grant(c, m->page, SHARE_READ, bytes, now_ns);
    case SHARE_GRANT_WRITE: return on_grant(c, m->page, SHARE_WRITE, bytes, now_ns);
    case SHARE_TAKE:
    case SHARE_LOWER: return on_asked(c, m->page, m->kind, now_ns);
    case SHARE_END: return ESHUTDOWN;
    default: return EPROTO;
    }
}

/* ---- What is done in its stead ---- */
static bool lower_at_once(struct cache *c, uint32_t page, uint64_t now_ns) {
    struct cache_held *held = held_find(c, page);
    return c->state[page] == SHARE_WRITE && !(held && held->until_ns > now_ns);
}

static bool grant_at_once(struct cache *c, uint32_t page, enum share_state to) {
    struct cache_held *held = held_find(c, page);
    if (!held) held = &c->holding->page[c->holding->next % CACHE_HELD_MAX];
    unsigned wants = to == SHARE_WRITE ? WANTS_WRITE : WANTS_READ;
    return c->state[page] == (cache_state(c, page) | wants) && !held->asked;
}

bool cache_do_at_once(struct cache *c, uint32_t kind, uint32_t page, uint64_t now_ns, cache_change_fn *by) {
    enum share_state to = kind == SHARE_GRANT_WRITE ? SHARE_WRITE : SHARE_READ;
    bool grants = kind == SHARE_GRANT_READ || kind == SHARE_GRANT_WRITE;
    if (!grants && kind != SHARE_LOWER) return false;
    if (!(grants ? grant_at_once(c, page, to) : lower_at_once(c, page, now_ns))) return false;
    if (!by(c->ctx, page, cache_state(c, page), to)) return false;
    c->state[page] = (unsigned char)to;
    if (grants) hold(c, page, now_ns);
    return true;
}

/* ---- The end ---- */
static void unmap(struct cache *c, uint32_t page) {
    struct cache_held *held = held_find(c, page);
    if (!cache_is_mapped(c, page)) return;
    if (held) held_release(c, held);
    enum share_state was = cache_state(c, page);
    if (was != SHARE_NONE) say(c, SHARE_RETURN, page, was == SHARE_WRITE && !c->local);
    c->state[page] = (unsigned char)((c->state[page] & WANTS) | UNMAPPED);
    c->mapped--;
}

bool cache_unmap(struct cache *c, uint32_t first, uint32_t count) {
    if (!c->mapped) return false;
    for (uint32_t i = 0; i < count; i++) unmap(c, first + i);
    if (!c->mapped) say(c, SHARE_LEAVE, 0, false);
    return !c->mapped;
}

void cache_leave(struct cache *c) {
    for (uint32_t page = 0; page < c->pages; page++)
        if (cache_state(c, page) == SHARE_WRITE) say(c, SHARE_RETURN, page, !c->local);
    say(c, SHARE_LEAVE, 0, false);
}
