/* The pages of a window are pinned, so there is one truth about them: what its ring reads and writes. What is
 * to be found out is which addresses of this process still show them, and only there the file takes their
 * place.
 *
 * Private memory: its pages are taken away from the addresses (mremap), where threads that touch them now
 * wait (userfaultfd). A word of each page, which nobody else can see at that moment, is changed: if the ring
 * shows the change, it is the page. Then the file, with a copy of it, takes its place, or the page itself
 * comes back, and the threads go on.
 *
 * Memory of other kinds cannot be taken away so: if what it shows is what the ring reads, the file takes its
 * place at once, empty and such that threads that touch it wait (userfaultfd), and then gets its contents
 * from the ring. */
#include "scif/move.h"
#include "base/log.h"
#include "scif/door.h"
#include "scif/intercept.h"
#include "scif/lane.h"
#include "scif/line.h"
#include "scif/pages.h"
#include "scif/pin.h"
#include "scif/pool.h"
#include "scif/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK_PAGES 64u /* so long do threads wait, some 100 us, that touch what is being moved */
#define CHUNK_BYTES (CHUNK_PAGES * SCIF_PAGE)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint count; /* odd: something is being moved */

void move_hold_off(void) { pthread_mutex_lock(&lock); }
void move_go_on(void) { pthread_mutex_unlock(&lock); }
void move_before_fork(void) { move_hold_off(); }
void move_after_fork(void) { move_go_on(); }

unsigned move_count(void) { return atomic_load(&count); }
bool move_was_in_the_way(unsigned before) {
    if (!(before & 1) && atomic_load(&count) == before) return false;
    move_hold_off();
    move_go_on();
    return true;
}

/* ---- What is moved ----
 * While threads wait nothing may be touched that they could wait in, or hold: no lock, no heap. So all of
 * this is in memory of its own. */
struct pinned {
    struct ring ring;
    unsigned slot;
    uint64_t at;
    uint32_t pages;
};

struct other { /* another window, which may show some of the same pages */
    struct endpoint *e;
    struct scif_piece p;
    struct pinned pinned;
    uint32_t file;
    uintptr_t *place; /* where each of its pages should be */
    uint32_t *page;   /* which one of those that are moved each of them is, + 1; 0: none */
};

struct job {
    struct endpoint *e;
    struct scif_piece p;
    struct pinned pinned;
    uint32_t file; /* the pool, in e's table */
    uint64_t at;   /* in the pool */
    uintptr_t *place;
    uint32_t *page;            /* of each page that is in the pool: its number, + 1 */
    struct scif_piece *pieces; /* room for as many as there are pages of one window */
    struct other *other;
    unsigned others;
    int pool, stage, in, out, memory, faults;
    unsigned char buffer[2][CHUNK_BYTES];
    uint64_t token[CHUNK_PAGES], kept[CHUNK_PAGES];
    bool same[CHUNK_PAGES];
};

/* The program's addresses, past whoever else has taken the place of these functions: a sanitizer takes what
 * happens to memory here for an access by the program. */
static bool map_file(void *place, size_t bytes, int prot, int fd, uint64_t at) {
    return syscall(SYS_mmap, place, bytes, prot, MAP_SHARED | MAP_FIXED, fd, at) == (long)place;
}
static bool move_mapping(void *from, size_t bytes, int flags, uintptr_t to) {
    return syscall(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) == (long)to;
}

