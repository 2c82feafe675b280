/* Looking for an answer of another service instead of sleeping until it comes. That saves the wake-up of this
 * one, which is a good part of what a page takes; but whoever looks has a processor that others may want. So
 * it is done only while it pays: as long as most answers come within the time, and while there is a processor
 * for each thread that wants one. No I/O, no clock. */
#ifndef WEFT_SCIF_SERVICE_LOOK_H
#define WEFT_SCIF_SERVICE_LOOK_H
#include <stdbool.h>
#include <stdint.h>

#define LOOK_NS          UINT64_C(150000)  /* for one answer, at most */
#define LOOK_LOST_NS     UINT64_C(200000)  /* between two looks: another thread had the processor */
#define LOOK_ROOM_NS     UINT64_C(1000000) /* that what is known of the processors counts */
#define LOOK_CROWDED     3u /* so many times in a row: once may be those that the exchange itself wakes up */
#define LOOK_PENALTY_MAX 1024u

struct look {
    uint64_t until_ns, looked_ns; /* until_ns 0: nothing is looked for */
    uint64_t known_at_ns;         /* when it was last counted who wants a processor; 0: never */
    unsigned crowded;             /* how often in a row, by now, more did than there are */
    unsigned penalty, rest;       /* so many answers the next failure costs; that are still slept for */
};

/* Whether look_know() is to be called before look_begin(). */
bool look_asks(const struct look *l, uint64_t now_ns);
/* running: threads that run or wait for a processor, this one too; 0: it is not known. */
void look_know(struct look *l, unsigned running, unsigned processors, uint64_t now_ns);

void look_begin(struct look *l, uint64_t now_ns); /* an answer is expected */
void look_end(struct look *l);                    /* it has come */
bool look_goes_on(struct look *l, uint64_t now_ns);

#endif
