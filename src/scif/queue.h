/* The queue of one direction of a connection: bytes in shared memory, one sender, one receiver (each under a
 * lock of its side), and marks in sockets, so that poll() on the descriptors of both tells the truth without
 * a system call for each message.
 *
 * An endpoint X has a pair of sockets: its outer one is the descriptor that the program holds, its inner one
 * is held by X's library, by the peer's, and by the service. A byte from an inner socket makes the outer one
 * readable: QUEUE_MARK_SET in `some`. A stuffed outer socket is not writable: QUEUE_MARK_SET in `full`. Both
 * marks are set by one side and taken back by the other, with no lock between the two: each looks again at
 * the queue after it has changed a mark. A receiver that looks at the queue by itself says so in `receiving`
 * and gets no byte; when it stops it sets the mark for what is left. */
#ifndef WEFT_SCIF_QUEUE_H
#define WEFT_SCIF_QUEUE_H
#include "scif/layout.h"

#include <stdbool.h>
#include <stddef.h>

/* Copies what there is room for, or what is there; how much. */
size_t queue_put(struct scif_shared *q, const void *from, size_t n);
size_t queue_get(struct scif_shared *q, void *to, size_t n);
bool queue_empty(const struct scif_queue *q);
bool queue_has_room(const struct scif_queue *q);

/* The same for the service in the place of a sender on another host: it shows bytes later than it puts them
 * there. False: there is no room for them. */
bool queue_place(struct scif_shared *q, unsigned at, const void *from, size_t n);
void queue_show(struct scif_queue *q, unsigned head); /* what is before `head` */

/* ---- The sender's side; inner: the receiver's, outer_own, inner_own: its own sockets ---- */
/* After queue_put. False: the receiver's outer socket is closed. */
bool queue_tell(struct scif_queue *q, int inner);
/* If there is no room left. */
void queue_mark_full(struct scif_queue *q, int outer_own, int inner_own);
/* Marks it until the receiver takes more than up to `seen`. False: it has. */
bool queue_mark_until_taken(struct scif_queue *q, unsigned seen, int outer_own, int inner_own);

/* ---- The receiver's side ---- */
/* After queue_get; inner: the sender's. */
void queue_unmark_full(struct scif_queue *q, int inner);
/* If the queue is empty. False: something has come meanwhile, which may have to be marked. */
bool queue_unmark(struct scif_queue *q, int outer_own);

/* ---- The same for a receiver that takes bytes before it gives their room back: one that passes them on ----
 */
/* Copies what follows `from`, a position that was reached before; how much. */
size_t queue_peek(const struct scif_shared *q, unsigned from, void *to, size_t n);
/* Gives back the room of what is before `tail`; inner: the sender's. */
void queue_release(struct scif_queue *q, unsigned tail, int inner);
/* If nothing follows `from`. A receiver that is told by edges has to look again unless it is unmarked. */
enum queue_unmarked {
    QUEUE_UNMARKED,
    QUEUE_MORE,      /* something follows */
    QUEUE_MARK_STAYS /* the sender, which is just setting it, does not get on */
};
enum queue_unmarked queue_unmark_after(struct scif_queue *q, unsigned from, int outer_own);
/* If it is not, and nobody looks at it any more. */
void queue_mark(struct scif_queue *q, int inner_own);

/* ---- A process of one side has ended, in the middle of anything; others of that side go on ---- */
/* inner: the receiver's, sender: the sender's inner one. had_turn: nobody else has received since. */
void queue_receiver_ended(struct scif_queue *q, unsigned process, bool had_turn, int inner, int sender);
void queue_sender_ended(struct scif_queue *q, unsigned process, int inner, int sender);

/* ---- Sockets ---- */
void queue_stuff(int outer); /* not writable until its inner one is drained */
void queue_drain(int inner);
bool queue_is_closed(int inner); /* all descriptors of the outer one are */

#endif
