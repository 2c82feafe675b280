/* weft up: starts a cluster, or joins one, and tells what is there. */
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "node/daemon.h"
#include "opencl/inventory.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_TIMEOUT_MS     20000u
#define INVENTORY_TIMEOUT_MS 40000u

struct arguments {
    long nodes;
    const char *bind, *join;
    bool insecure, foreground;
};

/* --- what is there --- */

static unsigned count_devices(struct node_client *c, uint32_t node, bool *known) {
    void *blob = NULL;
    size_t bytes = 0;
    unsigned count = 0;
    *known = node_client_inventory(c, node, &blob, &bytes, INVENTORY_TIMEOUT_MS) == WEFT_OK;
    struct inventory *inv = *known && bytes ? inventory_decode(blob, bytes) : NULL;
    for (uint32_t i = 0; inv && i < inv->platform_count; i++) count += inv->platforms[i].device_count;
    if (inv) inventory_free(inv);
    free(blob);
    return count;
}

static void describe(const char *socket, const struct arguments *a) {
    struct node_client *c;
    struct node_info *nodes = NULL;
    char join[NODE_JOIN_TEXT_MAX];
    if (node_client_open(&c, NULL, socket, NODE_TOOL, NULL) != WEFT_OK) return;
    int count = cluster_nodes(c, &nodes);
    unsigned up = 0;
    for (int i = 0; i < count; i++) {
        bool known;
        if (!nodes[i].online) continue;
        unsigned devices = count_devices(c, nodes[i].id, &known);
        up++;
        printf("node %u  %s  %s", nodes[i].id, nodes[i].host, known ? "" : "(devices not known)\n");
        if (known) printf("%u OpenCL %s\n", devices, devices == 1 ? "device" : "devices");
    }
    printf("\nThe cluster is up: %u %s.\n", up, up == 1 ? "node" : "nodes");
    if (a->bind && !node_host_is_loopback(a->bind)) {
        printf("It listens on %s WITHOUT encryption: use it only where you trust everybody.\n", a->bind);
        if (node_client_join_text(c, join, sizeof join) == WEFT_OK)
            printf("Another host joins with (the text is a secret):\n"
                   "  weft up --bind ITS_ADDRESS --insecure --join %s\n",
                   join);
    } else {
        printf("It listens on this machine only (127.0.0.1); nothing is encrypted yet.\n");
    }
    printf("Next: weft devices, weft ping, weft run -- PROGRAM, and at the end weft down.\n");
    free(nodes);
    node_client_close(c);
}

/* --- starting --- */

static void log_path(char out[WEFT_PATH_MAX], long index) {
    char base[WEFT_PATH_MAX / 2];
    if (weft_run_dir(base, sizeof base) != WEFT_OK ||
        snprintf(out, WEFT_PATH_MAX, "%s/default/weftd-%ld-%d.log", base, index, (int)getpid()) >=
            WEFT_PATH_MAX)
        out[0] = 0;
}

static int start_one(struct daemon_process *p, const struct arguments *a, const char *join, long index) {
    char log[WEFT_PATH_MAX];
    log_path(log, index);
    struct daemon_spec spec = {.cluster = "default",
                               .join = join,
                               .node = -1,
                               .bind = a->bind,
                               .insecure = a->insecure,
                               .log = *log ? log : NULL};
    return daemon_start(p, &spec);
}

/* The first alone: it is node 0, or it finds out whether the cluster lets us in; the others at once. */
static bool start_all(struct daemon_process *p, const struct arguments *a) {
    if (start_one(&p[0], a, a->join, 0) != WEFT_OK || !daemon_wait_ready(&p[0], READY_TIMEOUT_MS, -1))
        return false;
    bool good = true;
    for (long i = 1; i < a->nodes; i++) good &= start_one(&p[i], a, p[0].join, i) == WEFT_OK;
    for (long i = 1; i < a->nodes; i++) good = good && daemon_wait_ready(&p[i], READY_TIMEOUT_MS, -1);
    return good;
}

