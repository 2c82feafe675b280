/* What the files that the service shares with the library ask of the process that they are in. */
#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/pages.h"
#include "scif/space.h"

#include <unistd.h>

int close_descriptor(int fd) { return close(fd); }
int descriptor_hide(int fd) { return fd; }
/* It is asked for with every RMA. Nothing asks before the service is a process of its own. */
pid_t line_process(void) {
    static pid_t own;
    if (!own) own = getpid();
    return own;
}

/* It serves others too, and other hosts hold it for lost after two seconds. A window is moved in less. */
uint64_t ring_patience_ns(void) { return UINT64_C(1500000000); }

/* Of its own files it is the home (homes.c). */
int space_shared(const struct scif_file *said, struct file *f, uint64_t at, uint64_t bytes,
                 unsigned char **memory) {
    *memory = NULL;
    return 0;
}

/* Only its own memory is asked about. */
bool memory_allows(uintptr_t address, size_t bytes, bool to_write) { return true; }