static void *take_memory(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* ---- Through the ring ---- */
static int read_pinned(const struct job *j, struct pinned *p, uint64_t from, void *to, size_t n) {
    for (size_t done = 0; done < n;) {
        ssize_t r = ring_run(&p->ring, RING_READ, p->slot, p->at + from + done, j->stage, 0, n - done);
        if (r <= 0) return r ? (int)-r : EIO;
        if (pread(j->stage, (char *)to + done, (size_t)r, 0) != r) return EIO;
        done += (size_t)r;
    }
    return 0;
}

static uint64_t read_word(const struct job *j, struct pinned *p, uint32_t page) {
    uint64_t word = 0;
    if (ring_run(&p->ring, RING_READ, p->slot, p->at + (uint64_t)page * SCIF_PAGE, j->in, RING_STREAM,
                 sizeof word) > 0)
        (void)!read(j->out, &word, sizeof word);
    return word;
}

static bool write_word(const struct job *j, struct pinned *p, uint32_t page, uint64_t word) {
    return write(j->in, &word, sizeof word) == sizeof word &&
           ring_run(&p->ring, RING_WRITE, p->slot, p->at + (uint64_t)page * SCIF_PAGE, j->out, RING_STREAM,
                    sizeof word) == sizeof word;
}

/* Pages of other windows that should be at that place, or that were pinned at the same address: do they show
 * the word? */
static void compare_others(struct job *j, uint32_t page, uint64_t word) {
    uint64_t address = j->p.at + (uint64_t)page * SCIF_PAGE;
    for (unsigned k = 0; k < j->others; k++) {
        struct other *o = &j->other[k];
        for (uint32_t q = 0; q < o->pinned.pages; q++)
            if ((o->place[q] == j->place[page] || o->p.at + (uint64_t)q * SCIF_PAGE == address) &&
                read_word(j, &o->pinned, q) == word)
                o->page[q] = page + 1;
    }
}

/* Nobody sees the page but rings: its word is changed through one, and looked for through the others. */
static int compare_unseen(struct job *j, uint32_t page, uint64_t token, uint64_t kept) {
    if (!j->others) return 0;
    if (!write_word(j, &j->pinned, page, token)) return EIO;
    compare_others(j, page, token);
    return write_word(j, &j->pinned, page, kept) ? 0 : EIO;
}

static int to_pool(const struct job *j, uint32_t first, uint32_t n, const void *from) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    off_t at = (off_t)(j->at + (uint64_t)first * SCIF_PAGE);
    for (size_t done = 0; done < bytes;) {
        ssize_t r = pwrite(j->pool, (const char *)from + done, bytes - done, at + (off_t)done);
        if (r <= 0) return r ? errno : EIO;
        done += (size_t)r;
    }
    return 0;
}

/* ---- Addresses that show the file ---- */
static bool show_pool(const struct job *j, uint32_t page, uint32_t n, uintptr_t address, int prot) {
    return map_file((void *)address, (size_t)n * SCIF_PAGE, prot, j->pool,
                    j->at + (uint64_t)page * SCIF_PAGE);
}

static void advise(uintptr_t address, size_t bytes, struct advice a) {
    if (a.dont_fork) madvise((void *)address, bytes, MADV_DONTFORK);
    if (a.dont_dump) madvise((void *)address, bytes, MADV_DONTDUMP);
    if (a.locked) mlock((void *)address, bytes);
}

static uint32_t run_length(const bool *same, uint32_t from, uint32_t n) {
    uint32_t i = from;
    while (i < n && same[i] == same[from]) i++;
    return i - from;
}

static void mark_done(struct job *j, uint32_t first, uint32_t n) {
    for (uint32_t i = first; i < first + n; i++) j->page[i] = i + 1;
}

/* ---- Pages that no address shows ---- */
/* The pages lie in the buffer, and nobody sees them any more but rings. */
static int find_in_others(struct job *j, uint32_t first, uint32_t n) {
    int err = getrandom(j->token, n * sizeof *j->token, 0) < 0 ? errno : 0;
    for (uint32_t i = 0; !err && i < n; i++) {
        uint64_t kept;
        memcpy(&kept, j->buffer[0] + (size_t)i * SCIF_PAGE, sizeof kept);
        err = compare_unseen(j, first + i, j->token[i], kept);
    }
    return err;
}

static int move_unseen(struct job *j, uint32_t first, uint32_t n) {
    int err = read_pinned(j, &j->pinned, (uint64_t)first * SCIF_PAGE, j->buffer[0], (size_t)n * SCIF_PAGE);
    if (!err) err = find_in_others(j, first, n);
    if (!err) err = to_pool(j, first, n, j->buffer[0]);
    if (!err) mark_done(j, first, n);
    return err;
}

