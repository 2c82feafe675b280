/* Windows and kinds of memory for the cases. */
#include "window.h"
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

struct owned owned_memory(struct sciftest *t, void *mem, size_t pages, int prot) {
    struct owned o = {.epd = connect_pair(t), .bytes = pages * PAGE};
    if (t->is_left) {
        hear(t, &o.off, sizeof o.off);
        return o;
    }
    o.mem = mem;
    o.off = (off_t)OK(scif_register(o.epd, mem, o.bytes, 0, prot, 0));
    tell(t, &o.off, sizeof o.off);
    return o;
}

struct owned owned_pages(struct sciftest *t, size_t pages, int prot) {
    char *mem = NULL;
    if (!t->is_left) {
        mem = new_pages(pages);
        fill_pattern(mem, pages * PAGE, 1);
    }
    return owned_memory(t, mem, pages, prot);
}

off_t register_at(scif_epd_t epd, void *mem, size_t pages, off_t off, int prot) {
    CHECK_EQ(OK(scif_register(epd, mem, pages * PAGE, off, prot, SCIF_MAP_FIXED)), off);
    return off;
}

void peek(scif_epd_t epd, void *to, size_t bytes, off_t off) {
    CHECK_EQ(OK(scif_vreadfrom(epd, to, bytes, off, SCIF_RMA_SYNC)), 0);
}

void poke(scif_epd_t epd, const void *from, size_t bytes, off_t off) {
    CHECK_EQ(OK(scif_vwriteto(epd, (void *)from, bytes, off, SCIF_RMA_SYNC)), 0);
}

bool peek_pattern(scif_epd_t epd, size_t bytes, off_t off, uint32_t seed) {
    char *copy = calloc(1, bytes);
    CHECK(copy);
    peek(epd, copy, bytes, off);
    bool same = has_pattern(copy, bytes, seed);
    free(copy);
    return same;
}

void poke_pattern(scif_epd_t epd, size_t bytes, off_t off, uint32_t seed) {
    char *copy = malloc(bytes);
    CHECK(copy);
    fill_pattern(copy, bytes, seed);
    poke(epd, copy, bytes, off);
    free(copy);
}

char *map_peer(scif_epd_t epd, size_t pages, off_t off, int prot) {
    void *p = scif_mmap(NULL, pages * PAGE, prot, 0, epd, off);
    OK((long)p);
    CHECK((uintptr_t)p % PAGE == 0);
    return p;
}

static void *pages_of_file(size_t bytes, int flags) {
    int fd = (int)OK(memfd_create("sciftest", MFD_CLOEXEC));
    OK(ftruncate(fd, (off_t)bytes));
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    CHECK(p != MAP_FAILED);
    close(fd);
    return p;
}

static void *pages_of_sysv(size_t bytes) {
    int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    if (id < 0) sciftest_skip("no System V shared memory here");
    void *p = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    CHECK(p != (void *)-1);
    return p;
}

static void *huge_pages(void) {
    size_t huge = 2u << 20;
    char *p = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    p = (char *)(((uintptr_t)p + huge - 1) / huge * huge);
    madvise(p, huge, MADV_HUGEPAGE);
    memset(p, 0, huge);
    return p;
}

void *memory_of_kind(enum memory_kind kind, size_t pages) {
    static char in_data[16 * PAGE] __attribute__((aligned(PAGE))) = {1};
    size_t bytes = pages * PAGE;
    void *p;
    switch (kind) {
    case MEMORY_PRIVATE: return new_pages(pages);
    case MEMORY_SHARED:
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        return p;
    case MEMORY_MEMFD: return pages_of_file(bytes, MAP_SHARED);
    case MEMORY_PRIVATE_FILE: return pages_of_file(bytes, MAP_PRIVATE);
    case MEMORY_SYSV: return pages_of_sysv(bytes);
    case MEMORY_HEAP: /* in the middle of an arena, not a mapping of its own */
        p = malloc(bytes + PAGE);
        CHECK(p && malloc(100));
        return (void *)(((uintptr_t)p + PAGE - 1) / PAGE * PAGE);
    case MEMORY_STATIC: return in_data;
    case MEMORY_HUGE: return huge_pages();
    case MEMORY_UNTOUCHED:
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        return p;
    default: sciftest_fail(__FILE__, __LINE__, "a fault of the test: memory of kind %d", (int)kind);
    }
}

static sigjmp_buf after_fault;

static void on_fault(int sig) {
    (void)sig;
    siglongjmp(after_fault, 1);
}

bool faults(volatile void *p, bool store) {
    struct sigaction act = {.sa_handler = on_fault}, segv, bus;
    volatile char *byte = p;
    volatile bool faulted = true;
    OK(sigaction(SIGSEGV, &act, &segv));
    OK(sigaction(SIGBUS, &act, &bus));
    if (!sigsetjmp(after_fault, 1)) {
        if (store)
            *byte = *byte;
        else
            (void)*byte;
        faulted = false;
    }
    OK(sigaction(SIGSEGV, &segv, NULL));
    OK(sigaction(SIGBUS, &bus, NULL));
    return faulted;
}
