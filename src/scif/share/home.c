#include "scif/share/home.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a page and a sharer, beside its enum share_state. */
#define STATE   0x03u
#define WANTS   0x04u /* a request of its waits */
#define TAKEN   0x10u /* it was sent TAKE or LOWER and has not answered */
#define LOWERED 0x20u
#define AHEAD   0x40u /* it was taken before anybody had asked for it, and nobody has since */

#define AHEAD_AFTER 3u  /* so many pages that others had, and more are taken from them … */
#define AHEAD_PAGES 8u  /* … of these that follow */
#define AHEAD_REST  64u /* requests after a wrong guess for which nothing is guessed */

struct wait { /* for a page */
    struct weft_list link;
    struct sharer *sharer; /* or */
    struct home_access *access;
    enum share_state want;
};
struct busy { /* a page that is waited for */
    uint32_t page;
    unsigned unanswered; /* by all sharers */
    struct weft_list waits;
};

static struct sharer *entry(struct weft_list *l) { return weft_list_entry(l, struct sharer, link); }
/* Pages are the home's, except in messages. */
static bool sees(const struct sharer *s, uint32_t page) { return page - s->first < s->count; }
static unsigned char *mark(const struct sharer *s, uint32_t page) { return &s->pages[page - s->first]; }
enum share_state home_state(const struct sharer *s, uint32_t page) {
    return sees(s, page) ? *mark(s, page) & STATE : SHARE_NONE;
}
static void set_state(struct sharer *s, uint32_t page, enum share_state state) {
    *mark(s, page) = (unsigned char)((*mark(s, page) & ~STATE) | state);
}
/* As it is in the home, until the next call. */
static unsigned char *load(struct home *h, uint32_t page) {
    if (h->memory) return h->memory + (size_t)page * SHARE_PAGE;
    h->move(h->ctx, page, h->moved, false);
    return h->moved;
}
static void store(struct home *h, uint32_t page, const void *bytes) {
    if (h->memory)
        memcpy(load(h, page), bytes, SHARE_PAGE);
    else
        h->move(h->ctx, page, (unsigned char *)(uintptr_t)bytes, true);
}

static void say(struct home *h, struct sharer *s, enum share_kind kind, uint32_t page, const void *bytes) {
    struct share_message m = {
        .mapping = s->mapping, .kind = kind, .page = page - s->first, .bytes = bytes ? SHARE_PAGE : 0};
    h->send(h->ctx, s, &m, bytes);
}

static bool do_at_once(struct home *h, struct sharer *s, enum share_kind kind, uint32_t page) {
    struct share_message m = {.mapping = s->mapping, .kind = kind, .page = page - s->first};
    return s->local && h->at_once && h->at_once(h->ctx, s, &m);
}

/* ---- Requests ---- */
static struct busy *busy_get(struct home *h, uint32_t page) {
    struct busy *b = weft_map_get(&h->busy, page);
    if (b) return b;
    b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->page = page;
    weft_list_init(&b->waits);
    if (!weft_map_put(&h->busy, page, b)) return b;
    free(b);
    return NULL;
}

/* A page with neither a request nor an answer to come is not busy. */
static void busy_put(struct home *h, struct busy *b) {
    if (b->unanswered || !weft_list_empty(&b->waits)) return;
    weft_map_remove(&h->busy, b->page);
    free(b);
}

static struct busy *wait_add(struct home *h, uint32_t page, const struct wait *what) {
    struct busy *b = busy_get(h, page);
    struct wait *w = b ? malloc(sizeof *w) : NULL;
    if (w) {
        *w = *what;
        weft_list_push_back(&b->waits, &w->link);
    } else if (b) {
        busy_put(h, b);
    }
    return w ? b : NULL;
}

/* What a sharer has to be asked for, so that `w` can be granted; 0: it is not in the way. */
static enum share_kind in_the_way(const struct sharer *s, uint32_t page, const struct wait *w) {
    bool local = !w->sharer || w->sharer->local;
    if (s == w->sharer || (local && s->local)) return 0;
    if (w->want == SHARE_WRITE) return home_state(s, page) == SHARE_NONE ? 0 : SHARE_TAKE;
    return home_state(s, page) == SHARE_WRITE ? SHARE_LOWER : 0;
}

