/* shm links: what a hostile process of the same user can send, and wake-ups that only this adapter promises.
 * The hostile peer here speaks the rendezvous by hand, through a link of its own, one lie at a time. */
#include "adapter/conformance.h"
#include "adapter/shm_internal.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/path.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct conformance shm = {.name = "shm", .ops = &adapter_shm_ops};

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define RING  SHM_RING_BYTES_MIN

/* Everything about a hello that can be a lie; `honest` fills in the truth. */
struct lie {
    uint32_t magic, version, ring_bytes, pid;
    uint64_t token;
    off_t memory_bytes;
    int seals;
    int fds;        /* how many descriptors come along */
    bool pipe;      /* the first is one end of a pipe */
    size_t cut;     /* bytes left off */
    size_t more;    /* bytes added */
    bool elsewhere; /* an address of another place */
};

static struct lie honest(const struct node *to) {
    const struct shm *s = (const struct shm *)to->adapter;
    return (struct lie){.magic = 0x6d687377,
                        .version = 3,
                        .ring_bytes = RING,
                        .pid = (uint32_t)getpid(),
                        .token = s->address.token,
                        .memory_bytes = SHM_CONTROL_BYTES + 2 * RING,
                        .seals = SEALS,
                        .fds = 1};
}

struct hostile {
    int sock;
    uint8_t *memory;
    struct shm_writer w;
};

static int connect_raw(const struct node *to) {
    const struct shm *s = (const struct shm *)to->adapter;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, s->socket_path, sizeof sa.sun_path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void send_with_fds(int sock, const void *text, size_t len, const int *fds, int count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)text, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    }
    assert_int_equal(sendmsg(sock, &msg, 0), len);
}

static size_t hello(const struct node *to, const struct lie *lie, uint8_t text[512]) {
    uint8_t blob[ADAPTER_ADDRESS_MAX];
    struct shm_address from = ((const struct shm *)to->adapter)->address;
    from.pid = lie->pid;
    from.token = 0x1234567890;
    if (lie->elsewhere) from.place[3] ^= 1;
    size_t blob_bytes = shm_address_encode(&from, blob);
    struct weft_writer w;
    weft_writer_init(&w, text, 512);
    weft_put_u32(&w, lie->magic);
    weft_put_u32(&w, lie->version);
    weft_put_u64(&w, lie->token);
    weft_put_u32(&w, lie->ring_bytes);
    weft_put_blob(&w, blob, blob_bytes);
    memset(text + w.len, 0, 512 - w.len);
    return w.len - lie->cut + lie->more;
}

static void hostile_open(struct hostile *h, const struct node *to, const struct lie *lie) {
    int fds[4], ends[2] = {-1, -1};
    fds[0] = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fds[0] >= 0);
    assert_int_equal(ftruncate(fds[0], lie->memory_bytes), 0);
    h->memory = mmap(NULL, SHM_CONTROL_BYTES + 2 * RING, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    assert_true(h->memory != MAP_FAILED);
    if (lie->seals) assert_int_equal(fcntl(fds[0], F_ADD_SEALS, lie->seals), 0);
    int memfd = fds[0];
    if (lie->pipe) {
        assert_int_equal(pipe(ends), 0);
        fds[0] = ends[0];
    }
    fds[1] = fds[2] = fds[3] = memfd;
    h->sock = connect_raw(to);
    uint8_t text[512];
    size_t len = hello(to, lie, text);
    send_with_fds(h->sock, text, len, fds, lie->fds);
    close(memfd);
    if (lie->pipe) {
        close(ends[0]);
        close(ends[1]);
    }
    struct shm_control *control = (struct shm_control *)h->memory;
    shm_writer_init(&h->w, h->memory + SHM_CONTROL_BYTES, RING, &control->direction[0]);
}

static void hostile_close(struct hostile *h) {
    munmap(h->memory, SHM_CONTROL_BYTES + 2 * RING);
    close(h->sock);
}

