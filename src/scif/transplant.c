/* The pages of a window are pinned, so there is one truth about them: what its ring reads and writes, which
 * goes to the pool. What is to be found out is which addresses of this process still show them, and only
 * there the pool takes their place.
 *
 * Private memory: its pages are taken away from the addresses (take.h), where threads that touch them now
 * wait. A word of each page, which nobody else can see at that moment, is changed: if the ring shows the
 * change, it is the page. Then the pool, with a copy of it, takes its place, or the page itself comes back.
 *
 * Memory of other kinds cannot be taken away so: if what it shows is what the ring reads, the pool takes its
 * place at once, empty and such that threads that touch it wait (userfaultfd), and then gets its contents
 * from the ring. */
#include "scif/gate.h"
#include "scif/intercept.h"
#include "scif/job.h"
#include "scif/watch.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The program's addresses, past whoever else has taken the place of these functions: a sanitizer takes what
 * happens to memory here for an access by the program. */
static bool map_file(void *place, size_t bytes, int prot, int fd, uint64_t at) {
    return syscall(SYS_mmap, place, bytes, prot, MAP_SHARED | MAP_FIXED, fd, at) == (long)place;
}
static bool move_mapping(void *from, size_t bytes, uintptr_t to) {
    return syscall(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == (long)to;
}

/* ---- Through the ring ---- */
/* What the pages are at this moment, to the pool; and that as memory of this process. */
static int copy_to_pool(struct job *j, uint32_t first, uint32_t n) {
    uint64_t from = (uint64_t)first * SCIF_PAGE, bytes = (uint64_t)n * SCIF_PAGE;
    for (uint64_t done = 0; done < bytes;) {
        ssize_t r = ring_run(&j->pinned.ring, RING_READ, j->pinned.slot, j->pinned.at + from + done, j->pool,
                             j->at + from + done, bytes - done);
        if (r <= 0) return r ? (int)-r : EIO;
        done += (uint64_t)r;
    }
    return map_file(j->view, bytes, PROT_READ | PROT_WRITE, j->pool, j->at + from) ? 0 : ENOMEM;
}

static unsigned char *page_of(unsigned char *memory, uint32_t i) { return memory + (size_t)i * SCIF_PAGE; }

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
    for (struct other *o = j->other; o; o = o->next)
        for (uint32_t q = 0; q < o->pinned.pages; q++)
            if ((o->place[q] == j->place[page] || o->p.at + (uint64_t)q * SCIF_PAGE == address) &&
                read_word(j, &o->pinned, q) == word)
                o->page[q] = page + 1;
}

/* Nobody sees the page but rings: its word is changed through one, and looked for through the others. */
static int compare_unseen(struct job *j, uint32_t page, uint64_t token, uint64_t kept) {
    if (!j->other) return 0;
    if (!write_word(j, &j->pinned, page, token)) return EIO;
    compare_others(j, page, token);
    return write_word(j, &j->pinned, page, kept) ? 0 : EIO;
}

/* ---- Addresses that show the pool ---- */
static void advise(uintptr_t address, size_t bytes, struct advice a) {
    if (a.dont_fork) madvise((void *)address, bytes, MADV_DONTFORK);
    if (a.dont_dump) madvise((void *)address, bytes, MADV_DONTDUMP);
    if (a.locked) mlock((void *)address, bytes);
}

static bool show_pool(void *job, uint32_t first, uint32_t n, uintptr_t address, int prot) {
    const struct job *j = job;
    size_t bytes = (size_t)n * SCIF_PAGE;
    if (!map_file((void *)address, bytes, prot, j->pool, j->at + (uint64_t)first * SCIF_PAGE)) return false;
    advise(address, bytes, j->advice);
    return true;
}

static void mark_done(struct job *j, uint32_t page) { j->page[page] = page + 1; }

