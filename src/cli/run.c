/* weft run: runs a program attached to a cluster, and leaves nothing behind.
 *
 * DESIGN NOTES. The daemons of a temporary cluster are children in process groups of their own, so that
 * Ctrl-C reaches only the program. Each holds the reading end of a pipe: when this process ends, in whatever
 * way, the pipe hangs up and the daemon ends in order, taking its executors with it and removing its
 * directory; the last one removes the cluster's. The program gets a parent-death signal. So kill -9 of this
 * process needs no help from it. */
#include "cli/run.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/option.h"
#include "cli/cluster.h"
#include "cli/command.h"
#include "cli/device_list.h"
#include "cli/record.h"
#include "cli/record_model.h"
#include "cli/temporary.h"
#include "node/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND  127
#define EXIT_NO_CLUSTER 125 /* as env and timeout say that they failed themselves */

struct run {
    struct run_arguments a;
    int signals;             /* signalfd */
    sigset_t mask_before;    /* CMD's */
    char cluster[64];        /* of the directory below */
    char dir[WEFT_PATH_MAX]; /* this run's own; "": none yet */
    struct temporary temporary;
    struct node_client
        *line; /* to the cluster that is up: its daemon cleans up when this process is killed */
    char socket[WEFT_PATH_MAX];
};

/* --- the cluster --- */

static bool start_cluster(struct run *r) {
    if (!temporary_start(&r->temporary, r->cluster, r->dir, (unsigned)r->a.nodes, r->signals)) return false;
    strcpy(r->socket, r->temporary.local[r->a.node < 0 ? 0 : r->a.node].socket);
    return true;
}

/* Attaches to the cluster that is up. 1; 0: there is none; -1: told. */
static int use_cluster(struct run *r) {
    char base[WEFT_PATH_MAX];
    const char *inherited = getenv("WEFT_NODE_SOCKET");
    bool outer = inherited && *inherited; /* inside another weft run */
    if (r->a.node >= 0 && !outer) {
        if (weft_run_dir(base, sizeof base) != WEFT_OK) return -1;
        if (snprintf(r->socket, sizeof r->socket, "%s/default/node%ld/socket", base, r->a.node) >=
            (int)sizeof r->socket)
            return -1;
    } else if (outer) {
        if (snprintf(r->socket, sizeof r->socket, "%s", inherited) >= (int)sizeof r->socket) return -1;
        char *at = strstr(r->socket, "/node");
        if (at && r->a.node >= 0)
            snprintf(at, sizeof r->socket - (size_t)(at - r->socket), "/node%ld/socket", r->a.node);
    }
    int rc = node_client_open(&r->line, NULL, *r->socket ? r->socket : NULL, NODE_TOOL, NULL);
    if (rc == WEFT_E_NOENT && r->a.node > 0) {
        fprintf(stderr, "weft: node %ld is not up on this host; with --nodes N there are nodes 0 to N-1\n",
                r->a.node);
        return -1;
    }
    if (rc == WEFT_E_NOENT) {
        r->line = NULL;
        return 0;
    }
    if (rc != WEFT_OK) {
        cluster_complain("the daemon of this node cannot be reached", rc);
        return -1;
    }
    if (*r->socket) return 1;
    if (weft_run_dir(base, sizeof base) != WEFT_OK) return -1;
    int n = snprintf(r->socket, sizeof r->socket, "%s/default/node%u/socket", base,
                     node_client_self(r->line).node);
    return n < (int)sizeof r->socket ? 1 : -1;
}

static bool attach(struct run *r) {
    int used = r->a.nodes ? 0 : use_cluster(r);
    if (used < 0) return false;
    if (node_rundir_make_temporary(r->cluster, sizeof r->cluster, r->dir, sizeof r->dir) != WEFT_OK)
        return false;
    return used || start_cluster(r);
}

static void detach(struct run *r) {
    if (r->line) node_client_close(r->line);
    temporary_end(&r->temporary);
    if (*r->dir) weft_dir_remove(r->dir);
    node_rundir_clean(NULL); /* what killed daemons and programs have left */
}

/* --- the program --- */

