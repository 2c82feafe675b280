/* Connections between hosts, and the bytes that go over them, as their service has them (far_lab.h): order
 * behind writes, room, and the end. */
#include "scif/far_lab.h"
#include "scif/queue.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Right ones ---- */
static void connection__to_nobody_is_refused(void **state) {
    ask_to_connect(1, 77);
    await_op(FAR_ANSWER);
    assert_int_equal(other.rest[0], 0);
}

static void connection__that_is_taken_back_is_not_accepted(void **state) {
    struct scif_answer a;
    int fd[5];
    ask_to_connect(1, PORT);
    TELL(FAR_CLOSE, 1, "", 0);
    ask_to_connect(2, 77);
    await_op(FAR_ANSWER); /* so that both have come */
    assert_int_equal(ask((struct scif_request){.op = SCIF_OP_ACCEPT, .endpoint = listener}, &a, fd, 5),
                     EAGAIN);
}

static void close__hangs_up(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_CLOSE, 1, "", 0);
    assert_true(hangs_up(fd[0]));
    assert_true(hangs_up(fd[4]));
    TELL(FAR_DATA, 1, "wl", 0, 0); /* they do not know yet: ignored */
    TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 0, 0, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[0], 3);
    assert_int_equal(other.rest[1], ECONNRESET);
    close_all(fd, 5);
}

/* The service looks for data, and then whether the next byte will be told. A mark that is being set keeps it
 * between the two for some milliseconds. */
static void data__that_comes_between_two_looks_goes_on(void **state) {
    int fd[5];
    make_connection(1, fd);
    struct scif_shared *q =
        mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[3], SCIF_SHARED_AT);
    assert_true(q != MAP_FAILED);
    for (unsigned i = 0; i < 10; i++) {
        atomic_store(&q->queue.some, QUEUE_MARK_BUSY);
        assert_int_equal(send(fd[4], "", 1, MSG_NOSIGNAL), 1);
        poll(NULL, 0, 1); /* if it has not begun by then it finds the data at once */
        assert_int_equal(queue_put(q, "x", 1), 1);
        atomic_store(&q->queue.some, QUEUE_MARK_SET);
        await_op(FAR_DATA);
        TELL(FAR_TAKEN, 1, "w", i + 1);
    }
    munmap(q, SCIF_SHARED_BYTES);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* ---- Writes that a program has left ---- */
static struct scif_shared *peer_of(const int fd[5]) {
    void *m = mmap(NULL, SCIF_SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[3], SCIF_SHARED_AT);
    assert_ptr_not_equal(m, MAP_FAILED);
    return m;
}

/* A write that is on its way to the other service; its slot. */
static uint8_t leave_write(struct scif_shared *peer) {
    atomic_fetch_add(&peer->queue.asked, 1);
    request(0, SCIF_PROT_WRITE | SCIF_RMA_LEFT, 8);
    await_op(FAR_WRITE);
    return other.rest[0];
}

/* Its block is free. */
static void await_block(void) {
    for (uint64_t end = weft_now_ns() + LONG_NS; atomic_load(&writer_words->left[0]) && weft_now_ns() < end;)
        turn();
    assert_int_equal(atomic_load(&writer_words->left[0]), 0);
}

/* They leave behind it, and wait for it at the other service. */
static void write_that_was_left__holds_fence_back_but_no_message(void **state) {
    int fd[5];
    struct pollfd answer = {.events = POLLIN};
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    request(1, SCIF_RMA_FENCE_SELF, 0);
    assert_int_equal(queue_put(peer, "x", 1), 1);
    assert_true(queue_tell(&peer->queue, fd[4]));
    await_op(FAR_DATA);
    assert_int_equal(other.rest[4], 'x');
    nothing_comes();
    answer.fd = writer;
    assert_int_equal(poll(&answer, 1, 0), 0);
    assert_int_equal(atomic_load(&writer_words->left[0]), 1);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 4096, 8192);
    assert_int_equal(answer_to(1).error, 0); /* the fence's, and none to the write */
    assert_int_equal(atomic_load(&writer_words->left[0]), 0);
    assert_int_equal(atomic_load(&peer->queue.done), 1);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* A thread that waits for a block is told once; one that does not is not woken up. */