/* ---- Pages that no address shows ---- */
/* They are in the pool, and nobody sees them any more but rings. */
static int find_in_others(struct job *j, uint32_t first, uint32_t n) {
    int err = getrandom(j->token, n * sizeof *j->token, 0) < 0 ? errno : 0;
    for (uint32_t i = 0; !err && i < n; i++) {
        uint64_t kept;
        memcpy(&kept, page_of(j->view, i), sizeof kept);
        err = compare_unseen(j, first + i, j->token[i], kept);
    }
    return err;
}

int transplant_unseen(struct job *j, uint32_t first, uint32_t n) {
    int err = copy_to_pool(j, first, n);
    if (!err && j->other) err = find_in_others(j, first, n);
    for (uint32_t i = 0; !err && i < n; i++) mark_done(j, first + i);
    return err;
}

/* ---- Private memory ---- */
/* What is aside gets tokens, the ring's pages come to the pool, and the words come back. */
static int find_same(struct job *j, uint32_t first, uint32_t n) {
    size_t word = sizeof *j->token;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(&j->kept[i], page_of(j->aside, i), word);
        memcpy(page_of(j->aside, i), &j->token[i], word);
    }
    int err = copy_to_pool(j, first, n);
    for (uint32_t i = 0; i < n; i++) {
        j->same[i] = !err && memcmp(page_of(j->view, i), &j->token[i], word) == 0;
        if (j->same[i]) compare_others(j, first + i, j->token[i]);
        if (j->same[i]) memcpy(page_of(j->view, i), &j->kept[i], word);
        memcpy(page_of(j->aside, i), &j->kept[i], word);
    }
    for (uint32_t i = 0; !err && i < n; i++) {
        uint64_t kept;
        memcpy(&kept, page_of(j->view, i), sizeof kept);
        if (!j->same[i]) err = compare_unseen(j, first + i, j->token[i], kept);
    }
    return err;
}

/* The pool's pages are at the index of the piece, a take's at that of the chunk. */
struct showing {
    struct job *j;
    uint32_t first;
};
static bool show_page(void *context, uint32_t first, uint32_t n, uintptr_t address, int prot) {
    const struct showing *s = context;
    return show_pool(s->j, s->first + first, n, address, prot);
}

int transplant_private(struct job *j, uint32_t first, uint32_t n, int prot) {
    struct take t = {.at = j->now[0], .moves = j->moves, .pages = n, .prot = prot, .aside = j->aside};
    struct showing s = {j, first};
    if (getrandom(j->token, n * sizeof *j->token, 0) < 0) return errno;
    if (!map_file(j->aside, CHUNK_BYTES, PROT_NONE, j->pool, j->at)) return ENOMEM;
    int err = take_begin(&t);
    j->room_lost = t.room_lost;
    if (err) return err;
    err = mprotect(j->aside, (size_t)n * SCIF_PAGE, PROT_READ | PROT_WRITE) ? ENOMEM : find_same(j, first, n);
    take_settle(&t, err ? NULL : j->same, show_page, &s); /* threads wait until here */
    for (uint32_t i = 0; !err && i < n; i++)
        if (t.fate[i] != TAKE_FAILED) mark_done(j, first + i);
    for (uint32_t i = 0; !err && i < n; i++)
        if (t.fate[i] == TAKE_FAILED) err = ENOMEM;
    return err;
}

/* ---- Memory of other kinds ---- */
/* What the addresses show, twice, and what the ring reads in between: where the former did not change, it is
 * the same. */