/* ---- Private memory ---- */
/* pages: where they are now, for nobody else. */
static int transplant(struct job *j, uint32_t first, uint32_t n, unsigned char *pages) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    memset(j->same, 0, sizeof j->same);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&j->kept[i], pages + (size_t)i * SCIF_PAGE, sizeof j->kept[i]);
        memcpy(pages + (size_t)i * SCIF_PAGE, &j->token[i], sizeof j->token[i]);
    }
    int err = read_pinned(j, &j->pinned, (uint64_t)first * SCIF_PAGE, j->buffer[0], bytes);
    for (uint32_t i = 0; i < n; i++) {
        unsigned char *copy = j->buffer[0] + (size_t)i * SCIF_PAGE;
        j->same[i] = !err && memcmp(copy, &j->token[i], sizeof j->token[i]) == 0;
        if (j->same[i] && j->others) compare_others(j, first + i, j->token[i]);
        if (j->same[i]) memcpy(copy, &j->kept[i], sizeof j->kept[i]);
        memcpy(pages + (size_t)i * SCIF_PAGE, &j->kept[i], sizeof j->kept[i]);
    }
    for (uint32_t i = 0; !err && i < n; i++) {
        uint64_t word;
        memcpy(&word, j->buffer[0] + (size_t)i * SCIF_PAGE, sizeof word);
        if (!j->same[i]) err = compare_unseen(j, first + i, j->token[i], word);
    }
    return err ? err : to_pool(j, first, n, j->buffer[0]);
}

/* Whether the addresses still are where the pages were taken from: the program may have unmapped them
 * meanwhile. */
static bool is_armed(const struct job *j, uintptr_t at, size_t bytes) {
    struct uffdio_writeprotect w = {.range = {at, bytes}};
    return ioctl(j->faults, UFFDIO_WRITEPROTECT, &w) == 0;
}

/* The file, or what was taken away, comes to the addresses. */
static int settle(struct job *j, uint32_t first, uint32_t n, unsigned char *pages, int prot, int err) {
    uintptr_t at = j->place[first];
    for (uint32_t i = 0, len; i < n; i += len) {
        len = run_length(j->same, i, n);
        uintptr_t to = at + (size_t)i * SCIF_PAGE;
        if (!is_armed(j, to, (size_t)len * SCIF_PAGE)) len = 1;
        size_t bytes = (size_t)len * SCIF_PAGE;
        if (!is_armed(j, to, bytes)) {
            if (!err) mark_done(j, first + i, len);
            continue;
        }
        bool shown = !err && j->same[i] && show_pool(j, first + i, len, to, prot);
        if (!err && j->same[i] && !shown) err = ENOMEM;
        if (!err) mark_done(j, first + i, len);
        if (shown) continue;
        void *from = pages + (size_t)i * SCIF_PAGE;
        if (mprotect(from, bytes, prot) || !move_mapping(from, bytes, 0, to)) {
            weft_error("scif", "memory that was to be mapped cannot be given back: %s", strerror(errno));
            abort(); /* the program would go on without it */
        }
    }
    return err;
}

static int move_private(struct job *j, uint32_t first, uint32_t n, const struct mapping *m) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    uintptr_t at = j->place[first];
    struct uffdio_range range = {at, bytes};
    struct uffdio_register arm = {.range = range,
                                  .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP};
    if (getrandom(j->token, n * sizeof *j->token, 0) < 0) return errno;
    void *pages = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return ENOMEM;
    watch_no_more(at, bytes);
    int err = j->faults < 0 || ioctl(j->faults, UFFDIO_REGISTER, &arm) ? ENOMEM : 0;
    bool armed = !err;
    if (!err && !move_mapping((void *)at, bytes, MREMAP_DONTUNMAP, (uintptr_t)pages)) err = ENOMEM;
    if (!err) { /* threads wait from here */
        err = mprotect(pages, bytes, PROT_READ | PROT_WRITE) ? ENOMEM : transplant(j, first, n, pages);
        if (err) memset(j->same, 0, sizeof j->same);
        err = settle(j, first, n, pages, m->prot, err);
        ioctl(j->faults, UFFDIO_WAKE, &range);
    }
    if (armed) ioctl(j->faults, UFFDIO_UNREGISTER, &range);
    watch_memory(at, bytes);
    munmap(pages, bytes); /* what was not given back */
    return err;
}

