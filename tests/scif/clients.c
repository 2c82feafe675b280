/* What existing programs rely on without saying so (contract: clients), as far as no other file has it. */
#include "areas.h"
#include "rma.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- errno ---- */

static void keeps_errno(struct sciftest *t) {
    struct rma r = rma_pair(t, WRITETO, 4);
    int mark;
    if (t->is_left) {
        char *mem = new_pages(1);
        errno = 4711;
        off_t off = scif_register(r.epd, mem, PAGE, 0, RW, 0);
        void *view = scif_mmap(NULL, PAGE, RW, 0, r.epd, r.roff);
        CHECK(off >= 0 && view != SCIF_MMAP_FAILED);
        for (int call = READFROM; call <= VWRITETO; call++) {
            r.call = (enum rma_call)call;
            CHECK_EQ(rma_run(&r, 0, 0, PAGE, 0), 0);
        }
        CHECK_EQ(scif_fence_mark(r.epd, SCIF_FENCE_INIT_SELF, &mark), 0);
        CHECK_EQ(scif_fence_wait(r.epd, mark), 0);
        CHECK_EQ(scif_fence_signal(r.epd, r.loff, 1, r.roff, 1, SCIF_FENCE_INIT_PEER | SCIF_SIGNAL_LOCAL), 0);
        CHECK_EQ(scif_munmap(view, PAGE), 0);
        CHECK_EQ(scif_unregister(r.epd, off, PAGE), 0);
        CHECK_EQ(scif_close(r.epd), 0);
        CHECK_EQ(errno, 4711);
    }
    meet(t);
}

/* ---- The program's own handlers ---- */

static volatile sig_atomic_t handled;
static void *volatile fault_address;
static char *guarded;

static void on_segv(int sig, siginfo_t *info, void *context) {
    (void)sig;
    (void)context;
    handled++;
    fault_address = info->si_addr;
    mprotect(guarded, PAGE, PROT_READ | PROT_WRITE);
}

/* It stays installed, is not called by anything that the library does, and gets the program's own faults. */
static void own_handler(struct sciftest *t) {
    struct sigaction act = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO}, now, bus = act;
    OK(sigaction(SIGSEGV, &act, NULL));
    OK(sigaction(SIGBUS, &bus, NULL));
    struct rma r = rma_pair(t, WRITETO, 16);
    guarded = new_pages(1);
    if (t->is_left) {
        char *view = map_peer(r.epd, 16, r.roff, RW);
        for (uint32_t i = 0; i < 20; i++) {
            fill_pattern(view, 16 * PAGE, i);
            OK(scif_readfrom(r.epd, r.loff, 16 * PAGE, r.roff, SCIF_RMA_SYNC));
            CHECK(has_pattern(r.mem, 16 * PAGE, i));
        }
    }
    meet(t);
    if (!t->is_left) CHECK(has_pattern(r.mem, 16 * PAGE, 19));
    CHECK_EQ(handled, 0);
    OK(sigaction(SIGSEGV, NULL, &now));
    CHECK(now.sa_sigaction == on_segv);
    OK(mprotect(guarded, PAGE, PROT_NONE));
    *(volatile char *)guarded = 1;
    CHECK_EQ(handled, 1);
    CHECK(fault_address == guarded);
    meet(t);
}

/* The library takes no signal, and leaves the mask and the handlers of a program that blocks all of them. */
static void signal_state(struct sciftest *t) {
    sigset_t all, before, after;
    struct sigaction action[2][32] = {0};
    sigfillset(&all);
    OK(pthread_sigmask(SIG_BLOCK, &all, NULL));
    OK(pthread_sigmask(SIG_BLOCK, NULL, &before));
    for (int sig = 1; sig < 32; sig++) OK(sigaction(sig, NULL, &action[0][sig]));
    struct rma r = rma_pair(t, WRITETO, 4);
    if (t->is_left) {
        poke_pattern(r.epd, 4 * PAGE, r.roff, 1);
        map_peer(r.epd, 4, r.roff, RW);
        CHECK(peek_pattern(r.epd, 4 * PAGE, r.roff, 1));
    }
    meet(t);
    for (int sig = 1; sig < 32; sig++) {
        OK(sigaction(sig, NULL, &action[1][sig]));
        if (action[0][sig].sa_handler != action[1][sig].sa_handler)
            sciftest_fail(__FILE__, __LINE__, "the handler of signal %d is another one", sig);
    }
    OK(pthread_sigmask(SIG_BLOCK, NULL, &after));
    for (int sig = 1; sig < 32; sig++) CHECK_EQ(sigismember(&before, sig), sigismember(&after, sig));
    meet(t);
}

