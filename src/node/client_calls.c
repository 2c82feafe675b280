/* The requests of a node client: each writes its fields, waits, and checks the answer before any output is
 * set. */
#include "node/client.h"

#include "base/error.h"
#include "node/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUICK_TIMEOUT_MS 10000u

/* A request whose fields fit into 16 bytes, or none. */
static void fields(struct weft_writer *w, uint8_t buf[16]) { weft_writer_init(w, buf, 16); }

static void answer(const struct client_waiter *w, struct weft_reader *r) {
    weft_reader_init(r, w->body, w->body_bytes);
}

static void get_info(struct weft_reader *r, struct node_info *info) {
    struct node_entry e;
    node_get_entry(r, &e);
    uint8_t flags = weft_get_u8(r);
    *info = (struct node_info){.id = e.id, .pid = e.pid, .online = flags & 1, .inventory_ready = flags & 2};
    memcpy(info->host, e.host, sizeof info->host);
    memcpy(info->address, e.address, e.address_bytes);
    info->address_bytes = e.address_bytes;
}

int node_client_nodes(struct node_client *c, struct node_info *out, size_t cap, unsigned timeout_ms) {
    struct client_waiter w = {0};
    int rc = client_call(c, NODE_NODES, NULL, timeout_ms, &w);
    if (rc == WEFT_OK) {
        struct weft_reader r;
        answer(&w, &r);
        uint32_t count = weft_get_u32(&r);
        if (count > NODE_MAX) r.failed = true;
        struct node_info info;
        for (uint32_t i = 0; i < count && !r.failed; i++) {
            get_info(&r, &info);
            if (i < cap && !r.failed) out[i] = info;
        }
        rc = r.failed ? WEFT_E_PROTO : (int)count;
    }
    free(w.body);
    return rc;
}

/* A request that is answered with a blob. */
static int blob_call(struct node_client *c, enum node_request type, const struct weft_writer *body,
                     void **blob, size_t *bytes, unsigned timeout_ms) {
    struct client_waiter w = {0};
    int rc = client_call(c, type, body, timeout_ms, &w);
    if (rc == WEFT_OK) {
        if (!w.body) w.body = malloc(1); /* an empty blob, as of a node without an inventory */
        if (!w.body) return WEFT_E_NOMEM;
        *blob = w.body;
        *bytes = w.body_bytes;
        return WEFT_OK;
    }
    free(w.body);
    return rc;
}

static int node_blob_call(struct node_client *c, enum node_request type, uint32_t node, void **blob,
                          size_t *bytes, unsigned timeout_ms) {
    uint8_t buf[16];
    struct weft_writer body;
    fields(&body, buf);
    weft_put_u32(&body, node);
    return blob_call(c, type, &body, blob, bytes, timeout_ms);
}

int node_client_inventory(struct node_client *c, uint32_t node, void **blob, size_t *bytes,
                          unsigned timeout_ms) {
    return node_blob_call(c, NODE_INVENTORY, node, blob, bytes, timeout_ms);
}

int node_client_usage(struct node_client *c, uint32_t node, void **blob, size_t *bytes, unsigned timeout_ms) {
    return node_blob_call(c, NODE_USAGE, node, blob, bytes, timeout_ms);
}

int node_client_record(struct node_client *c, uint32_t node, enum node_record what, void **blob,
                       size_t *bytes, unsigned timeout_ms) {
    uint8_t buf[16];
    struct weft_writer body;
    void *answer = NULL;
    size_t answer_bytes = 0;
    fields(&body, buf);
    weft_put_u32(&body, node);
    weft_put_u8(&body, (uint8_t)what);
    int rc = blob_call(c, NODE_RECORD, &body, &answer, &answer_bytes, timeout_ms);
    if (rc != WEFT_OK || !blob) {
        free(answer);
        return rc;
    }
    *blob = answer;
    *bytes = answer_bytes;
    return WEFT_OK;
}

static void executor_started(struct node_client *c, struct client_waiter *w) {
    struct node_executor x = {.id.node = w->about.node};
    if (w->status == WEFT_OK) {
        struct weft_reader r;
        answer(w, &r);
        x.id.process = weft_get_u32(&r);
        const void *token = weft_get_bytes(&r, NODE_TOKEN_BYTES);
        if (token) memcpy(x.token, token, NODE_TOKEN_BYTES);
        node_get_address(&r, x.address, &x.address_bytes);
        if (r.failed) {
            w->status = WEFT_E_PROTO;
            snprintf(w->reason, sizeof w->reason, "the daemon's answer cannot be read");
        }
    }
    w->fn(w->arg, w->status, w->status == WEFT_OK ? NULL : w->reason, w->status == WEFT_OK ? &x : NULL);
}