/* ---- Memory of other kinds ---- */
/* What the addresses show, twice, and what the ring reads in between: where the former did not change, it is
 * the same. */
static int compare_contents(struct job *j, uint32_t first, uint32_t n) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    unsigned char *before = j->buffer[0], *ring = j->buffer[1], word[64];
    if (pread(j->memory, before, bytes, (off_t)j->place[first]) != (ssize_t)bytes) return ENOMEM;
    int err = read_pinned(j, &j->pinned, (uint64_t)first * SCIF_PAGE, ring, bytes);
    for (uint32_t i = 0; !err && i < n; i++) {
        j->same[i] = true;
        for (size_t k = (size_t)i * SCIF_PAGE; j->same[i] && k < (size_t)(i + 1) * SCIF_PAGE;
             k += sizeof word) {
            if (memcmp(before + k, ring + k, sizeof word) == 0) continue;
            if (pread(j->memory, word, sizeof word, (off_t)(j->place[first] + k)) != sizeof word)
                return ENOMEM;
            j->same[i] = memcmp(before + k, word, sizeof word) != 0; /* it is being written */
        }
    }
    return err;
}

/* mremap() of watched memory ends when somebody has heard of it. */
static void *hear(void *of) {
    struct pollfd p = {.fd = *(int *)of, .events = POLLIN};
    struct uffd_msg m;
    while (poll(&p, 1, -1) < 0 || read(p.fd, &m, sizeof m) != sizeof m || m.event != UFFD_EVENT_REMAP) {
    }
    return NULL;
}

/* The file takes the place of the pages, and its contents come after that. */
static int exchange(struct job *j, uint32_t page, uint32_t n, uintptr_t at, int prot) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    int fd = watch_descriptor(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_MINOR_SHMEM);
    void *pages = mmap(NULL, bytes, prot, MAP_SHARED, j->pool, (off_t)(j->at + (uint64_t)page * SCIF_PAGE));
    struct uffdio_register arm = {.range = {(uintptr_t)pages, bytes}, .mode = UFFDIO_REGISTER_MODE_MINOR};
    struct uffdio_range range = {at, bytes};
    pthread_t ear;
    int err = fd < 0 || pages == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &arm) ? ENOMEM : 0;
    if (!err) err = pthread_create(&ear, NULL, hear, &fd);
    bool heard = !err;
    if (!err && !move_mapping(pages, bytes, 0, at)) {
        err = ENOMEM;
        pthread_cancel(ear);
    }
    if (!err) { /* threads wait from here */
        err = read_pinned(j, &j->pinned, (uint64_t)page * SCIF_PAGE, j->buffer[0], bytes);
        if (!err) err = find_in_others(j, page, n);
        if (!err) err = to_pool(j, page, n, j->buffer[0]);
        if (err) abort(); /* the addresses show nothing */
        ioctl(fd, UFFDIO_UNREGISTER, &range);
        mark_done(j, page, n);
        pages = MAP_FAILED;
    }
    if (heard) pthread_join(ear, NULL);
    if (pages != MAP_FAILED) munmap(pages, bytes);
    if (fd >= 0) close_descriptor(fd);
    return err;
}

static int move_other_kind(struct job *j, uint32_t first, uint32_t n, const struct mapping *m) {
    bool same[CHUNK_PAGES];
    int err = compare_contents(j, first, n);
    memcpy(same, j->same, sizeof same);
    for (uint32_t i = 0, len; !err && i < n; i += len) {
        len = run_length(same, i, n);
        err = same[i] ? exchange(j, first + i, len, j->place[first + i], m->prot)
                      : move_unseen(j, first + i, len);
    }
    return err;
}

/* ---- Chunks ---- */
/* Pages from `first` on that adjoin where they are now and lie in one mapping, or in none. *m: its `to` is 0
 * then. */
