/* The other process of weft bench scif: it does what it is told until the first one is gone. */
#include "base/clock.h"
#include "cli/bench/process.h"
#include "cli/bench/scif_order.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_WRITE (SCIF_PROT_READ | SCIF_PROT_WRITE)

const char *const scif_order_calls[SCIF_ORDERS] = {
    [SCIF_ORDER_LISTEN] = "scif_listen",           [SCIF_ORDER_REGISTER] = "scif_register",
    [SCIF_ORDER_UNREGISTER] = "scif_unregister",   [SCIF_ORDER_REGISTER_LINES] = "scif_register",
    [SCIF_ORDER_REGISTER_FRESH] = "scif_register", [SCIF_ORDER_DROP_FRESH] = "scif_unregister",
};

struct other {
    struct scif_pair *pair;
    scif_epd_t listener;
    uint8_t *fresh;
};

static int listen_somewhere(struct other *t, struct scif_report *r) {
    t->listener = scif_open();
    int port = t->listener < 0 ? -1 : scif_bind(t->listener, 0);
    if (port < 0 || scif_listen(t->listener, 1)) return errno;
    r->at.port = (uint16_t)port;
    return scif_get_nodeIDs(NULL, 0, &r->at.node) < 0 ? errno : 0;
}

static int accept_one(struct other *t) {
    struct scif_portID peer;
    int rc = scif_accept(t->listener, &peer, &t->pair->epd, SCIF_ACCEPT_SYNC);
    return rc ? errno : (scif_close(t->listener), 0);
}

static int register_memory(struct other *t, void *memory, uint64_t size, struct scif_report *r) {
    r->offset = scif_register(t->pair->epd, memory, scif_pages_bytes(size), 0, READ_WRITE, 0);
    return r->offset < 0 ? errno : 0;
}

static int register_fresh(struct other *t, uint64_t size, struct scif_report *r) {
    t->fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->fresh == MAP_FAILED) return errno;
    memset(t->fresh, 1, size);
    int err = register_memory(t, t->fresh, size, r);
    if (err) munmap(t->fresh, size);
    return err;
}

static int unregister(struct other *t, const struct scif_order *o) {
    return scif_unregister(t->pair->epd, o->offset, scif_pages_bytes(o->size)) ? errno : 0;
}

static int drop_fresh(struct other *t, const struct scif_order *o) {
    int err = unregister(t, o);
    munmap(t->fresh, o->size);
    return err;
}

static void echo(struct other *t, uint64_t count) {
    uint64_t word;
    while (count-- && scif_recv(t->pair->epd, &word, sizeof word, SCIF_RECV_BLOCK) == sizeof word)
        if (scif_send(t->pair->epd, &word, sizeof word, SCIF_SEND_BLOCK) != sizeof word) return;
}

static void answer_lines(struct scif_lines *l, uint32_t turn, uint64_t count) {
    while (count--) {
        turn++;
        while (atomic_load_explicit(&l->there, memory_order_acquire) != turn) weft_cpu_relax();
        atomic_store_explicit(&l->back, turn, memory_order_release);
    }
}

/* False: nobody waits for a report. */
static bool obey(struct other *t, const struct scif_order *o, struct scif_report *r) {
    struct scif_pair *p = t->pair;
    switch (o->what) {
    case SCIF_ORDER_LISTEN: r->error = listen_somewhere(t, r); return true;
    case SCIF_ORDER_REGISTER: r->error = register_memory(t, p->theirs[o->kind], o->size, r); return true;
    case SCIF_ORDER_UNREGISTER: r->error = unregister(t, o); return true;
    case SCIF_ORDER_REGISTER_LINES: r->error = register_memory(t, p->lines, sizeof *p->lines, r); return true;
    case SCIF_ORDER_REGISTER_FRESH: r->error = register_fresh(t, o->size, r); return true;
    case SCIF_ORDER_DROP_FRESH: r->error = drop_fresh(t, o); return true;
    case SCIF_ORDER_ACCEPT: accept_one(t); return false;
    case SCIF_ORDER_ECHO: echo(t, o->count); return false;
    default: answer_lines(p->lines, o->turn, o->count); return false;
    }
}

_Noreturn void scif_other_main(struct scif_pair *p, const struct bench_options *o) {
    struct other t = {.pair = p, .listener = -1};
    struct scif_order order;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when it waits for a turn that never comes */
    if (o->pin) bench_process_pin(o->cpu[1]);
    for (int k = 0; k < SCIF_KINDS; k++) memset(p->theirs[k], 1, p->bytes);
    memset(p->lines, 0, sizeof *p->lines);
    while (recv(p->control, &order, sizeof order, 0) == sizeof order) {
        struct scif_report r = {0};
        if (obey(&t, &order, &r) && send(p->control, &r, sizeof r, MSG_NOSIGNAL) != sizeof r) break;
    }
    _exit(0);
}
