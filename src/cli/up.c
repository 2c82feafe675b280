/* weft up: starts a cluster, or joins one, and tells what is there. */
#include "cli/up.h"
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/command.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_TIMEOUT_MS 20000u

struct up {
    struct up_arguments a;
    struct node_credentials credentials;
    bool keyed;
};

/* --- starting --- */

static void log_path(char out[WEFT_PATH_MAX], long index) {
    char base[WEFT_PATH_MAX / 2];
    if (weft_run_dir(base, sizeof base) != WEFT_OK ||
        snprintf(out, WEFT_PATH_MAX, "%s/default/weftd-%ld-%d.log", base, index, (int)getpid()) >=
            WEFT_PATH_MAX)
        out[0] = 0;
}

static int start_one(struct daemon_process *p, const struct up *u, const char *join, long index) {
    char log[WEFT_PATH_MAX];
    log_path(log, index);
    struct daemon_spec spec = {.cluster = "default",
                               .credentials = u->keyed ? &u->credentials : NULL,
                               .join = join,
                               .node = -1,
                               .bind = u->a.bind,
                               .insecure = u->a.insecure,
                               .log = *log ? log : NULL};
    return daemon_start(p, &spec);
}

/* The first alone: it is node 0, or it finds out whether the cluster lets us in; the others at once. */
static bool start_all(struct daemon_process *p, const struct up *u) {
    if (start_one(&p[0], u, u->a.join, 0) != WEFT_OK || !daemon_wait_ready(&p[0], READY_TIMEOUT_MS, -1))
        return false;
    bool good = true;
    for (long i = 1; i < u->a.nodes; i++) good &= start_one(&p[i], u, p[0].join, i) == WEFT_OK;
    for (long i = 1; i < u->a.nodes; i++) good = good && daemon_wait_ready(&p[i], READY_TIMEOUT_MS, -1);
    return good;
}

/* The cluster of this host that is up already. */
static bool is_up(void) {
    struct node_client *c;
    if (node_client_open(&c, NULL, NULL, NODE_TOOL, NULL) != WEFT_OK) return false;
    node_client_close(c);
    return true;
}

static int start_background(struct up *u) {
    if (!u->a.join && is_up()) {
        fprintf(stderr, "weft: a cluster is up here already: `weft nodes` shows it, `weft down` ends it\n");
        return 1;
    }
    if (!up_credentials(&u->a, &u->credentials, &u->keyed)) return 1;
    struct daemon_process *p = calloc((size_t)u->a.nodes, sizeof *p);
    if (!p) return 1;
    for (long i = 0; i < u->a.nodes; i++) p[i].lifeline = p[i].said = -1;
    bool good = start_all(p, u);
    for (long i = 0; good && i < u->a.nodes; i++) daemon_keep(&p[i]);
    if (good)
        up_report(p[0].socket, &u->a, u->keyed);
    else
        daemons_end(p, (unsigned)u->a.nodes);
    free(p);
    return !good;
}

static int start_foreground(struct up *u) {
    if (!up_credentials(&u->a, &u->credentials, &u->keyed)) return 1;
    struct daemon_spec spec = {.cluster = "default",
                               .credentials = u->keyed ? &u->credentials : NULL,
                               .join = u->a.join,
                               .node = -1,
                               .bind = u->a.bind,
                               .insecure = u->a.insecure};
    daemon_become(&spec);
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
    struct up u = {.a.nodes = 1};
    struct up_arguments *a = &u.a;
    char join[NODE_JOIN_TEXT_MAX];
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            if (!command_number(&command_up, "--nodes", optarg, 1, NODE_MAX, &a->nodes)) return EXIT_USAGE;
            break;
        case 'b': a->bind = optarg; break;
        case 'i': a->insecure = true; break;
        case 'f': a->foreground = true; break;
        case 'j': a->join = optarg; break;
        case 'h': return command_help(&command_up);
        default: return command_misuse(&command_up, NULL);
        }
    }
    if (optind < argc) return command_misuse(&command_up, "unexpected argument %s", argv[optind]);
    if (a->foreground && a->nodes > 1) return command_misuse(&command_up, "--foreground runs one node");
    if (a->join && strcmp(a->join, "-") == 0) {
        if (!read_join(join, sizeof join))
            return command_misuse(&command_up, "--join -: no join text on standard input");
        a->join = join;
    }
    int status = a->foreground ? start_foreground(&u) : start_background(&u);
    OPENSSL_cleanse(&u.credentials, sizeof u.credentials);
    return status;
}

const struct command command_up = {
    .name = "up",
    .summary = "start a cluster on this host, or join one",
    .usage =
        "Usage: weft up [--nodes N] [--bind ADDRESS] [--join TEXT] [--insecure] [--foreground]\n"
        "Starts the daemon of node 0 in the background, waits until it is ready and tells what is there.\n\n"
        "  --nodes N        N nodes on this host, for trying things out (default: 1)\n"
        "  --bind ADDRESS   numeric address of this host that the others reach (default: 127.0.0.1)\n"
        "  --join TEXT      join the cluster whose `weft up` printed that text, with the same key (see weft "
        "keygen);\n"
        "                   - reads it from standard input\n"
        "  --insecure       a cluster without a key: nothing is encrypted or authenticated, so whoever can "
        "send to\n"
        "                   its addresses can run programs as you\n"
        "  --foreground     run the daemon here, in the foreground (one node)\n",
    .run = run,
};
