/* weftd: the daemon of one node. `weft up` and `weft run` start it; see weftd(8). When it is ready it writes
 * one line to standard output, "ready ID SOCKET JOINTEXT", and lets go of it. */
#include "base/error.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/option.h"
#include "base/trace.h"
#include "node/daemon.h"
#include "node/protocol.h"
#include "node/route.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct node_daemon *running;

static void on_signal(int number) {
    if (running) node_daemon_stop(running);
}

static const char usage[] =
    "Usage: weftd [OPTION]...\n"
    "The daemon of one node of a weft cluster. Usually started by `weft up` or `weft run`.\n\n"
    "  --cluster NAME   name of the cluster's directory (default: default)\n"
    "  --key            the cluster has a key: the first line of standard input holds its credentials\n"
    "  --join TEXT      join the cluster with that join text; - reads it from standard input\n"
    "  --node K         with --join: ask for node id K instead of the lowest free one\n"
    "  --bind ADDRESS   numeric address to listen on (default: 127.0.0.1)\n"
    "  --reach ADDRESS  instead: the address of this host from which that one is reached\n"
    "  --insecure       without --key: allow an address that other hosts reach, though nothing is encrypted "
    "then\n"
    "  --adapter LIST   adapters to use, such as shm,udp (default: all)\n"
    "  --executor PATH  program to start as executor (default: weft-exec beside weftd)\n"
    "  --lifeline       end when standard input is closed, unless a line \"keep\" came before\n"
    "  --log FILE       once ready, write the log there instead of standard error\n"
    "  --help, --version\n";

struct arguments {
    struct node_daemon_config cfg;
    bool lifeline, keyed;
    const char *log, *reach;
};

static int parse(int argc, char **argv, struct arguments *a) {
    static const struct option options[] = {
        {"cluster", required_argument, NULL, 'c'}, {"join", required_argument, NULL, 'j'},
        {"node", required_argument, NULL, 'n'},    {"bind", required_argument, NULL, 'b'},
        {"reach", required_argument, NULL, 'r'},   {"insecure", no_argument, NULL, 'i'},
        {"adapter", required_argument, NULL, 'a'}, {"executor", required_argument, NULL, 'x'},
        {"lifeline", no_argument, NULL, 'l'},      {"log", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},          {"key", no_argument, NULL, 'k'},
        {"version", no_argument, NULL, 'v'},       {NULL, 0, NULL, 0}};
    char *end;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (c) {
        case 'c': a->cfg.cluster = optarg; break;
        case 'j': a->cfg.join = optarg; break;
        case 'n':
            a->cfg.wanted_node = (int32_t)strtol(optarg, &end, 10);
            if (*optarg && !*end && a->cfg.wanted_node >= 0) break;
            fprintf(stderr, "weftd: --node %s: a number is wanted\n", optarg);
            return 2;
        case 'b': a->cfg.bind_host = optarg; break;
        case 'r': a->reach = optarg; break;
        case 'i': a->cfg.insecure = true; break;
        case 'a': a->cfg.adapters = optarg; break;
        case 'x': a->cfg.executor = optarg; break;
        case 'l': a->lifeline = true; break;
        case 'k': a->keyed = true; break;
        case 'o': a->log = optarg; break;
        case 'h': fputs(usage, stdout); exit(0);
        case 'v': printf("weftd %s\n", WEFT_VERSION); exit(0);
        default: return 2;
        }
    }
    if (optind == argc) return 0;
    fprintf(stderr, "weftd: unexpected argument %s\n", argv[optind]);
    return 2;
}

/* One line, and not a byte more: what follows is the next one, or the lifeline. */
static bool read_line(char *out, size_t cap) {
    size_t n = 0;
    for (char c; n < cap - 1 && read(STDIN_FILENO, &c, 1) == 1 && c != '\n';) out[n++] = c;
    out[n] = 0;
    return n > 0;
}

static bool read_credentials(struct node_credentials *c) {
    char text[NODE_CREDENTIALS_TEXT_MAX + 1];
    bool good = read_line(text, sizeof text) && node_credentials_parse(text, c) == WEFT_OK;
    OPENSSL_cleanse(text, sizeof text);
    if (!good) weft_error("node", "--key: no credentials on standard input; `weft up` hands them over");
    return good;
}

/* What comes over standard input. */
static bool read_input(struct arguments *a, struct node_credentials *c, char join[NODE_JOIN_TEXT_MAX]) {
    if (a->keyed) {
        if (!read_credentials(c)) return false;
        a->cfg.credentials = c;
    }
    if (!a->cfg.join || strcmp(a->cfg.join, "-") != 0) return true;
    a->cfg.join = join;
    if (read_line(join, NODE_JOIN_TEXT_MAX)) return true;
    weft_error("node", "--join -: no join text on standard input");
    return false;
}

static int lifeline_fd(bool wanted) {
    int fd = wanted ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : 0;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null_fd, STDIN_FILENO);
    close(null_fd);
    return fd < 0 ? 0 : fd;
}

/* Held back while the daemon opens: it shall leave nothing behind even when it is ended then. */
static void block_signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(how, &set, NULL);
}

static void handle_signals(struct node_daemon *d) {
    running = d;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    block_signals(SIG_UNBLOCK);
}

static void report_ready(const struct node_daemon *d, const char *log) {
    printf("ready %u %s %s\n", node_daemon_id(d), node_daemon_socket(d), node_daemon_join_text(d));
    fflush(stdout);
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null_fd, STDOUT_FILENO);
    close(null_fd);
    if (!log) return;
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        weft_warn("node", "cannot open the log %s: %s", log, strerror(errno));
        return;
    }
    dup2(fd, STDERR_FILENO);
    close(fd);
}

/* For whoever waits for "ready" on the standard output of several. */
static int report_failure(void) {
    puts("failed");
    fflush(stdout);
    return 1;
}

int main(int argc, char **argv) {
    struct arguments a = {.cfg.wanted_node = -1};
    int rc = parse(argc, argv, &a);
    if (rc) {
        fputs("Try `weftd --help`.\n", stderr);
        return rc;
    }
    weft_log_init("weftd");
    weft_trace_on_crash();
    weft_proc_raise_descriptors();
    block_signals(SIG_BLOCK);
    char join[NODE_JOIN_TEXT_MAX];
    struct node_credentials credentials;
    char bind[NODE_NAME_MAX];
    if (!read_input(&a, &credentials, join)) return report_failure();
    if (a.reach && node_route_source(a.reach, bind) != WEFT_OK) return report_failure();
    if (a.reach) a.cfg.bind_host = bind;
    a.cfg.lifeline_fd = lifeline_fd(a.lifeline);
    struct node_daemon *d;
    rc = node_daemon_open(&d, &a.cfg);
    OPENSSL_cleanse(&credentials, sizeof credentials);
    if (rc != WEFT_OK) return report_failure();
    handle_signals(d);
    bool ready = false;
    do {
        if (ready || node_daemon_state(d) != NODE_DAEMON_READY) continue;
        ready = true;
        report_ready(d, a.log);
    } while (node_daemon_step(d, -1) == WEFT_OK);
    block_signals(SIG_BLOCK);
    running = NULL;
    node_daemon_close(d);
    return ready ? 0 : report_failure();
}