static void become(const struct run *r, const cpu_set_t *cpus, int said, pid_t parent) {
    if (cpus) sched_setaffinity(0, sizeof *cpus, cpus);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_NO_CLUSTER);
    sigprocmask(SIG_SETMASK, &r->mask_before, NULL);
    execvp(r->a.argv[0], r->a.argv);
    int err = errno;
    if (write(said, &err, sizeof err) < 0) {
    }
    _exit(err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

static pid_t start_program(const struct run *r) {
    int said[2], err = 0;
    if (pipe2(said, O_CLOEXEC) != 0) return -1;
    cpu_set_t cpus;
    bool bound = run_bind_cpus(r->a.node, &cpus);
    fflush(NULL);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(r, bound ? &cpus : NULL, said[1], parent);
    close(said[1]);
    if (pid > 0 && read(said[0], &err, sizeof err) == sizeof err)
        fprintf(stderr, "weft: cannot run %s: %s\n", r->a.argv[0], strerror(err));
    close(said[0]);
    if (pid < 0) fprintf(stderr, "weft: cannot start a process: %s\n", strerror(errno));
    return pid;
}

/* What the terminal sends goes to the whole foreground group: the program has it already. What another
 * process sends is meant for the program, and is passed on. */
static void pass_on(const struct signalfd_siginfo *s, pid_t pid) {
    if (s->ssi_code != SI_KERNEL) kill(pid, (int)s->ssi_signo);
}

static int wait_program(struct run *r, pid_t pid) {
    for (;;) {
        struct signalfd_siginfo s;
        if (read(r->signals, &s, sizeof s) != sizeof s) continue;
        if (s.ssi_signo != SIGCHLD) {
            pass_on(&s, pid);
            continue;
        }
        int status;
        if (waitpid(pid, &status, WNOHANG) != pid) continue; /* a daemon, or stopped */
        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
}

static void signals_awaited(sigset_t *set) {
    const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(set, numbers[i]);
}

static void block_signals(struct run *r) {
    sigset_t set;
    signals_awaited(&set);
    sigprocmask(SIG_BLOCK, &set, &r->mask_before);
    signal(SIGCHLD, SIG_DFL);
    sigdelset(&set, SIGCHLD);
    r->signals =
        signalfd(-1, &set, SFD_CLOEXEC); /* while daemons start: whatever ends us, but no child's end */
}

static void await_children_too(struct run *r) {
    sigset_t set;
    signals_awaited(&set);
    signalfd(r->signals, &set, 0);
}

/* The signal that came while the cluster was starting; 0: none. */
static int early_signal(const struct run *r) {
    struct signalfd_siginfo s;
    struct pollfd f = {.fd = r->signals, .events = POLLIN};
    if (poll(&f, 1, 0) != 1 || read(r->signals, &s, sizeof s) != sizeof s) return 0;
    return (int)s.ssi_signo;
}

/* Whether --devices names any device; those of nodes that do not tell in time are the program's to wait for.
 */
static bool devices_fit(const struct run *r) {
    struct device_list l = {0};
    struct node_client *c;
    if (!r->a.devices || node_client_open(&c, NULL, r->socket, NODE_TOOL, NULL) != WEFT_OK) return true;
    bool fit =
        !device_list_get(&l, c, (unsigned)weft_option_int("opencl_discovery_ms"), true) || l.incomplete;
    size_t *rank = calloc(l.count + 1, sizeof *rank);
    fit = fit || !rank || choice_make(r->a.devices, 0, l.devices, l.count, rank);
    if (!fit) device_list_no_match(&l, r->a.devices);
    free(rank);
    device_list_free(&l);
    node_client_close(c);
    return fit;
}

static int keep_record(const struct run *r, struct recorder *recorder, int status, double seconds) {
    char dir[WEFT_PATH_MAX + 16];
    snprintf(dir, sizeof dir, "%s/record", r->dir);
    struct record record = record_collect(recorder, dir);
    bool written = !r->a.record || record_model_write(&record, r->a.record);
    if (r->a.summary) record_summary(&record, r->socket, seconds, stderr);
    record_fini(&record);
    return written || status ? status : EXIT_NO_CLUSTER;
}

static int run_attached(struct run *r) {
    if (!devices_fit(r)) return EXIT_NO_CLUSTER;
    if (run_environment_set(&r->a, r->dir, r->socket) != WEFT_OK) return EXIT_NO_CLUSTER;
    struct recorder *recorder = run_is_recorded(&r->a) ? record_begin(r->socket) : NULL;
    if (run_is_recorded(&r->a) && !recorder) return EXIT_NO_CLUSTER;
    await_children_too(r);
    uint64_t began_ns = weft_now_ns();
    pid_t pid = start_program(r);
    int status = pid < 0 ? EXIT_NO_CLUSTER : wait_program(r, pid);
    double seconds = (double)(weft_now_ns() - began_ns) / WEFT_NS_PER_S;
    if (recorder && pid >= 0) status = keep_record(r, recorder, status, seconds);
    record_end(recorder);
    return status;
}

static int run_program(const struct run_arguments *a) {
    struct run r = {.a = *a};
    block_signals(&r);
    run_environment_prepare(a);
    bool attached = attach(&r);
    int number = early_signal(&r);
    int status = number ? 128 + number : attached ? run_attached(&r) : EXIT_NO_CLUSTER;
    detach(&r);
    close(r.signals);
    return status;
}

/* --- arguments --- */

static bool valid_adapters(const char *list) {
    char copy[64];
    if (snprintf(copy, sizeof copy, "%s", list) >= (int)sizeof copy || !*copy) return false;
    for (char *save, *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save))
        if (strcmp(name, "shm") && strcmp(name, "udp") && strcmp(name, "ofi") && strcmp(name, "sim"))
            return false;
    return true;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {
        {"nodes", required_argument, NULL, 'n'},   {"node", required_argument, NULL, 'k'},
        {"adapter", required_argument, NULL, 'a'}, {"platforms", required_argument, NULL, 'p'},
        {"devices", required_argument, NULL, 'd'}, {"cap", required_argument, NULL, 'c'},
        {"record", required_argument, NULL, 'r'},  {"summary", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {0}};
    const struct command *c = &command_run;
    struct run_arguments a = {.node = -1};
    char why[80];
    long cap;
    for (int o; (o = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        switch (o) {
        case 'n':
            if (!command_number(c, "--nodes", optarg, 1, NODE_MAX, &a.nodes)) return EXIT_USAGE;
            break;
        case 'k':
            if (!command_number(c, "--node", optarg, 0, NODE_MAX - 1, &a.node)) return EXIT_USAGE;
            break;
        case 'a':
            if (!valid_adapters(optarg))
                return command_misuse(c, "--adapter %s: shm, udp, ofi, sim or a list of them is wanted",
                                      optarg);
            a.adapter = optarg;
            break;
        case 'p':
            if (strcmp(optarg, "one") != 0 && strcmp(optarg, "per-node") != 0)
                return command_misuse(c, "--platforms %s: one or per-node is wanted", optarg);
            a.platforms = optarg;
            break;
        case 'd':
            if (!choice_check(optarg, why, sizeof why))
                return command_misuse(c, "--devices %s: %s", optarg, why);
            a.devices = optarg;
            break;
        case 'c':
            if (!command_number(c, "--cap", optarg, 1, 1000000, &cap)) return EXIT_USAGE;
            a.cap = optarg;
            break;
        case 'r': a.record = optarg; break;
        case 's': a.summary = true; break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    if (optind >= argc) return command_misuse(c, "what is to be run?");
    if (a.nodes && a.node >= a.nodes)
        return command_misuse(c, "--node %ld: of %ld nodes the last is %ld", a.node, a.nodes, a.nodes - 1);
    if (a.record && !record_may_write(a.record)) return EXIT_NO_CLUSTER;
    a.argv = argv + optind;
    return run_program(&a);
}

const struct command command_run = {
    .name = "run",
    .summary = "run a program attached to a cluster",
    .usage =
        "Usage: weft run [--nodes N] [--node K] [--adapter LIST] [--platforms one|per-node]\n"
        "                [--devices LIST] [--cap N] [--summary] [--record FILE] [--] CMD [ARG]...\n"
        "Runs CMD so that its OpenCL library shows it the devices of every node. Uses the cluster of `weft "
        "up`; if\n"
        "there is none, or with --nodes, a temporary one on this machine, which ends with CMD. In a Slurm\n"
        "allocation that is one of all its nodes.\n\n"
        "  --nodes N         a temporary cluster of N nodes\n"
        "  --node K          run CMD as a program of node K, one of this host (default: the first)\n"
        "  --adapter LIST    let programs and executors use only these adapters: shm, udp, ofi (libfabric),\n"
        "                    sim (udp over a bad network: WEFT_SIM), or several, separated by commas; ofi "
        "and\n"
        "                    sim are never used unless named\n"
        "  --platforms HOW   one: one platform with all devices; per-node: a platform for each node\n"
        "  --devices LIST    show CMD these devices only, in this order; LIST is one or more of the "
        "following,\n"
        "                    separated by commas, with ! or - before what is to be left out:\n"
        "                    gpu, cpu, accelerator; 0, 2-3 (a number of `weft devices`); h100 (a part of a\n"
        "                    name); @alpha, node:2 (a host, a node); gpu@alpha (both); 0@alpha (its first)\n"
        "  --cap N           show CMD at most N devices, the first ones\n"
        "  --summary         tell on standard error, when CMD has ended, where its time went: on each device, in "
        "each\n"
        "                    kernel, in each process\n"
        "  --record FILE     write what CMD did as an application of the model (`weft model predict`, `plot`, "
        "`place`): its\n"
        "                    processes on all hosts, what they sent to whom, what they moved to OpenCL devices, "
        "kernels\n\n"
        "Exit status: CMD's; 128+n if signal n killed it; 127 if CMD is not found, 126 if it cannot be run,\n"
        "125 if there is no cluster to run it on, no device fits LIST, or FILE cannot be written.\n",
    .run = run,
};
