#include "scif/sharer.h"

#include "scif/intercept.h"
#include "scif/line.h"
#include "scif/mover.h"
#include "scif/sharer_ask.h"
#include "scif/watch.h"

#include <errno.h>
#include <sys/socket.h>

static int ask_out = -1;

/* With whatever it takes to start the service. */
static int open_line(int *out) {
    struct scif_request q = {.op = SCIF_OP_PAGES};
    struct scif_answer a = {.error = EPROTO};
    struct scif_record to = {.data = &q, .bytes = sizeof q}, from = {.data = &a, .bytes = sizeof a};
    int fd = line_open();
    if (fd < 0) return -fd;
    int err = -scif_record_send(fd, &to, 0);
    if (!err) err = -scif_record_receive(fd, &from, 0);
    if (!err) err = a.error;
    if (!err) *out = fd;
    if (err) close_descriptor(fd);
    return err;
}

static int await(int reply, struct told *t) {
    ssize_t n;
    do n = recv(reply, t, sizeof *t, 0);
    while (n < 0 && errno == EINTR);
    (void)atomic_load(&sharer_answers);
    return n == sizeof *t ? t->error : ENOMEM;
}

static int ask(struct ask *a, uintptr_t *address) {
    struct told t = {0};
    int pair[2], spare = -1, err = watch_start();
    if (!err && !atomic_load(&sharer_has_line)) err = open_line(&spare);
    if (!err && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) err = errno;
    if (!err) {
        struct scif_record r = {
            .data = a, .bytes = sizeof *a, .fd = {pair[1], spare}, .fds = spare < 0 ? 1 : 2};
        err = -scif_record_send(ask_out, &r, 0);
        close_descriptor(pair[1]);
        if (!err) err = await(pair[0], &t);
        close_descriptor(pair[0]);
    }
    if (spare >= 0) close_descriptor(spare);
    if (address) *address = t.address;
    return err;
}

int sharer_open(void) {
    static _Atomic pid_t done;
    if (atomic_load(&done) == line_process()) return 0;
    int err = mover_start();
    if (!err) err = ask(&(struct ask){.kind = ASK_OPEN}, NULL);
    atomic_store(&done, line_process()); /* it is not tried again */
    return err ? ENOMEM : 0;
}

int sharer_map(uint64_t endpoint, uint64_t offset, uint64_t bytes, int prot, uintptr_t *out) {
    return ask(
        &(struct ask){.kind = ASK_MAP, .endpoint = endpoint, .offset = offset, .bytes = bytes, .prot = prot},
        out);
}

int sharer_join(const struct sharer_part *part) {
    return ask(&(struct ask){.kind = ASK_JOIN, .part = *part}, NULL);
}

void sharer_shown(const struct scif_pages *answer) {
    (void)ask(&(struct ask){.kind = ASK_SHOWN, .shown = *answer}, NULL);
}

/* ---- Start, fork ---- */
int sharer_start(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    sharer_turn_start(descriptor_hide(pair[0]));
    ask_out = descriptor_hide(pair[1]);
    return 0;
}

void sharer_forget(void) {
    if (ask_out >= 0) close_descriptor(ask_out);
    ask_out = -1;
    sharer_turn_forget();
}