/* Polls the node until it has closed the hostile link. */
static void wait_for_end(struct node *n, const struct hostile *h) {
    char byte;
    uint64_t end = weft_now_ns() + WAIT_MS * WEFT_NS_PER_MS;
    while (recv(h->sock, &byte, 1, MSG_DONTWAIT) != 0) {
        node_poll(n);
        if (weft_now_ns() > end) fail_msg("the link is still open");
    }
}

static void check_refused(const struct lie *lie) {
    struct node n;
    struct hostile h;
    node_open(&n, &shm);
    struct lie l = *lie;
    l.token += ((struct shm *)n.adapter)->address.token; /* 0: the truth */
    hostile_open(&h, &n, &l);
    wait_for_end(&n, &h);
    assert_int_equal(n.count, 0);
    hostile_close(&h);
    node_close(&n);
}

static void hello__honest_by_hand(void **state) {
    struct node n;
    struct hostile h;
    (void)state;
    node_open(&n, &shm);
    struct lie lie = honest(&n);
    hostile_open(&h, &n, &lie);
    struct adapter_packet_out p = {{{"hello", 5}}};
    assert_int_equal(shm_ring_write(&h.w, &p), 0);
    node_wait(&n, 1);
    assert_memory_equal(n.in[0].data, "hello", 5);
    hostile_close(&h);
    node_close(&n);
}

#define REFUSED(name, ...)                                                                                   \
    static void hello__##name(void **state) {                                                                \
        struct node n;                                                                                       \
        (void)state;                                                                                         \
        node_open(&n, &shm);                                                                                 \
        struct lie lie = honest(&n);                                                                         \
        node_close(&n);                                                                                      \
        lie.token = 0;                                                                                       \
        __VA_ARGS__;                                                                                         \
        check_refused(&lie);                                                                                 \
    }
REFUSED(without_seals, lie.seals = 0)
REFUSED(sealed_against_growth_only, lie.seals = F_SEAL_GROW)
REFUSED(sealed_against_writing, lie.seals = SEALS | F_SEAL_FUTURE_WRITE)
REFUSED(memory_too_small, lie.memory_bytes -= 4096)
REFUSED(memory_too_large, lie.memory_bytes += 4096)
REFUSED(memory_empty, lie.memory_bytes = 0)
REFUSED(ring_not_a_power_of_two, lie.ring_bytes = RING + 64; lie.memory_bytes += 128)
REFUSED(ring_too_small, lie.ring_bytes = 4096; lie.memory_bytes = SHM_CONTROL_BYTES + 8192)
REFUSED(ring_of_zero, lie.ring_bytes = 0; lie.memory_bytes = SHM_CONTROL_BYTES)
REFUSED(ring_too_large, lie.ring_bytes = 1u << 31)
REFUSED(no_descriptor, lie.fds = 0)
REFUSED(two_descriptors, lie.fds = 2)
REFUSED(four_descriptors, lie.fds = 4)
REFUSED(a_pipe, lie.pipe = true)
REFUSED(for_an_earlier_process, lie.token = 1)
REFUSED(another_version, lie.version = 1)
REFUSED(another_magic, lie.magic++)
REFUSED(of_another_process, lie.pid++)
REFUSED(of_another_place, lie.elsewhere = true)
REFUSED(cut, lie.cut = 5)
REFUSED(cut_in_the_header, lie.cut = 30)
REFUSED(longer, lie.more = 1)
REFUSED(longer_than_any, lie.more = 300)

