/* The files of sockets that killed processes leave: whose are taken away, and that those of the living stay.
 */
#include "adapter/conformance.h"
#include "adapter/shm_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/test_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct conformance shm = {.name = "shm", .ops = &adapter_shm_ops};

static bool is_there(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static void wait_until_gone(struct node *n, const char *path) {
    uint64_t end = weft_now_ns() + 2 * WAIT_MS * WEFT_NS_PER_MS;
    while (is_there(path)) {
        node_poll(n);
        assert_true(weft_now_ns() < end);
    }
}

static void socket_path(const struct child *ch, char path[SHM_SOCKET_PATH_MAX]) {
    struct shm_address a;
    assert_int_equal(shm_address_decode(ch->address, ch->address_bytes, &a), 0);
    shm_address_socket_path(&a, path);
    assert_true(is_there(path));
}

static void wait_for_death(struct node *n, int pipe) {
    (void)n;
    (void)pipe;
    for (;;) pause();
}

static void killed__the_survivor_takes_its_file(void **state) {
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    char path[SHM_SOCKET_PATH_MAX];
    node_open(&n, &shm);
    child_start(&ch, &shm, wait_for_death);
    assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
    socket_path(&ch, path);
    child_end(&ch);
    node_wait_lost(&n, 1, 0);
    wait_until_gone(&n, path);
    node_disconnect(&n, peer);
    node_close(&n);
}

/* Hangs up on its peer twice, and lives on. */
static void hang_up(struct node *n, int pipe) {
    for (size_t i = 0; i < 2; i++) {
        struct adapter_peer *peer;
        node_wait(n, i + 1);
        if (n->adapter->ops->connect(n->adapter, n->in[i].from, n->in[i].from_bytes, &peer)) _exit(2);
        node_disconnect(n, peer);
        if (write(pipe, "x", 1) != 1) _exit(3);
    }
    for (;;) pause();
}

/* A peer that only hung up lives, and its file stays; when it dies later the file goes all the same. */
static void hung_up__its_file_stays_while_it_lives(void **state) {
    struct child ch;
    struct node n;
    struct adapter_peer *peer;
    char path[SHM_SOCKET_PATH_MAX], byte;
    node_open(&n, &shm);
    child_start(&ch, &shm, hang_up);
    socket_path(&ch, path);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(n.adapter->ops->connect(n.adapter, ch.address, ch.address_bytes, &peer), 0);
        assert_int_equal(node_send(&n, peer, "go", 2), 1);
        child_read(&ch, &byte, 1);
        node_wait_lost(&n, i, 0);
        node_disconnect(&n, peer);
        const struct weft_list *leaving = &((struct shm *)n.adapter)->leaving;
        assert_true(!weft_list_empty(leaving) && leaving->next == leaving->prev); /* once, not twice */
        assert_true(is_there(path));
    }
    child_end(&ch);
    wait_until_gone(&n, path);
    node_close(&n);
}

/* -- what is found in the directory -- */

static const char *in_dir(const char *name) { return test_path(conformance_run_dir, name); }

static void make_old(const char *path) {
    struct timespec t[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW), 0);
}

static int bound(const char *name, bool old) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strcpy(at.sun_path, in_dir(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    if (old) make_old(at.sun_path);
    return fd;
}

static void open__takes_away_what_the_dead_left(void **state) {
    struct node n;
    int alive = bound("shm-1-00000001", true);
    close(bound("shm-1-00000002", true));
    close(bound("shm-1-00000003", false)); /* its process may just be making it */
    close(bound("other-1-00000004", true));
    int file = open(in_dir("shm-1-00000005"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    make_old(in_dir("shm-1-00000005"));
    node_open(&n, &shm);
    assert_true(is_there(in_dir("shm-1-00000001")));
    assert_false(is_there(in_dir("shm-1-00000002")));
    assert_true(is_there(in_dir("shm-1-00000003")));
    assert_true(is_there(in_dir("other-1-00000004")));
    assert_true(is_there(in_dir("shm-1-00000005")));
    node_close(&n);
    close(alive);
    close(file);
    unlink(in_dir("shm-1-00000001"));
    unlink(in_dir("shm-1-00000003"));
    unlink(in_dir("other-1-00000004"));
    unlink(in_dir("shm-1-00000005"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed__the_survivor_takes_its_file),
        cmocka_unit_test(hung_up__its_file_stays_while_it_lives),
        cmocka_unit_test(open__takes_away_what_the_dead_left),
    };
    if (!mkdtemp(conformance_run_dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (rmdir(conformance_run_dir)) failed++;
    return failed;
}
