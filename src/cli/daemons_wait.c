/* Daemons that were started: until they are ready, and until they are gone. */
#include "base/clock.h"
#include "cli/daemons.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_TIMEOUT_MS  3000u
#define LAST_TIMEOUT_MS 1000u

/* --- ready --- */

static void hear_line(struct daemon_process *p, const char *line) {
    unsigned node;
    int at = 0;
    if (strcmp(line, "failed") == 0) { /* its launcher may go on for a while, for others */
        p->state = DAEMON_FAILED;
        return;
    }
    /* "ready ID SOCKET JOINTEXT"; a path may have spaces, a join text has none. */
    const char *socket = line, *join = strrchr(line, ' ');
    if (sscanf(line, "ready %u %n", &node, &at) != 1 || !at) return; /* a login shell's greeting */
    socket += at;
    if (!join || join <= socket || (size_t)(join - socket) >= sizeof p->socket ||
        strlen(join + 1) >= sizeof p->join)
        return;
    p->node = node;
    snprintf(p->socket, sizeof p->socket, "%.*s", (int)(join - socket), socket);
    strcpy(p->join, join + 1);
    if (++p->ready == p->wanted) p->state = DAEMON_READY;
}

/* A line that does not fit is not one of ours: its rest is read as another. */
static void hear(struct daemon_process *p) {
    ssize_t n = read(p->said, p->line + p->line_bytes, sizeof p->line - 1 - p->line_bytes);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        p->state = DAEMON_FAILED;
        return;
    }
    p->line_bytes += (size_t)n;
    for (char *end; p->state == DAEMON_STARTING && (end = memchr(p->line, '\n', p->line_bytes));) {
        *end = 0;
        hear_line(p, p->line);
        p->line_bytes -= (size_t)(end + 1 - p->line);
        memmove(p->line, end + 1, p->line_bytes);
    }
    if (p->line_bytes == sizeof p->line - 1) p->line_bytes = 0;
}

static bool reap_until(struct daemon_process *p, uint64_t deadline) {
    while (p->pid > 0) {
        int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
        uint64_t now = weft_now_ns();
        if (pidfd >= 0 && now < deadline) {
            struct pollfd f = {.fd = pidfd, .events = POLLIN};
            poll(&f, 1, (int)((deadline - now) / WEFT_NS_PER_MS) + 1);
        }
        if (pidfd >= 0) close(pidfd);
        pid_t got = waitpid(p->pid, &p->status, WNOHANG);
        if (got == p->pid || (got < 0 && errno == ECHILD))
            p->pid = 0;
        else if (weft_now_ns() >= deadline)
            return false;
    }
    return true;
}

static void settle(struct daemon_process *p, void (*tell)(void *, struct daemon_process *), void *arg) {
    if (p->said >= 0) close(p->said);
    p->said = -1;
    p->late = p->state == DAEMON_STARTING;
    if (p->late)
        p->state = DAEMON_FAILED;
    else if (p->state == DAEMON_FAILED)
        reap_until(p, weft_now_ns() + LAST_TIMEOUT_MS * WEFT_NS_PER_MS);
    if (tell) tell(arg, p);
}

static unsigned watch(const struct daemon_process *p, unsigned count, struct pollfd *fds, int abort_fd) {
    unsigned open = 0;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = (struct pollfd){.fd = p[i].said, .events = POLLIN};
        open += p[i].said >= 0;
    }
    fds[count] = (struct pollfd){.fd = abort_fd, .events = POLLIN};
    return open;
}

bool daemons_await(struct daemon_process *p, unsigned count, unsigned timeout_ms, int abort_fd,
                   void (*tell)(void *arg, struct daemon_process *p), void *arg) {
    struct pollfd *fds = calloc(count + 1, sizeof *fds);
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    unsigned ready = 0;
    while (fds && watch(p, count, fds, abort_fd) > 0) {
        uint64_t now = weft_now_ns();
        if (now >= deadline) break;
        if (poll(fds, count + 1, (int)((deadline - now) / WEFT_NS_PER_MS) + 1) <= 0) continue;
        if (fds[count].revents) break;
        for (unsigned i = 0; i < count; i++) {
            if (!fds[i].revents) continue;
            hear(&p[i]);
            if (p[i].state != DAEMON_STARTING) settle(&p[i], tell, arg);
        }
    }
    bool aborted = !fds || fds[count].revents;
    if (!aborted && !tell && watch(p, count, fds, -1) > 0)
        fprintf(stderr, "weft: a daemon is not ready after %u s\n", timeout_ms / 1000);
    for (unsigned i = 0; i < count; i++) {
        if (p[i].said >= 0 && !aborted) settle(&p[i], tell, arg);
        ready += p[i].state == DAEMON_READY;
    }
    free(fds);
    return ready == count;
}

/* --- going on, and ending --- */

void daemons_keep(struct daemon_process *p, unsigned count) {
    static const char keep[] = "keep\n";
    for (unsigned i = 0; i < count; i++) {
        if (p[i].lifeline < 0) continue;
        if (write(p[i].lifeline, keep, sizeof keep - 1) < 0) {
        } /* it has ended: whoever looks sees it */
        close(p[i].lifeline);
        p[i].lifeline = -1;
    }
}

/* One that runs elsewhere needs its launcher to hear that its lifeline is closed, and ends it by its own end.
 */
static void ask_to_end(struct daemon_process *p) {
    if (p->lifeline >= 0) close(p->lifeline);
    if (p->said >= 0) close(p->said);
    p->lifeline = p->said = -1;
    if (p->pid > 0 && !(p->elsewhere && p->ready)) kill(p->pid, SIGTERM);
}

static void end_by_force(struct daemon_process *p) {
    fprintf(stderr, "weft: the %s of node %u does not end; it is killed\n",
            p->elsewhere ? "launcher" : "daemon", p->node);
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    p->pid = 0;
}

void daemons_end(struct daemon_process *p, unsigned count) {
    for (unsigned i = 0; i < count; i++) ask_to_end(&p[i]);
    uint64_t deadline = weft_now_ns() + END_TIMEOUT_MS * WEFT_NS_PER_MS;
    for (unsigned i = 0; i < count; i++) {
        if (reap_until(&p[i], deadline)) continue;
        if (p[i].elsewhere) kill(p[i].pid, SIGTERM);
        if (!p[i].elsewhere || !reap_until(&p[i], weft_now_ns() + LAST_TIMEOUT_MS * WEFT_NS_PER_MS))
            end_by_force(&p[i]);
    }
}
