/* udp sockets: making one with every feature that the kernel has, and asking about buffers and paths.
 *
 * Bookkeeping bytes (packet_charge_bytes). The kernel charges a queued datagram's whole buffer to the receive
 * buffer. Measured on loopback (SO_MEMINFO, a socket filled to its first drop, Linux 6.18): a packet sent
 * with UDP_SEGMENT, even a single one, lies in page fragments and costs its length + 832; without it the
 * buffer is rounded up to a power of two (0-64 B: 832 in all, 200 B: 1280, 1000-1472 B: 2304, 2048 B: 4352,
 * 8944 B: 16,640, from 17,000 B length + 832). Therefore udp_send sets UDP_SEGMENT on all but tiny packets.
 * Trains cost far less: 44 x 1456 B is 64,896 in all. Network drivers commonly spend 2,304 on a lone
 * 1500-byte frame, which length + 1024 covers too. The window is 75 % of the buffer, because the kernel gives
 * memory of read packets back in steps of a quarter. */
#include "adapter/udp_internal.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define CHARGE_BYTES             1024
#define CHARGE_BYTES_WITHOUT_GSO 8448 /* a lone packet may take twice its length (see above) */
#define HEADROOM_BYTES           16   /* left for an option or a tag that a tunnel adds */

WEFT_OPTIONS(udp, "udp",
             {.name = "udp_receive_buffer_bytes",
              .type = WEFT_OPTION_SIZE,
              .value = "64M",
              .unit = "bytes",
              .min = 4096,
              .max = 1 << 30,
              .help = "Receive buffer to ask for; the system grants at most net.core.rmem_max."},
             {.name = "udp_send_buffer_bytes",
              .type = WEFT_OPTION_SIZE,
              .value = "4M",
              .unit = "bytes",
              .min = 4096,
              .max = 1 << 30,
              .help = "Send buffer to ask for; the system grants at most net.core.wmem_max."},
             {.name = "udp_packet_max_bytes",
              .type = WEFT_OPTION_SIZE,
              .value = "65488",
              .unit = "bytes",
              .min = UDP_PACKET_MIN,
              .max = UDP_PACKET_MAX,
              .help = "Largest UDP payload to send on any path."},
             {.name = "udp_gso",
              .type = WEFT_OPTION_BOOL,
              .value = "true",
              .help = "Send bursts of packets in one call (segmentation offload)."},
             {.name = "udp_gro",
              .type = WEFT_OPTION_BOOL,
              .value = "true",
              .help = "Receive trains of packets in one call (receive offload)."})

size_t udp_packet_bytes_of_mtu(int family, size_t mtu) {
    size_t headers = (family == AF_INET6 ? 40 : 20) + 8 + HEADROOM_BYTES;
    size_t bytes = mtu > headers ? (mtu - headers) / 16 * 16 : 0;
    size_t cap = (size_t)weft_option_int("udp_packet_max_bytes");
    if (bytes > cap) bytes = cap;
    return bytes < UDP_PACKET_MIN ? UDP_PACKET_MIN : bytes;
}

/* A connected socket knows the route and its MTU, learned path MTUs included; nothing is sent. */
size_t udp_path_probe(const union udp_sockaddr *to) {
    int family = to->sa.sa_family, mtu = 0;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return udp_packet_bytes_of_mtu(family, 1500);
    socklen_t len = sizeof mtu;
    int rc = connect(fd, &to->sa, udp_sockaddr_len(to));
    int err = errno;
    if (!rc && family == AF_INET6) getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &len);
    if (!rc && family == AF_INET) getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len);
    close(fd);
    if (rc) {
        weft_debug("udp", "path probe: connect: %s", strerror(err));
        return 0;
    }
    return udp_packet_bytes_of_mtu(family, mtu > 0 ? (size_t)mtu : 1500);
}

uint32_t udp_socket_drops(int fd) {
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len)) return 0;
    return info[SK_MEMINFO_DROPS];
}

static int set_int(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

static void set_network_options(int fd, int family) {
    if (family == AF_INET6) {
        set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
        set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
        set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    } else {
        set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
        set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
    }
}

static void set_receive_offload(int fd) {
    if (weft_option_bool("udp_gro") && set_int(fd, IPPROTO_UDP, UDP_GRO, 1))
        weft_debug("udp", "no receive offload: %m");
}

/* The system drops what cannot be a packet of ours before it wakes anybody. It looks at a datagram, or the first
 * one of a train, from its UDP header on; a load beyond the end drops it too. */
static void set_filter(const struct udp *u, int fd) {
    if (!u->form) return;
    const uint32_t data = sizeof(struct udphdr), length = data + u->form->length_at;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, data), /* is its kind known? */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 15),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_IMM, u->form->kinds),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 10),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, length + 1), /* is all of it here? */
        BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 8),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, length),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, u->form->least_bytes, 0, 4),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, data),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        weft_debug("udp", "no filter: %m");
}

