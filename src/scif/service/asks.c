/* Before memory of programs here is mapped on another host, they are asked: the owner first, at its door
 * (owned.c), which makes its addresses sharers and says who else may have the same pages; then those, over
 * their lines for pages. One that has no such line is none that could be a sharer: then it cannot be mapped.
 */
#include "base/clock.h"
#include "base/log.h"
#include "scif/door.h"
#include "scif/service/far.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKS_MAX 64 /* of one other service */

struct ask {
    struct weft_list link; /* in remote.map_asks */
    struct watch reply;    /* the owner's */
    struct remote *remote;
    uint64_t key; /* of the link */
    struct homes_range range;
    struct scif_shown shown;
    unsigned unanswered;
    int error;
    uint64_t until_ns; /* who is stopped does not answer; … */
    unsigned rounds;   /* … one that is slow is waited for in several */
};
static uint64_t last_show;

/* One of those who have been asked; in its line. */
struct show {
    struct weft_list link;
    struct ask *ask; /* NULL: nobody waits any more */
    uint64_t number;
};

/* ---- The end ---- */
static void ask_free(struct ask *a) {
    weft_list_remove(&a->link);
    free(a);
}

static void answer(struct remote *r, uint32_t number, int error) {
    uint8_t buf[FAR_HEADER_MAX];
    struct weft_writer w;
    far_begin(&w, buf, sizeof buf, FAR_MAPPED, &(struct link){0});
    weft_put_u32(&w, number);
    weft_put_u16(&w, (uint16_t)error);
    far_send(r, &w, NULL);
}

static void finish(struct ask *a, int error) {
    if (!error) error = homes_view(a->remote, a->key, &a->range);
    answer(a->remote, a->range.number, error);
    ask_free(a);
}

static void be_patient(struct ask *a) {
    a->until_ns = weft_now_ns() + door_patience_ns((uint64_t)a->range.pages * SHARE_PAGE);
    a->rounds++;
}

/* ---- Others ---- */
static void show_done(struct show *w, int error) {
    struct ask *a = w->ask;
    weft_list_remove(&w->link);
    free(w);
    if (!a) return;
    if (error) a->error = error;
    if (--a->unanswered == 0) finish(a, a->error);
}

static int show_to(struct line *l, struct ask *a, const struct homes_run *run) {
    struct show *w = malloc(sizeof *w);
    if (!w) return ENOMEM;
    *w = (struct show){.ask = a, .number = ++last_show};
    struct scif_pages q = {
        .op = SCIF_PAGES_SHOW, .mapping = w->number, .offset = run->at, .pages = run->count};
    if (!pages_show(l, &q, file_descriptor(run->file))) {
        free(w);
        return ENOMEM;
    }
    weft_list_push_back(pages_shows(l), &w->link);
    a->unanswered++;
    return 0;
}

static struct line *line_of(const struct service *s, uint32_t process) {
    weft_list_for_each(it, &s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        if (l->pages && (uint32_t)l->pid == process) return l;
    }
    return NULL;
}

static int show_run(void *arg, const struct homes_run *run) {
    struct ask *a = arg;
    int err = 0;
    for (unsigned i = 0; !err && i < a->shown.count; i++) {
        struct line *l = line_of(a->remote->far->s, a->shown.process[i]);
        if (!l)
            weft_warn("scif",
                      "memory cannot be mapped on another host: process %u has it too, and is not under this "
                      "service",
                      a->shown.process[i]);
        err = l ? show_to(l, a, run) : ENOMEM;
    }
    return err;
}

static void ask_others(struct ask *a) {
    struct link *l = weft_map_get(&a->remote->far->links, a->key);
    a->rounds = 0;
    be_patient(a);
    a->unanswered = 1;
    a->error = !l || l->state != LINK_OPEN ? ENOMEM : homes_each_run(l, &a->range, show_run, a);
    if (--a->unanswered == 0) finish(a, a->error);
}

void asks_on_shown(struct line *l, const struct scif_pages *q) {
    weft_list_for_each(it, pages_shows(l)) {
        struct show *w = weft_list_entry(it, struct show, link);
        if (w->number != q->mapping) continue;
        show_done(w, q->error ? ENOMEM : 0);
        return;
    }
}

void asks_leave(struct line *l) {
    while (!weft_list_empty(pages_shows(l)))
        show_done(weft_list_entry(pages_shows(l)->next, struct show, link), 0);
}

/* ---- The owner ---- */
/* What the owner has sent about its memory was sent before. */
static void on_reply(struct service *s, struct watch *w, uint32_t events) {
    struct ask *a = weft_container_of(w, struct ask, reply);
    struct scif_shown *shown = &a->shown;
    ssize_t n = recv(w->fd, shown, sizeof *shown, MSG_DONTWAIT);
    if (n != sizeof *shown || shown->count > SCIF_SHOWN_MAX) *shown = (struct scif_shown){.error = ENOMEM};
    service_unwatch(s, w);
    a->reply.fd = -1;
    lines_drain_pages(s);
    if (shown->error)
        finish(a, shown->error);
    else
        ask_others(a);
}

