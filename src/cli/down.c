/* weft down: ends the cluster of `weft up`, on all its hosts, and waits until the daemons of this host are
 * gone. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "node/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define END_TIMEOUT_MS 5000u
#define FORCE_AFTER_MS 1000u

struct local {
    pid_t pid[NODE_MAX];
    int pidfd[NODE_MAX];
    unsigned count;
};

static void find_local(struct local *l) {
    char base[WEFT_PATH_MAX], path[WEFT_PATH_MAX + 16];
    l->count = 0;
    if (weft_run_dir(base, sizeof base) != WEFT_OK) return;
    snprintf(path, sizeof path, "%s/default", base);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir)) && l->count < NODE_MAX;) {
        char node[2 * WEFT_PATH_MAX + 32];
        pid_t pid;
        if (strncmp(e->d_name, "node", 4) != 0) continue;
        snprintf(node, sizeof node, "%s/%s", path, e->d_name);
        if (strlen(node) >= WEFT_PATH_MAX || !node_rundir_alive(node, &pid) || pid <= 0) continue;
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0) continue;
        l->pidfd[l->count] = pidfd;
        l->pid[l->count++] = pid;
    }
    if (dir) closedir(dir);
}

static void signal_all(const struct local *l, int number) {
    for (unsigned i = 0; i < l->count; i++) syscall(SYS_pidfd_send_signal, l->pidfd[i], number, NULL, 0);
}

/* How many still live when the time is over. */
static unsigned wait_all(const struct local *l, unsigned timeout_ms) {
    uint64_t deadline = weft_now_ns() + timeout_ms * WEFT_NS_PER_MS;
    unsigned alive = 0;
    for (unsigned i = 0; i < l->count; i++) {
        uint64_t now = weft_now_ns();
        struct pollfd f = {.fd = l->pidfd[i], .events = POLLIN};
        if (poll(&f, 1, now < deadline ? (int)((deadline - now) / WEFT_NS_PER_MS) + 1 : 0) == 0) alive++;
    }
    return alive;
}

static void ask_politely(const struct local *l) {
    struct node_client *c;
    if (node_client_open(&c, NULL, NULL, NODE_TOOL, NULL) == WEFT_OK) {
        node_client_stop_cluster(c);
        node_client_close(c);
    }
    signal_all(l, SIGTERM); /* those that the order does not reach */
}

static int end_cluster(bool force) {
    static struct local l;
    unsetenv("WEFT_NODE_SOCKET"); /* inside `weft run` too, it is the cluster of `weft up` that ends */
    find_local(&l);
    if (l.count == 0) {
        node_rundir_clean(NULL);
        fprintf(stderr, "weft: no cluster is up here\n");
        return 0;
    }
    if (force)
        signal_all(&l, SIGTERM);
    else
        ask_politely(&l);
    unsigned alive = wait_all(&l, force ? FORCE_AFTER_MS : END_TIMEOUT_MS);
    if (alive && force) {
        signal_all(&l, SIGKILL);
        alive = wait_all(&l, END_TIMEOUT_MS);
    }
    node_rundir_clean(NULL);
    if (alive)
        fprintf(stderr, "weft: %u of %u daemons do not end; `weft down --force` kills them\n", alive,
                l.count);
    else
        printf("the cluster is down (%u %s on this host)\n", l.count, l.count == 1 ? "daemon" : "daemons");
    return alive != 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool force = false;
    for (int o; (o = getopt_long(argc, argv, "hf", options, NULL)) != -1;) {
        if (o == 'f')
            force = true;
        else if (o == 'h')
            return command_help(&command_down);
        else
            return command_misuse(&command_down, NULL);
    }
    if (optind < argc) return command_misuse(&command_down, "unexpected argument %s", argv[optind]);
    return end_cluster(force);
}

const struct command command_down = {
    .name = "down",
    .summary = "end the cluster that weft up started",
    .usage = "Usage: weft down [--force]\n"
             "Ends every daemon of the cluster, on all hosts, and with them the executors; removes what they "
             "had in the\n"
             "run directory. Programs that use the cluster get errors.\n\n"
             "  --force   this host only: kill daemons that do not end by themselves within a second\n",
    .run = run,
};
