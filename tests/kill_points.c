/* Kill points: a process that exchanges messages with this one is killed with SIGKILL at a random moment,
 * again and again. Each time the loss must be told, soon on one host; nothing of the dead one may be
 * delivered afterwards, neither to this side nor to its successor, which has the same place; data that was
 * announced as complete must be right; and no descriptor, file or process may be left. Now and then the other
 * is stopped first: that is no death.
 *
 *   kill_points ADAPTER POINTS [SEED]     prints how long it took to notice */
#include "base/clock.h"
#include "base/error.h"
#include "base/test_files.h"
#include "transport/endpoint.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_BYTES    (512u << 10)
#define DATA_MAX      (300u << 10)
#define IN_FLIGHT     8
#define RUN_US_MAX    3000
#define PATIENCE_NS   (20 * WEFT_NS_PER_S)
#define FDS_MAX       40  /* of one endpoint, however many peers came and went */
#define STOP_EVERY    25  /* points */
#define RECORD_POINTS 100 /* from then on time counts: fewer are a test, on a machine that may be busy */

struct head {
    uint64_t incarnation, seed, size;
};

static uint8_t text[TEXT_BYTES];
static uint64_t incarnation, random_state = 1;
static bool failed;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void make_text(void) {
    uint64_t z = 88172645463325252ull;
    for (size_t i = 0; i < sizeof text; i++) {
        z = z * 6364136223846793005ull + 1442695040888963407ull;
        text[i] = (uint8_t)(z >> 56);
    }
}

static void complain(const char *what) {
    printf("FAILED incarnation %lu: %s\n", (unsigned long)incarnation, what);
    failed = true;
}

/* -- receiving, the same on both sides -- */

struct room {
    uint64_t seed, size, incarnation;
    uint8_t bytes[];
};

static int rooms; /* buffers that are still to be filled */

static void on_data(void *arg, int status) {
    struct room *r = arg;
    rooms--;
    if (status == 0 && r->incarnation != incarnation) complain("data of a dead process is complete");
    if (status == 0 && memcmp(r->bytes, text + r->seed, r->size)) complain("the data is wrong");
    free(r);
}

static uint64_t heard; /* messages of this incarnation */
static struct ep_peer *other;

static void on_header(void *ctx, struct ep_peer *peer, const struct ep_msg *m, struct ep_sink *sink) {
    struct head h;
    if (m->header_bytes != sizeof h) {
        complain("a header of another size");
        return;
    }
    memcpy(&h, m->header, sizeof h);
    if (h.incarnation != incarnation) complain("a message of a dead process");
    if (h.size != m->data_bytes || h.size > DATA_MAX || h.seed > TEXT_BYTES - DATA_MAX) {
        complain("a mangled message");
        return;
    }
    heard++;
    other = peer;
    if (m->data && memcmp(m->data, text + h.seed, h.size)) complain("the data is wrong");
    if (m->data || !h.size) return;
    struct room *r = malloc(sizeof *r + h.size);
    if (!r) abort();
    *r = (struct room){h.seed, h.size, h.incarnation};
    rooms++;
    *sink = (struct ep_sink){.buf = r->bytes, .on_data = on_data, .arg = r};
}

static int flying;

static void on_done(void *arg, int status) { flying--; }

static void send_one(struct ep_peer *peer) {
    struct head h = {incarnation, next_random() % (TEXT_BYTES - DATA_MAX), 0};
    h.size = next_random() % 3 ? next_random() % 4096 : next_random() % DATA_MAX;
    struct ep_send m = {.header = &h,
                        .header_bytes = sizeof h,
                        .data = h.size ? text + h.seed : NULL,
                        .data_bytes = h.size,
                        .on_done = on_done};
    if (ep_send(peer, &m) == 0) flying++;
}

/* -- the one that is killed -- */

static void on_lost(void *ctx, struct ep_peer *peer, int status) { _exit(4); }

static size_t unhex(const char *s, uint8_t *out) {
    size_t n = strlen(s) / 2;
    for (size_t i = 0; i < n; i++) sscanf(s + 2 * i, "%2hhx", &out[i]);
    return n;
}

static _Noreturn void be_killed(char **argv) {
    uint8_t address[EP_ADDRESS_MAX];
    size_t len = unhex(argv[3], address);
    struct ep *ep;
    struct ep_peer *peer;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    incarnation = strtoull(argv[4], NULL, 10);
    random_state = incarnation * 0x9e3779b97f4a7c15ull + 1;
    struct ep_config cfg = {.adapters = argv[1],
                            .run_dir = argv[2],
                            .bind_port = (uint16_t)atoi(argv[5]),
                            .no_thread = true,
                            .handlers = {{.on_header = on_header}},
                            .on_peer_down = on_lost};
    if (ep_open(&ep, &cfg) || ep_connect(ep, address, len, NULL, &peer)) _exit(3);
    while (!failed) {
        while (flying < IN_FLIGHT) send_one(peer);
        ep_progress(ep);
    }
    _exit(5);
}

/* -- the one that stays -- */

static bool down;

static void on_down(void *ctx, struct ep_peer *peer, int status) {
    down = true;
    other = NULL;
    if (status != WEFT_E_PEER_LOST) complain(weft_error_text(status));
}