static uint32_t chunk(const struct job *j, uint32_t first, struct mapping *m) {
    uintptr_t at = j->place[first];
    bool any = at && memory_next(at, m), here = any && m->from <= at;
    uint32_t n = 1;
    while (n < CHUNK_PAGES && first + n < j->pinned.pages &&
           j->place[first + n] == (at ? at + n * SCIF_PAGE : 0) &&
           (here ? at + n * SCIF_PAGE < m->to : !any || at + n * SCIF_PAGE < m->from))
        n++;
    if (!here) *m = (struct mapping){0};
    return n;
}

static bool see_one(void *context, const struct mapping *m) {
    struct mapping *out = context;
    if (m->to <= out->from) return true;
    if (m->from <= out->from) *out = *m;
    return false;
}

static int move_chunk(struct job *j, uint32_t first, uint32_t n, const struct mapping *m, struct advice a) {
    if (!m->to || pool_has(m)) return move_unseen(j, first, n);
    bool is_private = !m->shared && !m->inode;
    if (is_private && !watch_knows(j->place[first], (size_t)n * SCIF_PAGE)) return move_unseen(j, first, n);
    int err = is_private ? move_private(j, first, n, m) : move_other_kind(j, first, n, m);
    if (!err) advise(j->place[first], (size_t)n * SCIF_PAGE, a);
    return err;
}

static int move_pages(struct job *j) {
    struct mapping m, last = {0};
    struct advice a = {0};
    int err = 0;
    for (uint32_t first = 0, n; !err && first < j->pinned.pages; first += n) {
        n = chunk(j, first, &m);
        if (m.to && m.to != last.to && !pool_has(&m)) { /* another mapping than before */
            a = memory_advice(j->place[first]);
            struct mapping full = {.from = j->place[first]};
            if (m.shared && (!memory_each(see_one, &full) || !memory_is_own_alone(&full))) err = EBUSY;
        }
        last = m;
        if (!err) err = move_chunk(j, first, n, &m, a);
    }
    return err;
}

/* ---- The tables ---- */
/* Whether another part of its window, which was parted before, needs what is pinned in its slot. */
static bool is_slot_needed(const struct scif_windows *w, const struct scif_piece *p) {
    for (unsigned i = 0; i < table_count(w); i++) {
        const struct scif_piece *o = &w->piece[i];
        if (o->kind == PIECE_PINNED && o->place == p->place && o->slot == p->slot) return true;
    }
    return false;
}

/* The piece becomes pieces, by what page of the pool each page is: page[], + 1; 0: it stays. */
static bool convert(const struct job *j, struct endpoint *e, const struct scif_piece *p, const uint32_t *page,
                    uint32_t file) {
    struct scif_windows *w = e->own.table;
    unsigned i = table_search(w, p->offset), n = 0;
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    for (uint32_t k = 0, len; k < pages; k += len) {
        len = 1;
        while (k + len < pages && (page[k] ? page[k + len] == page[k] + len : !page[k + len])) len++;
        struct scif_piece *o = &j->pieces[n++];
        *o = *p;
        o->offset += (uint64_t)k * SCIF_PAGE;
        o->bytes = (uint64_t)len * SCIF_PAGE;
        o->at += (uint64_t)k * SCIF_PAGE;
        if (!page[k]) continue;
        o->kind = PIECE_FILE;
        o->place = file;
        o->slot = 0;
        o->at = j->at + (uint64_t)(page[k] - 1) * SCIF_PAGE;
    }
    if (!table_replace(w, i, i + 1, j->pieces, n)) return false;
    if (!is_slot_needed(w, p)) pin_free(e, p);
    return true;
}

static void give_up(struct endpoint *e, const struct scif_piece *p) {
    unsigned i = table_search(e->own.table, p->offset);
    weft_error("scif", "a window is in more parts than there is room for: some of it ends");
    table_replace(e->own.table, i, i + 1, NULL, 0);
    if (!is_slot_needed(e->own.table, p)) pin_free(e, p);
}

static void convert_all(struct job *j) {
    if (!convert(j, j->e, &j->p, j->page, j->file)) give_up(j->e, &j->p);
    for (unsigned k = 0; k < j->others; k++) {
        struct other *o = &j->other[k];
        if (!convert(j, o->e, &o->p, o->page, o->file)) give_up(o->e, &o->p);
    }
}

