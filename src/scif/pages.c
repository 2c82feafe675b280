#include "scif/pages.h"
#include "scif/layout.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

bool memory_is_mapped(uintptr_t address, size_t bytes) {
    int kept = errno;
    uintptr_t from = address & ~(uintptr_t)(SCIF_PAGE - 1);
    bool good = address + bytes >= address && msync((void *)from, address + bytes - from, MS_ASYNC) == 0;
    errno = kept;
    return good;
}

static bool read_line(const char *line, struct mapping *m) {
    char mode[5];
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3) return false;
    *m = (struct mapping){from, to,
                          (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) |
                              (mode[2] == 'x' ? PROT_EXEC : 0),
                          mode[3] == 's'};
    return true;
}

int memory_mappings(uintptr_t address, size_t bytes, struct mapping *out, int cap) {
    char line[512];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    if (!f) return -1;
    while (n >= 0 && fgets(line, sizeof line, f)) {
        struct mapping m;
        if (!read_line(line, &m) || m.to <= address || m.from >= address + bytes) continue;
        if (m.from < address) m.from = address;
        if (m.to > address + bytes) m.to = address + bytes;
        if (n == cap)
            n = -1;
        else
            out[n++] = m;
    }
    fclose(f);
    return n;
}