static void ask(struct home *h, struct busy *b, struct sharer *s, enum share_kind kind) {
    *mark(s, b->page) |= kind == SHARE_TAKE ? TAKEN : LOWERED;
    if (!s->unanswered++) s->answered_ns = h->now_ns;
    b->unanswered++;
    say(h, s, kind, b->page, NULL);
}

static void ask_others(struct home *h, struct busy *b, const struct wait *w) {
    weft_list_for_each(l, &h->sharers) {
        struct sharer *s = entry(l);
        enum share_kind kind = in_the_way(s, b->page, w);
        if (kind == SHARE_LOWER && do_at_once(h, s, kind, b->page))
            set_state(s, b->page, SHARE_READ);
        else if (kind)
            ask(h, b, s, kind);
    }
}

static void grant(struct home *h, uint32_t page, const struct wait *w) {
    if (w->sharer) {
        struct sharer *s = w->sharer;
        bool has = s->local || home_state(s, page) != SHARE_NONE;
        enum share_kind kind = w->want == SHARE_WRITE ? SHARE_GRANT_WRITE : SHARE_GRANT_READ;
        *mark(s, page) = (unsigned char)w->want;
        if (!do_at_once(h, s, kind, page)) say(h, s, kind, page, has ? NULL : load(h, page));
    } else {
        unsigned char *bytes = load(h, page);
        w->access->on_page(w->access, page, bytes);
        if (w->access->write && !h->memory) store(h, page, bytes);
        if (!--w->access->left) w->access->on_done(w->access);
    }
}

/* Grants what can be granted. The page may not be busy afterwards. */
static void serve(struct home *h, struct busy *b) {
    while (!b->unanswered && !weft_list_empty(&b->waits)) {
        struct wait *w = weft_list_entry(b->waits.next, struct wait, link);
        ask_others(h, b, w);
        if (b->unanswered) break;
        weft_list_remove(&w->link);
        grant(h, b->page, w);
        free(w);
    }
    busy_put(h, b);
}

/* ---- Ahead of requests ---- */
/* Whether somebody else has to give the page up for it, or has. */
static bool is_met(struct home *h, struct sharer *s, uint32_t page) {
    const struct wait w = {.sharer = s, .want = SHARE_WRITE};
    bool met = false;
    weft_list_for_each(l, &h->sharers) {
        struct sharer *other = entry(l);
        if (other == s || !sees(other, page)) continue;
        met |= in_the_way(other, page, &w) || (*mark(other, page) & AHEAD);
        *mark(other, page) &= (unsigned char)~AHEAD;
    }
    return met;
}

static void take_ahead(struct home *h, struct sharer *s, uint32_t page) {
    const struct wait w = {.sharer = s, .want = SHARE_WRITE};
    if (weft_map_get(&h->busy, page)) return;
    weft_list_for_each(l, &h->sharers) {
        struct sharer *other = entry(l);
        bool carries = !other->local && home_state(other, page) == SHARE_WRITE;
        struct busy *b = in_the_way(other, page, &w) && !carries ? busy_get(h, page) : NULL;
        if (!b) continue;
        *mark(other, page) |= AHEAD;
        ask(h, b, other, SHARE_TAKE);
    }
}

/* It has asked to write the page, which it had in that state. */
static void look_ahead(struct home *h, struct sharer *s, uint32_t page, enum share_state had, bool met) {
    s->met = met ? s->met + 1 : 0;
    if (h->rest) h->rest--;
    if (h->rest || s->met <= AHEAD_AFTER) return;
    h->ahead = true;
    for (uint32_t next = page + 1; next <= page + AHEAD_PAGES && sees(s, next); next++)
        if (home_state(s, next) == had) take_ahead(h, s, next);
    h->ahead = false;
}