/* A request that nobody waits for. */
static int post_about(struct node_client *c, enum node_request type, const struct weft_writer *body,
                      const struct client_waiter *what) {
    struct client_waiter *w = malloc(sizeof *w);
    if (!w) return WEFT_E_NOMEM;
    *w = *what;
    int rc = client_post(c, type, body, w);
    if (rc != WEFT_OK) free(w);
    return rc;
}

int node_client_start_executor(struct node_client *c, uint32_t node,
                               void (*fn)(void *arg, int status, const char *reason,
                                          const struct node_executor *x),
                               void *arg) {
    if (!fn) return WEFT_E_INVAL;
    uint8_t buf[16];
    struct weft_writer body;
    fields(&body, buf);
    weft_put_u32(&body, node);
    return post_about(
        c, NODE_EXEC_START, &body,
        &(struct client_waiter){.finish = executor_started, .about.node = node, .fn = fn, .arg = arg});
}

int node_client_port_bind(struct node_client *c, uint16_t wanted, uint16_t *port) {
    uint8_t buf[16];
    struct weft_writer body;
    fields(&body, buf);
    weft_put_u16(&body, wanted);
    struct client_waiter w = {.body = malloc(sizeof *port), .room_bytes = sizeof *port};
    if (!w.body) return WEFT_E_NOMEM;
    int rc = client_call(c, NODE_PORT_BIND, &body, QUICK_TIMEOUT_MS, &w);
    if (rc == WEFT_OK) {
        struct weft_reader r;
        answer(&w, &r);
        uint16_t got = weft_get_u16(&r);
        if (r.failed)
            rc = WEFT_E_PROTO;
        else
            *port = got;
    }
    free(w.body);
    return rc;
}

int node_client_port_release(struct node_client *c, uint16_t port) {
    uint8_t buf[16];
    struct weft_writer body;
    fields(&body, buf);
    weft_put_u16(&body, port);
    struct client_waiter w = {0};
    int rc = client_call(c, NODE_PORT_RELEASE, &body, QUICK_TIMEOUT_MS, &w);
    free(w.body);
    return rc;
}

/* The answer to a look-up: a process and its address, EP_ADDRESS_MAX bytes of room. */
static int get_found(const struct client_waiter *w, uint32_t *process, uint8_t *address, size_t *bytes) {
    struct weft_reader r;
    answer(w, &r);
    *process = weft_get_u32(&r);
    node_get_address(&r, address, bytes);
    return r.failed ? WEFT_E_PROTO : WEFT_OK;
}

static int look_up(struct node_client *c, enum node_request type, const struct weft_writer *body,
                   uint32_t node, struct node_process *p, void *address, size_t *address_bytes) {
    uint8_t found[EP_ADDRESS_MAX];
    uint32_t process = 0;
    size_t found_bytes = 0;
    struct client_waiter w = {0};
    int rc = client_call(c, type, body, QUICK_TIMEOUT_MS, &w);
    if (rc == WEFT_OK) rc = get_found(&w, &process, found, &found_bytes);
    if (rc == WEFT_OK && found_bytes > *address_bytes) rc = WEFT_E_TOO_BIG;
    if (rc == WEFT_OK) {
        *p = (struct node_process){.node = node, .process = process};
        memcpy(address, found, found_bytes);
        *address_bytes = found_bytes;
    }
    free(w.body);
    return rc;
}

int node_client_port_lookup(struct node_client *c, uint32_t node, uint16_t port, struct node_process *p,
                            void *address, size_t *address_bytes) {
    uint8_t buf[16];
    struct weft_writer body;
    fields(&body, buf);
    weft_put_u32(&body, node);
    weft_put_u16(&body, port);
    return look_up(c, NODE_PORT_LOOKUP, &body, node, p, address, address_bytes);
}

