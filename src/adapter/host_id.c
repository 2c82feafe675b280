/* Host identity from the kernel's boot id and the inode of a namespace. */
#include "adapter/host_id.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Reads "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" into 16 bytes. */
static int parse_boot_id(const char *text, size_t len, uint8_t out[HOST_ID_BYTES]) {
    size_t nibbles = 0;
    for (size_t i = 0; i < len && nibbles < 2 * HOST_ID_BYTES; i++) {
        char c = text[i];
        if (c == '-') continue;
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) return -1;
        out[nibbles / 2] = (uint8_t)(nibbles % 2 ? out[nibbles / 2] | v : v << 4);
        nibbles++;
    }
    return nibbles == 2 * HOST_ID_BYTES ? 0 : -1;
}

static int read_boot_id(uint8_t out[HOST_ID_BYTES]) {
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    char text[64];
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    return n > 0 ? parse_boot_id(text, (size_t)n, out) : -1;
}

static void name_id(uint8_t out[HOST_ID_BYTES]) {
    struct utsname u;
    memset(out, 0, HOST_ID_BYTES);
    if (uname(&u)) return;
    for (size_t i = 0; u.nodename[i] && i < sizeof u.nodename; i++)
        out[i % HOST_ID_BYTES] ^= (uint8_t)u.nodename[i];
}

void host_id(const char *ns, uint8_t out[HOST_ID_BYTES]) {
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/self/ns/%s", ns);
    if (read_boot_id(out) || stat(path, &st)) {
        weft_debug("adapter", "no /proc: this host is known by its name only");
        name_id(out);
        return;
    }
    uint64_t ino = st.st_ino;
    for (size_t i = 0; i < sizeof ino; i++) out[HOST_ID_BYTES - 1 - i] ^= (uint8_t)(ino >> (8 * i));
}

uint64_t host_random(void) {
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, 0) != (ssize_t)sizeof v || v == 0)
        v ^= weft_now_ns() * 0x9e3779b97f4a7c15ull ^ (uint64_t)getpid() << 32 ^
             1; /* no entropy source: unique at least */
    return v;
}