/* ---- Messages ---- */
static int on_want(struct home *h, struct sharer *s, uint32_t page, enum share_state want) {
    enum share_state had = home_state(s, page);
    if ((*mark(s, page) & WANTS) || had >= want) return EPROTO;
    if (want == SHARE_WRITE && !s->writable) return EPROTO;
    struct busy *b = wait_add(h, page, &(struct wait){.sharer = s, .want = want});
    if (!b) return ENOMEM;
    if (*mark(s, page) & AHEAD) h->rest = AHEAD_REST;
    *mark(s, page) = (unsigned char)((*mark(s, page) & ~AHEAD) | WANTS);
    bool met = want == SHARE_WRITE && is_met(h, s, page);
    serve(h, b);
    if (want == SHARE_WRITE) look_ahead(h, s, page, had, met);
    return 0;
}

/* Only who could write the page has anything to say about what is in it. */
static bool take_bytes(struct home *h, struct sharer *s, uint32_t page, const void *bytes) {
    if (!bytes) return true;
    if (home_state(s, page) != SHARE_WRITE || s->local) return false;
    store(h, page, bytes);
    return true;
}

static int on_gave(struct home *h, struct sharer *s, uint32_t page, const void *bytes) {
    unsigned asked = *mark(s, page) & (TAKEN | LOWERED);
    if (!asked || !take_bytes(h, s, page, bytes)) return EPROTO;
    *mark(s, page) &= (unsigned char)~(TAKEN | LOWERED);
    if (home_state(s, page) != SHARE_NONE) set_state(s, page, asked & TAKEN ? SHARE_NONE : SHARE_READ);
    s->unanswered--;
    s->answered_ns = h->now_ns;
    struct busy *b = weft_map_get(&h->busy, page);
    b->unanswered--;
    serve(h, b);
    return 0;
}

static int on_return(struct home *h, struct sharer *s, uint32_t page, const void *bytes) {
    (void)take_bytes(h, s, page, bytes); /* of one that was killed it may have come before (share.h) */
    set_state(s, page,
              SHARE_NONE); /* what it was asked for it still answers, what it was granted it returns */
    return 0;
}

int home_message(struct home *h, struct sharer *s, const struct share_message *m, const void *page,
                 uint64_t now_ns) {
    const void *bytes = m->bytes ? page : NULL;
    uint32_t at = s->first + m->page;
    h->now_ns = now_ns;
    if (m->page >= s->count || (m->bytes && m->bytes != SHARE_PAGE)) return EPROTO;
    switch (m->kind) {
    case SHARE_WANT_READ: return on_want(h, s, at, SHARE_READ);
    case SHARE_WANT_WRITE: return on_want(h, s, at, SHARE_WRITE);
    case SHARE_GAVE: return on_gave(h, s, at, bytes);
    case SHARE_RETURN: return on_return(h, s, at, bytes);
    case SHARE_LEAVE: return ESHUTDOWN;
    default: return EPROTO;
    }
}

/* ---- Sharers ---- */
void home_init(struct home *h, unsigned char *memory, uint32_t pages, home_send_fn *send, void *ctx) {
    *h = (struct home){.memory = memory, .pages = pages, .send = send, .ctx = ctx};
    weft_list_init(&h->sharers);
    weft_map_init(&h->busy);
}

static void sharer_free(struct sharer *s) {
    weft_list_remove(&s->link);
    free(s->pages);
    free(s);
}

void home_fini(struct home *h) {
    size_t it = 0;
    for (struct busy *b; (b = weft_map_next(&h->busy, &it, NULL));) {
        for (struct weft_list *l; (l = weft_list_pop_front(&b->waits));)
            free(weft_list_entry(l, struct wait, link));
        free(b);
    }
    weft_map_fini(&h->busy);
    while (!weft_list_empty(&h->sharers)) {
        say(h, entry(h->sharers.next), SHARE_END, entry(h->sharers.next)->first, NULL);
        sharer_free(entry(h->sharers.next));
    }
}

