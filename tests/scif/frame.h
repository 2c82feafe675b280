/* Frame of the SCIF conformance suite: cases of two sides, "left" and "right", each a fresh process, maybe on
 * different hosts, that synchronise over a control channel of the frame's own and never over SCIF.
 *
 * One side process is forked per case by a server (serve.c), of which there is one per side; the runner
 * (run.c) starts both servers, relays between the sides and judges. Nothing of SCIF is called before a side
 * process is forked. */
#ifndef SCIFTEST_FRAME_H
#define SCIFTEST_FRAME_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <scif.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sciftest;
typedef void sciftest_side(struct sciftest *t);

/* Names are `function__what_happens`; cite is a section of the SCIF User Guide ("guide 3.5.2") or a row of
 * docs/SCIF.md
 * ("contract: scif_send"). right is NULL for a case of one side only. */
struct sciftest_case {
    const char *name, *cite;
    sciftest_side *left, *right;
    long arg; /* what cases that share their functions differ in */
};

/* What a side function gets. */
struct sciftest {
    const struct sciftest_case *c;
    long arg;
    bool is_left;
    struct scif_portID self, peer; /* set by connect_pair() */
};

/* One file of cases. */
struct sciftest_area {
    const char *name;
    const struct sciftest_case *cases;
    unsigned n;
};
#define SCIFTEST_AREA(area, list)                                                                            \
    const struct sciftest_area area = {#area, list, sizeof list / sizeof list[0]}

/* ---- Between the sides ---- */

/* Returns when the other side has called it, too. */
void meet(struct sciftest *t);
/* Hands at most SCIFTEST_TELL_MAX bytes to the other side, which has to hear() as many. */
void tell(struct sciftest *t, const void *value, size_t bytes);
void hear(struct sciftest *t, void *value, size_t bytes);
#define SCIFTEST_TELL_MAX 4096

/* ---- Verdicts: each ends the process; any thread and any forked child of a side may give them ---- */

_Noreturn void sciftest_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void sciftest_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line for the reader of the results. */
void sciftest_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Where a side is: reported when it hangs or crashes. */
void sciftest_at(const char *file, int line);

/* ---- Checks ---- */

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        sciftest_at(__FILE__, __LINE__);                                                                     \
        if (!(cond)) sciftest_fail(__FILE__, __LINE__, "%s does not hold", #cond);                           \
    } while (0)
#define CHECK_EQ(a, b)                                                                                       \
    do {                                                                                                     \
        sciftest_at(__FILE__, __LINE__);                                                                     \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                  \
        if (a_ != b_) sciftest_fail(__FILE__, __LINE__, "%s is %lld, must be %s = %lld", #a, a_, #b, b_);    \
    } while (0)
/* The call succeeds; gives its value. */
#define OK(call)                                                                                             \
    (sciftest_at(__FILE__, __LINE__), sciftest_must_succeed(__FILE__, __LINE__, #call, (long)(call)))
/* The call returns -1 and sets errno to this. */
#define FAILS(call, error)                                                                                   \
    do {                                                                                                     \
        sciftest_at(__FILE__, __LINE__);                                                                     \
        errno = 0;                                                                                           \
        long got_ = (long)(call);                                                                            \
        sciftest_must_fail(__FILE__, __LINE__, #call, got_, errno, error, #error);                           \
    } while (0)

long sciftest_must_succeed(const char *file, int line, const char *call, long got);
void sciftest_must_fail(const char *file, int line, const char *call, long got, int error, int want,
                        const char *want_name);

/* ---- Used by the runner and the servers only ---- */

enum sciftest_frame_type {
    FRAME_HELLO = 1, /* server: ready; its number of cases */
    FRAME_RUN,       /* runner: fork the side of the case of this name */
    FRAME_KILL,      /* runner: end it */
    FRAME_MEET,      /* side to side */
    FRAME_TELL,
    FRAME_FAIL, /* side: a text for the reader */
    FRAME_SKIP,
    FRAME_NOTE,
    FRAME_ENDED, /* server: struct sciftest_ended */
};

struct sciftest_frame {
    uint32_t magic, type, bytes;
    char data[SCIFTEST_TELL_MAX];
};
#define SCIFTEST_MAGIC      0x5c1f7e57u
#define SCIFTEST_FRAME_HEAD offsetof(struct sciftest_frame, data)

struct sciftest_ended {
    int32_t status; /* of waitpid() */
    char where[64]; /* the last check that was begun */
};

/* The place that a side shares with its server. */
struct sciftest_place {
    const char *volatile file;
    volatile int line;
};

/* Becomes a side: runs the case and exits. `channel` is a SOCK_SEQPACKET socket to the server. */
_Noreturn void sciftest_side_main(const struct sciftest_case *c, bool is_left, int channel,
                                  struct sciftest_place *place);
/* Forks sides on demand until the runner goes away. */
int sciftest_serve(int in, int out, bool is_left);
int sciftest_write_frame(int fd, uint32_t type, const void *data, size_t bytes);
/* 1, 0 at the end of the stream, -1 if what comes is no frame. */
int sciftest_read_frame(int fd, struct sciftest_frame *f);

/* Skipped where there is no fabric; not one of the cases. */
extern const struct sciftest_case sciftest_probe;
const struct sciftest_case *sciftest_find(const char *name);
extern const struct sciftest_area *const sciftest_areas[];
extern const unsigned sciftest_n_areas;

struct sciftest_options {
    const char *right;      /* command that starts the right server; NULL: forked */
    char *const *selection; /* parts of names */
    int n_selection;
    unsigned limit_s;
};
int sciftest_run(const struct sciftest_options *o);

#endif
