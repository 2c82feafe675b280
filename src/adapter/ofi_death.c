/* ofi: the end of processes of this host. Few providers tell that a peer is gone, so the kernel is asked, by
 * a process descriptor for each peer of the same host. The process number is the peer's own word, and may be
 * another's by now: that it ended is a suspicion, no more. */
#include "adapter/ofi_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_NS  (1 * WEFT_NS_PER_MS) /* how often a program that polls has the descriptors looked at */
#define ENDS_MAX 16

int ofi_death_init(struct ofi *s) {
    s->deaths = epoll_create1(EPOLL_CLOEXEC);
    return s->deaths < 0 ? WEFT_E_LIMIT : 0;
}

void ofi_death_watch(struct ofi *s, struct adapter_peer *peer) {
    pid_t pid = (pid_t)peer->address.pid;
    peer->process = -1;
    if (!peer->same_host || pid <= 0 || pid == getpid()) return;
    peer->process = (int)syscall(SYS_pidfd_open, pid, 0);
    struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = peer}};
    if (peer->process < 0)
        peer->ended = errno == ESRCH;
    else if (epoll_ctl(s->deaths, EPOLL_CTL_ADD, peer->process, &ev))
        weft_debug("ofi", "the end of process %d will not be noticed: %m", pid);
}

/* A forked child may hold the descriptor too, so that closing it here does not end the watch. */
void ofi_death_forget(struct ofi *s, struct adapter_peer *peer) {
    if (peer->process < 0) return;
    epoll_ctl(s->deaths, EPOLL_CTL_DEL, peer->process, NULL);
    close(peer->process);
    peer->process = -1;
}

void ofi_death_look(struct ofi *s, uint64_t now) {
    struct epoll_event ev[ENDS_MAX];
    if (!s->armed && now < s->looked_ns + LOOK_NS) return;
    s->looked_ns = now;
    int n = epoll_wait(s->deaths, ev, ENDS_MAX, 0);
    for (int i = 0; i < n; i++) {
        struct adapter_peer *p = ev[i].data.ptr;
        ofi_death_forget(s, p);
        p->ended = true;
        ofi_peer_suspect(s, p, now);
    }
}