/* Of the pages that it says it has those that the other one has in a way that forbids it. */
static bool settle_with(struct home *h, struct sharer *s, const struct sharer *other) {
    uint32_t from = s->first > other->first ? s->first : other->first, end = s->first + s->count,
             to = other->first + other->count;
    if (to > end) to = end;
    for (uint32_t page = from; page < to; page++) {
        enum share_state state = home_state(other, page);
        bool forbids = state == SHARE_WRITE || (state == SHARE_READ && s->writable);
        if (!forbids || (*mark(s, page) & (TAKEN | LOWERED))) continue;
        struct busy *b = busy_get(h, page);
        if (!b) return false;
        ask(h, b, s, state == SHARE_WRITE ? SHARE_TAKE : SHARE_LOWER);
    }
    return true;
}

static bool settle(struct home *h, struct sharer *s) {
    weft_list_for_each(l, &h->sharers) if (!entry(l)->local && !settle_with(h, s, entry(l))) return false;
    return true;
}

static struct sharer *sharer_create(const struct home_sharer *join) {
    struct sharer *s = calloc(1, sizeof *s);
    unsigned char *pages = s ? calloc(join->count, 1) : NULL;
    if (!pages) {
        free(s);
        return NULL;
    }
    *s = (struct sharer){.mapping = join->mapping,
                         .user = join->user,
                         .local = join->local,
                         .writable = join->writable,
                         .first = join->first,
                         .count = join->count,
                         .pages = pages};
    if (join->has_all) memset(pages, join->writable ? SHARE_WRITE : SHARE_READ, join->count);
    return s;
}

struct sharer *home_join(struct home *h, const struct home_sharer *join, uint64_t now_ns) {
    assert(join->first < h->pages && join->count <= h->pages - join->first);
    struct sharer *s = join->has_all && !join->local ? NULL : sharer_create(join);
    if (!s) return NULL;
    h->now_ns = now_ns;
    weft_list_push_back(&h->sharers, &s->link);
    if (!join->has_all || settle(h, s)) return s;
    home_remove(h, s, now_ns);
    return NULL;
}

/* A page that is waited for: without this sharer, or (a NULL one) without this access. */
static void forget(struct busy *b, const struct sharer *s, const struct home_access *a) {
    weft_list_for_each_safe(l, &b->waits) {
        struct wait *w = weft_list_entry(l, struct wait, link);
        if (w->sharer != s || w->access != a) continue;
        weft_list_remove(l);
        free(w);
    }
    if (s && sees(s, b->page) && (*mark(s, b->page) & (TAKEN | LOWERED))) b->unanswered--;
}

static void forget_all(struct home *h, const struct sharer *s, const struct home_access *a) {
    size_t it = 0;
    for (struct busy *b; (b = weft_map_next(&h->busy, &it, NULL));) forget(b, s, a);
}

static void serve_all(struct home *h, uint64_t now_ns) {
    size_t it = 0;
    h->now_ns = now_ns;
    for (struct busy *b; (b = weft_map_next(&h->busy, &it, NULL));) serve(h, b);
}

void home_remove(struct home *h, struct sharer *s, uint64_t now_ns) {
    forget_all(h, s, NULL);
    sharer_free(s);
    serve_all(h, now_ns);
}

struct sharer *home_late(struct home *h, uint64_t now_ns, uint64_t patience_ns) {
    weft_list_for_each(l, &h->sharers) {
        struct sharer *s = entry(l);
        if (!s->local && s->unanswered && now_ns - s->answered_ns >= patience_ns) return s;
    }
    return NULL;
}

/* ---- Transfers ---- */
int home_access(struct home *h, struct home_access *a, uint64_t now_ns) {
    if (!a->count || a->first >= h->pages || a->count > h->pages - a->first) return EINVAL;
    struct wait w = {.access = a, .want = a->write ? SHARE_WRITE : SHARE_READ};
    h->now_ns = now_ns;
    a->left = a->count + 1; /* not done while this goes on */
    for (uint32_t page = a->first; page - a->first < a->count; page++) {
        struct busy *b = wait_add(h, page, &w);
        if (!b) {
            home_cancel(h, a, now_ns);
            return ENOMEM;
        }
        serve(h, b);
    }
    if (!--a->left) a->on_done(a);
    return 0;
}

void home_cancel(struct home *h, struct home_access *a, uint64_t now_ns) {
    forget_all(h, NULL, a);
    serve_all(h, now_ns);
}
