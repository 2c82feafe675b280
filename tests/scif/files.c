/* Windows in files that the program has brought along: the files are let go of with the last window that is
 * in them, by both sides, so that an endpoint takes any number of them in its life. */
#include "window.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 1000, SOME = 100, AT_ONCE = 64, SPARE = 8 };

static int descriptors(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

/* How many of the descriptors are of such files. */
static int files_of_cases(void) {
    char target[64];
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    for (struct dirent *i; (i = readdir(d));) {
        ssize_t length = readlinkat(dirfd(d), i->d_name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        n += strstr(target, "/memfd:sciftest") == target;
    }
    closedir(d);
    return n;
}

/* A page of a file of its own. */
static char *page_of_a_file(int *fd, int i) {
    *fd = (int)OK(memfd_create("sciftest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    OK(ftruncate(*fd, PAGE));
    if (i % 2) OK(fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK));
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    CHECK(p != MAP_FAILED);
    fill_pattern(p, PAGE, (uint32_t)i);
    return p;
}

static void drop_page(char *p, int fd) {
    OK(munmap(p, PAGE));
    OK(close(fd));
}

static void one_after_the_other(struct sciftest *t) {
    scif_epd_t e[2];
    int before = 0;
    connect_loop(e);
    for (int i = 0; i < MANY + SPARE; i++) {
        int fd;
        char *p = page_of_a_file(&fd, i), copy[PAGE];
        off_t at = register_pages(e[0], p, 1);
        peek(e[1], copy, PAGE, at);
        CHECK(has_pattern(copy, PAGE, (uint32_t)i));
        char *view = map_peer(e[1], 1, at, RW);
        fill_pattern(view, PAGE, (uint32_t)i + 1);
        CHECK(has_pattern(p, PAGE, (uint32_t)i + 1));
        OK(scif_munmap(view, PAGE));
        OK(scif_unregister(e[0], at, PAGE));
        drop_page(p, fd);
        if (i == SPARE) before = descriptors();
    }
    send_all(e[1], "", 1); /* any call of the peer's */
    CHECK(descriptors() <= before);
    CHECK_EQ(files_of_cases(), 0);
}

/* What the peer has is let go of by its next call. */
static void peer_of_many(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char copy[PAGE];
    int before = 0;
    for (int i = 0; i < SOME + SPARE; i++) {
        off_t at;
        hear(t, &at, sizeof at);
        peek(epd, copy, PAGE, at);
        CHECK(has_pattern(copy, PAGE, (uint32_t)i));
        if (i == SPARE) before = descriptors();
        meet(t);
        meet(t);
    }
    send_all(epd, "", 1);
    CHECK(descriptors() <= before);
    CHECK_EQ(files_of_cases(), 0);
    meet(t);
}

static void owner_of_many(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    for (int i = 0; i < SOME + SPARE; i++) {
        int fd;
        char *p = page_of_a_file(&fd, i);
        off_t at = register_pages(epd, p, 1);
        tell(t, &at, sizeof at);
        meet(t);
        OK(scif_unregister(epd, at, PAGE));
        drop_page(p, fd);
        meet(t);
    }
    meet(t);
}

/* The place of one is another's while others stay. */
static void many_at_once(struct sciftest *t) {
    scif_epd_t e[2];
    char *p[AT_ONCE], copy[PAGE];
    off_t at[AT_ONCE];
    int fd[AT_ONCE];
    connect_loop(e);
    for (int i = 0; i < AT_ONCE; i++) {
        p[i] = page_of_a_file(&fd[i], i);
        at[i] = register_pages(e[0], p[i], 1);
        peek(e[1], copy, PAGE, at[i]);
    }
    for (int round = 1; round < 4; round++) {
        for (int i = round; i < AT_ONCE; i += round + 1) {
            OK(scif_unregister(e[0], at[i], PAGE));
            drop_page(p[i], fd[i]);
        }
        for (int i = round; i < AT_ONCE; i += round + 1) {
            p[i] = page_of_a_file(&fd[i], i + AT_ONCE * round);
            at[i] = register_pages(e[0], p[i], 1);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            peek(e[1], copy, PAGE, at[i]);
            CHECK(memcmp(copy, p[i], PAGE) == 0);
        }
    }
}

/* A file of which the window is gone, but not yet the mapping, stays until the mapping goes too. */
static void mapped_after_its_window(struct sciftest *t) {
    scif_epd_t e[2];
    int fd[2];
    char *p[2];
    connect_loop(e);
    p[0] = page_of_a_file(&fd[0], 1);
    off_t first = register_pages(e[0], p[0], 1);
    char *view = map_peer(e[1], 1, first, RW);
    OK(scif_unregister(e[0], first, PAGE));
    p[1] = page_of_a_file(&fd[1], 2);
    off_t second = register_pages(e[0], p[1], 1);
    CHECK(second != first);
    CHECK(has_pattern(view, PAGE, 1));
    OK(scif_unregister(e[0], second, PAGE));
    OK(scif_munmap(view, PAGE));
    CHECK_EQ(register_pages(e[0], p[1], 1), first);
}

/* ---- While they come and go ---- */
/* Two windows, each in a file of its own, which has whatever place is free: one with small numbers, one with
 * large ones, page by page the same in each byte. */
struct reader {
    scif_epd_t epd;
    off_t at[2];
    atomic_bool end;
    atomic_uint reads;
};

static long read_all_the_time(struct worker *w) {
    struct reader *r = w->data;
    unsigned char copy[PAGE];
    for (unsigned i = 0; !atomic_load(&r->end); i++) {
        if (scif_vreadfrom(r->epd, copy, PAGE, r->at[i % 2], 0)) continue; /* it is not there just now */
        CHECK_EQ(copy[0] >> 7, i % 2);
        CHECK(memcmp(copy, copy + 1, PAGE - 1) == 0);
        atomic_fetch_add(&r->reads, 1);
    }
    return 0;
}

static void come_and_go(scif_epd_t epd, const off_t at[2], int round) {
    int fd[2];
    char *p[2];
    for (int i = 0; i < 2; i++) {
        int which = (round + i) % 2;
        p[which] = page_of_a_file(&fd[which], round);
        memset(p[which], which << 7 | round % 128, PAGE);
        register_at(epd, p[which], 1, at[which], RW);
    }
    for (int i = 0; i < 2; i++) {
        OK(scif_unregister(epd, at[i], PAGE));
        drop_page(p[i], fd[i]);
    }
}

enum { READERS = 2, ROUNDS = 200, READS = 20, IN_A_ROW = 10 };

static void start_readers(struct worker w[READERS], struct reader *r, scif_epd_t epd) {
    *r = (struct reader){.epd = epd, .at = {0, 2 * PAGE}};
    for (int i = 0; i < READERS; i++) {
        w[i] = (struct worker){.call = read_all_the_time, .data = r};
        worker_start(&w[i]);
    }
}

static void end_readers(struct worker w[READERS], struct reader *r) {
    atomic_store(&r->end, true);
    for (int i = 0; i < READERS; i++) worker_join(&w[i]);
}

static time_t end_of_rounds(void) { return time(NULL) + soon_ms() / 2000; } /* fewer on a busy machine */

static void while_they_come_and_go(struct sciftest *t) {
    scif_epd_t e[2];
    struct worker w[READERS];
    struct reader r;
    connect_loop(e);
    start_readers(w, &r, e[1]);
    time_t end = end_of_rounds();
    for (int i = 0; (i < ROUNDS && time(NULL) < end) || atomic_load(&r.reads) < READS; i++)
        come_and_go(e[0], r.at, i);
    end_readers(w, &r);
}

/* Of another process, which does not wait while a reader lets go. */
static void peer_reads(struct sciftest *t) {
    struct worker w[READERS];
    struct reader r;
    char more = 1;
    start_readers(w, &r, connect_pair(t));
    while (more) {
        unsigned reads = atomic_load(&r.reads);
        tell(t, &reads, sizeof reads);
        hear(t, &more, 1);
    }
    end_readers(w, &r);
}

static void owner_comes_and_goes(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    time_t end = end_of_rounds();
    char more = 1;
    for (int i = 0; more; i += IN_A_ROW) {
        unsigned reads;
        hear(t, &reads, sizeof reads);
        more = (i < ROUNDS && time(NULL) < end) || reads < READS;
        tell(t, &more, 1);
        for (int k = 0; more && k < IN_A_ROW; k++) come_and_go(epd, (off_t[]){0, 2 * PAGE}, i + k);
    }
}

/* ---- What a peer may do to files that it has got ---- */

/* The file to which the library moves windows that are mapped, as any peer has it. It cannot be made shorter,
 * which would kill all who have it mapped by SIGBUS; that it can be made longer is in nobody's way. How many
 * such files this process has open. */
static int try_to_change_lengths(void) {
    char name[64], target[256];
    int n = 0;
    for (int fd = 0; fd < 4096; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(name, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        if (strstr(target, "/memfd:scif-pages") != target) continue;
        FAILS(ftruncate(fd, 0), EPERM);
        FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
        OK(ftruncate(fd, 64 << 20));
        n++;
    }
    return n;
}

static void lengths_are_changed(struct sciftest *t) {
    scif_epd_t e[2];
    char *mem[2], *view[2];
    connect_loop(e);
    for (int i = 0; i < 2; i++) {
        mem[i] = new_pages(4);
        fill_pattern(mem[i], 4 * PAGE, (uint32_t)i);
        view[i] = map_peer(e[1], 4, register_pages(e[0], mem[i], 4), RW);
        CHECK(try_to_change_lengths() > 0);
        for (int k = 0; k <= i; k++) CHECK(has_pattern(view[k], 4 * PAGE, (uint32_t)k));
        view[i][0] ^= 1;
        CHECK_EQ(mem[i][0], view[i][0]);
        view[i][0] ^= 1;
    }
}

#define CITE "guide 3.9"
static const struct sciftest_case cases[] = {
    {"scif_unregister__lets_go_of_a_thousand_files_that_were_mapped", CITE, one_after_the_other, NULL, 0},
    {"scif_unregister__lets_the_peer_let_go_of_files", CITE, peer_of_many, owner_of_many, 0},
    {"scif_register__gives_the_place_of_a_file_to_another_one", "contract: scif_register", many_at_once, NULL,
     0},
    {"scif_readfrom__while_files_come_and_go_reads_the_right_one", "guide 3.9", while_they_come_and_go, NULL,
     0},
    {"scif_readfrom__while_files_of_another_process_come_and_go_reads_the_right_one", "guide 3.9", peer_reads,
     owner_comes_and_goes, 0},
    {"scif_unregister__keeps_a_file_while_it_is_mapped", CITE, mapped_after_its_window, NULL, 0},
    {"ftruncate__of_what_a_peer_has_got_takes_nothing_away", "contract: scif_mmap", lengths_are_changed, NULL,
     0},
};
SCIFTEST_AREA(files_area, cases);