static void ask_for_buffers(int fd) {
    set_int(fd, SOL_SOCKET, SO_RCVBUF, (int)weft_option_int("udp_receive_buffer_bytes"));
    set_int(fd, SOL_SOCKET, SO_SNDBUF, (int)weft_option_int("udp_send_buffer_bytes"));
}

/* What each socket of an adapter has. */
static void prepare(const struct udp *u, int fd) {
    int family = u->local.sa.sa_family;
    if (family == AF_INET6) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_network_options(fd, family);
    set_receive_offload(fd);
    ask_for_buffers(fd);
    set_filter(u, fd);
}

static void learn_limits(struct udp *u) {
    int held = 0, off = 0;
    u->gso = weft_option_bool("udp_gso") && !set_int(u->fd, IPPROTO_UDP, UDP_SEGMENT, off);
    socklen_t len = sizeof held;
    getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &held, &len);
    u->base.attr.receive_window_bytes = (size_t)held / 4 * 3;
    u->base.attr.packet_charge_bytes = u->gso ? CHARGE_BYTES : CHARGE_BYTES_WITHOUT_GSO;
}

static bool is_wildcard(const union udp_sockaddr *sa) {
    if (sa->sa.sa_family == AF_INET6) return IN6_IS_ADDR_UNSPECIFIED(&sa->v6.sin6_addr);
    return sa->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* All sockets are in one epoll set: somebody may sleep on its descriptor while another thread's send opens one
 * more socket. */
static int watch(struct udp *u, int fd) {
    struct epoll_event ev = {.events = EPOLLIN};
    return epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int open_watch(struct udp *u) {
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (u->epoll >= 0 && watch(u, u->fd) == 0) return 0;
    int err = errno;
    weft_error("udp", "open: epoll: %s", strerror(err));
    if (u->epoll >= 0) close(u->epoll);
    return weft_error_from_errno(err);
}

int udp_socket_open(struct udp *u, const char *host, uint16_t port) {
    if (udp_sockaddr_parse(host, port, &u->local)) {
        weft_error("udp", "open: bind_host \"%s\" is not a numeric IPv4 or IPv6 address", host);
        return WEFT_E_INVAL;
    }
    if (is_wildcard(&u->local)) {
        weft_error("udp", "open: bind_host \"%s\" is no address that peers could send to", host);
        return WEFT_E_INVAL;
    }
    u->fd = socket(u->local.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0) {
        weft_error("udp", "open: socket: %m");
        return errno == EAFNOSUPPORT ? WEFT_E_NOSUP : weft_error_from_errno(errno);
    }
    prepare(u, u->fd);
    set_int(u->fd, SOL_SOCKET, SO_RXQ_OVFL, 1); /* a connected one is asked when it is closed: cheaper */
    learn_limits(u);
    socklen_t len = sizeof u->local;
    if (bind(u->fd, &u->local.sa, udp_sockaddr_len(&u->local)) || getsockname(u->fd, &u->local.sa, &len)) {
        int err = errno;
        weft_error("udp", "open: bind to %s port %u: %s", host, port, strerror(err));
        close(u->fd);
        return err == EADDRNOTAVAIL ? WEFT_E_INVAL : weft_error_from_errno(err);
    }
    int rc = open_watch(u);
    if (rc) close(u->fd);
    return rc;
}

/* Two sockets can only be bound to one address while both have SO_REUSEPORT, and then any other program of
 * this user can join them, even by chance. So it is on for a moment only. */
static void allow_another(struct udp *u, int value) {
    set_int(u->fd, SOL_SOCKET, SO_REUSEPORT, value);
    for (unsigned i = 0; i < u->connected_count; i++)
        set_int(u->connected[i].fd, SOL_SOCKET, SO_REUSEPORT, value);
}

int udp_socket_connected(struct udp *u, const union udp_sockaddr *to) {
    int fd = socket(u->local.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    prepare(u, fd);
    set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    allow_another(u, 1);
    bool good = !bind(fd, &u->local.sa, udp_sockaddr_len(&u->local)) &&
                !connect(fd, &to->sa, udp_sockaddr_len(to)) && !watch(u, fd);
    int err = errno;
    set_int(fd, SOL_SOCKET, SO_REUSEPORT, 0);
    allow_another(u, 0);
    if (good) return fd;
    weft_debug("udp", "a socket of its own for a peer: %s", strerror(err));
    close(fd);
    return -1;
}