/* ---- Preparation ---- */
static int pin_down(struct endpoint *e, const struct scif_piece *p, struct pinned *out) {
    struct ring *r = space_ring(&e->own, p->place);
    if (!r) return ENOMEM;
    *out = (struct pinned){*r, p->slot, p->at, (uint32_t)(p->bytes / SCIF_PAGE)};
    return 0;
}

static uintptr_t *find_places(const struct endpoint *e, const struct scif_piece *p) {
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    uintptr_t *place = take_memory(pages * sizeof *place);
    bool own =
        e->owner_of == line_process() && p->owner == e->owner; /* another one's, who is gone: nowhere */
    for (uint32_t i = 0; place && own && i < pages; i++)
        place[i] = watch_follow(p->at + (uint64_t)i * SCIF_PAGE, p->born);
    return place;
}

static bool overlaps(const struct job *j, const uintptr_t *place, const struct scif_piece *p) {
    if (p->at < j->p.at + j->p.bytes && j->p.at < p->at + p->bytes) return true;
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    uintptr_t low = j->place[0], high = j->place[j->pinned.pages - 1];
    for (uint32_t i = 0; i < pages; i++)
        if (place[i] >= low && place[i] <= high) return true;
    return false;
}

static int add_other(struct job *j, struct endpoint *e, const struct scif_piece *p) {
    uintptr_t *place = find_places(e, p);
    if (!place) return ENOMEM;
    uint32_t pages = (uint32_t)(p->bytes / SCIF_PAGE);
    if (!overlaps(j, place, p)) {
        munmap(place, pages * sizeof *place);
        return 0;
    }
    struct other *more = take_memory((j->others + 1) * sizeof *more), *o = more ? &more[j->others] : NULL;
    uint32_t *page = take_memory(pages * sizeof *page);
    int err = more && page ? 0 : ENOMEM;
    if (!err) err = pin_down(e, p, &o->pinned);
    if (!err) err = pin_file(e, pool_file(), &o->file);
    if (err) {
        munmap(place, pages * sizeof *place);
        if (more) munmap(more, (j->others + 1) * sizeof *more);
        if (page) munmap(page, pages * sizeof *page);
        return err;
    }
    if (j->others) memcpy(more, j->other, j->others * sizeof *more);
    if (j->others) munmap(j->other, j->others * sizeof *more);
    o->e = e;
    o->p = *p;
    o->place = place;
    o->page = page;
    j->other = more;
    j->others++;
    return 0;
}

static int find_others(struct job *j, struct endpoint *const *all, unsigned n) {
    int err = 0;
    for (unsigned k = 0; k < n; k++) {
        struct endpoint *e = all[k];
        if (e->owner_of != line_process()) continue;
        for (unsigned i = 0; !err && i < table_count(e->own.table); i++) {
            struct scif_piece p = e->own.table->piece[i];
            bool itself = e == j->e && p.offset == j->p.offset;
            if (p.kind == PIECE_PINNED && p.owner == e->owner && p.born != UNWATCHED && !itself)
                err = add_other(j, e, &p);
        }
    }
    return err;
}

static struct scif_ring *ring_of(struct job *j, unsigned k) {
    return k ? j->other[k - 1].pinned.ring.shared : j->pinned.ring.shared;
}

static void turns(struct job *j, bool take) {
    for (unsigned k = 0; k <= j->others; k++) {
        bool again = false;
        for (unsigned i = 0; i < k; i++) again |= ring_of(j, i) == ring_of(j, k);
        struct pinned *p = k ? &j->other[k - 1].pinned : &j->pinned;
        if (!again && take) ring_take(&p->ring);
        if (!again && !take) ring_give(&p->ring);
    }
}

static size_t pieces_room(const struct job *j) {
    size_t most = j->pinned.pages;
    for (unsigned k = 0; k < j->others; k++)
        if (j->other[k].pinned.pages > most) most = j->other[k].pinned.pages;
    return most;
}