/* The descriptor at which it will answer; -1: it is gone. */
static int ask_owner(const struct link *l, const struct homes_range *range) {
    const struct scif_windows *w = l->space.table;
    struct scif_piece p;
    unsigned version;
    if (!table_look_up(w, range->offset, &p, &version)) return -1;
    struct scif_question q = {w->name, range->offset, (uint64_t)range->pages * SHARE_PAGE,
                              SCIF_QUESTION_SHARE, 0};
    return door_ask(w, p.owner, &q, MSG_DONTWAIT);
}

static void start(struct ask *a, struct link *l) {
    struct service *s = a->remote->far->s;
    int err = table_check(l->space.table, a->range.offset, (uint64_t)a->range.pages * SHARE_PAGE,
                          (int)a->range.prot);
    int fd = err ? -1 : ask_owner(l, &a->range);
    a->reply = (struct watch){fd, on_reply};
    be_patient(a);
    if (fd >= 0 && !service_watch(s, &a->reply, EPOLLIN)) return;
    if (fd >= 0) close(fd);
    a->reply.fd = -1;
    finish(a, err); /* the owner is gone: there may be a home all the same */
}

static bool are_many(const struct remote *r) {
    unsigned asks = 0;
    weft_list_for_each(it, &r->map_asks) asks++;
    return asks >= ASKS_MAX;
}

void asks_on_map(struct remote *r, struct link *l, struct weft_reader *in) {
    struct homes_range range = {.number = weft_get_u32(in)};
    range.offset = weft_get_u64(in);
    range.pages = weft_get_u32(in);
    range.prot = weft_get_u8(in);
    if (in->failed || !share_is_mappable(range.offset, range.pages, range.prot) ||
        homes_have_view(r, range.number)) {
        far_fail(r, "a bad mapping");
        return;
    }
    struct ask *a = l && l->state == LINK_OPEN && !are_many(r) ? calloc(1, sizeof *a) : NULL;
    if (!a) {
        answer(r, range.number, ENOMEM);
        return;
    }
    *a = (struct ask){.remote = r, .key = l->key, .range = range, .reply.fd = -1};
    weft_list_push_back(&r->map_asks, &a->link);
    start(a, l);
}

/* ---- Who does not answer, and what nobody waits for any more ---- */
static void forget(const struct service *s, const struct ask *a) {
    weft_list_for_each(it, &s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        if (!l->pages) continue;
        weft_list_for_each(i, pages_shows(l)) {
            struct show *w = weft_list_entry(i, struct show, link);
            if (w->ask == a) w->ask = NULL;
        }
    }
}

static void ask_no_more(struct ask *a) {
    if (a->reply.fd >= 0) service_unwatch(a->remote->far->s, &a->reply);
    forget(a->remote->far->s, a);
    ask_free(a);
}

static bool is_owner_stopped(const struct ask *a) {
    const struct link *l = weft_map_get(&a->remote->far->links, a->key);
    struct scif_piece p;
    unsigned version;
    return l && l->state == LINK_OPEN && table_look_up(l->space.table, a->range.offset, &p, &version) &&
           door_is_stopped(l->space.table, p.owner);
}

/* Of the others, one that has not answered. */
static bool is_any_stopped(const struct ask *a) {
    weft_list_for_each(it, &a->remote->far->s->lines) {
        struct line *l = weft_list_entry(it, struct line, link);
        if (!l->pages) continue;
        weft_list_for_each(i, pages_shows(l)) {
            const struct show *w = weft_list_entry(i, struct show, link);
            if (w->ask == a && door_is_process_stopped(l->pid)) return true;
        }
    }
    return false;
}

/* Whose program asks waits without a limit of its own: it hears of the end of this service, or of this host,
 * as of any (asks_lost() here, guests_lost() there). */
static bool is_in_vain(const struct ask *a) {
    return a->rounds >= DOOR_SLOW_TIMES || (a->reply.fd >= 0 ? is_owner_stopped(a) : is_any_stopped(a));
}

static uint64_t expire(struct remote *r, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each_safe(it, &r->map_asks) {
        struct ask *a = weft_list_entry(it, struct ask, link);
        if (a->until_ns <= now && !is_in_vain(a)) be_patient(a);
        if (a->until_ns > now) {
            if (a->until_ns < next) next = a->until_ns;
            continue;
        }
        weft_warn("scif", "a window is not mapped: a program that has it does not answer");
        answer(r, a->range.number, ENOMEM);
        ask_no_more(a);
    }
    return next;
}

uint64_t asks_expire(struct far *f, uint64_t now) {
    uint64_t next = WEFT_TIME_NEVER;
    weft_list_for_each(it, &f->remotes) {
        uint64_t at = expire(weft_list_entry(it, struct remote, link), now);
        if (at < next) next = at;
    }
    return next;
}

void asks_lost(struct remote *r) {
    while (!weft_list_empty(&r->map_asks)) ask_no_more(weft_list_entry(r->map_asks.next, struct ask, link));
}
