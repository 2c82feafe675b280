#include "scif/warm.h"
#include "scif/door.h"
#include "scif/intercept.h"
#include "scif/protocol.h"
#include "scif/watch.h"

#include <errno.h>
#include <sys/socket.h>

#define LEAST 4096u                 /* what a transfer takes beside its bytes, in bytes */
#define UP_TO (UINT64_C(256) << 20) /* RMAs wait while it is moved, 1 ms for each MiB */

static void suggest(const struct scif_windows *w, const struct scif_piece *p) {
    struct scif_question q = {w->name, p->offset, p->bytes, SCIF_QUESTION_MOVE, 0};
    struct scif_record r = {.data = &q, .bytes = sizeof q};
    int kept = errno, to = door_fetch(w, p->owner);
    if (to >= 0) {
        (void)scif_record_send(to, &r, MSG_DONTWAIT);
        close_descriptor(to);
    }
    errno = kept;
}

static void warm_piece(struct space *s, const struct scif_piece *p, uint64_t n) {
    if (p->kind != PIECE_PINNED || p->bytes > UP_TO) return;
    if (space_is_hot(s, p, n < LEAST ? LEAST : n)) suggest(s->table, p);
}

/* A window may be in several pieces: of memory of which a part was moved before. */
void warm_window(struct space *s, uint64_t offset, uint64_t n) {
    struct scif_piece p;
    unsigned version;
    if (table_seems_to_be_in_file(s->table, offset, n)) return;
    for (uint64_t end = offset + n; offset < end; offset = p.offset + p.bytes) {
        if (!table_look_up(s->table, offset, &p, &version)) return;
        uint64_t to = p.offset + p.bytes < end ? p.offset + p.bytes : end;
        warm_piece(s, &p, to - offset);
    }
}
