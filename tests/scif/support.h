/* What many cases need: connections, child processes, threads that block, memory with a pattern. */
#ifndef SCIFTEST_SUPPORT_H
#define SCIFTEST_SUPPORT_H

#include "frame.h"
#include <pthread.h>
#include <stdatomic.h>

/* The granularity of registration (guide 3.5). */
#define PAGE 4096ul
/* No longer than this for what has to come soon: half of what a case may take; a hang is ended by the frame.
 */
int soon_ms(void);

/* ---- Endpoints ---- */

/* The id of the own node. */
uint16_t own_node(void);
/* A listener on a port that the library chose; *at tells where. */
scif_epd_t listener(struct scif_portID *at, int backlog);
/* The sides of one connection: the right one listens and tells, the left one connects. t->self, t->peer are
 * set. */
scif_epd_t connect_pair(struct sciftest *t);
/* Both ends in this process: e[0] connected, e[1] was accepted. */
void connect_loop(scif_epd_t e[2]);
/* Binds to a port that most probably nobody else asks for, even when it is free: unlike those that
 * scif_bind(epd, 0) gives. */
int bind_some(scif_epd_t epd);
/* Accepts one connection, blocking; peer may be NULL. */
scif_epd_t accept_one(scif_epd_t listener, struct scif_portID *peer);
void set_nonblocking(int fd, bool on);
/* Waits until scif_poll() gives one of these events, and returns what it gives. */
short poll_until(scif_epd_t epd, short events, short wanted);
/* The same with poll(). */
short raw_poll_until(int fd, short events, short wanted);
/* Sends or receives exactly this, blocking. */
void send_all(scif_epd_t epd, const void *data, int bytes);
void receive_all(scif_epd_t epd, void *data, int bytes);
/* Sends without blocking until nothing more fits; returns how many bytes went. They continue pattern `seed`.
 */
int fill_queue(scif_epd_t epd, uint32_t seed);
/* The peer has closed: waits until this end knows. */
void await_hangup(scif_epd_t epd);

/* Leaves this process no free descriptor; what is used up is of file fd. Closing all of spare[] makes room
 * again for an endpoint and for what else an implementation opens with it. */
enum { SPARE_FILES = 16 };
void use_up_descriptors(int spare[SPARE_FILES], int fd);

/* ---- Memory ---- */

/* Fresh private pages, zero. */
void *new_pages(size_t n);
/* n pages without anything mapped there, between two others. */
void *hole(size_t n);
void fill_pattern(void *p, size_t bytes, uint32_t seed);
bool has_pattern(const void *p, size_t bytes, uint32_t seed);
/* The pattern as a stream: bytes from `at` on. */
void fill_pattern_at(void *p, size_t at, size_t bytes, uint32_t seed);
bool has_pattern_at(const void *p, size_t at, size_t bytes, uint32_t seed);
/* Registers pages where the library chooses, for reading and writing. */
off_t register_pages(scif_epd_t epd, void *p, size_t n);
/* Waits, by loads only, until the word has this value. */
void spin_until(const volatile uint64_t *word, uint64_t value);

/* ---- Child processes of a side ---- */

struct child {
    pid_t pid;
    int line; /* to the child or, in it, to the parent */
};
typedef void child_main(struct sciftest *t, struct child *c);
/* Forks; the child runs `run` and exits with 0. It may use the sides' channel while its parent does not. */
void child_start(struct child *c, struct sciftest *t, child_main *run);
/* A step of the other one: one byte over the line. */
void child_say(struct child *c);
void child_hear(struct child *c);
void child_stop(const struct child *c); /* it stands still when this returns */
/* Waits for its end, which has to be by exit(0). */
void child_join(struct child *c);
/* Waits for its end, which has to be by this signal. */
void child_join_signal(struct child *c, int sig);
/* ---- Threads that make a blocking call ---- */

struct worker {
    pthread_t thread;
    _Atomic pid_t tid;
    atomic_bool done;
    long (*call)(struct worker *w);
    scif_epd_t epd;
    void *data;
    size_t bytes;
    int flags;
    long result;
    int error;
};
void worker_start(struct worker *w);
/* Waits until the thread sleeps in the kernel, or a while: afterwards the call most probably blocks. */
void worker_asleep(struct worker *w);
/* Sends it SIGUSR1, of which the handler does nothing, until its call returns; then as worker_join(). */
void worker_interrupt(struct worker *w);
void worker_join(struct worker *w);
long worker_send(struct worker *w);
long worker_recv(struct worker *w);
long worker_accept(struct worker *w);  /* data: the new epd */
long worker_connect(struct worker *w); /* data: the port id */

#endif
