#include "scif/share/frame.h"

#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/share/faults.h"
#include "scif/share/share.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t bytes_of(const struct frame *f) { return (size_t)f->pages * SHARE_PAGE; }

static void close_unless_none(int *fd) {
    if (*fd >= 0) close_descriptor(*fd);
    *fd = -1;
}

void frame_close(struct frame *f) {
    close_unless_none(&f->file);
    close_unless_none(&f->faults);
}

static int map(struct frame *f, bool writable) {
    size_t bytes = bytes_of(f);
    if (ftruncate(f->file, (off_t)bytes)) return errno;
    void *at = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, f->file, 0);
    if (at == MAP_FAILED) return errno;
    f->address = (uintptr_t)at;
    madvise(at, bytes, MADV_DONTFORK);
    return faults_watch(f->faults, f->address, bytes);
}

int frame_open(struct frame *f, uint32_t pages, bool writable) {
    *f = (struct frame){.pages = pages, .file = -1, .faults = -1};
    int file = memfd_create("weft-scif-map", MFD_CLOEXEC), err = file < 0 ? errno : 0;
    if (!err) f->file = descriptor_hide(file);
    int faults = err ? -1 : faults_open(&f->in_system_calls);
    if (!err && faults < 0) err = -faults;
    if (!err) f->faults = descriptor_hide(faults);
    if (!err) err = map(f, writable);
    if (err) frame_discard(f);
    return err;
}

void frame_discard(struct frame *f) {
    if (f->address) {
        faults_unwatch(f->faults, f->address, bytes_of(f)); /* nobody would read that it is unmapped */
        munmap((void *)f->address, bytes_of(f));
    }
    frame_close(f);
}

void frame_lose(struct frame *f) {
    (void)!ftruncate(f->file, 0);
    faults_wake_all(f->faults);
    frame_close(f);
}
