/* scif_mmap() of pages that others have too (guide 3.5, 3.6): other processes of the owner's host, the
 * owner's own windows, children after fork(). All of them see the same, wherever the one is who has mapped
 * them. */
#include "areas.h"
#include "window.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { PAGES = 4, BYTES = PAGES * 4096, ADDS = 1000 };
enum file { NO_FILE, OPEN_FILE, SEALED_FILE, NAMED_FILE };

/* The right side's, also for its children. */
static int the_file = -1;
static char *the_memory;

static char *map_the_file(void) {
    void *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, the_file, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static int open_named(void) {
    char name[64] = "/dev/shm/sciftest-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) sciftest_skip("no /dev/shm here");
    unlink(name);
    return fd;
}

static void make_memory(enum file kind) {
    if (kind == NO_FILE) {
        the_memory = new_pages(PAGES);
    } else {
        the_file = kind == NAMED_FILE ? open_named()
                                      : (int)OK(memfd_create("sciftest", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        OK(ftruncate(the_file, BYTES));
        if (kind == SEALED_FILE) OK(fcntl(the_file, F_ADD_SEALS, F_SEAL_SHRINK));
        the_memory = map_the_file();
    }
    fill_pattern(the_memory, BYTES, 1);
}

/* ---- Files that the program still has open ---- */

static void of_file_peer(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    CHECK(has_pattern(view, BYTES, 1));
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 3));
    CHECK(peek_pattern(o.epd, BYTES, o.off, 3));
    poke_pattern(o.epd, BYTES, o.off, 4);
    CHECK(has_pattern(view, BYTES, 4));
    meet(t);
}

/* The owner has it twice, and then once more. */
static void of_file(struct sciftest *t) {
    make_memory((enum file)t->arg);
    char *other = map_the_file();
    (void)owned_memory(t, the_memory, PAGES, RW);
    meet(t);
    char *late = map_the_file();
    CHECK(has_pattern(late, BYTES, 2));
    CHECK(has_pattern(other, BYTES, 2));
    CHECK(has_pattern(the_memory, BYTES, 2));
    fill_pattern(other, BYTES, 3);
    CHECK(has_pattern(the_memory, BYTES, 3));
    meet(t);
    meet(t);
    CHECK(has_pattern(late, BYTES, 4));
    CHECK(has_pattern(the_memory, BYTES, 4));
    CHECK(has_pattern(other, BYTES, 4));
}

/* Of a file that is larger than what can be mapped elsewhere: RMAs reach all of it. */
enum { LARGE_AT = (1 << 30) - 2 * 4096 };

static void of_large_file(struct sciftest *t) {
    off_t there;
    the_file = (int)OK(memfd_create("sciftest", MFD_CLOEXEC));
    OK(ftruncate(the_file, LARGE_AT + BYTES));
    the_memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, the_file, LARGE_AT);
    CHECK(the_memory != MAP_FAILED);
    fill_pattern(the_memory, BYTES, 1);
    struct owned o = owned_memory(t, the_memory, PAGES, RW);
    hear(t, &there, sizeof there);
    meet(t); /* the peer has written */
    CHECK(has_pattern(the_memory, BYTES, 2));
    OK(scif_writeto(o.epd, o.off, BYTES, there, SCIF_RMA_SYNC));
    meet(t);
    meet(t); /* and to its own window */
    OK(scif_readfrom(o.epd, o.off, BYTES, there, SCIF_RMA_SYNC));
    CHECK(has_pattern(the_memory, BYTES, 3));
    meet(t);
    meet(t);
}

static void of_large_file_peer(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, 2, o.off, RW), *mem = new_pages(PAGES);
    off_t off = register_pages(o.epd, mem, PAGES);
    tell(t, &off, sizeof off);
    CHECK(has_pattern(view, 2 * PAGE, 1));
    CHECK(peek_pattern(o.epd, BYTES, o.off, 1));
    poke_pattern(o.epd, BYTES, o.off, 2);
    fill_pattern(view, 2 * PAGE, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(mem, BYTES, 2));
    memset(view, 0, 2 * PAGE);
    fill_pattern(mem, BYTES, 3);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, 2 * PAGE, 3));
    CHECK(peek_pattern(o.epd, BYTES, o.off, 3));
    meet(t);
}

