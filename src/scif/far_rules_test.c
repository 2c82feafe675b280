/* Programs and services that break the rules, and programs that are slow (far_lab.h): they harm nobody else.
 */
#include "scif/far_lab.h"
#include "scif/share/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- News of nodes ---- */
static int greeted(void) {
    int kept = line;
    open_line();
    int s = line;
    line = kept;
    return s;
}

/* Bytes that have come over it, and were not taken; -1: it has ended. */
static int waiting_at(int s) {
    struct pollfd p = {.fd = s};
    int n = 0;
    if (poll(&p, 1, 0) == 1) return -1;
    return ioctl(s, FIONREAD, &n) ? -1 : n;
}

/* Asks so often, and takes none of the answers; how many came before the line ended. */
static int ask_for_news(int s, int times) {
    struct scif_request q = {.op = SCIF_OP_NEWS};
    struct scif_record out = {.data = &q, .bytes = sizeof q};
    int n = 0;
    for (; n < times; n++) {
        int before = waiting_at(s), now = before;
        if (scif_record_send(s, &out, 0)) break;
        while (now == before) {
            poll(NULL, 0, 1);
            now = waiting_at(s);
        }
        if (now < 0) break;
    }
    return n;
}

static unsigned last_news(int s, unsigned wanted) {
    struct {
        struct scif_answer head;
        uint16_t node[SCIF_NODES_MAX];
    } in = {0};
    while (in.head.value != wanted) {
        struct pollfd p = {.fd = s, .events = POLLIN};
        struct scif_record r = {.data = &in, .bytes = sizeof in};
        if (poll(&p, 1, (int)(LONG_NS / WEFT_NS_PER_MS)) != 1 || scif_record_receive(s, &r, 0)) break;
    }
    return in.head.value;
}

/* A handler of the program's takes its time. */
static void news__for_a_slow_program_wait_for_it(void **state) {
    int s = greeted(), most = ask_for_news(s, 100000);
    assert_in_range(most, 10, 99999);
    close(s);
    s = greeted();
    int other_one = greeted();
    assert_int_equal(ask_for_news(s, most), most);
    ask_for_news(other_one, 1);
    up(&host[2], join);
    assert_int_equal(last_news(other_one, 3), 3);
    assert_int_equal(last_news(s, 3), 3);
    down(&host[2]);
    assert_int_equal(last_news(s, 2), 2);
    close(other_one);
    close(s);
}

/* ---- A program here that breaks the rules: its line ends, and nothing else ---- */
static void program__with_nonsense_loses_its_line_only(void **state) {
    static const struct scif_pages map[] = {{.pages = 0},
                                            {.pages = 1, .offset = 1},
                                            {.pages = 1, .offset = UINT64_C(1) << 63},
                                            {.pages = SHARE_PAGES_MAX + 1},
                                            {.pages = 1, .prot = 4}};
    static const struct scif_rma rma[] = {{.offset = 8, .whole = 8},
                                          {.offset = 8, .from = 16, .whole = 8},
                                          {.offset = 1, .whole = 8},
                                          {.whole = 7}};
    int fd[5];
    struct frame frame;
    make_connection(1, fd);
    assert_int_equal(frame_open(&frame, 1, true), 0);
    for (size_t i = 0; i < sizeof rma / sizeof *rma; i++) {
        struct scif_rma q = rma[i];
        struct scif_record out = {.data = &q, .bytes = sizeof q};
        q.endpoint = accepted;
        q.needs = SCIF_PROT_WRITE;
        q.bytes = 8;
        q.write = 1;
        open_writer();
        assert_int_equal(scif_record_send(writer, &out, 0), 0);
        assert_true(hangs_up(writer));
        close(writer);
    }
    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        struct scif_pages q = map[i];
        struct scif_record out = {.data = &q, .bytes = sizeof q, .fd = {frame.file, frame.faults}, .fds = 2};
        int s = open_pages_line();
        q.op = SCIF_PAGES_MAP;
        q.mapping = 1;
        q.endpoint = accepted;
        assert_int_equal(scif_record_send(s, &out, 0), 0);
        assert_true(hangs_up(s));
        close(s);
    }
    frame_discard(&frame);
    nothing_comes();
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* Before its connection is accepted. */
/* That the node there has no service is known soon: the RMA comes along with the request to connect, and one
 * of many comes after it in time. */
