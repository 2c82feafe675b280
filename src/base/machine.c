/* The machine's fingerprint: a hash of what its costs depend on. */
#include "base/machine.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define GiB ((uint64_t)1 << 30)

static void mix(uint64_t *h, const char *text) {
    for (; *text; text++) *h = (*h ^ (unsigned char)*text) * 0x100000001b3ull;
    *h = (*h ^ 0xff) * 0x100000001b3ull; /* "ab", "c" is not "a", "bc" */
}

/* The lines of the first CPU that stay the same: the clock, which is told there too, does not. */
static void mix_cpu(uint64_t *h) {
    static const char *const wanted[] = {"vendor_id",       "cpu family", "model", "stepping",
                                         "CPU implementer", "CPU part",   "uarch"};
    char text[4096], *save;
    int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = '\0';
    char *end = strstr(text, "\n\n");
    if (end) *end = '\0';
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0) {
                mix(h, line);
                break;
            }
}

void weft_machine_fingerprint(char out[WEFT_MACHINE_BYTES]) {
    uint64_t h = 0xcbf29ce484222325ull;
    struct utsname u;
    char numbers[64];
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    snprintf(numbers, sizeof numbers, "%ld %" PRIu64, sysconf(_SC_NPROCESSORS_ONLN), (bytes + GiB / 2) / GiB);
    mix_cpu(&h);
    mix(&h, numbers);
    if (uname(&u) == 0) {
        mix(&h, u.machine);
        mix(&h, u.release);
    }
    snprintf(out, WEFT_MACHINE_BYTES, "%016" PRIx64, h);
}