static void write_that_was_left__tells_who_waits_for_its_block(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    struct pollfd answer = {.fd = writer, .events = POLLIN};
    for (int waits = 0; waits < 2; waits++) {
        uint8_t slot = leave_write(peer);
        atomic_store(&writer_words->waits, (unsigned)waits);
        TELL(FAR_DONE, 1, "bhll", slot, 0, 4096, 8192);
        if (waits)
            assert_int_equal(answer_to(SCIF_STAGE_BLOCKS).error, 0);
        else
            nothing_comes();
        assert_int_equal(atomic_load(&writer_words->left[0]), 0);
        assert_int_equal(atomic_load(&writer_words->waits), 0);
    }
    request(1, SCIF_PROT_WRITE, 8); /* and what is waited for is answered, with the range that may be left */
    await_op(FAR_WRITE);
    TELL(FAR_DONE, 1, "bhll", other.rest[0], 0, 4096, 8192);
    struct scif_rma_answer a = answer_to(1);
    assert_int_equal(a.from, 4096);
    assert_int_equal(a.bytes, 8192);
    assert_int_equal(poll(&answer, 1, 0), 0);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
}

/* One that waits for a slot has not left: nothing goes past it, the close neither. */
static void write_that_waits_for_a_slot__holds_message_and_close_back(void **state) {
    int fd[5], line_of[3];
    uint8_t slot[FAR_SLOTS];
    make_connection(1, fd);
    struct scif_shared *peer = peer_of(fd);
    for (unsigned i = 0, n = 0; i < 3; i++) { /* a line has no more than SCIF_STAGE_BLOCKS */
        open_writer();
        line_of[i] = writer;
        for (unsigned k = 0; k < SCIF_STAGE_BLOCKS && n <= FAR_SLOTS; k++, n++) {
            atomic_fetch_add(&peer->queue.asked, 1);
            request(k, SCIF_PROT_WRITE | SCIF_RMA_LEFT, 8);
            if (n == FAR_SLOTS) continue;
            await_op(FAR_WRITE);
            slot[n] = other.rest[0];
        }
    }
    assert_int_equal(queue_put(peer, "x", 1), 1);
    assert_true(queue_tell(&peer->queue, fd[4]));
    close_all(fd, 5);
    close_all(line_of, 3);
    nothing_comes();
    TELL(FAR_DONE, 1, "bhll", slot[3], 0, 0, 0);
    await_ops(FAR_WRITE, FAR_CLOSE); /* its queue has gone with it */
    assert_int_equal(other.rest_before[0], slot[3]);
    munmap(peer, SCIF_SHARED_BYTES);
}

static void write_that_was_left__holds_no_close_back(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    close_all(fd, 5);
    close(writer);
    await_op(FAR_CLOSE);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 0, 0);
    munmap(peer, SCIF_SHARED_BYTES);
}

static void write_that_was_left__holds_fence_of_peer_back(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    TELL(FAR_WRITE, 1, "bhwlll", 7, SCIF_RMA_FORGET, 0, 0, 0, 1);
    nothing_comes();
    assert_int_equal(atomic_load(&peer->queue.granted), 1);
    TELL(FAR_DONE, 1, "bhll", slot, ENXIO, 0, 0);
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 7);
    assert_int_equal(other.rest[1], 0);
    assert_int_equal(atomic_load(&peer->queue.failed), ENXIO);
    TELL(FAR_CLOSE, 1, "", 0);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
}