static int compare_contents(struct job *j, uint32_t first, uint32_t n) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    unsigned char word[64];
    if (pread(j->memory, j->buffer, bytes, (off_t)j->now[0]) != (ssize_t)bytes) return ENOMEM;
    int err = copy_to_pool(j, first, n);
    for (uint32_t i = 0; !err && i < n; i++) {
        j->same[i] = true;
        for (size_t k = (size_t)i * SCIF_PAGE; j->same[i] && k < (size_t)(i + 1) * SCIF_PAGE;
             k += sizeof word) {
            if (memcmp(j->buffer + k, j->view + k, sizeof word) == 0) continue;
            if (pread(j->memory, word, sizeof word, (off_t)(j->now[0] + k)) != sizeof word) return ENOMEM;
            j->same[i] = memcmp(j->buffer + k, word, sizeof word) != 0; /* it is being written */
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

/* Whether an address still shows the file that m does; *now: its mapping. What the system is too old to
 * tell is taken for true. */
static bool still_shows(uintptr_t at, const struct mapping *m, struct mapping *now) {
    *now = *m;
    if (!memory_ask(at, now)) return memory_is_mapped(at, SCIF_PAGE);
    return now->device == m->device && now->inode == m->inode && now->shared == m->shared &&
           now->at + (at - now->from) == m->at + (at - m->from);
}

/* mremap() to there, unless the program has changed something: EAGAIN. */
static int move_if_still(void *pages, size_t bytes, uintptr_t at, int prot, const struct mapping *m) {
    struct mapping now;
    gate_close();
    bool still = still_shows(at, m, &now) && now.prot == prot && now.to - at >= bytes;
    int err = !still ? EAGAIN : move_mapping(pages, bytes, at) ? 0 : ENOMEM;
    gate_open();
    return err;
}

/* The file takes the place of the pages, and its contents come after that. */
static int exchange(struct job *j, uint32_t page, uint32_t n, uintptr_t at, int prot,
                    const struct mapping *m) {
    size_t bytes = (size_t)n * SCIF_PAGE;
    int fd = watch_descriptor(UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_MINOR_SHMEM);
    void *pages = mmap(NULL, bytes, prot, MAP_SHARED, j->pool, (off_t)(j->at + (uint64_t)page * SCIF_PAGE));
    struct uffdio_register arm = {.range = {(uintptr_t)pages, bytes}, .mode = UFFDIO_REGISTER_MODE_MINOR};
    struct uffdio_range range = {at, bytes};
    pthread_t ear;
    int err = fd < 0 || pages == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &arm) ? ENOMEM : 0;
    if (!err) err = pthread_create(&ear, NULL, hear, &fd);
    bool heard = !err;
    if (!err) err = move_if_still(pages, bytes, at, prot, m);
    if (err && heard) pthread_cancel(ear);
    if (!err) { /* threads wait from here */
        err = transplant_unseen(j, page, n);
        if (err) abort(); /* the addresses show nothing */
        ioctl(fd, UFFDIO_UNREGISTER, &range);
        advise(at, bytes, j->advice);
        pages = MAP_FAILED;
    }
    if (heard) pthread_join(ear, NULL);
    if (pages != MAP_FAILED) munmap(pages, bytes);
    if (fd >= 0) close_descriptor(fd);
    return err;
}

/* So many pages that were the same when they were compared. */
static int exchange_run(struct job *j, uint32_t page, uint32_t n, uintptr_t at, const struct mapping *m) {
    int err = 0;
    for (uint32_t done = 0, k; !err && done < n; done += k) {
        struct mapping now;
        bool still = still_shows(at + (uintptr_t)done * SCIF_PAGE, m, &now);
        uintptr_t from = at + (uintptr_t)done * SCIF_PAGE;
        k = still ? (uint32_t)((now.to - from) / SCIF_PAGE) : 1;
        if (k > n - done) k = n - done;
        err = still ? exchange(j, page + done, k, from, now.prot, m) : transplant_unseen(j, page + done, 1);
        if (err != EAGAIN) continue;
        k = 0;
        err = 0;
    }
    return err;
}

static uint32_t run_length(const bool *same, uint32_t from, uint32_t n) {
    uint32_t i = from;
    while (i < n && same[i] == same[from]) i++;
    return i - from;
}

int transplant_other_kind(struct job *j, uint32_t first, uint32_t n, const struct mapping *m) {
    bool same[CHUNK_PAGES];
    int err = compare_contents(j, first, n);
    memcpy(same, j->same, sizeof same);
    for (uint32_t i = 0, len; !err && i < n; i += len) {
        len = run_length(same, i, n);
        err = same[i] ? exchange_run(j, first + i, len, j->now[i], m) : transplant_unseen(j, first + i, len);
    }
    return err;
}
