/* weft-relay: a bad network in user space. It carries Ethernet frames between two interfaces of its network
 * namespace and, from a seed, loses, duplicates, reorders, corrupts, delays and slows down the UDP datagrams
 * among them.
 *
 * It needs packet sockets only, so it runs without root in a user namespace. Frames are taken with their
 * offload header and passed on with it: a datagram whose checksum was left to the card never gets one, so
 * that corruption reaches the program instead of being dropped by the kernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 70000 /* header, Ethernet, and the largest frame that offloads make */
#define QUEUE_MAX 65536 /* frames under way; more are dropped, as a full router would */
#define BURST     64    /* frames taken from one side before the other gets its turn */
#define VNET      sizeof(struct virtio_net_hdr)

static const char help[] =
    "usage: weft-relay [options] IF_A IF_B      carry frames between two interfaces, impairing UDP\n"
    "       weft-relay --offload-off IF...      switch off what merges datagrams into larger frames\n"
    "\n"
    "  --seed N          start of the random numbers; the same seed and traffic give the same faults (1)\n"
    "  --loss P          per cent of the datagrams that are lost (0)\n"
    "  --duplicate P     per cent that arrive twice (0)\n"
    "  --reorder P       per cent that are held back, so that later ones pass (0)\n"
    "  --reorder-by US   how long those are held back, in microseconds (2000)\n"
    "  --corrupt P       per cent that get one bit of their payload flipped (0)\n"
    "  --delay US        added to every datagram, in microseconds (0)\n"
    "  --jitter US       added at random, up to this, in microseconds (0)\n"
    "  --rate MBIT       speed of the link in each direction, in Mbit/s; 0 is no limit (0)\n"
    "  --help            print this help\n"
    "\n"
    "Per cents may be fractions. The relay prints `ready` on standard output when it carries frames, runs "
    "until\n"
    "SIGINT or SIGTERM, and then prints what it did on standard error. Offloads must be off at the "
    "interfaces that\n"
    "*send* to the relay, at the far ends of its links; otherwise loss hits whole bundles of datagrams.\n";

struct settings {
    uint64_t seed;
    double loss, duplicate, reorder, corrupt; /* 0..1 */
    double reorder_us, delay_us, jitter_us, rate_mbps;
};

struct stats {
    unsigned long frames, datagrams, bundles, lost, duplicated, reordered, corrupted, overflowed, failed;
};

/* A frame under way, due at a time, to be sent out of side `to`. `order` keeps frames of one time in order.
 */
struct packet {
    double due_us;
    uint64_t order;
    int to;
    size_t len;
    unsigned char *bytes;
};

struct relay {
    struct settings set;
    struct stats stats;
    uint64_t random, order;
    int fd[2];
    double busy_until_us[2]; /* per direction: when the link has sent what came before */
    struct packet heap[QUEUE_MAX];
    size_t queued;
};

static volatile sig_atomic_t stop;
static void on_signal(int sig) { stop = 1; }