/* ---- A third one, on the owner's host ---- */

enum third { MAPS_BEFORE = 0x10, MAPS_AFTER = 0x20, ONLY_RMA = 0x30, OWNS_TOO = 0x40 };
#define THIRD(t) ((t)->arg & 0x70)
#define FILE(t)  ((enum file)((t)->arg & 0xf))

static struct scif_portID door;

static void add(char *memory) {
    for (int i = 0; i < ADDS; i++) __atomic_fetch_add((uint64_t *)(void *)memory, 1, __ATOMIC_SEQ_CST);
}

static bool sees(const char *view, scif_epd_t epd, off_t off, uint32_t seed) {
    return (!view || has_pattern(view, BYTES, seed)) && (!epd || peek_pattern(epd, BYTES, off, seed));
}
static void writes(char *view, scif_epd_t epd, off_t off, uint32_t seed) {
    if (view)
        fill_pattern(view, BYTES, seed);
    else
        poke_pattern(epd, BYTES, off, seed);
}

static void third(struct sciftest *t, struct child *c) {
    scif_epd_t epd = (scif_epd_t)OK(scif_open());
    off_t off;
    char *view = THIRD(t) == OWNS_TOO ? map_the_file() : NULL;
    OK(scif_connect(epd, &door));
    receive_all(epd, &off, sizeof off);
    if (THIRD(t) == OWNS_TOO) register_pages(epd, view, PAGES);
    if (THIRD(t) == MAPS_BEFORE) view = map_peer(epd, PAGES, off, RW);
    CHECK(sees(view, epd, off, 1));
    child_say(c);
    child_hear(c); /* the peer has written */
    if (THIRD(t) == MAPS_AFTER) view = map_peer(epd, PAGES, off, RW);
    CHECK(sees(view, epd, off, 2));
    writes(view, epd, off, 3);
    child_say(c);
    child_hear(c); /* and again */
    CHECK(sees(NULL, epd, off, 4));
    CHECK(sees(view, epd, off, 4));
    poke_pattern(epd, BYTES, off, 5);
    child_say(c);
    child_hear(c); /* all at once */
    if (view) add(view);
    child_say(c);
    child_hear(c);
    OK(scif_close(epd));
}

static void owner_with_third(struct sciftest *t) {
    struct child c;
    make_memory(FILE(t));
    scif_epd_t l = listener(&door, 1);
    child_start(&c, t, third);
    scif_epd_t near = accept_one(l, NULL);
    off_t off = register_pages(near, the_memory, PAGES);
    send_all(near, &off, sizeof off);
    child_hear(&c);
    (void)owned_memory(t, the_memory, PAGES, RW);
    meet(t); /* written */
    child_say(&c);
    child_hear(&c);
    CHECK(has_pattern(the_memory, BYTES, 3));
    meet(t);
    meet(t); /* written */
    child_say(&c);
    child_hear(&c);
    CHECK(has_pattern(the_memory, BYTES, 5));
    memset(the_memory, 0, 8);
    meet(t);
    child_say(&c);
    add(the_memory);
    child_hear(&c);
    meet(t);
    CHECK_EQ(*(uint64_t *)(void *)the_memory, (THIRD(t) == ONLY_RMA ? 2 : 3) * ADDS);
    child_say(&c);
    child_join(&c);
}

static void peer_of_both(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    CHECK(has_pattern(view, BYTES, 1));
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 3));
    fill_pattern(view, BYTES, 4);
    meet(t);
    meet(t);
    CHECK(has_pattern_at(view + 8, 8, BYTES - 8, 5));
    add(view);
    meet(t);
}

/* ---- One who has the file, and nothing to do with SCIF ---- */

static void has_the_file(struct sciftest *t, struct child *c) {
    (void)t;
    char *view = map_the_file();
    child_say(c);
    child_hear(c);
    CHECK(has_pattern(view, BYTES, 2));
    child_say(c);
    child_hear(c);
}

