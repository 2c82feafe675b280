/* Child processes and blocking threads of a side. */
#include "support.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* ---- Child processes ---- */

void child_start(struct child *c, struct sciftest *t, child_main *run) {
    int pair[2];
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    c->pid = (pid_t)OK(fork());
    if (c->pid == 0) {
        close(pair[0]);
        c->line = pair[1];
        run(t, c);
        exit(0);
    }
    close(pair[1]);
    c->line = pair[0];
}

void child_say(struct child *c) { CHECK_EQ(send(c->line, "", 1, MSG_NOSIGNAL), 1); }

void child_hear(struct child *c) {
    char byte;
    sciftest_at(__FILE__, __LINE__);
    if (recv(c->line, &byte, 1, 0) != 1)
        sciftest_fail(__FILE__, __LINE__, "the other process of this side has ended");
}

static int child_status(struct child *c) {
    int status = -1;
    CHECK_EQ(waitpid(c->pid, &status, 0), c->pid);
    close(c->line);
    return status;
}

void child_stop(const struct child *c) {
    int status;
    OK(kill(c->pid, SIGSTOP));
    CHECK_EQ(waitpid(c->pid, &status, WUNTRACED), c->pid);
    CHECK(WIFSTOPPED(status));
}

void child_join(struct child *c) {
    int status = child_status(c);
    if (status) sciftest_fail(__FILE__, __LINE__, "the child process ends with status %#x", (unsigned)status);
}

void child_join_signal(struct child *c, int sig) {
    int status = child_status(c);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != sig)
        sciftest_fail(__FILE__, __LINE__, "the child process ends with status %#x, must be by signal %d (%s)",
                      (unsigned)status, sig, strsignal(sig));
}

/* ---- Threads ---- */

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); }

static void on_signal(int sig) { (void)sig; }

static void *worker_main(void *arg) {
    struct worker *w = arg;
    w->tid = (pid_t)syscall(SYS_gettid);
    errno = 0;
    w->result = w->call(w);
    w->error = errno;
    w->done = true;
    return NULL;
}

void worker_start(struct worker *w) {
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART */
    OK(sigaction(SIGUSR1, &act, NULL));
    w->done = false;
    w->tid = 0;
    CHECK_EQ(pthread_create(&w->thread, NULL, worker_main, w), 0);
}

static bool sleeps(pid_t tid) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *f = fopen(path, "re");
    if (!f) return true;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = 0;
    const char *state = strrchr(line, ')');
    return state && state[1] && (state[2] == 'S' || state[2] == 'D');
}

void worker_asleep(struct worker *w) {
    sciftest_at(__FILE__, __LINE__);
    /* Asleep twice in a row: not for a lock on its way. One that waits without sleeping is given a while. */
    for (int i = 0, seen = 0; i < 200 && seen < 4 && !w->done; i++, nap())
        seen = w->tid && sleeps(w->tid) ? seen + 1 : 0;
}

void worker_join(struct worker *w) {
    sciftest_at(__FILE__, __LINE__);
    CHECK_EQ(pthread_join(w->thread, NULL), 0);
}

void worker_interrupt(struct worker *w) {
    sciftest_at(__FILE__, __LINE__);
    while (!w->done) {
        worker_asleep(w);
        /* Again and again: one that comes before the call blocks is lost. The thread is not joined yet, so it
         * is there. */
        pthread_kill(w->thread, SIGUSR1);
        nap();
    }
    worker_join(w);
}

long worker_send(struct worker *w) { return scif_send(w->epd, w->data, (int)w->bytes, w->flags); }

long worker_recv(struct worker *w) { return scif_recv(w->epd, w->data, (int)w->bytes, w->flags); }

long worker_accept(struct worker *w) {
    struct scif_portID peer;
    return scif_accept(w->epd, &peer, w->data, SCIF_ACCEPT_SYNC);
}

long worker_connect(struct worker *w) { return scif_connect(w->epd, w->data); }
