#include "scif/pages.h"
#include "scif/file.h"
#include "scif/intercept.h"
#include "scif/layout.h"
#include "scif/line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

bool memory_is_mapped(uintptr_t address, size_t bytes) {
    int kept = errno;
    uintptr_t from = address & ~(uintptr_t)(SCIF_PAGE - 1);
    bool good = address + bytes >= address && msync((void *)from, address + bytes - from, MS_ASYNC) == 0;
    errno = kept;
    return good;
}

/* ---- /proc/PID/maps as text ---- */
static bool read_line(const char *line, struct mapping *m) {
    char mode[5];
    unsigned long from, to, at, inode;
    unsigned major_number, minor_number;
    if (sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &from, &to, mode, &at, &major_number, &minor_number,
               &inode) != 7)
        return false;
    *m = (struct mapping){.from = from,
                          .to = to,
                          .prot = (mode[0] == 'r' ? PROT_READ : 0) | (mode[1] == 'w' ? PROT_WRITE : 0) |
                                  (mode[2] == 'x' ? PROT_EXEC : 0),
                          .shared = mode[3] == 's',
                          .device = makedev(major_number, minor_number),
                          .inode = inode,
                          .at = at,
                          .deleted = strstr(line, " (deleted)"),
                          .segment = strstr(line, " /SYSV")};
    return true;
}

static bool each(int process, bool (*see)(void *, const struct mapping *), void *context) {
    char line[512], name[64];
    struct mapping m;
    snprintf(name, sizeof name, "/proc/%d/maps", process);
    FILE *f = fopen(name, "re");
    if (!f) return false;
    while (fgets(line, sizeof line, f))
        if (read_line(line, &m) && !see(context, &m)) break;
    fclose(f);
    return true;
}

bool memory_each(bool (*see)(void *, const struct mapping *), void *context) {
    return each(line_process(), see, context);
}

struct next {
    uintptr_t address;
    struct mapping *out;
    bool found;
};
static bool see_next(void *context, const struct mapping *m) {
    struct next *n = context;
    if (m->to <= n->address) return true;
    *n->out = *m;
    n->found = true;
    return false;
}

struct shown {
    uint64_t device, inode, at, bytes;
    bool shared; /* private mappings are passed over, and views are not */
    bool found;
};
static bool see_file(void *context, const struct mapping *m) {
    struct shown *s = context;
    if (s->shared && !m->shared) return true;
    if (m->device != s->device || m->inode != s->inode) return true;
    bool view = m->at == 0 && m->to - m->from >= FILE_VIEW_BYTES; /* RMAs go through it */
    if (view && !s->shared) return true;
    s->found |= m->at < s->at + s->bytes && s->at < m->at + (m->to - m->from);
    return !s->found;
}

bool memory_shows_file(int process, uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes) {
    struct shown s = {.device = device, .inode = inode, .at = at, .bytes = bytes};
    int kept = errno;
    bool read = each(process, see_file, &s), gone = !read && (errno == ENOENT || errno == ESRCH);
    errno = kept;
    return read ? s.found : !gone;
}

int memory_sharers(uint64_t device, uint64_t inode, uint64_t at, uint64_t bytes, uint32_t *process,
                   unsigned cap) {
    DIR *d = opendir("/proc");
    unsigned n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct shown s = {.device = device, .inode = inode, .at = at, .bytes = bytes, .shared = true};
        int other = atoi(e->d_name);
        if (other <= 0 || !each(other, see_file, &s) || !s.found) continue;
        if (n < cap) process[n] = (uint32_t)other;
        n++;
    }
    if (d) closedir(d);
    return d && n <= cap ? (int)n : -1;
}

/* ---- /proc/PID/smaps ---- */
struct advice memory_advice(uintptr_t address) {
    struct advice a = {0};
    struct mapping m;
    char line[512];
    bool here = false;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (read_line(line, &m)) {
            if (here) break;
            here = m.from <= address && address < m.to;
        } else if (here && !strncmp(line, "VmFlags:", 8)) {
            a = (struct advice){strstr(line, " dc"), strstr(line, " dd"), strstr(line, " lo")};
        }
    }
    if (f) fclose(f);
    return a;
}

/* ---- Whose memory it is ---- */
struct seen {
    const struct mapping *what;
    unsigned times;
};
static bool see_any(void *context, const struct mapping *m) {
    struct seen *s = context;
    const struct mapping *w = s->what;
    s->times += m->device == w->device && m->inode == w->inode && m->at < w->at + (w->to - w->from) &&
                w->at < m->at + (m->to - m->from);
    return true;
}