static void owner_beside_stranger(struct sciftest *t) {
    struct child c;
    bool mapped;
    make_memory(OPEN_FILE);
    child_start(&c, t, has_the_file);
    child_hear(&c);
    (void)owned_memory(t, the_memory, PAGES, RW);
    hear(t, &mapped, sizeof mapped);
    if (!mapped) fill_pattern(the_memory, BYTES, 2);
    child_say(&c);
    child_hear(&c);
    child_say(&c);
    child_join(&c);
    meet(t);
}

/* Either it is mapped, and then the stranger sees what is stored; or it is not. */
static void peer_beside_stranger(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    errno = 0;
    char *view = scif_mmap(NULL, BYTES, RW, 0, o.epd, o.off);
    bool mapped = view != SCIF_MMAP_FAILED;
    if (!mapped) CHECK_EQ(errno, ENOMEM);
    if (mapped) fill_pattern(view, BYTES, 2);
    tell(t, &mapped, sizeof mapped);
    meet(t);
}

/* ---- fork() while it is mapped ---- */

static void child_of_owner(struct sciftest *t, struct child *c) {
    bool shares = t->arg != NO_FILE;
    CHECK(has_pattern(the_memory, BYTES, 2));
    fill_pattern(the_memory, BYTES, 3);
    child_say(c);
    child_hear(c); /* the peer has written */
    CHECK(has_pattern(the_memory, BYTES, shares ? 4 : 3));
    child_say(c);
    child_hear(c);
}

/* Private memory: the child has a copy of what was there then, whoever had it. Shared memory: it is shared.
 */
static void owner_forks(struct sciftest *t) {
    struct child c;
    make_memory((enum file)t->arg);
    (void)owned_memory(t, the_memory, PAGES, RW);
    meet(t); /* written */
    child_start(&c, t, child_of_owner);
    child_hear(&c);
    CHECK(has_pattern(the_memory, BYTES, t->arg == NO_FILE ? 2 : 3));
    meet(t);
    meet(t); /* written */
    child_say(&c);
    child_hear(&c);
    CHECK(has_pattern(the_memory, BYTES, 4));
    meet(t);
    child_say(&c);
    child_join(&c);
    fill_pattern(the_memory, BYTES, 5);
    meet(t);
}

static void peer_of_forker(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    fill_pattern(view, BYTES, 2);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, t->arg == NO_FILE ? 2 : 3));
    fill_pattern(view, BYTES, 4);
    meet(t);
    meet(t);
    meet(t);
    CHECK(has_pattern(view, BYTES, 5)); /* the child's end takes nothing along */
}

/* ---- The owner's window as the local side of an RMA ---- */

static void owner_moves(struct sciftest *t) {
    off_t there;
    make_memory((enum file)t->arg);
    struct owned o = owned_memory(t, the_memory, PAGES, RW);
    hear(t, &there, sizeof there);
    for (size_t n = 64; n <= PAGE; n *= 8) {
        meet(t); /* the peer has written beside it */
        OK(scif_readfrom(o.epd, o.off + (off_t)PAGE - 32, n, there, SCIF_RMA_SYNC));
        meet(t);
        meet(t); /* and there */
        OK(scif_writeto(o.epd, o.off + (off_t)PAGE - 32, n, there, SCIF_RMA_SYNC));
        CHECK_EQ(the_memory[0], 'a');
        meet(t);
    }
}

static void peer_of_mover(struct sciftest *t) {
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, PAGES, o.off, RW), *mem = new_pages(1);
    off_t off = register_pages(o.epd, mem, 1);
    tell(t, &off, sizeof off);
    for (size_t n = 64; n <= PAGE; n *= 8) {
        memset(view, 'a', 2 * PAGE); /* both are here, to be written */
        fill_pattern(mem, n, 7);
        meet(t);
        meet(t); /* moved into the window */
        CHECK(has_pattern(view + PAGE - 32, n, 7));
        CHECK_EQ(view[PAGE - 33], 'a');
        CHECK_EQ(view[PAGE - 32 + n], 'a');
        fill_pattern(view + PAGE - 32, n, 8);
        meet(t);
        meet(t); /* and from it */
        CHECK(has_pattern(mem, n, 8));
    }
}

/* ---- A mapping as the buffer of SCIF's calls, by one who has no say in the system's own page faults ---- */

