/* The board, this process's side: making it, and blocks of it. */
#include "base/board.h"

#include "base/clock.h"
#include "base/path.h"
#include "base/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALIGN 64

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct weft_board *_Atomic board; /* NULL: none */
static int board_fd = -1;
static ino_t board_inode; /* the program may have closed the descriptor and opened another in its place */
static dev_t board_device;
static __thread size_t used_at_fork;   /* the forking thread's: the child's only one */
static char record_dir[WEFT_PATH_MAX]; /* "": nobody records */

static bool is_ours(int fd) {
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == board_inode && st.st_dev == board_device;
}

/* A new file of the recorder's; several libraries of a process have one each. */
static int make_record(void) {
    char path[sizeof record_dir + 40];
    int fd = -1;
    for (unsigned i = 0; fd < 0 && i < 64; i++) {
        snprintf(path, sizeof path, "%s/%s-%d-%u", record_dir, WEFT_BOARD_NAME, (int)getpid(), i);
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && errno != EEXIST) return -1;
    }
    return fd;
}

/* A new board's descriptor; -1: none can be made. System calls only: it is also called in a forked child. */
static int make_file(void) {
    struct rlimit limit;
    struct stat st;
    /* Beyond that limit the kernel would send SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < WEFT_BOARD_BYTES) return -1;
    int fd = *record_dir ? make_record() : memfd_create(WEFT_BOARD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, (off_t)WEFT_BOARD_BYTES) == 0 && fstat(fd, &st) == 0) {
        board_inode = st.st_ino;
        board_device = st.st_dev;
        return fd;
    }
    close(fd);
    return -1;
}

/* Nobody else may write to it from now on, nor change its size: a reader must not be hit by SIGBUS. */
static void seal(int fd) {
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_FUTURE_WRITE)) fcntl(fd, F_ADD_SEALS, seals);
}

static struct weft_board *map(int fd, void *at) {
    void *p = mmap(at, WEFT_BOARD_BYTES, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, 0);
    if (p == MAP_FAILED) return NULL;
    seal(fd);
    return p;
}

/* What the parent has sent is not the child's; the blocks stay where they are, since the parent's pointers
 * lead there. */
static void forget_records(struct weft_board *b, size_t used) {
    for (size_t at = sizeof *b; at < used;) {
        struct weft_board_block *block = (struct weft_board_block *)((unsigned char *)b + at);
        uint32_t bytes = atomic_load(&block->bytes);
        if (bytes < sizeof *block || bytes > used - at) return;
        uint32_t kind = atomic_load(&block->kind);
        if (kind == WEFT_BOARD_RECORD || kind == WEFT_BOARD_KERNEL)
            memset(block->data, 0, bytes - sizeof *block);
        at += bytes;
    }
}

/* The parent's threads go on while the child copies: what they make then is not the child's. */
static void before_fork(void) {
    struct weft_board *b = atomic_load(&board);
    used_at_fork = b ? atomic_load(&b->used) : 0;
}

/* A forked child shares its parent's board: it gets a copy in the same place, which all pointers lead to. If
 * it cannot have one that is seen from outside, it gets ordinary memory. */
static void after_fork_in_child(void) {
    struct weft_board *shared = atomic_load(&board);
    if (!shared) return;
    int saved_errno = errno;
    if (is_ours(board_fd)) close(board_fd);
    size_t used = used_at_fork < WEFT_BOARD_BYTES ? used_at_fork : WEFT_BOARD_BYTES;
    board_fd = make_file();
    int flags = board_fd >= 0 ? MAP_SHARED | MAP_NORESERVE : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    struct weft_board *own = mmap(NULL, WEFT_BOARD_BYTES, PROT_READ | PROT_WRITE, flags, board_fd, 0);
    if (own != MAP_FAILED) {
        memcpy(own, shared, used);
        atomic_store(&own->used, used);
        forget_records(own, used);
        own->pid = (uint32_t)getpid();
        own->start_ns = weft_now_ns();
        if (mremap(own, WEFT_BOARD_BYTES, WEFT_BOARD_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, shared) ==
                shared &&
            board_fd >= 0)
            seal(board_fd);
    }
    errno = saved_errno;
}

/* A library that is unloaded keeps its memory (base/local.h), but no descriptor. */
__attribute__((destructor)) static void close_file(void) {
    if (is_ours(board_fd)) close(board_fd);
    board_fd = -1;
}

static void make(void) {
    struct weft_board *b;
    const char *dir = getenv(WEFT_BOARD_DIR_ENV);
    if (weft_recording && *dir == '/' && strlen(dir) < sizeof record_dir) strcpy(record_dir, dir);
    int saved_errno = errno, fd = make_file();
    if (fd >= 0 && (b = map(fd, NULL))) {
        board_fd = fd;
        b->version = WEFT_BOARD_VERSION;
        b->pid = (uint32_t)getpid();
        b->start_ns = weft_now_ns();
        snprintf(b->program, sizeof b->program, "%s", program_invocation_short_name);
        atomic_init(&b->used, sizeof *b);
        memcpy(b->magic, WEFT_BOARD_MAGIC, sizeof b->magic);
        atomic_store(&board, b);
        pthread_atfork(before_fork, NULL, after_fork_in_child);
    } else if (fd >= 0) {
        close(fd);
    }
    errno = saved_errno;
}

void weft_board_open(void) { pthread_once(&once, make); }

void *weft_board_alloc(enum weft_board_kind kind, size_t bytes) {
    weft_board_open();
    struct weft_board *b = atomic_load_explicit(&board, memory_order_acquire);
    if (!b) return NULL;
    size_t whole = (sizeof(struct weft_board_block) + bytes + ALIGN - 1) / ALIGN * ALIGN;
    uint64_t at = atomic_load(&b->used);
    do {
        if (whole > WEFT_BOARD_BYTES - at) {
            atomic_fetch_add(&b->refused, 1);
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&b->used, &at, at + whole));
    struct weft_board_block *block = (struct weft_board_block *)((unsigned char *)b + at);
    atomic_store_explicit(&block->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&block->bytes, (uint32_t)whole, memory_order_release);
    return block->data;
}

void weft_board_name_counter(const char *name, const char *unit, const char *help) {
    struct weft_board *b = atomic_load_explicit(&board, memory_order_acquire);
    uint32_t id = b ? atomic_load_explicit(&b->counters, memory_order_relaxed) + 1 : 0;
    if (!b || id >= sizeof b->counter / sizeof *b->counter) return;
    struct weft_board_counter *c = &b->counter[id];
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->unit, sizeof c->unit, "%s", unit ? unit : "");
    snprintf(c->help, sizeof c->help, "%s", help ? help : "");
    atomic_store_explicit(&b->counters, id, memory_order_release);
}
