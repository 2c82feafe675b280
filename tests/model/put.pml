/* A put into a posted buffer, as docs/PROTOCOL.md has it (sections 4, 8, 9 and 12): the receiver mints a tag for each
 * posted buffer and tells it to the sender (OKTOSEND); superpackets carry the tag, and the window opens as they
 * arrive; what carries a tag that is not armed is dropped. The network loses, doubles and reorders everything. The
 * receiver's owner may cancel a buffer and use it otherwise at once; the sender may crash and start again with another
 * boot id, whose connection retires the old one; superpackets of the past stay under way for ever.
 *
 * Checked: nothing is ever stored into a buffer that its owner has back, nor data of another message than the one it
 * was posted for; each post ends exactly once; a message is complete only with all its superpackets.
 *
 *   -DUSES=N   tags repeat after N posts. The protocol's do not within a connection (and a connection has its own):
 *              with N above the number of posts no error is found, with a small one the corruption is.
 *   -DSTALE    packets of a former boot id are taken as if they were of the present one.
 *   -DREACHES  asserts that no run sees a completion, a cancel and a crash: to be found wrong, else the model shows
 *              nothing.
 */
#ifndef USES
#define USES 8 /* more than there are posts: never used again */
#endif
#define MESSAGES 4 /* posts in all */
#define SUPER    2 /* superpackets of a message */
#define WINDOW   1 /* that may be under way: the second needs the window to open */
#define FLYING   3 /* packets under way, in each direction */
#define BOOTS    2 /* incarnations of the sender */

#define NOBODY 7

/* To the receiver: connection (boot id), tag, superpacket; `m` is what the message is, which no program can see. */
chan data = [FLYING] of { byte, byte, byte, byte };
/* To the sender: connection, tag, low (superpackets below are there; 0 is the OKTOSEND), message. */
chan grant = [FLYING] of { byte, byte, byte, byte };
/* CANCEL, as FIN with an error; it may come late, or never: nothing depends on it. */
chan cancel = [FLYING] of { byte, byte };

byte boot = 0; /* of the sender that runs */

/* The receiver's. */
byte conn = 0;         /* boot id that its connection belongs to */
byte use = 0;          /* next one to mint */
bool armed = false;
byte tag, low, posted_for = NOBODY;
bool got[SUPER];
bool with_owner = true; /* the buffer is its owner's: nothing may write to it */
byte posts = 0, completed = 0, canceled = 0, lost = 0;

inline post() {
    tag = use % USES;
    use++;
    posted_for = posts;
    posts++;
    low = 0;
    got[0] = false;
    got[1] = false;
    armed = true;
    with_owner = false;
}

inline grant_it() {
    if
    :: nfull(grant) -> grant!conn, tag, low, posted_for
    :: full(grant) /* lost */
    fi
}

inline give_back() {
    armed = false;
    posted_for = NOBODY;
    with_owner = true;
}

inline store(super, m) {
    assert(!with_owner);        /* the owner may have put anything there */
    assert(m == posted_for);   /* one message's data in another's buffer */
    assert(super < low + WINDOW || got[super]);
    got[super] = true;
    do
    :: low < SUPER && got[low] -> low++
    :: else -> break
    od
}

active proctype Receiver() {
    byte b, t, s, m;
    do
    /* A buffer is posted and the sender of the connection is told. */
    :: atomic { posts < MESSAGES && !armed -> post(); grant_it() }
    /* What was said may have been lost: it is said again, always the latest. */
    :: atomic { armed && nfull(grant) -> grant!conn, tag, low, posted_for }
    :: atomic {
           data??b, t, s, m ->
           if
#ifdef STALE
           :: armed && t == tag && s >= low ->
#else
           :: b == conn && armed && t == tag && s >= low ->
#endif
               store(s, m)
           :: else /* not armed (any more), there already, or of a connection that is no more */
           fi;
           s = 0; m = 0; t = 0; b = 0
       }
    :: atomic { armed && low == SUPER -> assert(got[0] && got[1]); give_back(); completed++ }
    /* The owner cancels: from that moment on the buffer is its own. */
    :: atomic {
           armed && low < SUPER && canceled == 0 ->
           if
           :: nfull(cancel) -> cancel!conn, tag
           :: full(cancel)
           fi;
           give_back();
           canceled++
       }
    /* A new incarnation of the sender has connected: the old connection is retired, its buffers end with an error,
     * and with the connection its tags begin anew. */
    :: atomic {
           conn != boot ->
           conn = boot;
           use = 0;
           if
           :: armed -> give_back(); lost++
           :: else
           fi
       }
    :: posts == MESSAGES && !armed -> break
    od;
    assert(completed + canceled + lost == MESSAGES); /* each post ended once */
#ifdef REACHES
    assert(!(completed == MESSAGES - 2 && canceled == 1 && lost == 1))
#endif
}

active proctype Sender() {
    byte b, t, l, m, tag_now, limit = 0, message = NOBODY;
    do
    :: atomic {
           grant??b, t, l, m ->
           if
           :: b == boot && message == NOBODY && l == 0 -> message = m; tag_now = t; limit = WINDOW
           :: b == boot && t == tag_now && message != NOBODY && l + WINDOW > limit -> limit = l + WINDOW
           /* A tag that it does not know is that of the next post: the one before is over. */
           :: b == boot && t != tag_now && message != NOBODY && l == 0 -> message = m; tag_now = t; limit = WINDOW
           :: else
           fi;
           b = 0; t = 0; l = 0; m = 0
       }
    /* Superpackets in the window, the first time or again: it does not know which have arrived. */
    :: atomic { message != NOBODY && nfull(data) -> data!boot, tag_now, 0, message }
    :: atomic { message != NOBODY && limit > 1 && nfull(data) -> data!boot, tag_now, 1, message }
    :: atomic {
           cancel??b, t ->
           if
           :: b == boot && t == tag_now -> message = NOBODY; limit = 0
           :: else
           fi;
           b = 0; t = 0
       }
    /* It crashes and starts again; its packets stay under way. */
    :: atomic { boot + 1 < BOOTS -> boot++; message = NOBODY; limit = 0; tag_now = 0 }
    od
}

/* Loss, and copies; the receiving ends take packets in any order. */
active proctype Network() {
    byte b, t, s, m;
    do
    :: atomic { data??b, t, s, m -> b = 0; t = 0; s = 0; m = 0 }
    :: atomic { nempty(data) && nfull(data) -> data?? <b, t, s, m>; data!b, t, s, m; b = 0; t = 0; s = 0; m = 0 }
    :: atomic { grant??b, t, s, m -> b = 0; t = 0; s = 0; m = 0 }
    :: atomic { cancel??b, t -> b = 0; t = 0 }
    od
}
