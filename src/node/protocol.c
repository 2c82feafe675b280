/* The parts of the node protocol that both ends share: entries, reasons, and the join text. */
#include "node/protocol.h"

#include "base/error.h"

#include <ctype.h>
#include <string.h>

void node_put_entry(struct weft_writer *w, const struct node_entry *e) {
    weft_put_u32(w, e->id);
    weft_put_u32(w, e->pid);
    weft_put_u64(w, e->boot);
    weft_put_string(w, e->host);
    weft_put_blob(w, e->address, e->address_bytes);
}

void node_get_entry(struct weft_reader *r, struct node_entry *e) {
    e->id = weft_get_u32(r);
    e->pid = weft_get_u32(r);
    e->boot = weft_get_u64(r);
    weft_get_string(r, e->host, sizeof e->host);
    node_get_address(r, e->address, &e->address_bytes);
    for (char *p = e->host; *p && !r->failed; p++)
        if (!isgraph((unsigned char)*p)) *p = '?';
}

void node_get_address(struct weft_reader *r, uint8_t *out, size_t *bytes) {
    size_t n = 0;
    const void *p = weft_get_blob(r, &n);
    if (n > EP_ADDRESS_MAX) r->failed = true;
    *bytes = r->failed || !p ? 0 : n;
    if (*bytes) memcpy(out, p, *bytes);
}

void node_get_reason(struct weft_reader *r, char out[NODE_REASON_MAX]) {
    size_t n = 0;
    const char *p = weft_get_blob(r, &n);
    if (r->failed || !p) n = 0;
    if (n > NODE_REASON_MAX - 1) n = NODE_REASON_MAX - 1;
    for (size_t i = 0; i < n; i++) out[i] = (unsigned char)p[i] < ' ' || p[i] == 127 ? '?' : p[i];
    out[n] = 0;
}

void node_put_reason(struct weft_writer *w, const char *reason) {
    weft_put_blob(w, reason ? reason : "", reason ? strnlen(reason, NODE_REASON_MAX - 1) : 0);
}

#define JOIN_PREFIX_BYTES 6
static const char *join_prefix(bool keyed) { return keyed ? "weft2-" : "weft1-"; }

int node_join_format(const struct node_join *j, char *out, size_t cap) {
    if (j->address_bytes > EP_ADDRESS_MAX || cap <= JOIN_PREFIX_BYTES + 2 * (sizeof j->id + j->address_bytes))
        return WEFT_E_TOO_BIG;
    char *at = stpcpy(out, join_prefix(j->keyed));
    at += node_hex_encode(j->id, sizeof j->id, at);
    node_hex_encode(j->address, j->address_bytes, at);
    return WEFT_OK;
}

int node_join_parse(const char *text, struct node_join *j) {
    j->keyed = strncmp(text, join_prefix(true), JOIN_PREFIX_BYTES) == 0;
    if (strncmp(text, join_prefix(j->keyed), JOIN_PREFIX_BYTES) != 0) return WEFT_E_INVAL;
    text += JOIN_PREFIX_BYTES;
    size_t digits = strlen(text), n = digits / 2;
    if (digits % 2 || n <= sizeof j->id || n > sizeof j->id + sizeof j->address) return WEFT_E_INVAL;
    j->address_bytes = n - sizeof j->id;
    bool good = node_hex_decode(text, sizeof j->id, j->id) &&
                node_hex_decode(text + 2 * sizeof j->id, j->address_bytes, j->address);
    return good ? WEFT_OK : WEFT_E_INVAL;
}

void node_put_sought(struct weft_writer *w, const struct node_sought *s) {
    weft_put_u8(w, (uint8_t)s->kind);
    if (s->kind == NODE_SOUGHT_PROCESS)
        weft_put_u32(w, s->process);
    else
        weft_put_string(w, s->name);
}

void node_get_sought(struct weft_reader *r, struct node_sought *s) {
    *s = (struct node_sought){.kind = weft_get_u8(r)};
    if (s->kind == NODE_SOUGHT_PROCESS)
        s->process = weft_get_u32(r);
    else if (s->kind == NODE_SOUGHT_NAME)
        weft_get_string(r, s->name, sizeof s->name);
    else
        r->failed = true;
}