static void fail(const char *what, const char *name) {
    fprintf(stderr, "weft-relay: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* splitmix64; uniform in 0..1. */
static double draw(struct relay *r) {
    uint64_t x = r->random += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

/* --- Frames under way: a heap, the earliest on top --- */

static bool earlier(const struct packet *a, const struct packet *b) {
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void heap_push(struct relay *r, struct packet p) {
    size_t i = r->queued++;
    for (; i && earlier(&p, &r->heap[(i - 1) / 2]); i = (i - 1) / 2) r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = p;
}

static struct packet heap_pop(struct relay *r) {
    struct packet top = r->heap[0], last = r->heap[--r->queued];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < r->queued; i = child) {
        if (child + 1 < r->queued && earlier(&r->heap[child + 1], &r->heap[child])) child++;
        if (!earlier(&r->heap[child], &last)) break;
        r->heap[i] = r->heap[child];
    }
    r->heap[i] = last;
    return top;
}

static void enqueue(struct relay *r, int to, double due_us, const unsigned char *bytes, size_t len) {
    struct packet p = {.due_us = due_us, .order = r->order++, .to = to, .len = len};
    p.bytes = r->queued < QUEUE_MAX ? malloc(len) : NULL;
    if (!p.bytes) {
        r->stats.overflowed++;
        return;
    }
    memcpy(p.bytes, bytes, len);
    heap_push(r, p);
}

/* --- What happens to a frame --- */

/* Where the payload of a UDP datagram over IPv4 begins; 0 for any other frame. */
static size_t udp_payload_at(const unsigned char *frame, size_t len) {
    const size_t ip = VNET + ETH_HLEN;
    if (len < ip + 20 + 8 || frame[VNET + 12] != 0x08 || frame[VNET + 13] != 0x00) return 0;
    size_t header = (size_t)(frame[ip] & 0x0f) * 4;
    if (frame[ip] >> 4 != 4 || header < 20 || frame[ip + 9] != IPPROTO_UDP || len < ip + header + 8) return 0;
    return ip + header + 8;
}

static void flip_a_bit(struct relay *r, unsigned char *frame, size_t from, size_t len) {
    if (from >= len) return; /* no payload */
    size_t bit = (size_t)(draw(r) * (double)(8 * (len - from)));
    frame[from + bit / 8] ^= (unsigned char)(1u << bit % 8);
    r->stats.corrupted++;
}

/* Every datagram takes the same number of random numbers, so that a change of one setting leaves the others'
 * faults where they were. */
static void impair(struct relay *r, int from, unsigned char *frame, size_t len, size_t payload) {
    const struct settings *s = &r->set;
    bool lost = draw(r) < s->loss, twice = draw(r) < s->duplicate, late = draw(r) < s->reorder;
    bool corrupt = draw(r) < s->corrupt;
    double jitter_us = draw(r) * s->jitter_us, due_us = now_us();
    r->stats.datagrams++;
    if (lost) {
        r->stats.lost++;
        return;
    }
    if (s->rate_mbps > 0) {
        if (r->busy_until_us[from] > due_us) due_us = r->busy_until_us[from];
        due_us = r->busy_until_us[from] = due_us + (double)(len - VNET) * 8 / s->rate_mbps;
    }
    due_us += s->delay_us + jitter_us;
    if (late) {
        due_us += s->reorder_us;
        r->stats.reordered++;
    }
    if (twice) {
        enqueue(r, !from, due_us, frame, len); /* before the corruption: one good copy arrives */
        r->stats.duplicated++;
    }
    if (corrupt) flip_a_bit(r, frame, payload, len);
    enqueue(r, !from, due_us, frame, len);
}

static void take_frames(struct relay *r, int from) {
    static unsigned char frame[FRAME_MAX];
    for (int i = 0; i < BURST; i++) {
        ssize_t n = recv(r->fd[from], frame, sizeof frame, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && errno != EAGAIN && errno != EINTR) r->stats.failed++;
        if (n <= (ssize_t)(VNET + ETH_HLEN)) return;
        size_t len = (size_t)n;
        if (len > sizeof frame) {
            r->stats.failed++;
            continue;
        }
        struct virtio_net_hdr vnet;
        memcpy(&vnet, frame, sizeof vnet);
        r->stats.frames++;
        if (vnet.gso_type != VIRTIO_NET_HDR_GSO_NONE) r->stats.bundles++;
        size_t payload = udp_payload_at(frame, len);
        if (payload)
            impair(r, from, frame, len, payload);
        else
            enqueue(r, !from, now_us(), frame, len); /* ARP and the like */
    }
}

static void send_due(struct relay *r) {
    for (double now = now_us(); r->queued && r->heap[0].due_us <= now;) {
        struct packet p = heap_pop(r);
        if (send(r->fd[p.to], p.bytes, p.len, 0) < 0) r->stats.failed++;
        free(p.bytes);
    }
}

static void carry(struct relay *r, const sigset_t *while_waiting) {
    while (!stop) {
        double wait_us = r->queued ? r->heap[0].due_us - now_us() : 1e6;
        if (wait_us < 0) wait_us = 0;
        struct timespec t = {.tv_sec = (time_t)(wait_us / 1e6),
                             .tv_nsec = (long)(wait_us * 1e3) % 1000000000L};
        struct pollfd p[2] = {{.fd = r->fd[0], .events = POLLIN}, {.fd = r->fd[1], .events = POLLIN}};
        ppoll(p, 2, &t, while_waiting);
        for (int side = 0; side < 2; side++)
            if (p[side].revents) take_frames(r, side);
        send_due(r);
    }
}

/* --- Setting up --- */

static int open_side(const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (fd < 0) fail("packet socket for", name);
    int on = 1, bytes = 8 << 20;
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on))
        fail("packet options of", name);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    unsigned index = if_nametoindex(name);
    if (!index) fail("interface", name);
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) fail("binding to", name);
    struct packet_mreq promisc = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promisc, sizeof promisc))
        fail("promiscuous mode of", name);
    return fd;
}

/* Features of a card by name, as the kernel lists them. */
struct features {
    uint32_t count;
    struct ethtool_gstrings *names;
};

static void ask(int fd, const char *interface, void *command, const char *what) {
    struct ifreq q = {.ifr_data = command};
    if (strlen(interface) >= sizeof q.ifr_name) {
        errno = ENAMETOOLONG;
        fail("interface", interface);
    }
    strcpy(q.ifr_name, interface);
    if (ioctl(fd, SIOCETHTOOL, &q) < 0) fail(what, interface); /* above 0: some features are fixed */
}

