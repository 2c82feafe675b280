/* Junk: a sender of packets that nobody asked for, at a rate, to both ends of a connection over udp: from
 * ports of strangers and, by raw socket, from the port of the other end. Real packets are captured as they
 * pass, to be cut, damaged and sent again. Wants a network namespace of its own. */
#ifndef WEFT_FLOOD_JUNK_H
#define WEFT_FLOOD_JUNK_H
#include <stdbool.h>
#include <stdint.h>

enum junk_kind {
    JUNK_RANDOM,   /* bytes */
    JUNK_CUT,      /* a real packet, cut short; also empty ones */
    JUNK_REPLAYED, /* a real packet again */
    JUNK_DAMAGED,  /* a real packet with a few bits turned over, often with a number to come */
    JUNK_INIT,     /* somebody who wants a connection */
    JUNK_RESET,    /* says that the connection does not exist */
    JUNK_STALE,    /* a real packet for a connection that there is not, with a right checksum */
    JUNK_KINDS,
};

struct junk_count {
    uint64_t sent;
    /* Of strangers alone, who are answered to where it is seen. */
    uint64_t asked, asked_bytes, longest_asked_bytes;
    uint64_t replies, reply_bytes, longest_reply_bytes;
};

struct junk_config {
    uint16_t port[2];
    uint64_t rate; /* packets a second, to both ends together */
    /* The ends have a key. Without one a RESET of the true connection from the true place is believed, and
     * none is sent. */
    bool keyed;
    bool elsewhere; /* goes to a socket that nobody reads: what sending it takes from the machine, and no more */
};

struct junk;
extern const char *const junk_names[JUNK_KINDS];

/* 0, or an errno. */
int junk_open(struct junk **out, const struct junk_config *cfg);
void junk_close(struct junk *j);
/* Sends what is due at this time and takes what has come; to be called about every millisecond. */
void junk_run(struct junk *j, uint64_t now);
/* Takes the last replies. */
void junk_listen(struct junk *j);
const struct junk_count *junk_counts(const struct junk *j); /* of each kind */
uint64_t junk_captured(const struct junk *j);

#endif
