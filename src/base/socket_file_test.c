/* Which files of sockets count as left over. */
#include "base/socket_file.h"
#include "base/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char root[] = "/tmp/weft-socket-test-XXXXXX";

static const char *in_root(const char *name) {
    static char path[100];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static int bound(const char *path, int type) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    assert_true(fd >= 0 && strlen(path) < sizeof at.sun_path);
    strcpy(at.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void is_abandoned__bound_listening_closed(void **state) {
    const char *path = in_root("s");
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
        int fd = bound(path, type);
        assert_false(weft_socket_file_is_abandoned(path)); /* not listening yet */
        assert_int_equal(listen(fd, 1), 0);
        assert_false(weft_socket_file_is_abandoned(path));
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(accept(fd, NULL, NULL), -1); /* nobody came */
        int copy = dup(fd);                           /* as a child would have it */
        close(fd);
        assert_false(weft_socket_file_is_abandoned(path));
        close(copy);
        assert_true(weft_socket_file_is_abandoned(path));
        unlink(path);
        assert_false(weft_socket_file_is_abandoned(path));
    }
}

static void is_abandoned__no_socket(void **state) {
    char longer[300];
    int fd = open(in_root("file"), O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(weft_socket_file_is_abandoned(in_root("file")));
    unlink(in_root("file"));
    close(bound(in_root("s"), SOCK_SEQPACKET));
    assert_int_equal(symlink("s", in_root("link")), 0);
    assert_false(weft_socket_file_is_abandoned(in_root("link")));
    unlink(in_root("link"));
    unlink(in_root("s"));
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_false(weft_socket_file_is_abandoned(longer));
    assert_false(weft_socket_file_is_abandoned(root));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_abandoned__bound_listening_closed),
        cmocka_unit_test(is_abandoned__no_socket),
    };
    if (!mkdtemp(root)) return 1;
    int failed = cmocka_run_group_tests_name("socket_file", tests, NULL, NULL);
    rmdir(root);
    return failed;
}
