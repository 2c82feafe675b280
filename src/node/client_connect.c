/* Reaching the daemon: its socket, the first request of a line and its answer, and the request that comes
 * before any endpoint: on which address to listen, and with which key. */
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "node/client_internal.h"
#include "node/where.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 10000u
#define SEND_TIMEOUT_MS   5000u

WEFT_OPTIONS(node_client, "node",
             {.name = "bind",
              .type = WEFT_OPTION_STRING,
              .help = "Numeric address on which programs and executors listen; unset: that of their daemon."})

/* --- the socket --- */

int client_connect(const char *path, int *out) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int rc = node_socket_path(path, at.sun_path, sizeof at.sun_path);
    if (rc != WEFT_OK) return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return weft_error_from_errno(errno);
    struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_MS / 1000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct ucred who = {0};
    socklen_t len = sizeof who;
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        rc = errno == ECONNREFUSED ? WEFT_E_NOENT
             : errno == EAGAIN     ? WEFT_E_TIMEDOUT
                                   : weft_error_from_errno(errno);
        if (rc != WEFT_E_NOENT)
            weft_error("node", "cannot connect to the daemon at %s: %s", at.sun_path, strerror(errno));
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || who.uid != geteuid()) {
        weft_error("node", "the daemon at %s runs as user %u, this program as %u", at.sun_path,
                   (unsigned)who.uid, (unsigned)geteuid());
        rc = WEFT_E_ACCESS;
    }
    if (rc != WEFT_OK)
        close(fd);
    else
        *out = fd;
    return rc;
}

/* --- the first request --- */

/* Reads exactly the answer and no more, so that nothing is left in the buffer when the endpoint
 * starts to watch the socket. */
static int receive_exactly(int fd, void *buf, size_t n, uint64_t deadline_ns) {
    for (size_t got = 0; got < n;) {
        uint64_t now = weft_now_ns();
        if (now >= deadline_ns) return WEFT_E_TIMEDOUT;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)((deadline_ns - now) / WEFT_NS_PER_MS) + 1) <= 0) continue;
        ssize_t r = recv(fd, (char *)buf + got, n - got, MSG_DONTWAIT);
        if (r == 0) return WEFT_E_CLOSED;
        if (r < 0 && errno != EAGAIN && errno != EINTR) return weft_error_from_errno(errno);
        if (r > 0) got += (size_t)r;
    }
    return WEFT_OK;
}

static int read_answer(struct node_stream *s, struct weft_reader *r, uint8_t *buf, size_t cap) {
    uint64_t deadline = weft_now_ns() + ANSWER_TIMEOUT_MS * WEFT_NS_PER_MS;
    int rc = receive_exactly(s->fd, buf, 4, deadline);
    if (rc != WEFT_OK) return rc;
    weft_reader_init(r, buf, 4);
    size_t len = weft_get_u32(r);
    if (len < NODE_FRAME_HEAD_BYTES || len > cap) return WEFT_E_PROTO;
    rc = receive_exactly(s->fd, buf, len, deadline);
    weft_reader_init(r, buf, len);
    if (rc == WEFT_OK && weft_get_u8(r) != NODE_REPLY) rc = WEFT_E_PROTO;
    weft_get_u32(r);
    return rc;
}

int client_first_request(struct node_stream *s, enum node_request type, const struct weft_writer *body,
                         uint8_t *buf, size_t cap, struct weft_reader *r) {
    int rc = node_stream_put(s, (uint8_t)type, 0, body);
    if (rc == WEFT_OK) rc = node_stream_flush_wait(s, SEND_TIMEOUT_MS);
    if (rc == WEFT_OK) rc = read_answer(s, r, buf, cap);
    if (rc != WEFT_OK) {
        weft_error("node", "no answer from the daemon: %s", weft_error_text(rc));
        return rc;
    }
    int status = (int)(int32_t)weft_get_u32(r);
    char reason[NODE_REASON_MAX];
    node_get_reason(r, reason);
    if (status == WEFT_OK) return r->failed ? WEFT_E_PROTO : WEFT_OK;
    weft_error("node", "the daemon refuses this program: %s", reason);
    return status < 0 ? status : WEFT_E_PROTO;
}

/* --- what the daemon prescribes for endpoints --- */

struct prescription {
    char bind_host[NODE_NAME_MAX];
    uint8_t key[NODE_KEY_BYTES];
    bool keyed;
};
static _Thread_local struct prescription prescribed;

static int read_prescription(struct weft_reader *r, struct prescription *p) {
    size_t bytes = 0;
    weft_get_string(r, p->bind_host, sizeof p->bind_host);
    const void *key = weft_get_blob(r, &bytes);
    if (r->failed || (bytes != 0 && bytes != NODE_KEY_BYTES)) return WEFT_E_PROTO;
    p->keyed = bytes != 0;
    if (p->keyed) memcpy(p->key, key, NODE_KEY_BYTES);
    return WEFT_OK;
}

static int ask(struct prescription *p) {
    uint8_t buf[512];
    int fd = -1;
    int rc = client_connect(NULL, &fd);
    if (rc != WEFT_OK) return rc;
    struct node_stream s;
    node_stream_init(&s, fd, sizeof buf, sizeof buf);
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, NODE_PROTOCOL_MAGIC);
    weft_put_u16(&w, NODE_PROTOCOL_VERSION);
    struct weft_reader r;
    rc = client_first_request(&s, NODE_ENDPOINT, &w, buf, sizeof buf, &r);
    if (rc == WEFT_OK && (rc = read_prescription(&r, p)) != WEFT_OK)
        weft_error("node", "the daemon's answer cannot be read");
    OPENSSL_cleanse(buf, sizeof buf);
    node_stream_fini(&s);
    return rc;
}

int node_endpoint_config(struct ep_config *cfg) {
    struct prescription *p = &prescribed;
    *p = (struct prescription){0};
    int rc = ask(p);
    if (rc != WEFT_OK && rc != WEFT_E_NOENT) return rc;
    const char *host = weft_option_string("bind");
    if (!host || !*host) host = p->bind_host;
    if (!cfg->bind_host && *host) cfg->bind_host = host;
    if (!cfg->key && p->keyed) cfg->key = p->key;
    return WEFT_OK;
}

void node_endpoint_config_done(struct ep_config *cfg) {
    if (cfg->key == prescribed.key) cfg->key = NULL;
    OPENSSL_cleanse(prescribed.key, sizeof prescribed.key);
}
