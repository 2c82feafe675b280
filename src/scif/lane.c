#include "scif/lane.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIPE_ROOM (256 << 10)

static _Thread_local struct lane own = {-1, -1, -1, 0};
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void close_pipe(struct lane *l) {
    if (l->in >= 0) close_descriptor(l->in);
    if (l->out >= 0) close_descriptor(l->out);
    l->in = l->out = -1;
}

static void close_all(void *lane) {
    struct lane *l = lane;
    close_pipe(l);
    if (l->stage >= 0) close_descriptor(l->stage);
    l->stage = -1;
}

static void make_key(void) { (void)pthread_key_create(&at_end, close_all); }

static bool open_pipe(struct lane *l) {
    int fd[2];
    if (pipe2(fd, O_CLOEXEC)) return false;
    l->out = descriptor_hide(fd[0]);
    l->in = descriptor_hide(fd[1]);
    (void)fcntl(l->in, F_SETPIPE_SZ,
                PIPE_ROOM); /* more at once; a user who has many pipes is not allowed to */
    return true;
}

static bool open_stage(struct lane *l) {
    int fd = memfd_create("scif-stage", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, LANE_STAGE_BYTES)) {
        close_descriptor(fd);
        fd = -1;
    }
    l->stage = fd < 0 ? -1 : descriptor_hide(fd);
    return fd >= 0;
}

struct lane *lane_get(void) {
    struct lane *l = &own;
    int kept = errno;
    if (l->of != line_process()) close_all(l); /* the parent's */
    l->of = line_process();
    if (l->in >= 0 && l->stage >= 0) return l;
    pthread_once(&once, make_key);
    pthread_setspecific(at_end, l);
    bool good = (l->in >= 0 || open_pipe(l)) && (l->stage >= 0 || open_stage(l));
    errno = kept;
    return good ? l : NULL;
}

void lane_reset(struct lane *l) {
    int kept = errno;
    close_pipe(l);
    errno = kept;
}
