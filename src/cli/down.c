/* weft down: ends the cluster of `weft up`, on all its hosts, or takes this host out of it, and waits until
 * the daemons of this host are gone. */
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

#define END_TIMEOUT_MS  5000u
#define FORCE_AFTER_MS  1000u
#define LIST_TIMEOUT_MS 1000u

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

/* How many nodes the cluster has that are there now; 0: nobody tells. A daemon that hangs is not waited for:
 * it is only for the text. */
static unsigned count_nodes(struct node_client *c) {
    struct node_info *nodes = calloc(NODE_MAX, sizeof *nodes);
    unsigned online = 0;
    int count = nodes ? node_client_nodes(c, nodes, NODE_MAX, LIST_TIMEOUT_MS) : 0;
    for (int i = 0; i < count; i++) online += nodes[i].online;
    free(nodes);
    return online;
}

/* Returns how many nodes there were. */
static unsigned ask_politely(const struct local *l, bool here) {
    struct node_client *c;
    unsigned nodes = 0;
    if (node_client_open(&c, NULL, NULL, NODE_TOOL, NULL) == WEFT_OK) {
        nodes = count_nodes(c);
        if (!here) node_client_stop_cluster(c);
        node_client_close(c);
    }
    signal_all(l, SIGTERM); /* those that the order does not reach, or that alone are to leave */
    return nodes;
}

static void tell(const struct local *l, unsigned nodes, bool here) {
    const char *daemons = l->count == 1 ? "daemon" : "daemons";
    unsigned others = nodes > l->count ? nodes - l->count : 0;
    if (here && others)
        printf("this host has left the cluster (%u %s); what is on other hosts goes on: %u %s\n", l->count,
               daemons, others, others == 1 ? "node" : "nodes");
    else if (others)
        printf("the cluster is down: %u nodes, %u of them on this host\n", nodes, l->count);
    else
        printf("the cluster is down (%u %s on this host)\n", l->count, daemons);
}

static int end_cluster(bool force, bool here) {
    static struct local l;
    unsigned nodes = 0;
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
        nodes = ask_politely(&l, here);
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
        tell(&l, nodes, here);
    return alive != 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"force", no_argument, NULL, 'f'},
                                            {"here", no_argument, NULL, 'H'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool force = false, here = false;
    for (int o; (o = getopt_long(argc, argv, "hf", options, NULL)) != -1;) {
        if (o == 'h') return command_help(&command_down);
        if (o == '?') return command_misuse(&command_down, NULL);
        force |= o == 'f';
        here |= o == 'H';
    }
    if (optind < argc) return command_misuse(&command_down, "unexpected argument %s", argv[optind]);
    return end_cluster(force, here);
}

const struct command command_down = {
    .name = "down",
    .summary = "end the cluster that weft up started, on all its hosts",
    .usage = "Usage: weft down [--here] [--force]\n"
             "Ends every daemon of the cluster, on all hosts, wherever it is called, and with them the "
             "executors; removes "
             "what\n"
             "they had in the run directory. Programs that use the cluster get errors.\n\n"
             "  --here    only this host leaves: the nodes of other hosts go on\n"
             "  --force   this host only: kill daemons that do not end by themselves within a second\n",
    .run = run,
};
