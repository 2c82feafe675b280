/* Whether a socket's file is left over. The system is asked, not /proc: process numbers mean nothing across
 * namespaces, while the socket behind a file is found by the file itself. The question is a connect with a
 * socket of a type that nobody here uses: refused if there is none, "wrong type" if there is one, and in
 * neither case does anything arrive there. */
#include "base/socket_file.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Of a file system that only this host has mounted. A socket of another host is not found from here. */
static bool is_local(const char *path) {
    static const unsigned long local[] = {TMPFS_MAGIC,          RAMFS_MAGIC,       EXT4_SUPER_MAGIC,
                                          XFS_SUPER_MAGIC,      BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
                                          OVERLAYFS_SUPER_MAGIC};
    struct statfs fs;
    if (statfs(path, &fs)) return false;
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if ((unsigned long)fs.f_type == local[i]) return true;
    return false;
}

static bool is_refused(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    strcpy(at.sun_path, path);
    bool refused = connect(fd, (struct sockaddr *)&at, sizeof at) && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

bool weft_socket_file_is_abandoned(const char *path) {
    struct stat st;
    if (lstat(path, &st) || !S_ISSOCK(st.st_mode) || st.st_uid != geteuid()) return false;
    return is_local(path) && is_refused(path);
}