static void release(struct job *j) {
    if (j->pieces) munmap(j->pieces, pieces_room(j) * sizeof *j->pieces); /* while the others tell how much */
    for (unsigned k = 0; k < j->others; k++) {
        struct other *o = &j->other[k];
        munmap(o->place, o->pinned.pages * sizeof *o->place);
        munmap(o->page, o->pinned.pages * sizeof *o->page);
    }
    if (j->others) munmap(j->other, j->others * sizeof *j->other);
    if (j->place) munmap(j->place, j->pinned.pages * sizeof *j->place);
    if (j->page) munmap(j->page, j->pinned.pages * sizeof *j->page);
    if (j->memory >= 0) close_descriptor(j->memory);
    if (j->faults >= 0) close_descriptor(j->faults);
    munmap(j, sizeof *j);
}

static int prepare(struct job *j, struct endpoint *e, const struct scif_piece *p, struct endpoint *const *all,
                   unsigned n) {
    struct lane *l = lane_get();
    struct file *pool = pool_file();
    j->e = e;
    j->p = *p;
    j->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    j->faults = watch_descriptor(0);
    int err = l && pool ? pin_down(e, p, &j->pinned) : ENOMEM;
    if (err) return err;
    j->pool = file_descriptor(pool);
    j->stage = l->stage;
    j->in = l->in;
    j->out = l->out;
    if (watch_is_lost()) return ENOMEM;
    j->place = find_places(e, p);
    j->page = take_memory(j->pinned.pages * sizeof *j->page);
    if (!j->place || !j->page) return ENOMEM;
    err = pin_file(e, pool, &j->file);
    if (!err) err = find_others(j, all, n);
    if (!err && !(j->pieces = take_memory(pieces_room(j) * sizeof *j->pieces))) err = ENOMEM;
    return err ? err : pool_take(p->bytes, &j->at);
}

/* With the locks of all endpoints. */
static int move_piece(struct endpoint *e, const struct scif_piece *p, struct endpoint *const *all,
                      unsigned n) {
    struct job *j = take_memory(sizeof *j);
    if (!j) return ENOMEM;
    int err = prepare(j, e, p, all, n);
    if (!err) {
        turns(j, true);
        err = move_pages(j);
        convert_all(j);
        turns(j, false);
        bool any = false;
        for (uint32_t i = 0; i < j->pinned.pages; i++) any |= j->page[i] != 0;
        if (!any) pool_return(j->at, p->bytes);
    }
    release(j);
    return err;
}

/* ---- Windows ---- */
static bool next_pinned(struct endpoint *e, uint64_t offset, uint64_t end, struct scif_piece *out) {
    const struct scif_windows *w = e->own.table;
    for (unsigned i = table_search(w, offset); i < table_count(w) && w->piece[i].offset < end; i++)
        if (w->piece[i].kind == PIECE_PINNED) {
            *out = w->piece[i];
            return true;
        }
    return false;
}

static int by_id(const void *a, const void *b) {
    uint64_t x = (*(struct endpoint *const *)a)->id, y = (*(struct endpoint *const *)b)->id;
    return x < y ? -1 : x > y;
}

/* Ids are the same in all processes that share an endpoint: so is the order of the locks. */
static int move_locked(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    struct endpoint **all;
    struct scif_piece p;
    unsigned n;
    int err = 0;
    if (!endpoint_all(&all, &n)) return ENOMEM;
    qsort(all, n, sizeof *all, by_id);
    for (unsigned i = 0; i < n; i++) endpoint_lock(all[i]);
    while (!err && next_pinned(e, offset, offset + bytes, &p))
        if (p.born == UNWATCHED)
            err = ENOMEM;
        else if (p.owner != e->owner && door_is_open(e->own.table, p.owner))
            err = ENOMEM; /* its owner is to be asked */
        else
            err = move_piece(e, &p, all, n);
    for (unsigned i = n; i > 0; i--) endpoint_unlock(all[i - 1]);
    endpoint_release_all(all, n);
    return err;
}

int move_windows(struct endpoint *e, uint64_t offset, uint64_t bytes) {
    if (offset >= OFFSET_END || bytes > OFFSET_END - offset) return ENXIO;
    move_hold_off();
    atomic_fetch_add(&count, 1);
    int err = move_locked(e, offset, bytes);
    atomic_fetch_add(&count, 1);
    move_go_on();
    return err;
}