/* A request whose one field is a name. */
static int name_call(struct node_client *c, enum node_request type, const char *name) {
    uint8_t buf[NODE_PUBLISHED_MAX + 8];
    if (strlen(name) >= NODE_PUBLISHED_MAX) return WEFT_E_INVAL;
    struct weft_writer body;
    weft_writer_init(&body, buf, sizeof buf);
    weft_put_string(&body, name);
    struct client_waiter w = {0};
    int rc = client_call(c, type, &body, QUICK_TIMEOUT_MS, &w);
    free(w.body);
    return rc;
}

int node_client_publish(struct node_client *c, const char *name) { return name_call(c, NODE_PUBLISH, name); }
int node_client_withdraw(struct node_client *c, const char *name) {
    return name_call(c, NODE_WITHDRAW, name);
}

/* Fields of NODE_FIND; name NULL: by the process's number. */
static int put_find(struct weft_writer *body, uint32_t node, const char *name, uint32_t process) {
    struct node_sought s = {.kind = name ? NODE_SOUGHT_NAME : NODE_SOUGHT_PROCESS, .process = process};
    if (name && strlen(name) >= sizeof s.name) return WEFT_E_INVAL;
    if (name) strcpy(s.name, name);
    weft_put_u32(body, node);
    node_put_sought(body, &s);
    return WEFT_OK;
}

int node_client_find(struct node_client *c, uint32_t node, const char *name, struct node_process *p,
                     void *address, size_t *address_bytes) {
    uint8_t buf[NODE_PUBLISHED_MAX + 16];
    struct weft_writer body;
    weft_writer_init(&body, buf, sizeof buf);
    int rc = put_find(&body, node, name, p->process);
    return rc ? rc : look_up(c, NODE_FIND, &body, node, p, address, address_bytes);
}

static void found(struct node_client *c, struct client_waiter *w) {
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes = 0;
    struct node_process p = w->about;
    int status = w->status == WEFT_OK ? get_found(w, &p.process, address, &bytes) : w->status;
    w->found(w->arg, status, p, address, bytes);
}

int node_client_start_find(struct node_client *c, uint32_t node, const char *name,
                           void (*fn)(void *arg, int status, struct node_process p, const void *address,
                                      size_t address_bytes),
                           void *arg) {
    uint8_t buf[NODE_PUBLISHED_MAX + 16];
    struct weft_writer body;
    weft_writer_init(&body, buf, sizeof buf);
    int rc = put_find(&body, node, name, 0);
    return rc ? rc
              : post_about(
                    c, NODE_FIND, &body,
                    &(struct client_waiter){.finish = found, .about.node = node, .found = fn, .arg = arg});
}

static void watched(struct node_client *c, struct client_waiter *w) {
    if (w->status == WEFT_E_NOENT && c->cb.on_process_down)
        c->cb.on_process_down(c->cb.ctx, w->about, "there is no such process");
}

int node_client_watch(struct node_client *c, struct node_process p) {
    uint8_t buf[32];
    struct node_sought s = {.kind = NODE_SOUGHT_PROCESS, .process = p.process};
    struct weft_writer body;
    weft_writer_init(&body, buf, sizeof buf);
    weft_put_u32(&body, p.node);
    node_put_sought(&body, &s);
    return post_about(c, NODE_FIND, &body, &(struct client_waiter){.finish = watched, .about = p});
}

int node_client_executor_ready(struct node_client *c, const void *address, size_t address_bytes) {
    uint8_t buf[EP_ADDRESS_MAX + 16];
    if (address_bytes > EP_ADDRESS_MAX) return WEFT_E_TOO_BIG;
    struct weft_writer body;
    weft_writer_init(&body, buf, sizeof buf);
    weft_put_blob(&body, address, address_bytes);
    struct client_waiter w = {0};
    int rc = client_call(c, NODE_EXEC_READY, &body, QUICK_TIMEOUT_MS, &w);
    free(w.body);
    return rc;
}

int node_client_join_text(struct node_client *c, char *out, size_t cap) {
    struct client_waiter w = {0};
    int rc = client_call(c, NODE_JOIN_TEXT, NULL, QUICK_TIMEOUT_MS, &w);
    if (rc == WEFT_OK) {
        struct weft_reader r;
        answer(&w, &r);
        weft_get_string(&r, out, cap);
        if (r.failed) rc = WEFT_E_PROTO;
    }
    free(w.body);
    return rc;
}

int node_client_stop_cluster(struct node_client *c) {
    struct client_waiter w = {0};
    int rc = client_call(c, NODE_STOP, NULL, QUICK_TIMEOUT_MS, &w);
    free(w.body);
    return rc;
}