/* The cluster of this host that is up already. */
static bool is_up(void) {
    struct node_client *c;
    if (node_client_open(&c, NULL, NULL, NODE_TOOL, NULL) != WEFT_OK) return false;
    node_client_close(c);
    return true;
}

static int start_background(const struct arguments *a) {
    if (!a->join && is_up()) {
        fprintf(stderr, "weft: a cluster is up here already: `weft nodes` shows it, `weft down` ends it\n");
        return 1;
    }
    struct daemon_process *p = calloc((size_t)a->nodes, sizeof *p);
    if (!p) return 1;
    for (long i = 0; i < a->nodes; i++) p[i].lifeline = p[i].said = -1;
    bool good = start_all(p, a);
    if (good)
        describe(p[0].socket, a);
    else
        daemons_end(p, (unsigned)a->nodes);
    free(p);
    return !good;
}

static int start_foreground(const struct arguments *a) {
    char path[WEFT_PATH_MAX];
    const char *argv[10];
    int n = 0;
    if (weft_exe_path("weftd", path, sizeof path) != WEFT_OK) return 1;
    argv[n++] = path;
    if (a->bind) {
        argv[n++] = "--bind";
        argv[n++] = a->bind;
    }
    if (a->insecure) argv[n++] = "--insecure";
    if (a->join) {
        argv[n++] = "--join";
        argv[n++] = a->join;
    }
    argv[n] = NULL;
    execv(path, (char *const *)argv);
    fprintf(stderr, "weft: cannot start %s: %s\n", path, strerror(errno));
    return 1;
}

static bool read_join(char *out, size_t cap) {
    if (!fgets(out, (int)cap, stdin)) return false;
    out[strcspn(out, "\n")] = 0;
    return *out;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"nodes", required_argument, NULL, 'n'},
                                            {"bind", required_argument, NULL, 'b'},
                                            {"insecure", no_argument, NULL, 'i'},
                                            {"foreground", no_argument, NULL, 'f'},
                                            {"join", required_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct arguments a = {.nodes = 1};
    char join[NODE_JOIN_TEXT_MAX];
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            if (!command_number(&command_up, "--nodes", optarg, 1, NODE_MAX, &a.nodes)) return EXIT_USAGE;
            break;
        case 'b': a.bind = optarg; break;
        case 'i': a.insecure = true; break;
        case 'f': a.foreground = true; break;
        case 'j': a.join = optarg; break;
        case 'h': return command_help(&command_up);
        default: return command_misuse(&command_up, NULL);
        }
    }
    if (optind < argc) return command_misuse(&command_up, "unexpected argument %s", argv[optind]);
    if (a.foreground && a.nodes > 1) return command_misuse(&command_up, "--foreground runs one node");
    if (a.foreground) return start_foreground(&a);
    if (a.join && strcmp(a.join, "-") == 0) {
        if (!read_join(join, sizeof join))
            return command_misuse(&command_up, "--join -: no join text on standard input");
        a.join = join;
    }
    return start_background(&a);
}

const struct command command_up = {
    .name = "up",
    .summary = "start a cluster on this host, or join one",
    .usage =
        "Usage: weft up [--nodes N] [--bind ADDRESS --insecure] [--join TEXT] [--foreground]\n"
        "Starts the daemon of node 0 in the background, waits until it is ready and tells what is there.\n\n"
        "  --nodes N        N nodes on this host, for trying things out (default: 1)\n"
        "  --bind ADDRESS   numeric address of this host that the others reach (default: 127.0.0.1)\n"
        "  --insecure       allow such an address: nothing is encrypted or authenticated yet, so whoever can "
        "send\n"
        "                   to it can run programs as you\n"
        "  --join TEXT      join the cluster whose `weft up` printed that text; - reads it from standard "
        "input,\n"
        "                   where other users of this host do not see it\n"
        "  --foreground     run the daemon here, in the foreground (one node)\n",
    .run = run,
};
