/* The file of the user's key. It is judged through one descriptor, so that nobody can change it between the
 * look and the reading, and made under another name, so that it is whole or not there. */
#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/path.h"
#include "node/key.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char prefix[] = "weft-key-1 ";
#define PREFIX_BYTES (sizeof prefix - 1)
#define FILE_BYTES   (PREFIX_BYTES + 2 * NODE_KEY_BYTES + 1)

WEFT_OPTIONS(node_key, "node",
             {.name = "key_file",
              .type = WEFT_OPTION_STRING,
              .help = "File of the user's key; unset: key, beside the config file."})

int node_key_path(char *out, size_t cap) {
    const char *file = weft_option_string("key_file");
    int rc = WEFT_OK;
    if (!file || !*file)
        rc = weft_config_path("key", out, cap);
    else if ((size_t)snprintf(out, cap, "%s", file) >= cap)
        rc = WEFT_E_TOO_BIG;
    if (rc == WEFT_E_NOENT)
        weft_error(
            "key",
            "no place for the key: neither XDG_CONFIG_HOME nor HOME is set; WEFT_KEY_FILE names a file");
    else if (rc != WEFT_OK)
        weft_error("key", "the name of the key file is longer than %zu bytes", cap - 1);
    return rc;
}

/* --- reading --- */

static const char *type_name(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFREG: return "regular file";
    case S_IFDIR: return "directory";
    case S_IFIFO: return "pipe";
    case S_IFSOCK: return "socket";
    default: return "device";
    }
}

static int check_status(int fd, const char *path) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int err = errno;
        weft_error("key", "cannot look at the key file %s: %s", path, strerror(err));
        return weft_error_from_errno(err);
    }
    if (!S_ISREG(st.st_mode)) {
        weft_error("key", "key file %s: its type is %s, wanted is a regular file", path,
                   type_name(st.st_mode));
        return WEFT_E_INVAL;
    }
    if (st.st_uid != geteuid()) {
        weft_error("key", "key file %s: its owner is user %u, wanted is user %u, who runs this", path,
                   (unsigned)st.st_uid, (unsigned)geteuid());
        return WEFT_E_ACCESS;
    }
    if (st.st_mode & 077) {
        weft_error(
            "key",
            "key file %s: its mode is %04o, wanted is 0600 (others may have read it: weft keygen --force "
            "makes a new one)",
            path, (unsigned)st.st_mode & 07777);
        return WEFT_E_ACCESS;
    }
    if (st.st_size != (off_t)FILE_BYTES) {
        weft_error("key", "key file %s: its size is %lld bytes, wanted are %zu", path, (long long)st.st_size,
                   (size_t)FILE_BYTES);
        return WEFT_E_INVAL;
    }
    return WEFT_OK;
}

/* What is wrong with the text; NULL: nothing. Its digits are no business of any log. */
static const char *parse(const char *text, uint8_t key[NODE_KEY_BYTES]) {
    if (memcmp(text, prefix, PREFIX_BYTES) != 0)
        return "its text begins otherwise, wanted is \"weft-key-1 \"";
    if (text[FILE_BYTES - 1] != '\n') return "its text has another last byte, wanted is an end of line";
    if (!node_hex_decode(text + PREFIX_BYTES, NODE_KEY_BYTES, key))
        return "its text has other characters, wanted are 64 digits 0-9 and a-f";
    return NULL;
}

static int read_text(int fd, char text[FILE_BYTES]) {
    for (size_t got = 0; got < FILE_BYTES;) {
        ssize_t n = read(fd, text + got, FILE_BYTES - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return weft_error_from_errno(errno);
        if (n == 0) return WEFT_E_IO; /* cut since we looked */
        got += (size_t)n;
    }
    return WEFT_OK;
}

int node_key_read(const char *path, uint8_t key[NODE_KEY_BYTES]) {
    /* O_NONBLOCK: a pipe in the file's place must not hold the program up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int err = errno;
        if (err == ELOOP)
            weft_error("key", "key file %s: its type is symbolic link, wanted is a regular file", path);
        else if (err != ENOENT)
            weft_error("key", "cannot open the key file %s: %s", path, strerror(err));
        return err == ELOOP ? WEFT_E_ACCESS : weft_error_from_errno(err);
    }
    char text[FILE_BYTES];
    uint8_t found[NODE_KEY_BYTES];
    int rc = check_status(fd, path);
    if (rc == WEFT_OK && (rc = read_text(fd, text)) != WEFT_OK)
        weft_error("key", "cannot read the key file %s: %s", path, weft_error_text(rc));
    close(fd);
    const char *fault = rc == WEFT_OK ? parse(text, found) : NULL;
    if (fault) {
        weft_error("key", "key file %s: %s", path, fault);
        rc = WEFT_E_INVAL;
    }
    if (rc == WEFT_OK) memcpy(key, found, NODE_KEY_BYTES);
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(found, sizeof found);
    return rc;
}

/* --- making --- */

static int write_text(int fd, const uint8_t key[NODE_KEY_BYTES]) {
    char text[FILE_BYTES + 1];
    size_t n = (size_t)(stpcpy(text, prefix) - text);
    n += node_hex_encode(key, NODE_KEY_BYTES, text + n);
    text[n++] = '\n';
    bool good = fchmod(fd, 0600) == 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    int err = good ? 0 : errno ? errno : EIO;
    OPENSSL_cleanse(text, sizeof text);
    return err;
}

/* A name in the directory is on disk only when the directory is. */
static void sync_directory(const char *path) {
    char dir[WEFT_PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir] = 0;
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

/* Gives the finished file its name: link() fails where there is one already. */
static int put_in_place(const char *made, const char *path, bool replace) {
    if (replace) return rename(made, path) == 0 ? 0 : errno;
    if (link(made, path) != 0) return errno;
    unlink(made);
    return 0;
}

int node_key_create(const char *path, bool replace, uint8_t key[NODE_KEY_BYTES]) {
    char made[WEFT_PATH_MAX + 8];
    if (strlen(path) >= WEFT_PATH_MAX) {
        weft_error("key", "the name of the key file is longer than %d bytes", WEFT_PATH_MAX - 1);
        return WEFT_E_TOO_BIG;
    }
    if (!replace && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return WEFT_E_EXIST;
    if (getrandom(key, NODE_KEY_BYTES, 0) != NODE_KEY_BYTES) return WEFT_E_IO;
    weft_dir_make_above(path, 0700); /* a failure shows when the file is made */
    snprintf(made, sizeof made, "%s.XXXXXX", path);
    errno = 0;
    int fd = mkostemp(made, O_CLOEXEC); /* O_EXCL, mode 0600 */
    int err = fd >= 0 ? write_text(fd, key) : errno;
    if (fd >= 0) close(fd);
    if (!err) err = put_in_place(made, path, replace);
    if (!err) {
        sync_directory(path);
        return WEFT_OK;
    }
    if (fd >= 0) unlink(made);
    OPENSSL_cleanse(key, NODE_KEY_BYTES);
    if (err == EEXIST) return WEFT_E_EXIST;
    weft_error("key", "cannot make the key file %s: %s", path, strerror(err));
    return weft_error_from_errno(err);
}
