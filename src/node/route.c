/* The kernel chooses the source address when a datagram socket is connected; it sends nothing for that. */
#include "node/route.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int source_towards(const struct addrinfo *to, char out[NODE_NAME_MAX]) {
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return weft_error_from_errno(errno);
    int rc = WEFT_E_UNREACHABLE;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0 &&
        getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
        getnameinfo((struct sockaddr *)&own, len, out, NODE_NAME_MAX, NULL, 0, NI_NUMERICHOST) == 0)
        rc = WEFT_OK;
    close(fd);
    return rc;
}

int node_route_source(const char *host, char out[NODE_NAME_MAX]) {
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    int err = getaddrinfo(host, "9", &hints, &found); /* any port: it takes one to connect */
    if (err) {
        weft_error("node", "the address of %s is not known: %s", host, gai_strerror(err));
        return WEFT_E_NOENT;
    }
    int rc = WEFT_E_UNREACHABLE;
    for (struct addrinfo *a = found; a && rc != WEFT_OK; a = a->ai_next) rc = source_towards(a, out);
    freeaddrinfo(found);
    if (rc != WEFT_OK) weft_error("node", "no address of this host leads to %s", host);
    return rc;
}
