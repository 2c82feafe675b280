/* Error names and texts, all from the one list in error.h, and the single mapping from errno. */
#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
#define X(name, value, text) {value, #name, text},
    WEFT_ERROR_LIST(X)
#undef X
};

static const struct {
    int err, code;
} from_errno[] = {
    {0, WEFT_OK},
    {EINVAL, WEFT_E_INVAL},
    {EBADF, WEFT_E_INVAL},
    {EFAULT, WEFT_E_INVAL},
    {ENOTDIR, WEFT_E_INVAL},
    {EISDIR, WEFT_E_INVAL},
    {ENOTSOCK, WEFT_E_INVAL},
    {EDOM, WEFT_E_INVAL},
    {ERANGE, WEFT_E_INVAL},
    {ENOMEM, WEFT_E_NOMEM},
    {EAGAIN, WEFT_E_AGAIN},
    {EINPROGRESS, WEFT_E_AGAIN},
    {EALREADY, WEFT_E_AGAIN},
    {ENOSYS, WEFT_E_NOSUP},
    {EOPNOTSUPP, WEFT_E_NOSUP},
    {EAFNOSUPPORT, WEFT_E_NOSUP},
    {EPROTONOSUPPORT, WEFT_E_NOSUP},
    {ENOPROTOOPT, WEFT_E_NOSUP},
    {ENOTTY, WEFT_E_NOSUP},
    {ENOEXEC, WEFT_E_NOSUP},
    {ENOENT, WEFT_E_NOENT},
    {ESRCH, WEFT_E_NOENT},
    {ENODEV, WEFT_E_NOENT},
    {ENXIO, WEFT_E_NOENT},
    {EEXIST, WEFT_E_EXIST},
    {EADDRINUSE, WEFT_E_EXIST},
    {EACCES, WEFT_E_ACCESS},
    {EPERM, WEFT_E_ACCESS},
    {EROFS, WEFT_E_ACCESS},
    {ELOOP, WEFT_E_ACCESS},
    {EMSGSIZE, WEFT_E_TOO_BIG},
    {EFBIG, WEFT_E_TOO_BIG},
    {E2BIG, WEFT_E_TOO_BIG},
    {ENAMETOOLONG, WEFT_E_TOO_BIG},
    {EOVERFLOW, WEFT_E_TOO_BIG},
    {ENOBUFS, WEFT_E_LIMIT},
    {EMFILE, WEFT_E_LIMIT},
    {ENFILE, WEFT_E_LIMIT},
    {ENOSPC, WEFT_E_LIMIT},
    {EDQUOT, WEFT_E_LIMIT},
    {EMLINK, WEFT_E_LIMIT},
    {EUSERS, WEFT_E_LIMIT},
    {EPROTO, WEFT_E_PROTO},
    {EBADMSG, WEFT_E_PROTO},
    {ECONNREFUSED, WEFT_E_REFUSED},
    {EHOSTUNREACH, WEFT_E_UNREACHABLE},
    {ENETUNREACH, WEFT_E_UNREACHABLE},
    {EHOSTDOWN, WEFT_E_UNREACHABLE},
    {ENETDOWN, WEFT_E_UNREACHABLE},
    {EADDRNOTAVAIL, WEFT_E_UNREACHABLE},
    {ECONNRESET, WEFT_E_PEER_LOST},
    {ECONNABORTED, WEFT_E_PEER_LOST},
    {EPIPE, WEFT_E_PEER_LOST},
    {ETIMEDOUT, WEFT_E_TIMEDOUT},
    {ECANCELED, WEFT_E_CANCELED},
    {ESHUTDOWN, WEFT_E_CLOSED},
    {ENOTCONN, WEFT_E_CLOSED},
    {EINTR, WEFT_E_INTR},
    {EBUSY, WEFT_E_BUSY},
    {ETXTBSY, WEFT_E_BUSY},
    {ENOTEMPTY, WEFT_E_BUSY},
    {EDEADLK, WEFT_E_BUSY},
};

static size_t find(int code) {
    size_t i = 0;
    while (i < sizeof errors / sizeof *errors && errors[i].code != code) i++;
    return i;
}

static bool is_listed(size_t i) { return i < sizeof errors / sizeof *errors; }

const char *weft_error_name(int code) {
    size_t i = find(code);
    return is_listed(i) ? errors[i].name : "WEFT_E_?";
}

const char *weft_error_text(int code) {
    size_t i = find(code);
    return is_listed(i) ? errors[i].text : "unknown error";
}

int weft_error_checked(int code) { return is_listed(find(code)) ? code : WEFT_E_PROTO; }

int weft_error_from_errno(int err) {
    for (size_t i = 0; i < sizeof from_errno / sizeof *from_errno; i++)
        if (from_errno[i].err == err) return from_errno[i].code;
    return WEFT_E_IO;
}