/* A send into a connection whose peer has gone is an error, not a SIGPIPE. */
static void no_sigpipe(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    if (!t->is_left) {
        OK(scif_close(epd));
        meet(t);
        return;
    }
    await_hangup(epd);
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 100; i++) FAILS(scif_send(epd, &byte, 1, SCIF_SEND_BLOCK), ECONNRESET);
    meet(t);
}

/* ---- Limits of an ordinary user ---- */

/* Windows far beyond what may be locked, of a process without privilege. */
static void beyond_memlock(struct sciftest *t) {
    enum { MANY = 8192 }; /* 32 MiB */
    struct rlimit limit = {1 << 20, 1 << 20};
    if (!t->is_left) OK(setrlimit(RLIMIT_MEMLOCK, &limit));
    struct owned o = owned_pages(t, MANY, RW);
    if (t->is_left) {
        CHECK(peek_pattern(o.epd, o.bytes, o.off, 1));
        poke_pattern(o.epd, o.bytes, o.off, 2);
        meet(t);
        return;
    }
    meet(t);
    CHECK(has_pattern(o.mem, o.bytes, 2));
}

/* A server of many clients, each with a window. */
static void many_connections(struct sciftest *t) {
    enum { MANY = 60 };
    static scif_epd_t epd[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        epd[i] = connect_pair(t);
        char *mem = new_pages(1);
        fill_pattern(mem, PAGE, 2 * i + t->is_left);
        register_at(epd[i], mem, 1, 0x1000, RW);
    }
    meet(t);
    for (uint32_t i = 0; i < MANY; i++) CHECK(peek_pattern(epd[i], PAGE, 0x1000, 2 * i + !t->is_left));
    meet(t);
}

/* ---- Messages with offsets, as programs begin ---- */

static void offset_by_message(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    off_t off;
    for (uint32_t i = 0; i < 20; i++) {
        if (t->is_left) {
            receive_all(epd, &off, sizeof off);
            CHECK(peek_pattern(epd, 3 * PAGE, off, i)); /* at once: it is registered */
            send_all(epd, &off, sizeof off);
            continue;
        }
        char *mem = malloc(4 * PAGE), *aligned = (char *)(((uintptr_t)mem + PAGE - 1) / PAGE * PAGE);
        fill_pattern(aligned, 3 * PAGE, i);
        off = register_pages(epd, aligned, 3);
        send_all(epd, &off, sizeof off);
        receive_all(epd, &off, sizeof off);
        OK(scif_unregister(epd, off, 3 * PAGE));
        free(mem);
    }
    meet(t);
}

/* An unregistered window is not there any more for a peer that has been told so by message. */
static void unregister_then_message(struct sciftest *t) {
    scif_epd_t epd = connect_pair(t);
    char byte = 0;
    for (int i = 0; i < 30; i++) {
        if (t->is_left) {
            receive_all(epd, &byte, 1);
            CHECK_EQ(OK(scif_vreadfrom(epd, &byte, 1, 0x1000, SCIF_RMA_SYNC)), 0);
            send_all(epd, &byte, 1);
            receive_all(epd, &byte, 1);
            FAILS(scif_vreadfrom(epd, &byte, 1, 0x1000, SCIF_RMA_SYNC), ENXIO);
            send_all(epd, &byte, 1);
            continue;
        }
        register_at(epd, new_pages(1), 1, 0x1000, RW);
        send_all(epd, &byte, 1);
        receive_all(epd, &byte, 1);
        OK(scif_unregister(epd, 0x1000, PAGE));
        send_all(epd, &byte, 1);
        receive_all(epd, &byte, 1);
    }
    meet(t);
}

static const struct sciftest_case cases[] = {
    {"any_call__that_succeeds_keeps_errno", "contract: clients 5", keeps_errno, keeps_errno, 0},
    {"any_call__leaves_SIGSEGV_handler_alone", "contract: clients 8", own_handler, own_handler, 0},
    {"any_call__leaves_signals_alone", "contract: clients 8", signal_state, signal_state, 0},
    {"scif_send__without_peer_raises_no_SIGPIPE", "guide 3.10.1", no_sigpipe, no_sigpipe, 0},
    {"scif_register__beyond_RLIMIT_MEMLOCK_shows_all", "contract: windows in user space", beyond_memlock,
     beyond_memlock, 0},
    {"scif_register__for_60_connections_shows_all", "guide 3.3", many_connections, many_connections, 0},
    {"scif_register__is_done_when_message_tells_offset", "guide 3.5", offset_by_message, offset_by_message,
     0},
    {"scif_unregister__is_done_when_message_tells_it", "guide 3.9", unregister_then_message,
     unregister_then_message, 0},
};
SCIFTEST_AREA(clients_area, cases);
