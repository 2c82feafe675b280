/* What the two sides of a step say to each other, over the connection itself. */
#include "stress.h"
#include <poll.h>
#include <string.h>

/* In pieces, some of which do not block. */
static void move(struct connection *c, char *data, int bytes, bool sends) {
    while (bytes) {
        int piece = bytes > 1 && random_chance(&c->random, 2)
                        ? 1 + (int)random_below(&c->random, (unsigned)bytes)
                        : bytes;
        bool blocks = piece & 1; /* both sides draw the same, whatever each call does */
        for (int done = 0; done < piece; blocks = true) {
            int n = sends ? scif_send(c->epd, data + done, piece - done, blocks ? SCIF_SEND_BLOCK : 0)
                          : scif_recv(c->epd, data + done, piece - done, blocks ? SCIF_RECV_BLOCK : 0);
            bool ends_early = blocks && n >= 0 && n < piece - done;
            if ((n < 0 && errno == ECONNRESET) || ends_early) actor_lost(c);
            if (n < 0 || n > piece - done)
                actor_fail(c, "%s of %d bytes gives %d: %s", sends ? "scif_send" : "scif_recv", piece - done,
                           n, strerror(errno));
            done += n;
        }
        data += piece;
        bytes -= piece;
    }
}

void exchange_send(struct connection *c, const void *data, int bytes) {
    atomic_fetch_add(&arena->calls, 1);
    move(c, (char *)data, bytes, true);
}
void exchange_receive(struct connection *c, void *data, int bytes) {
    atomic_fetch_add(&arena->calls, 1);
    move(c, data, bytes, false);
}

struct outcome exchange_outcome(struct connection *c, bool active, struct outcome own) {
    if (active)
        exchange_send(c, &own, sizeof own);
    else
        exchange_receive(c, &own, sizeof own);
    return own;
}

void exchange_acknowledge(struct connection *c, bool hears) {
    char byte = 'k';
    if (hears)
        exchange_receive(c, &byte, 1);
    else
        exchange_send(c, &byte, 1);
    if (byte != 'k') actor_fail(c, "a byte came that nobody sent: %d", byte);
}
