/* scif_event_register(): a thread of its own has a line to the service, which says on it which nodes are
 * there whenever that changes; what is new is told to the handlers. */
#include <weft/scif_ext.h>

#include "base/log.h"
#include "scif/api.h"
#include "scif/extensions.h"
#include "scif/intercept.h"
#include "scif/line.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct handler {
    struct handler *next;
    scif_callback_t call;
    void *context;
    bool gone; /* unregistered while handlers are called: freed after that */
};

struct nodes { /* in ascending order */
    uint16_t id[SCIF_NODES_MAX];
    size_t count;
    uint16_t self;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rests = PTHREAD_COND_INITIALIZER;
static struct handler *handlers;
static pthread_t thread;
static bool running, calling; /* calling: the thread is in a handler */

void events_before_fork(void) { pthread_mutex_lock(&lock); }
void events_after_fork(bool in_child) {
    if (in_child) {
        handlers = NULL; /* and the thread is not there */
        running = calling = false;
    }
    pthread_mutex_unlock(&lock);
}

/* ---- Telling ---- */
static void collect(void) {
    for (struct handler **at = &handlers; *at;) {
        struct handler *h = *at;
        if (h->gone) {
            *at = h->next;
            free(h);
        } else
            at = &h->next;
    }
}

/* With the lock, but for the calls themselves. Who registers meanwhile is not told of this any more: new ones
 * come first in the list. */
static void tell(enum scif_event event, uint16_t node) {
    calling = true;
    for (struct handler *h = handlers; h; h = h->next) {
        if (h->gone) continue;
        pthread_mutex_unlock(&lock);
        h->call(event, node, h->context);
        pthread_mutex_lock(&lock);
    }
    calling = false;
    collect();
    pthread_cond_broadcast(&rests);
}

static bool has(const struct nodes *n, uint16_t id) {
    for (size_t i = 0; i < n->count; i++)
        if (n->id[i] == id) return true;
    return false;
}

static void tell_difference(const struct nodes *before, const struct nodes *now) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < before->count; i++)
        if (before->id[i] != now->self && !has(now, before->id[i])) tell(SCIF_NODE_REMOVED, before->id[i]);
    for (size_t i = 0; i < now->count; i++)
        if (now->id[i] != now->self && !has(before, now->id[i])) tell(SCIF_NODE_ADDED, now->id[i]);
    pthread_mutex_unlock(&lock);
}

/* ---- Listening ---- */
static int hear(int line, struct nodes *out) {
    struct {
        struct scif_answer head;
        uint16_t id[SCIF_NODES_MAX];
    } in;
    struct scif_record r = {.data = &in, .bytes = sizeof in};
    int err = scif_record_receive(line, &r, 0);
    while (!err && r.fds) close_descriptor(r.fd[--r.fds]);
    if (!err && (r.bytes < sizeof in.head || in.head.error)) err = -EPROTO;
    if (err) return -err;
    out->self = in.head.peer.node;
    out->count = (r.bytes - sizeof in.head) / sizeof *in.id;
    memcpy(out->id, in.id, out->count * sizeof *in.id);
    return 0;
}

struct start {
    int line;
    struct nodes known;
};

/* When the service ends, so has the node's daemon: all others are lost. */
static void *listen_for_news(void *arg) {
    struct start *s = arg;
    struct nodes *now = malloc(sizeof *now);
    while (now && !hear(s->line, now)) {
        tell_difference(&s->known, now);
        s->known = *now;
    }
    if (now) {
        now->self = s->known.self;
        now->count = 0;
        tell_difference(&s->known, now);
    }
    close_descriptor(s->line);
    free(now);
    free(s);
    pthread_mutex_lock(&lock);
    running = false; /* whoever registers next begins anew */
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int ask_for_news(struct start *s) {
    struct scif_request q = {.op = SCIF_OP_NEWS};
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    s->line = line_open();
    if (s->line < 0) return -s->line;
    if (!scif_record_send(s->line, &r, 0) && !hear(s->line, &s->known)) return 0;
    close_descriptor(s->line);
    return ENXIO;
}

static int start_thread(void) {
    struct start *s = malloc(sizeof *s);
    int err = s ? ask_for_news(s) : ENOMEM;
    if (err) {
        free(s);
        return err;
    }
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    err = pthread_create(&thread, NULL, listen_for_news, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err) {
        pthread_detach(thread);
        running = true;
        return 0;
    }
    close_descriptor(s->line);
    free(s);
    return ENOMEM;
}

/* ---- Calls ---- */
EXPORT int scif_event_register(scif_callback_t handler, void *context) {
    API_CALL;
    struct handler *h = handler ? malloc(sizeof *h) : NULL;
    uint16_t self;
    int kept = errno, err = !handler ? EINVAL : h ? 0 : ENOMEM;
    if (!err && scif_get_nodeIDs(NULL, 0, &self) < 0)
        err = errno; /* the library is prepared for fork() then */
    pthread_mutex_lock(&lock);
    if (!err && !running) err = start_thread();
    if (!err) {
        *h = (struct handler){handlers, handler, context, false};
        handlers = h;
    }
    pthread_mutex_unlock(&lock);
    if (err) free(h);
    errno = err ? err : kept;
    return err ? -1 : 0;
}

EXPORT int scif_event_unregister(scif_callback_t handler, void *context) {
    API_CALL;
    pthread_mutex_lock(&lock);
    struct handler *h = handlers;
    while (h && (h->gone || h->call != handler || h->context != context)) h = h->next;
    bool itself = running && calling && pthread_equal(thread, pthread_self());
    if (h && !itself) {
        h->gone = true;
        while (calling) pthread_cond_wait(&rests, &lock);
        collect();
    }
    pthread_mutex_unlock(&lock);
    return itself ? api_failed(EDEADLK) : h ? 0 : api_failed(EINVAL);
}
