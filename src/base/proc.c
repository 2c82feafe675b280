/* Processes, by /proc. */
#include "base/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

bool weft_proc_look(pid_t pid, char *state, unsigned long *flags) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0) close(fd);
    if (n <= 0) return false;
    text[n] = '\0';
    const char *end = strrchr(text, ')'); /* the program's name may have anything in it */
    return end && sscanf(end + 1, " %c %*d %*d %*d %*d %*d %lu", state, flags) == 2;
}

int64_t weft_proc_number(int fd, int blanks, char end) {
    char text[128];
    long len = fd < 0 ? -1 : syscall(SYS_pread64, fd, text, sizeof text, (long)0), at = 0;
    int64_t n = 0;
    for (; at < len && blanks > 0; at++) blanks -= text[at] == ' ';
    for (; at < len && text[at] >= '0' && text[at] <= '9' && n < INT64_MAX / 100; at++)
        n = n * 10 + text[at] - '0';
    return at < len && text[at] == end ? n : -1;
}

int weft_proc_open_load(void) { return open("/proc/loadavg", O_RDONLY | O_CLOEXEC); }

/* "0.20 0.18 0.12 3/80 11206": of 80 threads 3. */
unsigned weft_proc_running(int load_fd) {
    int64_t n = weft_proc_number(load_fd, 3, '/');
    return n > 0 ? (unsigned)n : 0;
}

bool weft_proc_raise_descriptors(void) {
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= l.rlim_max) return false;
    l.rlim_cur = l.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &l) == 0;
}