static void remove_directory(const char *dir) {
    char path[512];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

static bool progress_until(struct ep *ep, const bool *flag, uint64_t until_ns) {
    while (!*flag && weft_now_ns() < until_ns) {
        ep_progress(ep);
        if (other && flying < IN_FLIGHT) send_one(other);
    }
    return *flag;
}

static pid_t start(const char *adapter, const char *dir, const char *address) {
    char number[24];
    snprintf(number, sizeof number, "%lu", (unsigned long)incarnation);
    pid_t pid = fork();
    if (pid) return pid;
    execl("/proc/self/exe", "kill_points", "child", adapter, dir, address, number, "0", (char *)NULL);
    _exit(127);
}

static void stop_for_a_while(struct ep *ep, pid_t pid) {
    kill(pid, SIGSTOP);
    progress_until(ep, &down, weft_now_ns() + WEFT_NS_PER_S / 2);
    if (down) complain("a process that only stood still is lost");
    kill(pid, SIGCONT);
}

/* One life and death. Returns how long it took to notice the death. */
static uint64_t one_point(struct ep *ep, const char *adapter, const char *dir, const char *address) {
    static const bool never;
    incarnation++;
    heard = 0;
    down = false;
    pid_t pid = start(adapter, dir, address);
    uint64_t patience = weft_now_ns() + PATIENCE_NS;
    while (!heard && weft_now_ns() < patience) ep_progress(ep);
    if (!heard) complain("nothing is heard of it");
    if (incarnation % STOP_EVERY == 0) stop_for_a_while(ep, pid);
    progress_until(ep, &never, weft_now_ns() + next_random() % RUN_US_MAX * WEFT_NS_PER_US);
    uint64_t killed_at = weft_now_ns();
    kill(pid, SIGKILL);
    if (!progress_until(ep, &down, killed_at + PATIENCE_NS)) complain("its death is not noticed");
    uint64_t took = weft_now_ns() - killed_at;
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status)) complain("it ended by itself");
    for (int i = 0; i < 100; i++) ep_progress(ep);
    if (rooms || flying) complain("operations have not ended");
    return took;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int run(const char *adapter, size_t points, uint64_t limit_ns) {
    char dir[] = "/tmp/weft-kill-points-XXXXXX", hex[2 * EP_ADDRESS_MAX + 1] = "";
    uint8_t address[EP_ADDRESS_MAX];
    size_t len = sizeof address;
    struct ep *ep;
    uint64_t *took = calloc(points, sizeof *took);
    if (!took || !mkdtemp(dir)) return 2;
    struct ep_config cfg = {.adapters = adapter,
                            .run_dir = dir,
                            .accept = true,
                            .no_thread = true,
                            .handlers = {{.on_header = on_header}},
                            .on_peer_down = on_down};
    if (ep_open(&ep, &cfg)) return 2;
    ep_close(ep, 0); /* what a process makes once is there now */
    size_t shm_before = test_entries("/dev/shm"), fds_before = test_entries("/proc/self/fd");
    if (ep_open(&ep, &cfg) || ep_address(ep, address, &len)) return 2;
    for (size_t i = 0; i < len; i++) snprintf(hex + 2 * i, 3, "%02x", address[i]);
    for (size_t i = 0; i < points && !failed; i++) {
        took[i] = one_point(ep, adapter, dir, hex);
        if (test_entries("/proc/self/fd") > fds_before + FDS_MAX) complain("descriptors are left");
    }
    ep_close(ep, 100);
    if (test_entries("/dev/shm") > shm_before) complain("names in /dev/shm are left");
    if (test_entries("/proc/self/fd") > fds_before + 1) /* the board of counters, one a process */
        complain("descriptors are left at the end");
    if (waitpid(-1, NULL, WNOHANG) != -1) complain("processes are left");
    if (test_entries(dir)) complain("sockets of the dead are in the run directory");
    qsort(took, points, sizeof *took, compare);
    printf("%s: %lu kills, noticed after %.2f ms (median), %.2f ms (99 %%), %.2f ms (all)\n", adapter,
           (unsigned long)incarnation, (double)took[points / 2] / 1e6, (double)took[points * 99 / 100] / 1e6,
           (double)took[points - 1] / 1e6);
    if (!failed && points >= RECORD_POINTS && took[points - 1] > limit_ns)
        complain("a death was noticed too late");
    remove_directory(dir);
    free(took);
    return failed;
}

int main(int argc, char **argv) {
    make_text();
    if (argc == 7 && !strcmp(argv[1], "child")) be_killed(argv + 1);
    if (argc < 3) {
        fprintf(stderr, "usage: kill_points ADAPTER POINTS [SEED]\n");
        return 2;
    }
    if (argc > 3) random_state = strtoull(argv[3], NULL, 10) * 2 + 1;
    /* A machine that is busy otherwise may let a process wait: the limits are for what would be a defect. */
    return run(argv[1], strtoull(argv[2], NULL, 10),
               strcmp(argv[1], "shm") ? 5 * WEFT_NS_PER_S : WEFT_NS_PER_S);
}
