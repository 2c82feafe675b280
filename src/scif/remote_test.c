/* The library towards a peer on another host, with this test in the place of the service: what a signal does
 * to a wait for an answer that does not come, and where blocks come from that nobody waits for. And what two
 * libraries tell each other of being open, which no service has to hear. */
#include "base/test.h"
#include "base/test_dir.h"
#include "scif/layout.h"
#include "scif/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES 16

/* ---- The service ---- */
static int listener, line[LINES], lines, outer[2], peer_outer[2], memory[2];
static atomic_bool answers;     /* requests of RMAs; those that came before are kept */
static struct scif_rma kept[8]; /* from that one line */
static int keeps, rma_line = -1;
static struct scif_stage_words *_Atomic words; /* of its stage */
static atomic_bool grants;                     /* answers tell of a range that may be written */

static int make_memory(bool far) {
    int fd = memfd_create("scif", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, sizeof(struct scif_memory)), 0);
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    if (far) atomic_store(&m->shared.queue.far, SCIF_FAR);
    munmap(m, sizeof *m);
    return fd;
}

static void answer_all(void) {
    for (; keeps && atomic_load(&answers); keeps--) {
        struct scif_rma_answer a = {.block = kept[keeps - 1].block};
        if (kept[keeps - 1].needs & SCIF_RMA_LEFT) continue; /* of which it is to be told only if it asks */
        if (atomic_load(&grants)) a.bytes = 1 << 20;
        struct scif_record out = {.data = &a, .bytes = sizeof a};
        (void)scif_record_send(rma_line, &out, 0);
    }
}

/* All that were left are complete, when their thread waits for a block. */
static void free_blocks(void) {
    struct scif_stage_words *w = atomic_load(&words);
    struct scif_rma_answer a = {.block = SCIF_STAGE_BLOCKS};
    struct scif_record out = {.data = &a, .bytes = sizeof a};
    if (!w || !atomic_exchange(&w->waits, 0)) return;
    for (unsigned i = 0; i < SCIF_STAGE_BLOCKS; i++) atomic_store(&w->left[i], 0);
    (void)scif_record_send(rma_line, &out, 0);
}

static void serve(int s) {
    union {
        struct scif_request q;
        struct scif_rma rma;
    } in;
    struct scif_record r = {.data = &in, .bytes = sizeof in};
    struct scif_answer a = {.endpoint = 77};
    struct scif_record out = {.data = &a, .bytes = sizeof a};
    if (scif_record_receive(s, &r, 0)) return;
    if (r.fds && in.q.op == SCIF_OP_STAGE) {
        void *m = mmap(NULL, SCIF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd[0], SCIF_STAGE_WORDS_AT);
        atomic_store(&words, m);
    }
    while (r.fds) close(r.fd[--r.fds]);
    if (s == rma_line) {
        if (keeps < 8) kept[keeps++] = in.rma;
        return;
    }
    switch (in.q.op) {
    case SCIF_OP_OPEN:
        out.fds = 3;
        memcpy(out.fd, (int[]){outer[0], outer[1], memory[0]}, 3 * sizeof(int));
        break;
    case SCIF_OP_STATE:
        a.value = SCIF_STATE_CONNECTED;
        out.fds = 2;
        memcpy(out.fd, (int[]){memory[1], peer_outer[1]}, 2 * sizeof(int));
        break;
    case SCIF_OP_STAGE: rma_line = s; break;
    default: break;
    }
    (void)scif_record_send(s, &out, 0);
}

static void *service(void *none) {
    for (;;) {
        struct pollfd p[LINES + 1] = {{.fd = listener, .events = POLLIN}};
        for (int i = 0; i < lines; i++) p[i + 1] = (struct pollfd){.fd = line[i], .events = POLLIN};
        poll(p, (nfds_t)lines + 1, 1);
        for (int i = 0; i < lines; i++)
            if (p[i + 1].revents & POLLIN) serve(line[i]);
        answer_all();
        free_blocks();
        if (p[0].revents && lines < LINES) line[lines++] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    }
    return none;
}

/* ---- The program ---- */
static volatile sig_atomic_t signals;
static void on_signal(int sig) {
    (void)sig;
    signals++;
}

static void scif_fence_wait__is_ended_by_a_signal(void **state) {
    const struct itimerval often = {{0, 20000}, {0, 20000}}, never = {0};
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    scif_epd_t epd = scif_open();
    int mark;
    assert_true(epd >= 0);
    assert_int_equal(scif_fence_mark(epd, SCIF_FENCE_INIT_PEER, &mark), 0);
    sigaction(SIGALRM, &a, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 2; i++) { /* what is asked stays asked, and is in nobody's way */
        assert_int_equal(scif_fence_wait(epd, mark), -1);
        assert_int_equal(errno, EINTR);
    }
    assert_true(signals > 0);
    setitimer(ITIMER_REAL, &never, NULL);
    atomic_store(&answers, true);
    assert_int_equal(scif_fence_wait(epd, mark), 0);
    for (unsigned i = 0; i < 2 * SCIF_STAGE_BLOCKS; i++) assert_int_equal(scif_fence_wait(epd, mark), 0);
    assert_int_equal(scif_close(epd), 0);
}

