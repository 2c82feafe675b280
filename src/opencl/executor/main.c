/* weft-exec: `--inventory` writes what this node's drivers have to standard output; without arguments it
 * serves one client of the cluster, for whom the node's daemon started it: the client's token comes on
 * standard input. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/trace.h"
#include "opencl/executor/executor.h"
#include "opencl/inventory.h"

#define CLIENT_TIMEOUT_MS 30000
#define CLOSE_LINGER_MS   100
#define ORPHAN_SECONDS    2
#define CLEANUP_SECONDS   5 /* then the process ends all the same: a kernel may run for ever */

static bool write_all(int fd, const void *data, size_t bytes) {
    for (const char *at = data; bytes;) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Drivers may print: only the blob reaches the real standard output. */
static int print_inventory(void) {
    int out = dup(STDOUT_FILENO);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return EXIT_FAILURE;
    struct inventory *inv = inventory_collect(drivers_load());
    size_t bytes = 0;
    void *blob = inv ? inventory_encode(inv, &bytes) : NULL;
    bool ok = blob && write_all(out, blob, bytes);
    if (!ok) weft_error("executor", "the inventory could not be written");
    free(blob);
    inventory_free(inv);
    close(out);
    fflush(NULL);
    _exit(ok ? EXIT_SUCCESS : EXIT_FAILURE); /* without the drivers' exit handlers: some crash in them */
}

static bool read_token(uint8_t token[NODE_TOKEN_BYTES]) {
    for (size_t got = 0; got < NODE_TOKEN_BYTES;) {
        ssize_t n = read(STDIN_FILENO, token + got, NODE_TOKEN_BYTES - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        got += (size_t)n;
    }
    return true;
}

/* The daemon has died (the kernel says so by SIGTERM, see launch() in src/node/executor.c): the client is
 * told at once rather than left to find out by silence. Whatever a driver does meanwhile, the process ends
 * soon. */
static int terminated_fd = -1;
static volatile sig_atomic_t terminated;

static void on_sigterm(int signal) {
    int err = errno;
    terminated = 1;
    alarm(ORPHAN_SECONDS);
    eventfd_write(terminated_fd, 1);
    errno = err;
}

static void on_terminated(void *arg, int fd) {
    eventfd_t count;
    eventfd_read(fd, &count);
    executor_stop(arg);
}

static bool handle_sigterm(void) {
    terminated_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction sa = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
    return terminated_fd >= 0 && sigaction(SIGTERM, &sa, NULL) == 0;
}

static void on_daemon_down(void *ctx) {
    weft_warn("executor", "the daemon of this node is gone");
    executor_stop(ctx);
}

/* Registers with the daemon and says where this executor is to be found. */
static int announce(struct node_client **client, struct ep *ep, struct executor *x) {
    struct node_callbacks cb = {.on_daemon_down = on_daemon_down, .ctx = x};
    int err = node_client_open(client, ep, NULL, NODE_EXECUTOR, &cb);
    if (err) {
        weft_error("executor", "no way to this node's daemon: %s", weft_error_text(err));
        return err;
    }
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = sizeof address;
    err = ep_address(ep, address, &bytes);
    if (!err) err = node_client_executor_ready(*client, address, bytes);
    if (err) weft_error("executor", "the daemon does not take this executor: %s", weft_error_text(err));
    return err;
}

/* A client that fills the node's memory shall lose its executor before the node loses a daemon. */
static void be_first_to_go(void) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "500", 3) != 3)
        weft_info("executor", "no oom_score_adj here: %s", strerror(errno));
    if (fd >= 0) close(fd);
}

/* The threads that drivers start when they are loaded do the work; the one that calls us, which serves the
 * client, wakes them for each command. As batch threads they do not take its CPU at once, in the middle of a
 * call of the driver's, whose locks they would only wait for. */
static const struct drivers *load_drivers(void) {
    const struct sched_param none = {0};
    bool usual = sched_getscheduler(0) == SCHED_OTHER;
    if (usual) sched_setscheduler(0, SCHED_BATCH, &none);
    const struct drivers *drivers = drivers_load();
    if (usual) sched_setscheduler(0, SCHED_OTHER, &none);
    return drivers;
}

static int serve(void) {
    uint8_t token[NODE_TOKEN_BYTES];
    be_first_to_go();
    if (!handle_sigterm()) return EXIT_FAILURE;
    if (!read_token(token)) {
        weft_error("executor", "no token on standard input: weft-exec is started by weftd");
        return EXIT_FAILURE;
    }
    struct executor *x = executor_create(load_drivers(), token);
    if (!x) return EXIT_FAILURE;
    struct ep_config cfg = {0};
    executor_configure(x, &cfg);
    struct ep *ep = NULL;
    struct node_client *client = NULL;
    int err = node_endpoint_config(&cfg);
    if (!err) err = ep_open(&ep, &cfg);
    node_endpoint_config_done(&cfg);
    if (!err) {
        executor_attach(x, ep);
        err = executor_capture_output(x);
    }
    if (!err) err = ep_watch(ep, terminated_fd, on_terminated, x);
    if (!err) err = announce(&client, ep, x);
    if (!err) executor_run(x, CLIENT_TIMEOUT_MS);
    alarm(terminated ? ORPHAN_SECONDS : CLEANUP_SECONDS);
    if (client) node_client_close(client);
    if (ep) ep_close(ep, CLOSE_LINGER_MS);
    executor_destroy(x);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    weft_log_init("weft-exec");
    weft_trace_on_crash();
    if (argc == 2 && !strcmp(argv[1], "--inventory")) return print_inventory();
    if (argc == 1) return serve();
    fprintf(stderr, "usage: weft-exec [--inventory]\nStarted by weftd; not meant to be run by hand.\n");
    return 2;
}
