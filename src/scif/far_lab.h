/* For tests of a service against another one of its cluster that keeps to no rules: two daemons in run
 * directories of their own, as on two hosts, the service of node 0, this test in the place of a program
 * there, and in that of the service of node 1. */
#ifndef WEFT_SCIF_FAR_LAB_H
#define WEFT_SCIF_FAR_LAB_H
#include "base/clock.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/path.h"
#include "base/test.h"
#include "node/client.h"
#include "node/daemon.h"
#include "node/protocol.h"
#include "scif/layout.h"
#include "scif/protocol.h"
#include "scif/service/far.h"

#include <pthread.h>

#define ON_MESSAGE 1    /* handler of all messages */
#define PORT       2000 /* at which the program listens */
#define LONG_NS    (20 * WEFT_NS_PER_S * TEST_SLOWDOWN)

/* ---- Of a group, and of each test ---- */
int group_setup(void **state);
int group_teardown(void **state);
int setup(void **state);
int teardown(void **state);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- Daemons ---- */
struct host {
    char dir[64];
    struct node_daemon *d;
    pthread_t thread;
};
extern struct host host[3]; /* the third is not up */
extern char join[NODE_JOIN_TEXT_MAX], service[WEFT_PATH_MAX];
void up(struct host *h, const char *to);
void down(struct host *h);

/* ---- The program ---- */
extern int line;
extern uint64_t listener, accepted; /* the last one */
void open_line(void);
/* Its descriptors are the caller's. */
int ask(struct scif_request q, struct scif_answer *a, int *fd, int fds);
void close_all(int *fd, int n);
bool hangs_up(int fd);
/* A line of its own for RMAs, `writer`; a write of `accepted`, or a fence; and its answer. */
extern int writer;
extern struct scif_stage_words *writer_words; /* of its stage */
void open_writer(void);
void request(uint32_t block, uint32_t needs, uint32_t bytes);
struct scif_rma_answer answer_to(uint32_t block);
/* One for pages; and a window in a file, of PAGES, which is shared from now on: the line for that. */
#define SHARED_AT (2u << 20)
#define PAGES     256u
int open_pages_line(void);
int share_window(const int fd[5]);

/* ---- The other service ---- */
struct other {
    struct ep *ep;
    struct node_client *client;
    struct ep_peer *peer;
    int down;                                       /* how the peer went; 0: it is up */
    uint8_t op, rest[FAR_HEADER_MAX];               /* the last message */
    uint8_t op_before, rest_before[FAR_HEADER_MAX]; /* the one before it */
    unsigned got;
};
extern struct other other;
/* Until there is something, or for a moment: the service may have news of another kind. */
void turn(void);
/* The next message, the next two, which may come at once, or what comes until then; the end of all. */
void await_op(enum far_op op);
void await_ops(enum far_op first, enum far_op second);
void await_last(enum far_op op);
void await_page_of(enum share_kind kind);
void await_down(int status);
void say(const struct weft_writer *w, const void *data, size_t bytes);
/* A message with fields of these sizes; a letter each: b 1, h 2, w 4, l 8 bytes. */
void tell(enum far_op op, uint32_t id, const char *sizes, const uint64_t *field);
#define TELL(op, id, sizes, ...) tell(op, id, sizes, (const uint64_t[]){__VA_ARGS__})
/* Connects to the service. */
void reach(void);
void ask_to_connect(uint32_t id, uint16_t port);
/* An accepted connection; the program's descriptors: its end, the library's, memory, the peer's memory and
 * end. */
void make_connection(uint32_t id, int fd[5]);
/* What MAPPED says. */
unsigned map_window_for(uint32_t number, uint32_t pages, int prot);
/* It has answered: what it would have said before has come. */
void nothing_comes(void);
/* After a breach: to another peer. */
void still_serves(void);

#endif