static struct features list_features(int fd, const char *interface) {
    struct ethtool_sset_info *set = calloc(1, sizeof *set + sizeof *set->data);
    if (!set) fail("features of", interface);
    *set = (struct ethtool_sset_info){.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1u << ETH_SS_FEATURES};
    ask(fd, interface, set, "counting the features of");
    struct features f = {.count = set->data[0]};
    free(set);
    f.names = calloc(1, sizeof *f.names + (size_t)f.count * ETH_GSTRING_LEN);
    if (!f.names) fail("features of", interface);
    *f.names =
        (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = f.count};
    ask(fd, interface, f.names, "listing the features of");
    return f;
}

/* Switches off segmentation by the card and merging at arrival. Checksums stay as they are: the kernel wants
 * that offload for the segmentation of UDP that it then does itself. */
static void offload_off(int fd, const char *interface) {
    struct features f = list_features(fd, interface);
    uint32_t blocks = (f.count + 31) / 32;
    struct ethtool_sfeatures *s = calloc(1, sizeof *s + blocks * sizeof *s->features);
    if (!s) fail("features of", interface);
    *s = (struct ethtool_sfeatures){.cmd = ETHTOOL_SFEATURES, .size = blocks};
    for (uint32_t i = 0; i < f.count; i++) {
        const char *name = (const char *)f.names->data + i * ETH_GSTRING_LEN;
        if (strstr(name, "segmentation") || strstr(name, "rx-gro") || strstr(name, "gso"))
            s->features[i / 32].valid |= 1u << i % 32;
    }
    ask(fd, interface, s, "switching off the offloads of");
    free(s);
    free(f.names);
}

static int offloads_off(char **interfaces) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket", "");
    for (; *interfaces; interfaces++) offload_off(fd, *interfaces);
    close(fd);
    return 0;
}

static double number(const char *option, const char *text, double max) {
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end || errno || !(v >= 0 && v <= max)) {
        fprintf(stderr, "weft-relay: --%s '%s': must lie in 0..%g (see weft-relay --help)\n", option, text,
                max);
        exit(2);
    }
    return v;
}

static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                        {"loss", required_argument, NULL, 'l'},
                                        {"duplicate", required_argument, NULL, 'd'},
                                        {"reorder", required_argument, NULL, 'r'},
                                        {"reorder-by", required_argument, NULL, 'b'},
                                        {"corrupt", required_argument, NULL, 'c'},
                                        {"delay", required_argument, NULL, 'D'},
                                        {"jitter", required_argument, NULL, 'j'},
                                        {"rate", required_argument, NULL, 'R'},
                                        {"offload-off", no_argument, NULL, 'o'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

/* Returns whether only the offloads are to be switched off. */
static bool parse(int argc, char **argv, struct settings *s) {
    bool only_offload = false;
    *s = (struct settings){.seed = 1, .reorder_us = 2000};
    for (int c, index; (c = getopt_long(argc, argv, "h", options, &index)) != -1;) {
        const char *name = c == 'h' || c == '?' ? "" : options[index].name;
        switch (c) {
        case 's': s->seed = (uint64_t)number(name, optarg, 1e15); break;
        case 'l': s->loss = number(name, optarg, 100) / 100; break;
        case 'd': s->duplicate = number(name, optarg, 100) / 100; break;
        case 'r': s->reorder = number(name, optarg, 100) / 100; break;
        case 'b': s->reorder_us = number(name, optarg, 1e7); break;
        case 'c': s->corrupt = number(name, optarg, 100) / 100; break;
        case 'D': s->delay_us = number(name, optarg, 1e7); break;
        case 'j': s->jitter_us = number(name, optarg, 1e7); break;
        case 'R': s->rate_mbps = number(name, optarg, 1e6); break;
        case 'o': only_offload = true; break;
        case 'h': fputs(help, stdout); exit(0);
        default: fputs("see weft-relay --help\n", stderr); exit(2);
        }
    }
    return only_offload;
}

int main(int argc, char **argv) {
    static struct relay r;
    sigset_t held, before;
    bool only_offload = parse(argc, argv, &r.set);
    if (only_offload && optind < argc) return offloads_off(argv + optind);
    if (only_offload || argc - optind != 2) {
        fputs(help, stderr);
        return 2;
    }
    r.random = r.set.seed;
    for (int side = 0; side < 2; side++) r.fd[side] = open_side(argv[optind + side]);

    /* Signals arrive only while the relay waits, so that none is missed between a look at `stop` and the
     * wait. */
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigprocmask(SIG_BLOCK, &held, &before);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    puts("ready");
    fflush(stdout);
    carry(&r, &before);
    const struct stats *s = &r.stats;
    fprintf(stderr,
            "weft-relay: seed %llu: %lu frames, %lu datagrams (%lu bundles), %lu lost, %lu duplicated, %lu "
            "reordered, "
            "%lu corrupted, %lu overflowed, %lu failed\n",
            (unsigned long long)r.set.seed, s->frames, s->datagrams, s->bundles, s->lost, s->duplicated,
            s->reordered, s->corrupted, s->overflowed, s->failed);
    return 0;
}
