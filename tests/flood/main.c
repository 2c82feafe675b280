/* Flood: a transfer over udp while junk of seven kinds comes to both ends. Nothing may crash, no byte may be
 * wrong, the connection must stay, and no answer may be longer than what it answers.
 *
 *   flood [--key] [--rate N] [--mebibytes M]       a transfer under junk, N packets a second (100,000)
 *   flood [--key] [--rate N] --compare ROUNDS      without junk, with it going elsewhere, and under it, in turns,
 *                                                  for a second each: goodput, and what a packet of junk costs */
#include "base/clock.h"
#include "junk.h"
#include "transfer.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKIPPED    77
#define ROUND_NS   WEFT_NS_PER_S
#define ROUNDS_MAX 99

static const uint8_t key[32] = "the key of the flooded transfer";
static struct transfer_config transfer_cfg = {.port = {7001, 7002}};
static struct junk_config junk_cfg = {.port = {7001, 7002}, .rate = 100000};
static uint64_t wanted_bytes = 32u << 20;
static int rounds;

/* A network of its own, with a loopback interface. */
static bool enter_namespace(void) {
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) return false;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = s >= 0 && ioctl(s, SIOCSIFFLAGS, &lo) == 0;
    if (s >= 0) close(s);
    return ok;
}

static bool tell_junk(const struct junk *j) {
    const struct junk_count *c = junk_counts(j);
    bool ok = true;
    for (int i = 0; i < JUNK_KINDS; i++) {
        printf("%-9s %9lu sent, %lu answers, the longest of %lu bytes\n", junk_names[i],
               (unsigned long)c[i].sent, (unsigned long)c[i].replies,
               (unsigned long)c[i].longest_reply_bytes);
        if (c[i].replies > c[i].asked || c[i].reply_bytes > c[i].asked_bytes ||
            c[i].longest_reply_bytes > c[i].longest_asked_bytes) {
            printf("FAILED: answers are longer than the junk\n");
            ok = false;
        }
    }
    return ok;
}

static bool all_kinds_sent(const struct junk *j) {
    for (int i = 0; i < JUNK_KINDS; i++)
        if (junk_counts(j)[i].sent < 100) return false;
    return junk_captured(j) > 100;
}

/* A transfer under junk, until there was enough of both. */
static int run_once(void) {
    struct transfer *t;
    struct junk *j;
    if (junk_open(&j, &junk_cfg) || !transfer_start(&t, &transfer_cfg)) return 1;
    while (!atomic_load(&t->stop) && !(atomic_load(&t->bytes) >= wanted_bytes && all_kinds_sent(j))) {
        junk_run(j, weft_now_ns());
        poll(NULL, 0, 1);
    }
    bool ok = transfer_end(t);
    junk_listen(j);
    if (!ok) printf("FAILED: %s\n", t->failure);
    printf("%lu bytes arrived and are right, %lu packets captured\n", (unsigned long)atomic_load(&t->bytes),
           (unsigned long)junk_captured(j));
    ok &= tell_junk(j);
    transfer_free(t);
    junk_close(j);
    return !ok;
}

/* Elsewhere: what the sender of the junk takes from the machine is no cost of being its target. */
enum flood { NONE, ELSEWHERE, HERE, FLOODS };

struct sample {
    double goodput_Bps, cpu_s, junk_cpu_s;
    uint64_t junk, bytes;
};

static double own_cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* The first tenth of a second is not counted: a connection is made and finds its pace. */
static bool measure(enum flood how, struct sample *out) {
    struct transfer *t;
    struct junk *j;
    junk_cfg.elsewhere = how == ELSEWHERE;
    double cpu = own_cpu_s();
    if (junk_open(&j, &junk_cfg) || !transfer_start(&t, &transfer_cfg)) return false;
    uint64_t begun = weft_now_ns(), from = 0, at = 0, now = begun;
    while (!atomic_load(&t->stop) && now - begun < ROUND_NS + ROUND_NS / 10) {
        if (how != NONE) junk_run(j, now);
        poll(NULL, 0, 1);
        now = weft_now_ns();
        if (!at && now - begun > ROUND_NS / 10) {
            at = now;
            from = atomic_load(&t->bytes);
        }
    }
    uint64_t bytes = atomic_load(&t->bytes);
    bool ok = transfer_end(t);
    if (!ok) printf("FAILED: %s\n", t->failure);
    *out = (struct sample){.goodput_Bps = (double)(bytes - from) / ((double)(now - at) / 1e9),
                           .cpu_s = t->cpu_s[0] + t->cpu_s[1],
                           .junk_cpu_s = own_cpu_s() - cpu,
                           .bytes = bytes};
    for (int i = 0; i < JUNK_KINDS; i++) out->junk += junk_counts(j)[i].sent;
    transfer_free(t);
    junk_close(j);
    return ok;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *of, int n) {
    qsort(of, (size_t)n, sizeof *of, by_size);
    return of[n / 2];
}

static int compare(void) {
    double goodput[FLOODS][ROUNDS_MAX], cost_us[ROUNDS_MAX], own_us[ROUNDS_MAX], rate[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        struct sample s[FLOODS];
        for (int k = 0; k < FLOODS; k++) {
            if (!measure((enum flood)k, &s[k])) return 1;
            goodput[k][i] = s[k].goodput_Bps / 1e9;
        }
        const struct sample *here = &s[HERE];
        double a_byte = s[NONE].cpu_s / (double)s[NONE].bytes;
        cost_us[i] = (here->cpu_s - a_byte * (double)here->bytes) / (double)here->junk * 1e6;
        own_us[i] = here->junk_cpu_s / (double)here->junk * 1e6;
        rate[i] = (double)here->junk / 1.1;
    }
    double of[FLOODS];
    for (int k = 0; k < FLOODS; k++) of[k] = median(goodput[k], rounds);
    printf("goodput without junk %.3f GB/s; with %.0f packets of it a second that go elsewhere %.3f GB/s, that come to "
           "the ends %.3f GB/s\n",
           of[NONE], median(rate, rounds), of[ELSEWHERE], of[HERE]);
    printf("left under junk: %.0f %% of the goodput beside its sender, %.0f %% of that without\n",
           100 * of[HERE] / of[ELSEWHERE], 100 * of[HERE] / of[NONE]);
    printf("a packet of junk costs the ends %.2f us of CPU, its sender %.2f us\n", median(cost_us, rounds),
           median(own_us, rounds));
    return 0;
}

static bool options(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--key")) {
            transfer_cfg.key = key;
            junk_cfg.keyed = true;
            continue;
        }
        if (i + 1 == argc) return false;
        unsigned long n = strtoul(argv[i + 1], NULL, 10);
        if (n == 0) return false;
        if (!strcmp(argv[i], "--rate") && n <= 10000000)
            junk_cfg.rate = n;
        else if (!strcmp(argv[i], "--mebibytes"))
            wanted_bytes = (uint64_t)n << 20;
        else if (!strcmp(argv[i], "--compare") && n <= ROUNDS_MAX)
            rounds = (int)n;
        else
            return false;
        i++;
    }
    return true;
}

int main(int argc, char **argv) {
    if (!options(argc, argv)) {
        fprintf(stderr, "usage: flood [--key] [--rate N] [--mebibytes M | --compare ROUNDS]\n");
        return 2;
    }
    setenv("WEFT_UDP_PACKET_MAX_BYTES", "1456",
           0); /* as on most networks; and a packet of junk is one of these */
    if (!enter_namespace()) {
        printf("skipped: no network namespace: %s\n", strerror(errno));
        return SKIPPED;
    }
    return rounds ? compare() : run_once();
}