static void program__with_an_RMA_too_early_is_ENXIO(void **state) {
    open_writer();
    for (int i = 0; i < 200; i++) {
        struct scif_answer a;
        int fd[3];
        assert_int_equal(ask((struct scif_request){.op = SCIF_OP_OPEN}, &a, fd, 3), 0);
        accepted = a.endpoint;
        struct scif_request q = {.op = SCIF_OP_CONNECT, .endpoint = accepted, .peer = {1, 77}};
        struct scif_record out = {.data = &q, .bytes = sizeof q}, in = {.data = &a, .bytes = sizeof a};
        assert_int_equal(scif_record_send(line, &out, 0), 0);
        request(0, SCIF_PROT_WRITE, 0);
        assert_int_equal(scif_record_receive(line, &in, 0), 0);
        assert_int_equal(a.error, EINPROGRESS);
        assert_int_equal(answer_to(0).error, ENXIO);
        close_all(fd, 3);
    }
    close(writer);
}

/* ---- Another service: the connection of the services ends, with all that is in it, and nothing else ---- */
static void message__that_is_none_ends_all(void **state) {
    static const struct {
        uint8_t op;
        const char *sizes;
        uint64_t field[6];
    } wrong[] = {
        {0, "", {0}},
        {FAR_OP_MAX, "", {0}},
        {FAR_CONNECT, "hh", {FAR_VERSION, 1}},
        {FAR_CONNECT, "hhwhh", {FAR_VERSION + 1, 1, 1, 1, 1}},
        {FAR_READ, "bhwlll", {FAR_SLOTS, 1, 8, 0, 0, 8}},
        {FAR_READ, "bhwlll", {0, 1, SCIF_BLOCK_BYTES + 1, 0, 0, UINT64_MAX}},
        {FAR_READ, "bhwlll", {0, 1, 8, 1, 0, 8}},
        {FAR_READ, "bhwlll", {0, 1, 8, 0, 1, 8}},
        {FAR_READ, "bhwlll", {0, 1, 8, UINT64_MAX, 0, UINT64_MAX}},
        {FAR_READ, "bhwlll", {0, 0x8000, 8, 0, 0, 8}},
        {FAR_READ, "bhwll", {0, 1, 8, 0, 0}},
        {FAR_WRITE, "bhwlll", {0, 2, 8, 0, 0, 8}}, /* without its data */
        {FAR_READ, "bhwlll", {0, SCIF_RMA_FORGET, 8, 0, 0, 8}},
        {FAR_WRITE, "bhwlll", {0, SCIF_RMA_FENCE_SELF, 0, 0, 0, 8}},
        {FAR_WRITE, "bhwlll", {0, SCIF_RMA_FENCE_PEER, 8, 0, 0, 8}},
        {FAR_BYTES, "bh", {0, 0}},
        {FAR_DONE, "bh", {3, 0}},
        {FAR_DONE, "bh", {200, 0}},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tell(wrong[i].op, 1, wrong[i].sizes, wrong[i].field);
        await_down(WEFT_E_PROTO);
        ep_disconnect(other.peer);
        reach();
    }
    still_serves();
}

/* Before a connection, and amid one; what is no breach is ignored. */
static void message__of_junk_harms_nobody(void **state) {
    for (unsigned seed = 0; seed < 200; seed++) {
        uint8_t junk[300];
        int fd[5];
        srand(seed);
        if (seed % 2) make_connection(1, fd);
        for (int i = 0; i < 4 && !other.down; i++) {
            for (size_t k = 0; k < sizeof junk; k++) junk[k] = (uint8_t)rand();
            junk[0] = (uint8_t)(rand() % (FAR_OP_MAX + 1));
            junk[1] = (uint8_t)(rand() % 2);
            memcpy(junk + 2, &(uint32_t){1}, 4);
            struct weft_writer w = {.data = junk, .len = 6 + (size_t)rand() % 60};
            struct ep_send s = {.handler = ON_MESSAGE,
                                .header = w.data,
                                .header_bytes = w.len,
                                .data = rand() % 4 ? NULL : junk,
                                .copy = true};
            if (s.data) s.data_bytes = 1 + (unsigned)rand() % sizeof junk;
            s.copy = s.data != NULL;
            if (ep_send(other.peer, &s)) break; /* it has ended already */
            turn();
        }
        if (seed % 2) close_all(fd, 5);
        ep_disconnect(other.peer);
        reach();
    }
    still_serves();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(news__for_a_slow_program_wait_for_it),    T(program__with_nonsense_loses_its_line_only),
        T(program__with_an_RMA_too_early_is_ENXIO), T(message__that_is_none_ends_all),
        T(message__of_junk_harms_nobody),
    };
    return cmocka_run_group_tests_name("far rules", tests, group_setup, group_teardown);
}
