/* shm: the files of sockets that killed processes leave in the run directory. A survivor takes its peer's
 * file away, and whoever opens an adapter takes away what has no survivor. Only files whose socket is
 * certainly gone (base/socket_file.h). */
#include "adapter/shm_internal.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/socket_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A file appears a moment before its socket is bound to it: that of a process that is just starting must not
 * look like one that is left over. */
#define SWEEP_AGE_S 10
#define ENDING_MS   1000 /* longest wait for a process that is ending */
#define PF_EXITING  4    /* of the kernel's flags of a process */

/* A process whose link ended: its socket's file is there as long as it lives. */
struct shm_leaving {
    struct weft_list node; /* in shm.leaving */
    struct shm_address address;
    int pidfd;
};

/* False: somebody is still behind it. */
static bool remove_file(const struct shm_address *a) {
    char path[SHM_SOCKET_PATH_MAX];
    struct stat st;
    shm_address_socket_path(a, path);
    if (lstat(path, &st)) return true;
    if (!weft_socket_file_is_abandoned(path)) return false;
    unlink(path);
    return true;
}

static bool is_known(const struct shm *s, const struct shm_address *a) {
    weft_list_for_each(it, &s->leaving) {
        const struct shm_leaving *g = weft_list_entry(it, struct shm_leaving, node);
        if (g->address.token == a->token) return true;
    }
    return false;
}

static void forget(struct shm_leaving *g) {
    weft_list_remove(&g->node);
    if (g->pidfd >= 0) close(g->pidfd); /* and it is watched no more */
    free(g);
}

void shm_leftover_take(struct shm *s, const struct adapter_peer *peer) {
    if (remove_file(&peer->address) || peer->link[0]->pidfd < 0 || is_known(s, &peer->address)) return;
    /* The system closes the sockets of a dying process one by one, and one that lives may die later. */
    struct shm_leaving *g = malloc(sizeof *g);
    if (!g) return;
    weft_list_init(&g->node);
    g->address = peer->address;
    g->pidfd = fcntl(peer->link[0]->pidfd, F_DUPFD_CLOEXEC, 0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = (uintptr_t)g | SHM_EVENT_LEAVING};
    if (g->pidfd < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, g->pidfd, &e))
        forget(g);
    else
        weft_list_push_back(&s->leaving, &g->node);
}

void shm_leftover_event(struct shm *s, struct shm_leaving *g) {
    remove_file(&g->address);
    epoll_ctl(s->epoll, EPOLL_CTL_DEL, g->pidfd, NULL);
    forget(g);
}

/* Whether the process is just ending: its last descriptors are about to be closed. */
static bool is_ending(pid_t pid) {
    char state;
    unsigned long flags;
    return !weft_proc_look(pid, &state, &flags) || flags & PF_EXITING;
}

/* Nobody else would take away the file of a process that is ending. */
static void wait_for_end(const struct shm_leaving *g) {
    struct pollfd p = {.fd = g->pidfd, .events = POLLIN};
    if (is_ending(g->address.pid)) poll(&p, 1, ENDING_MS);
}

void shm_leftovers_fini(struct shm *s) {
    while (!weft_list_empty(&s->leaving)) {
        struct shm_leaving *g = weft_list_entry(s->leaving.next, struct shm_leaving, node);
        wait_for_end(g);
        remove_file(&g->address);
        forget(g);
    }
}

static bool is_old(const char *path) {
    struct stat st;
    return !lstat(path, &st) && time(NULL) - st.st_mtime >= SWEEP_AGE_S;
}

void shm_leftovers_sweep(const char *dir) {
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        char path[SHM_SOCKET_PATH_MAX];
        if (strncmp(e->d_name, "shm-", 4)) continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= sizeof path) continue;
        if (!is_old(path) || !weft_socket_file_is_abandoned(path)) continue;
        unlink(path);
        weft_debug("shm", "%s was left by a process that is dead", path);
    }
    closedir(d);
}