/* More than there are blocks: the first waits for its answer, which tells that the others need not. */
static void scif_vwriteto__waits_for_a_block_that_was_left(void **state) {
    char bytes[8] = "";
    scif_epd_t epd = scif_open();
    assert_true(epd >= 0);
    atomic_store(&answers, true);
    atomic_store(&grants, true);
    assert_int_equal(scif_vwriteto(epd, bytes, sizeof bytes, 0, SCIF_RMA_SYNC), 0);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < SCIF_STAGE_BLOCKS; i++) {
            assert_int_equal(scif_vwriteto(epd, bytes, sizeof bytes, 0, 0), 0);
            assert_int_equal(atomic_load(&atomic_load(&words)->left[i]), 1);
        }
    assert_int_equal(scif_vwriteto(epd, bytes, sizeof bytes, 0, SCIF_RMA_SYNC), 0);
    assert_int_equal(scif_close(epd), 0);
}

/* ---- Open and closed ---- */
static struct scif_memory *map_memory(int i) {
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, memory[i], 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    return m;
}

static scif_epd_t open_and_connected(void) {
    int mark;
    scif_epd_t epd = scif_open();
    if (epd < 0 || scif_fence_mark(epd, SCIF_FENCE_INIT_SELF, &mark)) _exit(9);
    return epd;
}

/* What goes before the endpoint does. */
static int by_dup2(int epd) { return dup2(listener, epd) == epd ? close(epd) : -1; }
static int by_dup3(int epd) { return dup3(listener, epd, O_CLOEXEC) == epd ? close(epd) : -1; }
static int by_range(int epd) { return close_range((unsigned)epd, (unsigned)epd, 0); }
static int by_raw_close(int epd) { return (int)syscall(SYS_close, epd); }

static void open__is_taken_back_before_any_close(void **state) {
    static int (*const how[])(int) = {scif_close, close, by_dup2, by_dup3, by_range};
    struct scif_memory *m = map_memory(0);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        scif_epd_t epd = open_and_connected();
        assert_int_equal(atomic_load(&m->shared.queue.open), getpid());
        assert_int_equal(how[i](epd), 0);
        assert_int_equal(atomic_load(&m->shared.queue.open), 0);
    }
    scif_epd_t epd = open_and_connected();
    by_raw_close(epd); /* is seen by the system alone, and then by the service */
    assert_int_equal(atomic_load(&m->shared.queue.open), getpid());
    (void)scif_close(epd);
    munmap(m, sizeof *m);
}

/* The end of a process that opened it; a child that has a copy says nothing. */
static void open__is_taken_back_at_exit(void **state) {
    struct scif_memory *m = map_memory(0);
    scif_epd_t epd = open_and_connected();
    for (int opens = 0; opens < 2; opens++) {
        pid_t child = fork();
        if (child == 0) {
            if (opens) {
                open_and_connected();
                if (atomic_load(&m->shared.queue.open) != (unsigned)getpid()) _exit(8);
            }
            exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(atomic_load(&m->shared.queue.open), opens ? 0 : getpid());
    }
    assert_int_equal(scif_close(epd), 0);
    munmap(m, sizeof *m);
}

/* Who said so was killed, and another one has it; the last to close takes it back. */
static void open__of_one_that_was_killed_is_taken_back_by_the_next(void **state) {
    struct scif_memory *m = map_memory(0);
    scif_epd_t epd = open_and_connected();
    pid_t child = fork();
    if (child == 0) {
        open_and_connected();
        raise(SIGKILL);
    }
    siginfo_t end;
    assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOWAIT), 0);
    assert_int_equal(atomic_load(&m->shared.queue.open), child);
    assert_int_equal(scif_close(epd), 0);
    assert_int_equal(atomic_load(&m->shared.queue.open), 0);
    waitpid(child, NULL, 0);
    munmap(m, sizeof *m);
}

/* The system is asked where the peer's library says nothing. The peer is gone. */
static void scif_vwriteto__believes_that_the_peer_is_open(void **state) {
    struct scif_memory *peer = map_memory(1);
    char byte = 0;
    atomic_store(&peer->shared.queue.far, SCIF_NEAR);
    scif_epd_t epd = open_and_connected();
    close(peer_outer[0]);
    atomic_store(&peer->shared.queue.open, 4711);
    assert_int_equal(scif_vwriteto(epd, &byte, 1, 0, 0), -1);
    assert_int_equal(errno, ENXIO);
    atomic_store(&peer->shared.queue.open, 0);
    assert_int_equal(scif_vwriteto(epd, &byte, 1, 0, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    assert_int_equal(scif_close(epd), 0);
    munmap(peer, sizeof *peer);
}

static int listen_as_service(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(l, LINES), 0);
    return l;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scif_fence_wait__is_ended_by_a_signal),
        cmocka_unit_test(scif_vwriteto__waits_for_a_block_that_was_left),
        cmocka_unit_test(open__is_taken_back_before_any_close),
        cmocka_unit_test(open__is_taken_back_at_exit),
        cmocka_unit_test(open__of_one_that_was_killed_is_taken_back_by_the_next),
        cmocka_unit_test(scif_vwriteto__believes_that_the_peer_is_open),
    };
    const char *dir = test_dir();
    char weft[64], path[80];
    pthread_t thread;
    sigset_t alarm;
    if (!dir) return 77;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    unsetenv("WEFT_NODE_SOCKET");
    snprintf(weft, sizeof weft, "%s/weft", dir);
    snprintf(path, sizeof path, "%s/scif", weft);
    if (mkdir(weft, 0700)) return 77;
    listener = listen_as_service(path);
    for (int i = 0; i < 2; i++) memory[i] = make_memory(i == 1);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, outer);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peer_outer);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    pthread_create(&thread, NULL, service, NULL);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(weft);
    return failures;
}
