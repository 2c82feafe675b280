/* How a program finds the service of its node, or starts it. */
#include "base/test.h"
#include "base/test_dir.h"

#include <poll.h>
#include <scif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[80];

static int listen_as_service(void) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, path);
    int l = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(l, 1), 0);
    return l;
}

/* It takes a connection, as its backlog does until its very end, and says nothing. */
static void scif_get_nodeIDs__when_the_service_is_just_ending(void **state) {
    int listener = listen_as_service(), status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(listener);
        _exit(scif_get_nodeIDs(NULL, 0, NULL) == 1 ? 0 : 1);
    }
    int line = accept(listener, NULL, NULL);
    assert_true(line >= 0);
    unlink(path);
    close(listener);
    close(line);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scif_get_nodeIDs__when_the_service_is_just_ending)};
    char weft[64];
    const char *dir = test_dir();
    if (!dir) return 77;
    setenv("XDG_RUNTIME_DIR", dir, 1);
    unsetenv("WEFT_NODE_SOCKET");
    snprintf(weft, sizeof weft, "%s/weft", dir);
    snprintf(path, sizeof path, "%s/scif", weft);
    if (mkdir(weft, 0700)) return 77;
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    while (rmdir(weft) && errno == ENOTEMPTY) poll(NULL, 0, 50); /* it ends by itself and leaves nothing */
    return failures;
}
