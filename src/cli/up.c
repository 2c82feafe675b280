/* weft up: starts a cluster, or joins one, and tells what is there. */
#include "cli/up.h"
#include "base/error.h"
#include "base/path.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/remote.h"
#include "cli/slurm.h"
#include "node/route.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define READY_TIMEOUT_MS 20000u

struct up {
    struct up_arguments a;
    struct node_credentials credentials;
    bool keyed;
    struct host_list hosts;
    struct slurm slurm;
    unsigned launchers;          /* processes in `remote`: one a host, or srun */
    char bind[NODE_NAME_MAX];    /* that which a.bind is, when it was not given */
    char dir[WEFT_PATH_MAX / 2]; /* of the cluster, for logs */
    int signals;                 /* signalfd */
    struct daemon_process *local, *remote;
};

/* --- signals: what ends us while the cluster is being made ends that, too --- */

static bool take_signals(struct up *u) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a launcher that has ended */
    u->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return u->signals >= 0;
}

/* The number of the one that came; 0: none. */
static int signal_taken(const struct up *u) {
    struct signalfd_siginfo s;
    return read(u->signals, &s, sizeof s) == sizeof s ? (int)s.ssi_signo : 0;
}

/* --- this host --- */

static int start_one(struct up *u, const char *join, long index) {
    char log[WEFT_PATH_MAX];
    bool named =
        snprintf(log, sizeof log, "%s/weftd-%ld-%d.log", u->dir, index, (int)getpid()) < (int)sizeof log;
    struct daemon_spec spec = {.cluster = "default",
                               .credentials = u->keyed ? &u->credentials : NULL,
                               .join = join,
                               .node = -1,
                               .bind = u->a.bind,
                               .insecure = u->a.insecure,
                               .log = named ? log : NULL};
    return daemon_start(&u->local[index], &spec);
}

/* The first alone: it is node 0, or it finds out whether the cluster lets us in; the others at once. */
static bool start_local(struct up *u) {
    struct daemon_process *p = u->local;
    if (start_one(u, u->a.join, 0) != WEFT_OK ||
        !daemons_await(p, 1, READY_TIMEOUT_MS, u->signals, NULL, NULL))
        return false;
    bool good = true;
    for (long i = 1; i < u->a.nodes; i++) good = good && start_one(u, p[0].join, i) == WEFT_OK;
    return good && daemons_await(p + 1, (unsigned)u->a.nodes - 1, READY_TIMEOUT_MS, u->signals, NULL, NULL);
}

/* The cluster of this host that is up already. */
static bool is_up(void) {
    struct node_client *c;
    if (node_client_open(&c, NULL, NULL, NODE_TOOL, NULL) != WEFT_OK) return false;
    node_client_close(c);
    return true;
}

/* --- the others --- */

static bool find_own_address(struct up *u, const char *other) {
    if (u->a.bind) return true;
    if (node_route_source(other, u->bind) != WEFT_OK) {
        fprintf(stderr, "weft: which address of this host do the others reach? --bind ADDRESS says it\n");
        return false;
    }
    u->a.bind = u->bind;
    return true;
}

static bool find_hosts(struct up *u) {
    char self[NODE_NAME_MAX] = "";
    const struct up_arguments *a = &u->a;
    if (a->hosts && !host_list_add(&u->hosts, a->hosts)) return false;
    if (a->hosts_file && !host_list_add_file(&u->hosts, a->hosts_file)) return false;
    gethostname(self, sizeof self - 1);
    host_list_drop_self(&u->hosts, self);
    u->launchers = u->hosts.count;
    return u->hosts.count == 0 || find_own_address(u, host_name(&u->hosts.hosts[0]));
}

static bool find_allocation(struct up *u) {
    if (!slurm_find(&u->slurm)) return false;
    u->launchers = u->slurm.count > 0;
    return u->slurm.count == 0 || find_own_address(u, u->slurm.first);
}

static bool start_remote(struct up *u) {
    struct remote_spec spec = {.cluster = "default",
                               .credentials = u->keyed ? &u->credentials : NULL,
                               .join = u->local[0].join,
                               .reach = u->a.bind,
                               .dir = u->a.remote_path,
                               .log_dir = u->dir,
                               .partial = u->a.partial};
    if (u->launchers == 0) return true;
    return u->a.slurm ? slurm_start(u->remote, &u->slurm, &spec, u->signals)
                      : remote_start(u->remote, &u->hosts, &spec, u->signals);
}

/* --- all together --- */

/* Those that are ready go on by themselves; those that may still come, with --partial, shall not. */
static void keep(struct up *u) {
    for (unsigned i = 0; i < u->launchers; i++)
        if (u->remote[i].state != DAEMON_READY) daemons_end(&u->remote[i], 1);
    daemons_keep(u->remote, u->launchers);
    daemons_keep(u->local, (unsigned)u->a.nodes);
}

static bool prepare(struct up *u) {
    char base[WEFT_PATH_MAX / 2 - 16];
    if (weft_run_dir(base, sizeof base) != WEFT_OK) return false;
    snprintf(u->dir, sizeof u->dir, "%s/default", base);
    if (!u->a.join && is_up()) {
        fprintf(stderr, "weft: a cluster is up here already: `weft nodes` shows it, `weft down` ends it\n");
        return false;
    }
    if (!(u->a.slurm ? find_allocation(u) : find_hosts(u)) ||
        !up_credentials(&u->a, &u->credentials, &u->keyed))
        return false;
    u->local = daemons_create((unsigned)u->a.nodes);
    u->remote = daemons_create(u->launchers + 1);
    return u->local && u->remote && take_signals(u);
}