/* What the system does for the privileged: no more here. */
static void forgo_faults_of_the_system(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, UFFD_USER_MODE_ONLY, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (geteuid()) return;
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    if (access("/dev/userfaultfd", F_OK)) return;
    OK(unshare(CLONE_NEWNS));
    OK(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OK(mount("/dev/null", "/dev/userfaultfd", NULL, MS_BIND, NULL));
}

static void refill(struct sciftest *t) {
    meet(t); /* the owner takes all pages, and writes */
    meet(t);
}

static void buffers(struct sciftest *t) {
    enum { SHORT = 100 };
    scif_epd_t e[2];
    char *mem = new_pages(PAGES), copy[SHORT];
    forgo_faults_of_the_system();
    struct owned o = owned_memory(t, NULL, PAGES, RW);
    char *view = map_peer(o.epd, PAGES, o.off, RW);
    connect_loop(e);
    off_t off = register_pages(e[0], mem, PAGES);
    const size_t size[] = {8, SHORT, PAGE, BYTES};
    for (unsigned i = 0; i < 4; i++) {
        refill(t);
        poke(e[1], view, size[i], off);
        CHECK(has_pattern(mem, size[i], 9));
        fill_pattern(mem, BYTES, 8);
        refill(t);
        peek(e[1], view, size[i], off);
        CHECK(has_pattern(view, size[i], 8));
    }
    refill(t);
    send_all(e[0], view, SHORT);
    receive_all(e[1], copy, SHORT);
    CHECK(has_pattern(copy, SHORT, 9));
    fill_pattern(copy, SHORT, 8);
    send_all(e[0], copy, SHORT);
    refill(t);
    receive_all(e[1], view, SHORT);
    CHECK(has_pattern(view, SHORT, 8));
}

static void refills(struct sciftest *t) {
    make_memory(NO_FILE);
    (void)owned_memory(t, the_memory, PAGES, RW);
    for (int i = 0; i < 10; i++) {
        meet(t);
        fill_pattern(the_memory, BYTES, 9);
        meet(t);
    }
}

#define CITE "guide 3.6"
#define OF(name, kind)                                                                                       \
    { "scif_mmap__of_" name "_shows_it_to_all", CITE, of_file_peer, of_file, kind }
#define WITH(name, who)                                                                                      \
    {"scif_mmap__of_private_memory_is_seen_by_" name, CITE, peer_of_both, owner_with_third, who}, {          \
        "scif_mmap__of_open_file_is_seen_by_" name, CITE, peer_of_both, owner_with_third, (who) | OPEN_FILE  \
    }
static const struct sciftest_case cases[] = {
    OF("open_file", OPEN_FILE),
    OF("file_that_cannot_shrink", SEALED_FILE),
    OF("file_in_dev_shm", NAMED_FILE),
    {"scif_mmap__of_what_is_mappable_of_a_large_file_leaves_the_rest_to_RMAs", CITE, of_large_file_peer,
     of_large_file, 0},
    WITH("who_has_mapped_it_before", MAPS_BEFORE),
    WITH("who_maps_it_later", MAPS_AFTER),
    WITH("who_does_RMAs", ONLY_RMA),
    {"scif_mmap__of_open_file_is_seen_by_another_owner", CITE, peer_of_both, owner_with_third,
     OWNS_TOO | OPEN_FILE},
    {"scif_mmap__of_file_that_a_stranger_has_shows_it_to_all_or_is_ENOMEM", CITE, peer_beside_stranger,
     owner_beside_stranger, 0},
    {"fork__while_private_memory_is_mapped_copies_the_newest", "guide 3.5.2", peer_of_forker, owner_forks,
     NO_FILE},
    {"fork__while_open_file_is_mapped_shares_it", "guide 3.5.2", peer_of_forker, owner_forks, OPEN_FILE},
    {"scif_readfrom__and_writeto_of_own_window_that_is_mapped_move_the_newest", CITE, peer_of_mover,
     owner_moves, NO_FILE},
    {"scif_readfrom__and_writeto_of_own_file_that_is_mapped_move_the_newest", CITE, peer_of_mover,
     owner_moves, OPEN_FILE},
    {"scif_mmap__gives_memory_for_calls_of_SCIF", CITE, buffers, refills, 0},
};
SCIFTEST_AREA(mmap_shared_area, cases);