/* Silent newcomers fill their quota and no more; when they go, honest ones come through again. */
static void newcomers__silent(void **state) {
    struct node n, m;
    int sock[SHM_NEWCOMERS_MAX + 20];
    (void)state;
    node_open(&n, &shm);
    for (int i = 0; i < SHM_NEWCOMERS_MAX + 20; i++) {
        sock[i] = connect_raw(&n);
        for (int k = 0; k < 200; k++) node_poll(&n);
    }
    assert_int_equal(((struct shm *)n.adapter)->newcomer_count, SHM_NEWCOMERS_MAX);
    for (int i = 0; i < SHM_NEWCOMERS_MAX + 20; i++) close(sock[i]);
    while (((struct shm *)n.adapter)->newcomer_count) node_poll(&n);
    node_open(&m, &shm);
    struct adapter_peer *peer = node_connect(&m, &n);
    assert_int_equal(node_send(&m, peer, "x", 1), 1);
    node_wait(&n, 1);
    node_close(&m);
    node_close(&n);
}

static void ring__nonsense_ends_the_link(void **state) {
    struct node n;
    struct hostile h;
    struct adapter_peer *peer;
    (void)state;
    node_open(&n, &shm);
    struct lie lie = honest(&n);
    hostile_open(&h, &n, &lie);
    struct adapter_packet_out p = {{{"hello", 5}}};
    assert_int_equal(shm_ring_write(&h.w, &p), 0);
    node_wait(&n, 1);
    assert_int_equal(n.adapter->ops->connect(n.adapter, n.in[0].from, n.in[0].from_bytes, &peer), 0);
    memset(h.memory + SHM_CONTROL_BYTES, 0xa5, RING);
    node_wait_lost(&n, 1, 0);
    assert_ptr_equal(n.lost, peer);
    assert_int_equal(n.count, 1);
    wait_for_end(&n, &h);
    node_disconnect(&n, peer);
    hostile_close(&h);
    node_close(&n);
}

static void ring__impossible_reader_ends_the_link(void **state) {
    struct node n;
    struct hostile h;
    struct adapter_peer *peer;
    static uint8_t data[60000];
    (void)state;
    node_open(&n, &shm);
    struct lie lie = honest(&n);
    hostile_open(&h, &n, &lie);
    struct adapter_packet_out p = {{{"hello", 5}}};
    assert_int_equal(shm_ring_write(&h.w, &p), 0);
    node_wait(&n, 1);
    assert_int_equal(n.adapter->ops->connect(n.adapter, n.in[0].from, n.in[0].from_bytes, &peer), 0);
    atomic_store(&((struct shm_control *)h.memory)->direction[1].head, UINT64_MAX - 5);
    int rc;
    while ((rc = node_send(&n, peer, data, sizeof data)) == 1) continue;
    assert_int_equal(rc, WEFT_E_PEER_LOST);
    node_wait_lost(&n, 1, 0);
    node_disconnect(&n, peer);
    hostile_close(&h);
    node_close(&n);
}

