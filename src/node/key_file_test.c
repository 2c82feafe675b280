/* The key file: made whole with mode 0600, never overwritten unasked; each way in which one is refused, and
 * what the refusal says. */
#include "node/key.h"

#include "base/error.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/test.h"

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char dir[] = "/tmp/weft-key-test-XXXXXX";
static char path[64], said[1024];

static int setup(void **state) {
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/key", dir);
    return 0;
}

static int teardown(void **state) {
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static void put(const char *name, const char *text, mode_t mode) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

/* Reads the key with standard error in a file, whose text is in `said` afterwards. */
static int read_key(uint8_t key[NODE_KEY_BYTES]) {
    char log[80];
    snprintf(log, sizeof log, "%s/log", dir);
    fflush(stderr);
    int kept = dup(STDERR_FILENO), fd = open(log, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    int rc = node_key_read(path, key);
    dup2(kept, STDERR_FILENO);
    ssize_t n = pread(fd, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = 0;
    close(fd);
    close(kept);
    return rc;
}

static void refused(int status, const char *found, const char *wanted) {
    uint8_t key[NODE_KEY_BYTES], untouched[NODE_KEY_BYTES];
    memset(key, 0x5a, sizeof key);
    memset(untouched, 0x5a, sizeof untouched);
    assert_int_equal(read_key(key), status);
    assert_memory_equal(key, untouched, sizeof key);
    const char *const words[] = {path, found, wanted};
    for (int i = 0; i < 3; i++)
        if (!strstr(said, words[i])) fail_msg("no \"%s\" in \"%s\"", words[i], said);
    assert_null(strstr(said, "0011223344"));
}

static void create__makes_a_file_that_read_takes(void **state) {
    uint8_t key[NODE_KEY_BYTES], got[NODE_KEY_BYTES];
    struct stat st;
    mode_t before = umask(0);
    int rc = node_key_create(path, false, key);
    umask(before);
    assert_int_equal(rc, WEFT_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_size, 76);
    assert_int_equal(node_key_read(path, got), WEFT_OK);
    assert_memory_equal(key, got, sizeof key);
}

static void create__never_overwrites_unasked(void **state) {
    uint8_t first[NODE_KEY_BYTES], other[NODE_KEY_BYTES], got[NODE_KEY_BYTES];
    char broken[80];
    assert_int_equal(node_key_create(path, false, first), WEFT_OK);
    assert_int_equal(node_key_create(path, false, other), WEFT_E_EXIST);
    assert_int_equal(node_key_read(path, got), WEFT_OK);
    assert_memory_equal(first, got, sizeof got);
    assert_int_equal(node_key_create(path, true, other), WEFT_OK);
    assert_int_equal(node_key_read(path, got), WEFT_OK);
    assert_memory_equal(other, got, sizeof got);
    assert_memory_not_equal(first, other, sizeof got);
    /* A link that leads nowhere is something that is there, too. */
    snprintf(broken, sizeof broken, "%s/nowhere", dir);
    unlink(path);
    assert_int_equal(symlink(broken, path), 0);
    assert_int_equal(node_key_create(path, false, other), WEFT_E_EXIST);
    assert_int_not_equal(access(broken, F_OK), 0);
}

static void create__makes_the_directories_and_leaves_nothing_when_it_fails(void **state) {
    uint8_t key[NODE_KEY_BYTES];
    struct stat st;
    char parent[80];
    snprintf(path, sizeof path, "%s/a/b/key", dir);
    assert_int_equal(node_key_create(path, false, key), WEFT_OK);
    snprintf(parent, sizeof parent, "%s/a/b", dir);
    assert_int_equal(stat(parent, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    /* A directory in the file's place. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    setenv("WEFT_LOG", "error", 1);
    assert_int_not_equal(node_key_create(path, true, key), WEFT_OK);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(parent), 0); /* empty: no file under another name is left */
}

static void read__of_none_is_no_complaint(void **state) {
    uint8_t key[NODE_KEY_BYTES];
    assert_int_equal(read_key(key), WEFT_E_NOENT);
    assert_string_equal(said, "");
}

static void read__refuses_a_mode_that_lets_others_in(void **state) {
    const mode_t modes[] = {0644, 0640, 0660, 0601, 0602, 0610};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char found[16];
        put(path, "weft-key-1 " DIGITS "\n", modes[i]);
        snprintf(found, sizeof found, "mode is %04o", (unsigned)modes[i]);
        refused(WEFT_E_ACCESS, found, "wanted is 0600");
    }
    uint8_t key[NODE_KEY_BYTES];
    put(path, "weft-key-1 " DIGITS "\n", 0400);
    assert_int_equal(read_key(key), WEFT_OK);
    assert_int_equal(key[1], 0x11);
    assert_int_equal(key[31], 0xff);
}

static void read__refuses_the_file_of_another_user(void **state) {
    if (geteuid() != 0) skip(); /* only root can give a file away */
    put(path, "weft-key-1 " DIGITS "\n", 0600);
    assert_int_equal(chown(path, 12345, 0), 0);
    refused(WEFT_E_ACCESS, "owner is user 12345", "wanted is user 0");
}

static void read__refuses_what_is_no_regular_file(void **state) {
    char target[80];
    assert_int_equal(mkdir(path, 0700), 0);
    refused(WEFT_E_INVAL, "type is directory", "wanted is a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* and nobody writes to it: the reader must not wait */
    refused(WEFT_E_INVAL, "type is pipe", "wanted is a regular file");
    assert_int_equal(unlink(path), 0);
    snprintf(target, sizeof target, "%s/target", dir);
    put(target, "weft-key-1 " DIGITS "\n", 0600);
    assert_int_equal(symlink(target, path), 0);
    refused(WEFT_E_ACCESS, "type is symbolic link", "wanted is a regular file");
}

static void read__refuses_what_is_no_key(void **state) {
    const struct {
        const char *text, *found, *wanted;
    } bad[] = {
        {"", "size is 0 bytes", "wanted are 76"},
        {"weft-key-1 " DIGITS, "size is 75 bytes", "wanted are 76"},
        {"weft-key-1 " DIGITS "\n\n", "size is 77 bytes", "wanted are 76"},
        {"weft-key-2 " DIGITS "\n", "begins otherwise", "weft-key-1"},
        {"weft-key-1 " DIGITS " ", "last byte", "end of line"},
        {"weft-key-1 0011223344556677X899aabbccddeeff00112233445566778899aabbccddeeff\n", "other characters",
         "64 digits"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(path, bad[i].text, 0600);
        refused(WEFT_E_INVAL, bad[i].found, bad[i].wanted);
    }
}

static void path__is_beside_the_config_file(void **state) {
    char got[64];
    unsetenv("WEFT_KEY_FILE");
    setenv("XDG_CONFIG_HOME", "/cfg", 1);
    assert_int_equal(node_key_path(got, sizeof got), WEFT_OK);
    assert_string_equal(got, "/cfg/weft/key");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    setenv("WEFT_LOG", "error", 1);
    const struct CMUnitTest tests[] = {
        T(create__makes_a_file_that_read_takes),
        T(create__never_overwrites_unasked),
        T(create__makes_the_directories_and_leaves_nothing_when_it_fails),
        T(read__of_none_is_no_complaint),
        T(read__refuses_a_mode_that_lets_others_in),
        T(read__refuses_the_file_of_another_user),
        T(read__refuses_what_is_no_regular_file),
        T(read__refuses_what_is_no_key),
        T(path__is_beside_the_config_file),
    };
    return cmocka_run_group_tests_name("key_file", tests, NULL, NULL);
}
