/* The directories of daemons, and the removal of what killed ones left. */
#include "node/rundir.h"

#include "base/error.h"
#include "base/log.h"
#include "base/socket_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static int join_path(char out[WEFT_PATH_MAX], const char *a, const char *b) {
    int n = snprintf(out, WEFT_PATH_MAX, "%s/%s", a, b);
    return n > 0 && n < WEFT_PATH_MAX ? WEFT_OK : WEFT_E_TOO_BIG;
}

static int resolve_base(char out[WEFT_PATH_MAX], const char *base) {
    if (!base) return weft_run_dir(out, WEFT_PATH_MAX);
    int n = snprintf(out, WEFT_PATH_MAX, "%s", base);
    return n < WEFT_PATH_MAX ? weft_dir_make_private(out) : WEFT_E_TOO_BIG;
}

/* The lock on the run directory: held for a moment by whoever makes or removes directories. */
static int lock_base(const char *base) {
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return -1;
    while (flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        close(fd);
        return -1;
    }
    return fd;
}

bool node_rundir_alive(const char *node_dir, pid_t *pid) {
    char path[WEFT_PATH_MAX];
    if (pid) *pid = 0;
    if (join_path(path, node_dir, "lock") != WEFT_OK) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return false;
    bool alive = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    char text[32] = "";
    ssize_t n = read(fd, text, sizeof text - 1);
    if (alive && pid && n > 0) *pid = (pid_t)strtol(text, NULL, 10);
    close(fd);
    return alive;
}

static bool is_node_name(const char *name) {
    return strncmp(name, "node", 4) == 0 && name[4] && strspn(name + 4, "0123456789") == strlen(name + 4);
}

/* Removes dead nodes of one cluster; tells how many live. */
static unsigned clean_cluster(const char *cluster) {
    unsigned alive = 0;
    DIR *dir = opendir(cluster);
    if (!dir) return 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[WEFT_PATH_MAX];
        if (!is_node_name(e->d_name) || join_path(path, cluster, e->d_name) != WEFT_OK) continue;
        if (node_rundir_alive(path, NULL))
            alive++;
        else
            weft_dir_remove(path);
    }
    closedir(dir);
    return alive;
}

/* Zombies are dead: whoever is to reap them may take its time. */
static bool is_dead(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) return errno == ESRCH;
    bool dead = poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
    close(fd);
    return dead;
}

/* "run-<pid>-…" with a living pid: its `weft run` may not have started its daemons yet. */
static bool is_being_used(const char *name) {
    if (strncmp(name, "run-", 4) != 0) return false;
    long pid = strtol(name + 4, NULL, 10);
    return pid > 0 && pid <= INT32_MAX && !is_dead((pid_t)pid);
}

/* The shm adapter's sockets: "shm-<pid in hex>-<token>". 0: it is none. */
static pid_t pid_in_name(const char *name) {
    if (strncmp(name, "shm-", 4) != 0) return 0;
    char *end;
    long pid = strtol(name + 4, &end, 16);
    return *end == '-' && pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* Nobody listens at that socket any more. The pid alone does not tell: it may be one of another pid
 * namespace. */
static bool is_abandoned(const char *path, pid_t pid) {
    return is_dead(pid) && weft_socket_file_is_abandoned(path);
}

static void clean_entry(const char *base, const struct dirent *e) {
    char path[WEFT_PATH_MAX];
    if (e->d_name[0] == '.' || join_path(path, base, e->d_name) != WEFT_OK) return;
    if (e->d_type == DT_DIR) {
        if (clean_cluster(path) == 0 && !is_being_used(e->d_name)) weft_dir_remove(path);
    } else if (e->d_type == DT_SOCK) {
        pid_t pid = pid_in_name(e->d_name);
        if (pid > 0 && is_abandoned(path, pid)) unlink(path);
    }
}

static void clean_locked(const char *base) {
    DIR *dir = opendir(base);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) clean_entry(base, e);
    closedir(dir);
}

void node_rundir_clean(const char *base) {
    char path[WEFT_PATH_MAX];
    if (resolve_base(path, base) != WEFT_OK) return;
    int lock = lock_base(path);
    if (lock < 0) return;
    clean_locked(path);
    close(lock);
}

void node_rundir_clean_process(const char *base, pid_t pid) {
    DIR *dir = pid > 0 ? opendir(base) : NULL;
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        char path[WEFT_PATH_MAX];
        if (e->d_type != DT_SOCK || pid_in_name(e->d_name) != pid ||
            join_path(path, base, e->d_name) != WEFT_OK)
            continue;
        unlink(path);
    }
    closedir(dir);
}

static int take_lock(struct node_rundir *r) {
    char path[WEFT_PATH_MAX], text[32];
    pid_t holder = 0;
    if (node_rundir_alive(r->node, &holder)) {
        weft_error("node", "%s: a daemon lives there already (process %d)", r->node, (int)holder);
        return WEFT_E_EXIST;
    }
    int rc = weft_dir_make_private(r->node);
    if (rc == WEFT_OK) rc = join_path(path, r->node, "lock");
    if (rc != WEFT_OK) return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || write(fd, text, (size_t)n) != n) {
        weft_error("node", "cannot take %s: %s", path, strerror(errno));
        rc = weft_error_from_errno(errno);
        if (fd >= 0) close(fd);
        return rc;
    }
    r->lock_fd = fd;
    return WEFT_OK;
}

int node_rundir_open(struct node_rundir *r, const char *base, const char *cluster, uint32_t node) {
    char name[32];
    r->lock_fd = -1;
    if (!*cluster || *cluster == '.' || strchr(cluster, '/')) return WEFT_E_INVAL;
    snprintf(name, sizeof name, "node%" PRIu32, node);
    int rc = resolve_base(r->base, base);
    if (rc != WEFT_OK) return rc;
    if (join_path(r->cluster, r->base, cluster) != WEFT_OK ||
        join_path(r->node, r->cluster, name) != WEFT_OK) {
        weft_error("node", "the path of the run directory %s is too long", r->base);
        return WEFT_E_TOO_BIG;
    }
    int lock = lock_base(r->base);
    if (lock < 0) return WEFT_E_IO;
    clean_locked(r->base);
    rc = weft_dir_make_private(r->cluster);
    if (rc == WEFT_OK) rc = take_lock(r);
    close(lock);
    return rc;
}

void node_rundir_close(struct node_rundir *r) {
    if (r->lock_fd < 0) return;
    int lock = lock_base(r->base);
    weft_dir_remove(r->node);
    close(r->lock_fd);
    r->lock_fd = -1;
    if (clean_cluster(r->cluster) == 0) weft_dir_remove(r->cluster);
    if (lock >= 0) close(lock);
}

int node_rundir_make_temporary(char *cluster, size_t cap, char *path, size_t path_cap) {
    char base[WEFT_PATH_MAX], full[WEFT_PATH_MAX];
    uint32_t random;
    int rc = resolve_base(base, NULL);
    if (rc != WEFT_OK) return rc;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return WEFT_E_IO;
    int n = snprintf(cluster, cap, "run-%d-%08" PRIx32, (int)getpid(), random);
    if (n < 0 || (size_t)n >= cap || join_path(full, base, cluster) != WEFT_OK || strlen(full) >= path_cap)
        return WEFT_E_TOO_BIG;
    int lock = lock_base(base);
    if (lock < 0) return WEFT_E_IO;
    clean_locked(base);
    rc = weft_dir_make_private(full);
    close(lock);
    if (rc == WEFT_OK) strcpy(path, full);
    return rc;
}