static void send__wakes_nobody_who_polls(void **state) {
    struct pair p;
    (void)state;
    pair_open(&p, &shm);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    assert_int_equal(node_send(p.a, peer, "x", 1), 1);
    node_wait(p.b, 1);
    while (p.b->adapter->ops->arm(p.b->adapter)) node_poll(p.b);
    p.b->adapter->ops->disarm(p.b->adapter);
    for (int i = 0; i < 10; i++) assert_int_equal(node_send(p.a, peer, "x", 1), 1);
    assert_false(node_fds_readable(p.b, 0));
    node_wait(p.b, 11);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* A sender that found the ring full and went to sleep is woken when the peer has read, and only then. */
static void send__woken_when_there_is_room(void **state) {
    struct pair p;
    static uint8_t data[30000];
    (void)state;
    pair_open(&p, &shm);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    for (int round = 0; round < 30; round++) {
        size_t sent = 0;
        while (node_send(p.a, peer, data, sizeof data) == 1) sent++;
        while (p.a->adapter->ops->arm(p.a->adapter)) node_poll(p.a);
        assert_false(node_fds_readable(p.a, 0));
        node_wait(p.b, sent);
        assert_true(node_fds_readable(p.a, WAIT_MS));
        p.a->adapter->ops->disarm(p.a->adapter);
        node_poll(p.a);
        node_forget(p.b);
    }
    node_disconnect(p.a, peer);
    pair_close(&p);
}

/* The room came before the sender went to sleep: it is told so, once. */
static void arm__room_came_meanwhile(void **state) {
    struct pair p;
    static uint8_t data[30000];
    size_t sent = 0;
    (void)state;
    pair_open(&p, &shm);
    struct adapter_peer *peer = node_connect(p.a, p.b);
    while (p.a->adapter->ops->arm(p.a->adapter)) node_poll(p.a);
    p.a->adapter->ops->disarm(p.a->adapter);
    while (node_send(p.a, peer, data, sizeof data) == 1) sent++;
    node_wait(p.b, sent);
    assert_int_equal(p.a->adapter->ops->arm(p.a->adapter), WEFT_E_AGAIN);
    assert_int_equal(p.a->adapter->ops->arm(p.a->adapter), 0);
    p.a->adapter->ops->disarm(p.a->adapter);
    node_disconnect(p.a, peer);
    pair_close(&p);
}

static void open__unsafe_run_dirs(void **state) {
    char open_to_all[300], longer[300];
    (void)state;
    snprintf(open_to_all, sizeof open_to_all, "%s/open", conformance_run_dir);
    assert_int_equal(mkdir(open_to_all, 0755), 0);
    assert_int_equal(chmod(open_to_all, 0755), 0);
    snprintf(longer, sizeof longer, "%s/%0*d", conformance_run_dir, SHM_DIR_MAX, 0);
    const struct {
        const char *dir;
        int error;
    } bad[] = {{NULL, WEFT_E_INVAL},
               {"relative", WEFT_E_INVAL},
               {"", WEFT_E_INVAL},
               {longer, WEFT_E_LIMIT},
               {open_to_all, WEFT_E_ACCESS}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct adapter *a = NULL;
        struct adapter_config cfg = {.run_dir = bad[i].dir};
        assert_int_equal(adapter_shm_ops.open(&a, &cfg), bad[i].error);
        assert_null(a);
    }
    rmdir(open_to_all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello__honest_by_hand),
        cmocka_unit_test(hello__without_seals),
        cmocka_unit_test(hello__sealed_against_growth_only),
        cmocka_unit_test(hello__sealed_against_writing),
        cmocka_unit_test(hello__memory_too_small),
        cmocka_unit_test(hello__memory_too_large),
        cmocka_unit_test(hello__memory_empty),
        cmocka_unit_test(hello__ring_not_a_power_of_two),
        cmocka_unit_test(hello__ring_too_small),
        cmocka_unit_test(hello__ring_of_zero),
        cmocka_unit_test(hello__ring_too_large),
        cmocka_unit_test(hello__no_descriptor),
        cmocka_unit_test(hello__two_descriptors),
        cmocka_unit_test(hello__four_descriptors),
        cmocka_unit_test(hello__a_pipe),
        cmocka_unit_test(hello__for_an_earlier_process),
        cmocka_unit_test(hello__another_version),
        cmocka_unit_test(hello__another_magic),
        cmocka_unit_test(hello__of_another_process),
        cmocka_unit_test(hello__of_another_place),
        cmocka_unit_test(hello__cut),
        cmocka_unit_test(hello__cut_in_the_header),
        cmocka_unit_test(hello__longer),
        cmocka_unit_test(hello__longer_than_any),
        cmocka_unit_test(newcomers__silent),
        cmocka_unit_test(ring__nonsense_ends_the_link),
        cmocka_unit_test(ring__impossible_reader_ends_the_link),
        cmocka_unit_test(send__wakes_nobody_who_polls),
        cmocka_unit_test(send__woken_when_there_is_room),
        cmocka_unit_test(arm__room_came_meanwhile),
        cmocka_unit_test(open__unsafe_run_dirs),
    };
    setenv("WEFT_LOG", "error", 0); /* refusals warn */
    if (!mkdtemp(conformance_run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weft_dir_remove(conformance_run_dir);
    return failed;
}
