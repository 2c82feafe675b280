/* ofi: addresses. A blob is (version, address format, provider, token, host, process, endpoint name); the
 * name is the provider's own, as fi_getname() gives it. */
#include "adapter/ofi_internal.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define BLOB_VERSION 0xf1

/* Same network namespace and same process namespace of one running kernel. */
static void own_host(uint8_t out[HOST_ID_BYTES]) {
    uint8_t pid[HOST_ID_BYTES];
    host_id("net", out);
    host_id("pid", pid);
    for (size_t i = 0; i < HOST_ID_BYTES; i++) out[i] ^= (uint8_t)(pid[i] << 1 | pid[i] >> 7);
}

static void encode(struct ofi *s) {
    struct weft_writer w;
    size_t provider_bytes = strlen(s->own.provider);
    weft_writer_init(&w, s->blob, sizeof s->blob);
    weft_put_u8(&w, BLOB_VERSION);
    weft_put_u32(&w, s->own.format);
    weft_put_u8(&w, (uint8_t)provider_bytes);
    weft_put_bytes(&w, s->own.provider, provider_bytes);
    weft_put_u64(&w, s->own.token);
    weft_put_bytes(&w, s->own.host, sizeof s->own.host);
    weft_put_u32(&w, s->own.pid);
    weft_put_u8(&w, (uint8_t)s->own.name_bytes);
    weft_put_bytes(&w, s->own.name, s->own.name_bytes);
    s->blob_bytes = w.failed ? 0 : w.len;
}

int ofi_address_init(struct ofi *s) {
    struct ofi_address *own = &s->own;
    own->format = s->info->addr_format;
    own->token = host_random();
    own->pid = (uint32_t)getpid();
    own_host(own->host);
    strcpy(own->provider, s->info->fabric_attr->prov_name); /* ofi_choose() looked at its length */
    own->name_bytes = sizeof own->name;
    int rc = fi_getname(&s->ep->fid, own->name, &own->name_bytes);
    if (rc || own->name_bytes == 0 || own->name_bytes > sizeof own->name) {
        weft_error("ofi", "open: %s: an endpoint name of %zu bytes (%s), at most %zu fit", own->provider,
                   own->name_bytes, s->lib->strerror(-rc), sizeof own->name);
        return WEFT_E_NOSUP;
    }
    encode(s);
    return s->blob_bytes ? 0 : WEFT_E_NOSUP;
}

static int parse(const void *addr, size_t len, struct ofi_address *out) {
    struct weft_reader r;
    weft_reader_init(&r, addr, len);
    *out = (struct ofi_address){0};
    if (len > ADAPTER_ADDRESS_MAX || weft_get_u8(&r) != BLOB_VERSION) return WEFT_E_INVAL;
    out->format = weft_get_u32(&r);
    size_t n = weft_get_u8(&r);
    const void *p = weft_get_bytes(&r, n);
    if (r.failed || n > OFI_PROVIDER_MAX || memchr(p, 0, n)) return WEFT_E_INVAL;
    memcpy(out->provider, p, n);
    out->token = weft_get_u64(&r);
    p = weft_get_bytes(&r, sizeof out->host);
    if (r.failed) return WEFT_E_INVAL;
    memcpy(out->host, p, sizeof out->host);
    out->pid = weft_get_u32(&r);
    n = weft_get_u8(&r);
    p = weft_get_bytes(&r, n);
    if (r.failed || n == 0 || n > OFI_NAME_MAX || weft_reader_left(&r)) return WEFT_E_INVAL;
    memcpy(out->name, p, n);
    out->name_bytes = n;
    return 0;
}

/* A string name, "scheme://name", becomes part of a path (shm): plain characters only, and its end where it
 * says. */
static bool is_plain_string(const struct ofi_address *a) {
    size_t n = a->name_bytes - 1;
    if (n == 0 || memchr(a->name, 0, a->name_bytes) != a->name + n) return false;
    const char *text = (const char *)a->name, *scheme_end = strstr(text, "://");
    const char *name = scheme_end ? scheme_end + 3 : text;
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~' || (*c == '/' && (c >= name || c <= scheme_end))) return false;
    return *name && *name != '.';
}

static bool is_loopback(const struct ofi_address *a) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (a->format == FI_SOCKADDR_IN) {
        memcpy(&v4, a->name, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (a->format != FI_SOCKADDR_IN6) return false;
    memcpy(&v6, a->name, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/* What libfabric itself would not look at before it uses the name. */
static bool is_name_good(const struct ofi_address *a) {
    struct sockaddr_in6 sa; /* the port is at the same place in both families */
    size_t want = a->format == FI_SOCKADDR_IN ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (a->format == FI_ADDR_STR) return is_plain_string(a);
    if (a->format != FI_SOCKADDR_IN && a->format != FI_SOCKADDR_IN6) return true;
    if (a->name_bytes != want) return false;
    memcpy(&sa, a->name, want);
    return sa.sin6_family == (a->format == FI_SOCKADDR_IN ? AF_INET : AF_INET6) && sa.sin6_port;
}

int ofi_address_decode(const struct ofi *s, const void *addr, size_t len, struct ofi_address *out) {
    int rc = parse(addr, len, out);
    if (rc) return rc;
    if (out->format != s->own.format || strcmp(out->provider, s->own.provider) != 0)
        return WEFT_E_UNREACHABLE;
    if (!is_name_good(out)) return WEFT_E_INVAL;
    if (out->format != FI_ADDR_STR && out->name_bytes != s->own.name_bytes) return WEFT_E_INVAL;
    bool local = out->format == FI_ADDR_STR || is_loopback(out) || is_loopback(&s->own);
    if (local && memcmp(out->host, s->own.host, sizeof out->host) != 0) return WEFT_E_UNREACHABLE;
    return 0;
}
