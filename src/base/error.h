/* Errors: one list gives every code, its name and its text. 0 is success, negatives are errors.
 * errno is mapped once, at the edge where a system call was made (weft_error_from_errno). */
#ifndef WEFT_BASE_ERROR_H
#define WEFT_BASE_ERROR_H

/* X(name, value, text) */
#define WEFT_ERROR_LIST(X)                                                                                   \
    X(WEFT_OK, 0, "success")                                                                                 \
    X(WEFT_E_INVAL, -1, "invalid argument")                                                                  \
    X(WEFT_E_NOMEM, -2, "out of memory")                                                                     \
    X(WEFT_E_AGAIN, -3, "not now, try again")                                                                \
    X(WEFT_E_NOSUP, -4, "not supported")                                                                     \
    X(WEFT_E_NOENT, -5, "no such thing")                                                                     \
    X(WEFT_E_EXIST, -6, "exists already")                                                                    \
    X(WEFT_E_ACCESS, -7, "permission denied")                                                                \
    X(WEFT_E_TOO_BIG, -8, "too big")                                                                         \
    X(WEFT_E_LIMIT, -9, "a limit or quota is reached")                                                       \
    X(WEFT_E_PROTO, -10, "the peer broke the protocol")                                                      \
    X(WEFT_E_VERSION, -11, "the peer speaks another version")                                                \
    X(WEFT_E_REFUSED, -12, "refused by the peer")                                                            \
    X(WEFT_E_UNREACHABLE, -13, "no way to reach the peer")                                                   \
    X(WEFT_E_PEER_LOST, -14, "the peer is lost")                                                             \
    X(WEFT_E_TIMEDOUT, -15, "timed out")                                                                     \
    X(WEFT_E_CANCELED, -16, "canceled")                                                                      \
    X(WEFT_E_CLOSED, -17, "closed")                                                                          \
    X(WEFT_E_INTR, -18, "interrupted")                                                                       \
    X(WEFT_E_IO, -19, "input or output failed")                                                              \
    X(WEFT_E_BUSY, -20, "busy")

#ifndef WEFT_H /* programs have the same codes from weft.h; header_test compares them */
enum weft_error {
#define X(name, value, text) name = (value),
    WEFT_ERROR_LIST(X)
#undef X
};
#endif

/* "WEFT_E_NOMEM"; "WEFT_E_?" for a code that is not in the list. Static storage. */
const char *weft_error_name(int code);
/* "out of memory"; never NULL. Static storage. */
const char *weft_error_text(int code);
/* A code that another process has sent: itself if it is in the list, else WEFT_E_PROTO. */
int weft_error_checked(int code);
/* The code for an errno value; WEFT_E_IO for one that has no closer meaning. 0 gives WEFT_OK. */
int weft_error_from_errno(int err);

#endif
