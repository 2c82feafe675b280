/* Runs the conformance suite over every adapter of the table, or the one that is named; a second argument
 * chooses tests. The ofi rows run only when named, each in a process of its own: its provider is an option,
 * and those are read once. */
#include "adapter/conformance.h"
#include "base/board.h"
#include "base/path.h"
#include "base/test_files.h"

#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct conformance adapters[] = {
    {.name = "self", .ops = &adapter_self_ops, .itself_only = true},
    {.name = "shm", .ops = &adapter_shm_ops},
    {.name = "udp", .ops = &adapter_udp_ops, .bind_host = "127.0.0.1"},
    {.name = "udp6", .ops = &adapter_udp_ops, .bind_host = "::1"},
    {.name = "sim", .ops = &adapter_sim_ops},
    {.name = "sim-slow", .ops = &adapter_sim_ops, .sim = "delay_us=40,rate_MBps=2000", .delayed = true},
    {.name = "sim-lossy",
     .ops = &adapter_sim_ops,
     .sim = "seed=3,loss=0.2,duplicate=0.2,reorder=0.2,refuse=0.2,delay_us=20,jitter_us=20",
     .lossy = true},
#if WEFT_HAVE_LIBFABRIC
    {.name = "ofi-tcp",
     .ops = &adapter_ofi_ops,
     .bind_host = "127.0.0.1",
     .ofi_provider = "tcp",
     .delayed = true},
    {.name = "ofi-shm", .ops = &adapter_ofi_ops, .ofi_provider = "shm", .delayed = true},
#endif
};

static size_t fds_before, files_before;

static int note_leaks(void **state) {
    (void)state;
    weft_board_alloc(WEFT_BOARD_OTHER, 1); /* made at the first count, and kept open */
    fds_before = test_entries("/proc/self/fd");
    files_before = test_entries(conformance_run_dir);
    return 0;
}

static void show_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        char target[200];
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target);
        if (n > 0) print_error("  %s: %.*s\n", e->d_name, (int)n, target);
    }
    if (d) closedir(d);
}

static int check_leaks(void **state) {
    (void)state;
    size_t fds = test_entries("/proc/self/fd"), files = test_entries(conformance_run_dir);
    if (fds == fds_before && files == files_before) return 0;
    print_error("left behind: %zd descriptors, %zd files\n", (ssize_t)(fds - fds_before),
                (ssize_t)(files - files_before));
    show_descriptors();
    return -1;
}

/* libfabric keeps what it opens at its first use: that is no leak of the test that comes first. */
static bool opens(const struct conformance *c) {
    struct node n;
    setenv("WEFT_OFI_PROVIDER", c->ofi_provider, true);
    struct adapter_config cfg = {.run_dir = conformance_run_dir, .bind_host = c->bind_host};
    if (c->ops->open(&n.adapter, &cfg)) return false;
    c->ops->close(n.adapter);
    return true;
}

/* IPv6 may be off altogether, and libfabric may not be there or lack a provider. */
static bool is_usable(const struct conformance *c) {
    if (c->ofi_provider) return opens(c);
    if (!c->bind_host || !strchr(c->bind_host, ':')) return true;
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0) close(fd);
    return ok;
}

static struct CMUnitTest tests[512];
static size_t count;

static void add(const struct conformance *c, const struct CMUnitTest *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *name;
        if (asprintf(&name, "%s: %s", c->name, list[i].name) < 0) abort();
        tests[count++] = (struct CMUnitTest){name, list[i].test_func, note_leaks, check_leaks, (void *)c};
    }
}

int main(int argc, char **argv) {
    if (!mkdtemp(conformance_run_dir)) return 1;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        const struct conformance *c = &adapters[i];
        if (argc > 1 ? strcmp(argv[1], c->name) != 0 : c->ofi_provider != NULL) continue;
        if (!is_usable(c)) continue;
        /* libfabric's tcp keeps the socket of a connection that is being made when it closes: not in these.
         */
        if (!c->ofi_provider) add(c, conformance_lossy, conformance_lossy_count);
        if (c->lossy) continue;
        add(c, conformance_address, conformance_address_count);
        add(c, conformance_traffic, conformance_traffic_count);
        add(c, conformance_peer, conformance_peer_count);
        add(c, conformance_read, conformance_read_count);
        add(c, conformance_death, conformance_death_count);
        add(c, conformance_sleep, conformance_sleep_count);
    }
    if (argc > 2) cmocka_set_test_filter(argv[2]);
    int failed = _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) free((char *)tests[i].name);
    weft_dir_remove(conformance_run_dir);
    return failed;
}
