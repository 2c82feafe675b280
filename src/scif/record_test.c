/* Records over a socket pair, and what is left of them when an end goes. */
#include "base/test.h"
#include "scif/protocol.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_word(int s, uint64_t word) {
    return scif_record_send(s, &(struct scif_record){.data = &word, .bytes = sizeof word}, 0);
}

static int receive_word(int s, uint64_t *out) {
    struct scif_record in = {.data = out, .bytes = sizeof *out};
    return scif_record_receive(s, &in, MSG_DONTWAIT);
}

static void pair_open(int s[2]) { assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0); }

static void receive__of_one_that_has_ended_gives_what_it_sent(void **state) {
    int s[2];
    uint64_t word;
    pair_open(s);
    for (uint64_t i = 0; i < 3; i++) assert_int_equal(send_word(s[0], i), 0);
    close(s[0]);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(receive_word(s[1], &word), 0);
        assert_int_equal(word, i);
    }
    assert_int_equal(receive_word(s[1], &word), -EPIPE);
    close(s[1]);
}

/* The system resets such a socket. */
static void receive__of_one_that_ended_without_reading_gives_what_it_sent(void **state) {
    int s[2];
    uint64_t word;
    pair_open(s);
    for (uint64_t i = 0; i < 3; i++) assert_int_equal(send_word(s[0], i), 0);
    assert_int_equal(send_word(s[1], 7), 0);
    close(s[0]);
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(receive_word(s[1], &word), 0);
        assert_int_equal(word, i);
    }
    assert_int_equal(receive_word(s[1], &word), -EPIPE);
    close(s[1]);
}

static void receive__of_a_record_that_is_longer_is_refused(void **state) {
    int s[2];
    uint64_t words[2] = {1, 2}, word;
    pair_open(s);
    assert_int_equal(
        scif_record_send(s[0], &(struct scif_record){.data = words, .bytes = sizeof words}, 0), 0);
    assert_int_equal(send_word(s[0], 3), 0);
    assert_int_equal(receive_word(s[1], &word), -EMSGSIZE);
    assert_int_equal(receive_word(s[1], &word), 0);
    assert_int_equal(word, 3);
    assert_int_equal(receive_word(s[1], &word), -EAGAIN);
    close(s[0]);
    close(s[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receive__of_one_that_has_ended_gives_what_it_sent),
        cmocka_unit_test(receive__of_one_that_ended_without_reading_gives_what_it_sent),
        cmocka_unit_test(receive__of_a_record_that_is_longer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