/* The other service goes while a write, a fence and a close are under way. */
static void write_that_was_left__ends_with_peer(void **state) {
    int fd[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    leave_write(peer);
    request(1, SCIF_RMA_FENCE_SELF, 0);
    ep_disconnect(other.peer);
    assert_int_equal(answer_to(1).error, ECONNRESET);
    assert_int_equal(atomic_load(&writer_words->left[0]), 0);
    assert_int_equal(atomic_load(&peer->queue.failed), ECONNRESET);
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    reach();
}

/* The other service gives the connection's id to the next one, and answers then. */
static void write_that_was_left__of_an_id_that_is_another_ones(void **state) {
    int fd[5], next[5];
    make_connection(1, fd);
    open_writer();
    struct scif_shared *peer = peer_of(fd);
    uint8_t slot = leave_write(peer);
    TELL(FAR_CLOSE, 1, "", 0);
    ask_to_connect(1, PORT);
    TELL(FAR_DONE, 1, "bhll", slot, 0, 0, 0);
    struct scif_answer a = {.error = EAGAIN};
    struct scif_request accept = {.op = SCIF_OP_ACCEPT, .endpoint = listener};
    for (uint64_t end = weft_now_ns() + LONG_NS; ask(accept, &a, next, 5) && weft_now_ns() < end;) turn();
    assert_int_equal(a.error, 0);
    await_block();
    munmap(peer, SCIF_SHARED_BYTES);
    close(writer);
    close_all(fd, 5);
    close_all(next, 5);
    while (other.op != FAR_CLOSE && !other.down) turn();
    assert_int_equal(other.down, 0);
}

/* ---- What comes behind a write that is not complete ---- */
/* The owner's program is asked for its page, and gives it. */
static void give_own_page(int pages) {
    struct share_message m;
    struct pollfd p = {.fd = pages, .events = POLLIN};
    uint64_t end = weft_now_ns() + LONG_NS;
    while (poll(&p, 1, 0) == 0 && weft_now_ns() < end) turn();
    assert_int_equal(recv(pages, &m, sizeof m, 0), sizeof m);
    assert_int_equal(m.kind, SHARE_TAKE);
    m.kind = SHARE_GAVE;
    assert_int_equal(send(pages, &m, sizeof m, MSG_NOSIGNAL), sizeof m);
}

/* The other service has a page of the window: a write to it waits until that is back. Line of the pages. */
static int begin_write(const int fd[5]) {
    static const uint64_t zero;
    uint8_t buf[64];
    struct weft_writer w;
    int pages = share_window(fd);
    assert_int_equal(map_window_for(0, PAGES, SCIF_PROT_READ | SCIF_PROT_WRITE), 0);
    TELL(FAR_PAGE, 0, "wbbw", 0, 1, SHARE_WANT_WRITE, 0);
    give_own_page(pages);
    await_page_of(SHARE_GRANT_WRITE);
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, FAR_WRITE);
    weft_put_u8(&w, 1);
    weft_put_u32(&w, 1);
    weft_put_u8(&w, 5);
    weft_put_u16(&w, SCIF_PROT_WRITE);
    weft_put_u32(&w, sizeof zero);
    weft_put_u64(&w, 0);
    weft_put_u64(&w, 0);
    weft_put_u64(&w, sizeof zero);
    say(&w, &zero, sizeof zero);
    await_page_of(SHARE_TAKE);
    return pages;
}

static void give_page(void) {
    uint64_t part[SHARE_PAGE / 8 / sizeof(uint64_t)] = {0};
    for (int i = 0; i < 8; i++) {
        uint8_t buf[1024];
        struct weft_writer w;
        weft_writer_init(&w, buf, sizeof buf);
        weft_put_u8(&w, FAR_PART);
        weft_put_u8(&w, 0);
        weft_put_u32(&w, 0);
        weft_put_bytes(&w, part, sizeof part);
        say(&w, NULL, 0);
    }
    TELL(FAR_PAGE, 0, "wbbw", 0, 1, SHARE_GAVE, 0);
}

/* It has answered a later request. */
static void it_has_heard(void) {
    TELL(FAR_READ, 1, "bhwlll", 3, 1, 8, 1u << 30, 1u << 30, 8);
    await_op(FAR_BYTES);
    assert_int_equal(other.rest[1], ENXIO);
}

static void tell_data(size_t n) {
    static const uint8_t many[1000];
    uint8_t buf[1024];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u8(&w, FAR_DATA);
    weft_put_u8(&w, 1);
    weft_put_u32(&w, 1);
    weft_put_u32(&w, 0);
    weft_put_bytes(&w, many, n);
    say(&w, NULL, 0);
}