static int start_background(struct up *u) {
    if (!prepare(u)) return 1;
    bool good = start_local(u) && start_remote(u);
    int number = signal_taken(u);
    if (good && !number) {
        keep(u);
        up_report(u->local[0].socket, &u->a, u->keyed);
        return 0;
    }
    daemons_end(u->remote, u->launchers);
    daemons_end(u->local, (unsigned)u->a.nodes);
    if (u->launchers) fprintf(stderr, "weft: the cluster is not up; nothing of it is left running\n");
    return number ? 128 + number : 1;
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

/* --- arguments --- */

static bool read_join(char *out, size_t cap) {
    if (!fgets(out, (int)cap, stdin)) return false;
    out[strcspn(out, "\n")] = 0;
    return *out;
}

static const char *misuse(const struct up_arguments *a) {
    bool hosts = a->hosts || a->hosts_file;
    if (a->slurm && (hosts || a->join || a->foreground))
        return "--slurm takes the nodes of the allocation, no others";
    if (a->slurm && !slurm_is_there())
        return "--slurm: this is no Slurm allocation (SLURM_JOB_ID is not set)";
    if (a->foreground && (a->nodes > 1 || hosts)) return "--foreground runs one node";
    if (hosts && a->join) return "--hosts starts a cluster, --join joins one";
    if (!hosts && (a->partial || (a->remote_path && !a->slurm)))
        return "--partial and --remote-path go with --hosts";
    return NULL;
}

static int parse(int argc, char **argv, struct up_arguments *a) {
    static const struct option options[] = {{"nodes", required_argument, NULL, 'n'},
                                            {"bind", required_argument, NULL, 'b'},
                                            {"insecure", no_argument, NULL, 'i'},
                                            {"foreground", no_argument, NULL, 'f'},
                                            {"join", required_argument, NULL, 'j'},
                                            {"hosts", required_argument, NULL, 'H'},
                                            {"hosts-file", required_argument, NULL, 'F'},
                                            {"remote-path", required_argument, NULL, 'r'},
                                            {"slurm", no_argument, NULL, 's'},
                                            {"partial", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            if (!command_number(&command_up, "--nodes", optarg, 1, NODE_MAX, &a->nodes)) return EXIT_USAGE;
            break;
        case 'b': a->bind = optarg; break;
        case 'i': a->insecure = true; break;
        case 'f': a->foreground = true; break;
        case 'j': a->join = optarg; break;
        case 'H': a->hosts = optarg; break;
        case 'F': a->hosts_file = optarg; break;
        case 'r': a->remote_path = optarg; break;
        case 'p': a->partial = true; break;
        case 's': a->slurm = true; break;
        case 'h': command_help(&command_up); exit(0);
        default: return command_misuse(&command_up, NULL);
        }
    }
    if (optind < argc) return command_misuse(&command_up, "unexpected argument %s", argv[optind]);
    /* In an allocation it is the allocation that is meant, unless something else is said. */
    bool plain = !a->nodes && !a->hosts && !a->hosts_file && !a->join && !a->foreground;
    a->slurm |= plain && slurm_is_there();
    if (!a->nodes) a->nodes = 1;
    return misuse(a) ? command_misuse(&command_up, "%s", misuse(a)) : 0;
}

static int run(int argc, char **argv) {
    struct up u = {.signals = -1};
    char join[NODE_JOIN_TEXT_MAX];
    int status = parse(argc, argv, &u.a);
    if (status) return status;
    if (u.a.join && strcmp(u.a.join, "-") == 0) {
        if (!read_join(join, sizeof join))
            return command_misuse(&command_up, "--join -: no join text on standard input");
        u.a.join = join;
    }
    status = u.a.foreground ? start_foreground(&u) : start_background(&u);
    OPENSSL_cleanse(&u.credentials, sizeof u.credentials);
    host_list_free(&u.hosts);
    slurm_free(&u.slurm);
    free(u.local);
    free(u.remote);
    if (u.signals >= 0) close(u.signals);
    return status;
}

const struct command command_up = {
    .name = "up",
    .summary = "start a cluster on this host, or join one",
    .usage = "Usage: weft up [--nodes N] [--bind ADDRESS] [--hosts HOST,...] [--hosts-file F] [--insecure]\n"
             "       weft up --join TEXT [--bind ADDRESS] [--nodes N] [--insecure]\n"
             "Starts the daemon of node 0 in the background, and with --hosts one on each of those hosts; "
             "waits until they\n"
             "are ready, and tells what is there. If they do not all come up, none stays.\n\n"
             "  --nodes N          N nodes on this host, for trying things out (default: 1)\n"
             "  --bind ADDRESS     numeric address of this host that the others reach (default: 127.0.0.1; "
             "with --hosts\n"
             "                     that of the way to the first one)\n"
             "  --hosts LIST       hosts on which ssh starts a daemon: HOST, USER@HOST, HOST:PORT, separated "
             "by commas\n"
             "  --hosts-file F     the same from a file, one a line\n"
             "  --slurm            one on each node of the Slurm allocation; inside one that is the default\n"
             "  --remote-path DIR  where weftd is there (default: the same directory as here)\n"
             "  --partial          go on with those that come up\n"
             "  --join TEXT        join the cluster whose `weft up`, or `weft nodes --join` on any of its "
             "nodes, printed\n"
             "                     that text, with the same key (see weft keygen); - reads it from standard "
             "input\n"
             "  --insecure         a cluster without a key: nothing is encrypted or authenticated, so "
             "whoever can send to\n"
             "                     its addresses can run programs as you\n"
             "  --foreground       run the daemon here, in the foreground (one node)\n",
    .run = run,
};
