/* udp addresses: family, port, address; a loopback address carries the identity of its host and
 * network namespace too, because 127.0.0.1 means somebody else everywhere. */
#include "adapter/udp_internal.h"
#include "base/codec.h"
#include "base/error.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

enum { FAMILY_V4 = 4, FAMILY_V6 = 6 };

socklen_t udp_sockaddr_len(const union udp_sockaddr *sa) {
    return sa->sa.sa_family == AF_INET6 ? sizeof sa->v6 : sizeof sa->v4;
}

bool udp_sockaddr_is_loopback(const union udp_sockaddr *sa) {
    if (sa->sa.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&sa->v6.sin6_addr);
    return ntohl(sa->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool udp_sockaddr_equal(const union udp_sockaddr *a, const union udp_sockaddr *b) {
    if (a->sa.sa_family != b->sa.sa_family) return false;
    if (a->sa.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr);
}

int udp_sockaddr_parse(const char *host, uint16_t port, union udp_sockaddr *out) {
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return 0;
    }
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    size_t len = strlen(host);
    if (len >= sizeof text) return WEFT_E_INVAL;
    memcpy(text, host, len + 1);
    char *scope = strchr(text, '%');
    if (scope) *scope++ = 0;
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1) return WEFT_E_INVAL;
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    if (scope && !(out->v6.sin6_scope_id = if_nametoindex(scope))) return WEFT_E_INVAL;
    return 0;
}

size_t udp_blob_encode(const struct udp *u, const union udp_sockaddr *sa,
                       uint8_t out[UDP_ADDRESS_BYTES_MAX]) {
    struct weft_writer w;
    weft_writer_init(&w, out, UDP_ADDRESS_BYTES_MAX);
    bool v6 = sa->sa.sa_family == AF_INET6;
    weft_put_u8(&w, v6 ? FAMILY_V6 : FAMILY_V4);
    weft_put_u8(&w, 0);
    weft_put_u16(&w, ntohs(v6 ? sa->v6.sin6_port : sa->v4.sin_port));
    if (v6) {
        weft_put_bytes(&w, &sa->v6.sin6_addr, sizeof sa->v6.sin6_addr);
    } else {
        weft_put_bytes(&w, &sa->v4.sin_addr, sizeof sa->v4.sin_addr);
    }
    if (udp_sockaddr_is_loopback(sa)) weft_put_bytes(&w, u->host, sizeof u->host);
    return w.len;
}

/* Whether packets can be sent to it and come from it: no wildcard, multicast, broadcast or mapped address, no
 * port 0. */
static bool is_unicast(const union udp_sockaddr *sa) {
    if (sa->sa.sa_family == AF_INET) {
        uint32_t ip = ntohl(sa->v4.sin_addr.s_addr);
        return sa->v4.sin_port && ip >> 24 != 0 && ip >> 28 < 14;
    }
    const struct in6_addr *ip = &sa->v6.sin6_addr;
    return sa->v6.sin6_port && !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_MULTICAST(ip) &&
           !IN6_IS_ADDR_V4MAPPED(ip) && !IN6_IS_ADDR_V4COMPAT(ip);
}

static bool is_link_local(const union udp_sockaddr *sa) {
    return sa->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sa->v6.sin6_addr);
}

static void decode_sockaddr(struct weft_reader *r, union udp_sockaddr *sa) {
    memset(sa, 0, sizeof *sa);
    uint8_t family = weft_get_u8(r);
    uint8_t spare = weft_get_u8(r);
    uint16_t port = htons(weft_get_u16(r));
    const void *ip = NULL;
    if (family == FAMILY_V4) {
        sa->v4.sin_family = AF_INET;
        sa->v4.sin_port = port;
        ip = weft_get_bytes(r, sizeof sa->v4.sin_addr);
        if (ip) memcpy(&sa->v4.sin_addr, ip, sizeof sa->v4.sin_addr);
    } else if (family == FAMILY_V6) {
        sa->v6.sin6_family = AF_INET6;
        sa->v6.sin6_port = port;
        ip = weft_get_bytes(r, sizeof sa->v6.sin6_addr);
        if (ip) memcpy(&sa->v6.sin6_addr, ip, sizeof sa->v6.sin6_addr);
    }
    if (!ip || spare) r->failed = true;
}

int udp_blob_decode(const struct udp *u, const void *blob, size_t len, union udp_sockaddr *out) {
    struct weft_reader r;
    union udp_sockaddr sa;
    weft_reader_init(&r, blob, len);
    decode_sockaddr(&r, &sa);
    if (r.failed) return WEFT_E_INVAL;
    bool loopback = udp_sockaddr_is_loopback(&sa), here = true;
    if (loopback) {
        const void *host = weft_get_bytes(&r, HOST_ID_BYTES);
        here = host && !memcmp(host, u->host, HOST_ID_BYTES);
    }
    if (r.failed || weft_reader_left(&r) || !is_unicast(&sa)) return WEFT_E_INVAL;
    if (sa.sa.sa_family != u->local.sa.sa_family || !here) return WEFT_E_UNREACHABLE;
    if (udp_sockaddr_is_loopback(&u->local) && !loopback) return WEFT_E_UNREACHABLE;
    if (is_link_local(&sa)) {
        /* The scope is a number of this host's own: that of the interface that we are bound to. */
        if (!is_link_local(&u->local)) return WEFT_E_UNREACHABLE;
        sa.v6.sin6_scope_id = u->local.v6.sin6_scope_id;
    }
    *out = sa;
    return 0;
}

void udp_address_text(struct adapter *a, const void *blob, size_t len, char *out, size_t cap) {
    union udp_sockaddr sa;
    char host[INET6_ADDRSTRLEN];
    *out = 0;
    if (udp_blob_decode((struct udp *)a, blob, len, &sa)) return;
    bool v6 = sa.sa.sa_family == AF_INET6;
    inet_ntop(sa.sa.sa_family, v6 ? (const void *)&sa.v6.sin6_addr : &sa.v4.sin_addr, host, sizeof host);
    snprintf(out, cap, v6 ? "[%s]:%u" : "%s:%u", host, ntohs(v6 ? sa.v6.sin6_port : sa.v4.sin_port));
}