static unsigned shown(const int fd[5]) {
    struct scif_memory *m = mmap(NULL, sizeof *m, PROT_READ, MAP_SHARED, fd[2], 0);
    assert_ptr_not_equal(m, MAP_FAILED);
    unsigned n = atomic_load(&m->shared.queue.head);
    munmap(m, sizeof *m);
    return n;
}

static void message_and_close__wait_for_the_write_before_them(void **state) {
    int fd[5];
    struct pollfd end = {0};
    make_connection(1, fd);
    end.fd = fd[0];
    int pages;
    tell_data(3);
    pages = begin_write(fd);
    tell_data(4);
    TELL(FAR_CLOSE, 1, "", 0);
    tell_data(5); /* after the last: nothing of it comes */
    it_has_heard();
    assert_int_equal(shown(fd), 3);
    poll(&end, 1, 0);
    assert_false(end.revents & POLLHUP);
    give_page();
    await_op(FAR_DONE);
    assert_int_equal(other.rest[0], 5);
    assert_int_equal(other.rest[1], 0);
    assert_true(hangs_up(fd[0]));
    assert_int_equal(shown(fd), 7);
    close(pages);
    close_all(fd, 5);
}

/* The program does not wait. */
static void message_that_waits__goes_with_its_program(void **state) {
    int fd[5];
    make_connection(1, fd);
    int pages = begin_write(fd);
    tell_data(4);
    TELL(FAR_CLOSE, 1, "", 0);
    it_has_heard();
    close(pages);
    close_all(fd, 5);
    await_op(FAR_CLOSE);
    give_page();
    await_op(FAR_DONE); /* it was begun */
    assert_int_equal(other.rest[0], 5);
}

/* ---- Wrong ones: the connection of the services ends, with all that is in it, and nothing else ---- */
static void data__beyond_the_window_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    for (int i = 0; i < 9; i++) tell_data(1000);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close_all(fd, 5);
    still_serves();
}

/* What waits for a write takes no more room than what does not. */
static void data__that_waits_beyond_the_window_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    int pages = begin_write(fd);
    for (int i = 0; i < 8; i++) tell_data(1000);
    tell_data(190);
    it_has_heard();
    assert_int_equal(shown(fd), 0);
    tell_data(1);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close(pages);
    close_all(fd, 5);
    still_serves();
}

static void taken__what_was_not_sent_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_TAKEN, 1, "w", 1);
    await_down(WEFT_E_PROTO);
    assert_true(hangs_up(fd[4]));
    close_all(fd, 5);
    still_serves();
}

static void connection__with_known_id_ends_all(void **state) {
    int fd[5];
    make_connection(1, fd);
    ask_to_connect(1, PORT);
    await_down(WEFT_E_PROTO);
    close_all(fd, 5);
    still_serves();
}

static void connection__of_another_process_than_before_ends_all(void **state) {
    struct node_process own = node_client_self(other.client);
    int fd[5];
    make_connection(1, fd);
    TELL(FAR_CONNECT, 2, "hhwhh", FAR_VERSION, 1, own.process + 1, 1234, PORT);
    await_down(WEFT_E_PROTO);
    close_all(fd, 5);
    still_serves();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        T(connection__to_nobody_is_refused),
        T(connection__that_is_taken_back_is_not_accepted),
        T(close__hangs_up),
        T(data__that_comes_between_two_looks_goes_on),
        T(write_that_was_left__holds_fence_back_but_no_message),
        T(write_that_was_left__tells_who_waits_for_its_block),
        T(write_that_waits_for_a_slot__holds_message_and_close_back),
        T(write_that_was_left__holds_no_close_back),
        T(write_that_was_left__holds_fence_of_peer_back),
        T(write_that_was_left__ends_with_peer),
        T(write_that_was_left__of_an_id_that_is_another_ones),
        T(message_and_close__wait_for_the_write_before_them),
        T(message_that_waits__goes_with_its_program),
        T(data__beyond_the_window_ends_all),
        T(data__that_waits_beyond_the_window_ends_all),
        T(taken__what_was_not_sent_ends_all),
        T(connection__with_known_id_ends_all),
        T(connection__of_another_process_than_before_ends_all),
    };
    return cmocka_run_group_tests_name("far links", tests, group_setup, group_teardown);
}