static bool has_descriptor(int process, uint64_t device, uint64_t inode) {
    char name[64];
    bool found = false;
    snprintf(name, sizeof name, "/proc/%d/fd", process);
    DIR *d = opendir(name);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat st;
        found = fstatat(dirfd(d), e->d_name, &st, 0) == 0 && st.st_dev == device && st.st_ino == inode;
    }
    if (d) closedir(d);
    return found;
}

/* A segment whose last attachment this is: nobody is meant to attach it any more. */
static bool is_segment_alone(uint64_t inode) {
    struct shmid_ds s;
    return shmctl((int)inode, IPC_STAT, &s) == 0 && s.shm_nattch == 1 && (s.shm_perm.mode & SHM_DEST);
}

bool memory_is_own_alone(const struct mapping *m) {
    if (m->segment) return is_segment_alone(m->inode);
    if (!m->deleted) return false;
    DIR *d = opendir("/proc");
    bool alone = d != NULL;
    for (struct dirent *e; alone && (e = readdir(d));) {
        struct seen s = {m, 0};
        int process = atoi(e->d_name);
        if (process <= 0) continue;
        each(process, see_any, &s); /* others' are not ours to look into, and cannot have it */
        alone = s.times <= (process == line_process()) && !has_descriptor(process, m->device, m->inode);
    }
    if (d) closedir(d);
    return alone;
}

/* ---- Asking for one mapping (Linux 6.11) ---- */
struct query { /* linux/fs.h: struct procmap_query */
    uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
    uint32_t device_major, device_minor, name_size, id_size;
    uint64_t name, id;
};
#define QUERY         _IOWR('f', 17, struct query)
#define QUERY_OR_NEXT 0x10u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int maps = -1, maps_of;

void memory_before_fork(void) { pthread_mutex_lock(&lock); }
void memory_after_fork(void) { pthread_mutex_unlock(&lock); }

static bool ask(uintptr_t address, struct query *q) {
    pthread_mutex_lock(&lock);
    if (maps_of != line_process()) {
        if (maps >= 0) close_descriptor(maps);
        int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        maps = fd < 0 ? -1 : descriptor_hide(fd);
        maps_of = line_process();
    }
    int fd = maps;
    pthread_mutex_unlock(&lock);
    *q = (struct query){.size = sizeof *q, .flags = QUERY_OR_NEXT, .address = address};
    return ioctl(fd, QUERY, q) == 0;
}

static struct mapping mapping_of(const struct query *q) {
    return (struct mapping){.from = q->start,
                            .to = q->end,
                            .prot = (q->vma_flags & 1 ? PROT_READ : 0) | (q->vma_flags & 2 ? PROT_WRITE : 0) |
                                    (q->vma_flags & 4 ? PROT_EXEC : 0),
                            .shared = q->vma_flags & 8,
                            .device = makedev(q->device_major, q->device_minor),
                            .inode = q->inode,
                            .at = q->offset};
}

bool memory_ask(uintptr_t address, struct mapping *out) {
    struct query q;
    int kept = errno;
    bool here = ask(address, &q) && q.start <= address;
    if (here) *out = mapping_of(&q);
    errno = kept;
    return here;
}

bool memory_next(uintptr_t address, struct mapping *out) {
    struct query q;
    int kept = errno;
    bool asked = ask(address, &q), none = !asked && errno == ENOENT;
    struct next n = {address, out, false};
    if (asked)
        *out = mapping_of(&q);
    else if (!none)
        memory_each(see_next, &n);
    errno = kept;
    return asked || n.found;
}

static bool next_within(uintptr_t *at, uintptr_t end, struct mapping *m) {
    if (*at >= end || !memory_next(*at, m) || m->from >= end) return false;
    if (m->from < *at) {
        m->at += *at - m->from;
        m->from = *at;
    }
    if (m->to > end) m->to = end;
    *at = m->to;
    return true;
}

int memory_mappings(uintptr_t address, size_t bytes, struct mapping *out, int cap) {
    struct mapping m;
    int n = 0;
    for (uintptr_t at = address; next_within(&at, address + bytes, &m);) {
        if (n == cap) return -1;
        out[n++] = m;
    }
    return n;
}

bool memory_allows(uintptr_t address, size_t bytes, bool to_write) {
    struct mapping m;
    uintptr_t at = address, end = address + bytes;
    if (end < at) return false;
    for (uintptr_t reached = at; at < end; reached = at)
        if (!next_within(&at, end, &m) || m.from != reached ||
            !(m.prot & (to_write ? PROT_WRITE : PROT_READ)))
            return false;
    return true;
}
