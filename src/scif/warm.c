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

void warm_window(struct space *s, uint64_t offset, uint64_t n) {
    struct scif_piece p;
    unsigned version;
    if (!table_look_up(s->table, offset, &p, &version) || p.kind != PIECE_PINNED) return;
    if (n < LEAST) n = LEAST;
    if (p.bytes <= UP_TO && space_is_hot(s, &p, n)) suggest(s->table, &p);
}
