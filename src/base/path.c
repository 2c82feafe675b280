/* The run directory. Everything in it is reached through a directory that only this user can write to, and it
 * is made and removed through descriptors of directories, so that a link planted by somebody else is never
 * followed. */
#include "base/path.h"

#include "base/error.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX  32 /* each level holds a descriptor open */
#define PASSES_MAX 8  /* over a directory in which others go on making files */

/* Does $XDG_RUNTIME_DIR name a directory that is ours? It may be another user's (su) or gone (a daemon after
 * logout). */
static bool usable_runtime_dir(const char *path) {
    struct stat st;
    if (!path || *path != '/') return false;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int weft_run_dir(char *out, size_t cap) {
    char path[WEFT_PATH_MAX];
    const char *base = secure_getenv("XDG_RUNTIME_DIR");
    int n = usable_runtime_dir(base) ? snprintf(path, sizeof path, "%s/weft", base)
                                     : snprintf(path, sizeof path, "/tmp/weft-%u", (unsigned)geteuid());
    if (n < 0 || (size_t)n >= sizeof path || (size_t)n >= cap) {
        weft_error("path", "the run directory's name is longer than %zu bytes",
                   cap < sizeof path ? cap : sizeof path);
        return WEFT_E_TOO_BIG;
    }
    int rc = weft_dir_make_private(path);
    if (rc == WEFT_OK) memcpy(out, path, (size_t)n + 1);
    return rc;
}

int weft_dir_make_private(const char *path) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int err = errno;
        weft_error("path", "cannot make the directory %s: %s", path, strerror(err));
        return weft_error_from_errno(err);
    }
    struct stat st;
    if (lstat(path, &st) != 0) {
        int err = errno;
        weft_error("path", "cannot look at %s: %s", path, strerror(err));
        return weft_error_from_errno(err);
    }
    const char *fault = NULL;
    if (!S_ISDIR(st.st_mode))
        fault = "is not a directory";
    else if (st.st_uid != geteuid())
        fault = "belongs to another user";
    else if (st.st_mode & 077)
        fault = "is open to other users (its mode should be 0700)";
    if (!fault) return WEFT_OK;
    weft_error("path", "%s %s; it is not used", path, fault);
    return WEFT_E_ACCESS;
}

int weft_dir_make_above(const char *path, unsigned mode) {
    char dir[PATH_MAX];
    if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir) return WEFT_E_TOO_BIG;
    for (char *p = dir + strspn(dir, "/"); (p = strchr(p, '/')); *p++ = '/') {
        struct stat st;
        *p = '\0';
        if (mkdir(dir, (mode_t)mode) == 0 || errno == EEXIST) continue;
        /* Some file systems say that a directory cannot be made before they say that it is there. */
        int rc = weft_error_from_errno(errno);
        if (stat(dir, &st) || !S_ISDIR(st.st_mode)) return rc;
    }
    return WEFT_OK;
}

static int empty_dir(int fd, int depth);

/* Removes one entry of the directory. 0 or an errno value. */
static int remove_entry(int dir, const char *name, int depth) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR) return errno;
    if (depth >= DEPTH_MAX) return ELOOP;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : errno;
    int err = empty_dir(fd, depth + 1);
    if (err) return err;
    return unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

/* Removes all entries of the directory; closes fd. 0 or an errno value. */
static int empty_dir(int fd, int depth) {
    DIR *d = fdopendir(fd);
    if (!d) {
        int err = errno;
        close(fd);
        return err;
    }
    int err = 0;
    bool found = true;
    for (int pass = 0; found && !err && pass < PASSES_MAX; pass++) {
        found = false;
        rewinddir(d);
        for (struct dirent *e; !err && (e = readdir(d));) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            found = true;
            err = remove_entry(dirfd(d), e->d_name, depth);
        }
    }
    closedir(d);
    return err;
}

int weft_dir_remove(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int err = fd >= 0 ? empty_dir(fd, 0) : errno;
    if (!err && rmdir(path) != 0) err = errno;
    if (!err || err == ENOENT) return WEFT_OK;
    weft_error("path", "cannot remove the directory %s: %s", path, strerror(err));
    return weft_error_from_errno(err);
}

int weft_exe_path(const char *name, char *out, size_t cap) {
    static const char deleted[] = " (deleted)"; /* what the kernel adds when the file was replaced since */
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len < 0) return weft_error_from_errno(errno);
    if ((size_t)len >= sizeof path) return WEFT_E_TOO_BIG;
    path[len] = '\0';
    size_t n = (size_t)len, tail = sizeof deleted - 1;
    if (n > tail && strcmp(path + n - tail, deleted) == 0) path[n - tail] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return WEFT_E_NOENT;
    slash[slash == path && !name] = '\0';
    n = strlen(path);
    size_t name_bytes = name ? strlen(name) + 1 : 0;
    if (n >= cap || name_bytes >= cap - n) return WEFT_E_TOO_BIG;
    memcpy(out, path, n + 1);
    if (name) {
        out[n] = '/';
        memcpy(out + n + 1, name, name_bytes);
    }
    return WEFT_OK;
}
