/* The library towards a peer on another host, with this test in the place of the service: what a signal does
 * to a wait for an answer that does not come. */
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
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LINES 4

/* ---- The service ---- */
static int listener, line[LINES], lines, outer[2], peer_outer[2], memory[2];
static atomic_bool answers;     /* requests of RMAs; those that came before are kept */
static struct scif_rma kept[8]; /* from that one line */
static int keeps, rma_line = -1;

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
        struct scif_record out = {.data = &a, .bytes = sizeof a};
        (void)scif_record_send(rma_line, &out, 0);
    }
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

static int listen_as_service(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(l, LINES), 0);
    return l;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scif_fence_wait__is_ended_by_a_signal)};
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
