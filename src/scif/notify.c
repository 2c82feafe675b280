/* scif_notify(): an endpoint's descriptor tells a notification. What that is and how it is told is the
 * program's and libweft's; it is reached by the calls that the notification has with it. */
#include <weft/scif_ext.h>

#include "scif/api.h"
#include "weft/notify.h"

static int errno_of(int rc) {
    switch (rc) {
    case 0: return 0;
    case WEFT_E_EXIST: return EEXIST;
    case WEFT_E_NOENT: return ENOENT;
    case WEFT_E_LIMIT: return EMFILE;
    default: return ENOMEM;
    }
}

static int change(scif_epd_t epd, struct weft_notification *n,
                  int (*call)(struct weft_notification *n, int fd)) {
    int kept = errno;
    struct endpoint *e = endpoint_hold(epd);
    if (!e) return -1;
    int err = errno_of(call(n, epd));
    endpoint_release(e);
    errno = err ? err : kept;
    return err ? -1 : 0;
}

EXPORT int scif_notify(scif_epd_t epd, struct weft_notification *n) {
    API_CALL;
    return n ? change(epd, n, n->calls->watch) : api_failed(EINVAL);
}

EXPORT int scif_notify_end(scif_epd_t epd, struct weft_notification *n) {
    API_CALL;
    return n ? change(epd, n, n->calls->unwatch) : api_failed(EINVAL);
}
