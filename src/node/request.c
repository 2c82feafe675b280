/* What local processes ask for, and the requests that wait for another daemon, a child or an inventory: each
 * has a number that goes to the other daemon and comes back with its answer. */
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUESTS_MAX 4096u /* of one process that wait */

/* --- waiting requests --- */

static struct pending *pending_add(struct node_daemon *d, enum pending_kind kind, struct process *p,
                                   uint32_t request, uint32_t node) {
    if (d->pending.count >= PENDING_MAX || (p && p->pending >= REQUESTS_MAX)) return NULL;
    struct pending *q = calloc(1, sizeof *q);
    if (!q) return NULL;
    do q->id = d->next_pending++;
    while (q->id == 0 || weft_map_get(&d->pending, q->id));
    q->kind = kind;
    q->process = p ? p->id : 0;
    q->request = request;
    q->node = node;
    if (weft_map_put(&d->pending, q->id, q) != WEFT_OK) {
        free(q);
        return NULL;
    }
    if (p) p->pending++;
    return q;
}

static void pending_remove(struct node_daemon *d, struct pending *q) {
    struct process *p = process_find(d, q->process);
    if (p) p->pending--;
    weft_map_remove(&d->pending, q->id);
    free(q);
}

/* Only the node that was asked may answer. */
static struct pending *pending_find(struct node_daemon *d, uint32_t id, uint32_t node,
                                    enum pending_kind kind) {
    struct pending *q = weft_map_get(&d->pending, id);
    return q && q->node == node && q->kind == kind ? q : NULL;
}

static void answer(struct node_daemon *d, struct pending *q, int status, const char *reason,
                   const struct weft_writer *rest) {
    struct process *p = process_find(d, q->process);
    if (p) process_reply(p, q->request, status, reason, rest);
    pending_remove(d, q);
}

void pending_fail(struct node_daemon *d, uint32_t id, uint32_t node, enum pending_kind kind, int status,
                  const char *reason) {
    struct pending *q = pending_find(d, id, node, kind);
    if (q) answer(d, q, status, reason, NULL);
}

/* The process that was asked for, found: the one that asked will hear of its end. token: an executor's; NULL:
 * none. */
static void answer_process(struct node_daemon *d, struct pending *q, uint32_t node, uint32_t process,
                           const uint8_t *token, const void *address, size_t bytes) {
    if (!q) return;
    struct process *p = process_find(d, q->process);
    if (p) process_know(p, node, process);
    uint8_t buf[EP_ADDRESS_MAX + 64];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, process);
    if (token) weft_put_bytes(&w, token, NODE_TOKEN_BYTES);
    weft_put_blob(&w, address, bytes);
    answer(d, q, WEFT_OK, NULL, &w);
}

void pending_executor_ready(struct node_daemon *d, uint32_t id, uint32_t node, uint32_t process,
                            const uint8_t *token, const void *address, size_t bytes) {
    answer_process(d, pending_find(d, id, node, PENDING_EXECUTOR), node, process, token, address, bytes);
}

void pending_port_found(struct node_daemon *d, uint32_t id, uint32_t node, uint32_t process,
                        const void *address, size_t bytes) {
    answer_process(d, pending_find(d, id, node, PENDING_PORT), node, process, NULL, address, bytes);
}

static void send_inventory(struct node_daemon *d, const struct pending *q, const struct member *m) {
    struct process *p = process_find(d, q->process);
    if (p) {
        struct weft_writer rest = {
            .data = m->inventory, .len = m->inventory_bytes, .cap = m->inventory_bytes};
        process_reply(p, q->request, WEFT_OK, NULL, &rest);
    } else if (!q->process) {
        struct mesh_message msg;
        mesh_begin(&msg, NODE_M_INVENTORY);
        weft_put_u32(&msg.w, q->request);
        weft_put_u32(&msg.w, WEFT_OK);
        mesh_send_blob(d, q->from_node, &msg, m->inventory, m->inventory_bytes);
    }
}

void pending_inventory(struct node_daemon *d, uint32_t node) {
    size_t it = 0;
    uint64_t key;
    for (struct pending *q; (q = weft_map_next(&d->pending, &it, &key));) {
        if (q->kind != PENDING_INVENTORY || q->node != node) continue;
        send_inventory(d, q, d->members[node]);
        pending_remove(d, q);
    }
}

int pending_inventory_from(struct node_daemon *d, uint32_t from_node, uint32_t request) {
    struct pending *q = pending_add(d, PENDING_INVENTORY, NULL, request, d->self);
    if (!q) return WEFT_E_LIMIT;
    q->from_node = from_node;
    if (d->members[d->self]->inventory_here) pending_inventory(d, d->self);
    return WEFT_OK;
}

void pending_blob(struct node_daemon *d, uint32_t id, uint32_t node, enum pending_kind kind, const void *blob,
                  size_t bytes) {
    struct pending *q = pending_find(d, id, node, kind);
    struct weft_writer rest = {.data = (uint8_t *)blob, .len = bytes, .cap = bytes};
    if (q) answer(d, q, WEFT_OK, NULL, &rest);
}

void pending_drop_process(struct node_daemon *d, uint32_t process) {
    size_t it = 0;
    uint64_t key;
    for (struct pending *q; (q = weft_map_next(&d->pending, &it, &key));)
        if (q->process == process) pending_remove(d, q);
}

void pending_drop_node(struct node_daemon *d, uint32_t node, const char *reason) {
    size_t it = 0;
    uint64_t key;
    for (struct pending *q; (q = weft_map_next(&d->pending, &it, &key));) {
        if (!q->process && q->from_node == node)
            pending_remove(d, q);
        else if (q->node == node)
            answer(d, q, WEFT_E_PEER_LOST, reason, NULL);
    }
}

/* --- requests --- */

/* Magic and version, the first fields of HELLO and ENDPOINT; another version is told, and its line ends. */
static int check_version(struct process *p, struct node_frame *f) {
    uint32_t magic = weft_get_u32(&f->body);
    uint16_t version = weft_get_u16(&f->body);
    if (f->body.failed || magic != NODE_PROTOCOL_MAGIC) return WEFT_E_PROTO;
    if (version == NODE_PROTOCOL_VERSION) return WEFT_OK;
    char reason[NODE_REASON_MAX];
    snprintf(reason, sizeof reason, "it speaks version %u of the node protocol, this daemon %u", version,
             NODE_PROTOCOL_VERSION);
    process_reply(p, f->request, WEFT_E_VERSION, reason, NULL);
    p->ending = p->d->reap_due = true;
    return WEFT_E_VERSION;
}

/* What a process needs to open its endpoint, which comes before HELLO, since that tells the endpoint's
 * address. */
static int on_endpoint(struct process *p, struct node_frame *f) {
    int rc = check_version(p, f);
    if (rc != WEFT_OK) return rc == WEFT_E_VERSION ? WEFT_OK : rc;
    struct node_daemon *d = p->d;
    uint8_t buf[128 + NODE_KEY_BYTES];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_string(&w, d->bind_host);
    weft_put_blob(&w, d->credentials.key, d->keyed ? NODE_KEY_BYTES : 0);
    process_reply(p, f->request, WEFT_OK, NULL, &w);
    OPENSSL_cleanse(buf, sizeof buf);
    return WEFT_OK;
}

static int on_hello(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    int rc = check_version(p, f);
    if (rc != WEFT_OK) return rc == WEFT_E_VERSION ? WEFT_OK : rc;
    uint8_t kind = weft_get_u8(&f->body);
    if (f->body.failed || p->id) return WEFT_E_PROTO;
    node_get_address(&f->body, p->address, &p->address_bytes);
    if (f->body.failed || kind < NODE_PROGRAM || kind > NODE_TOOL) return WEFT_E_PROTO;
    struct executor *x = kind == NODE_EXECUTOR ? executor_of_pid(d, p->pid) : NULL;
    if (kind == NODE_EXECUTOR && !x) {
        process_reply(p, f->request, WEFT_E_ACCESS, "this daemon did not start it as an executor", NULL);
        p->ending = d->reap_due = true;
        return WEFT_OK;
    }
    uint32_t id = x ? x->id : d->next_process++;
    if (weft_map_put(&d->processes, id, p) != WEFT_OK) return WEFT_E_NOMEM;
    weft_list_remove(&p->connecting);
    p->id = id;
    p->kind = kind;
    uint8_t buf[128];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u32(&w, d->self);
    weft_put_u32(&w, p->id);
    process_reply(p, f->request, WEFT_OK, NULL, &w);
    return WEFT_OK;
}

static int on_nodes(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    struct weft_writer w;
    uint32_t count = 0;
    weft_writer_init_heap(&w, 4096);
    for (uint32_t i = 0; i < NODE_MAX; i++)
        count += d->members[i] && (d->members[i]->online || !d->members[i]->link);
    weft_put_u32(&w, count);
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        struct member *m = d->members[i];
        if (!m || (!m->online && m->link)) continue; /* one that is still joining is not shown */
        node_put_entry(&w, &m->entry);
        weft_put_u8(&w, (uint8_t)(m->online | (m->online && m->inventory_ready) << 1));
    }
    process_reply(p, f->request, WEFT_OK, NULL, &w);
    weft_writer_fini(&w);
    return WEFT_OK;
}

static int refuse_unknown(struct process *p, struct node_frame *f, uint32_t node) {
    char reason[NODE_REASON_MAX];
    snprintf(reason, sizeof reason, "node %u is not in the cluster, or lost", node);
    process_reply(p, f->request, WEFT_E_UNREACHABLE, reason, NULL);
    return WEFT_OK;
}

static int refuse_limit(struct process *p, struct node_frame *f) {
    process_reply(p, f->request, WEFT_E_LIMIT, "too many requests are waiting", NULL);
    return WEFT_OK;
}

static int on_inventory(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    struct member *m = member_online(d, node);
    if (!m) return refuse_unknown(p, f, node);
    struct pending *q = pending_add(d, PENDING_INVENTORY, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    if (m->inventory_here) {
        pending_inventory(d, node);
    } else if (node != d->self && !m->inventory_asked) {
        struct mesh_message msg;
        mesh_begin(&msg, NODE_M_INVENTORY_GET);
        weft_put_u32(&msg.w, q->id);
        m->inventory_asked = mesh_send_node(d, node, &msg) == WEFT_OK;
        if (!m->inventory_asked) answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    }
    return WEFT_OK;
}

static int on_usage(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    if (!member_online(d, node)) return refuse_unknown(p, f, node);
    if (node == d->self) {
        struct weft_writer w;
        weft_writer_init_heap(&w, 4096);
        counts_collect(d, &w);
        process_reply(p, f->request, w.failed ? WEFT_E_NOMEM : WEFT_OK, NULL, &w);
        weft_writer_fini(&w);
        return WEFT_OK;
    }
    struct pending *q = pending_add(d, PENDING_USAGE, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    struct mesh_message m;
    mesh_begin(&m, NODE_M_USAGE_GET);
    weft_put_u32(&m.w, q->id);
    if (mesh_send_node(d, node, &m) != WEFT_OK)
        answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    return WEFT_OK;
}

static int on_record(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    uint8_t what = weft_get_u8(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    if (!member_online(d, node)) return refuse_unknown(p, f, node);
    p->recorded |= what == NODE_RECORD_BEGIN;
    if (node == d->self) {
        struct weft_writer w;
        weft_writer_init_heap(&w, 4096);
        int rc = recorder_do(d, (struct node_process){d->self, p->id}, what, &w);
        process_reply(p, f->request, rc, rc == WEFT_OK ? NULL : recorder_reason(rc), &w);
        weft_writer_fini(&w);
        return WEFT_OK;
    }
    struct pending *q = pending_add(d, PENDING_RECORD, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    struct mesh_message m;
    mesh_begin(&m, NODE_M_RECORD_GET);
    weft_put_u32(&m.w, q->id);
    weft_put_u32(&m.w, p->id);
    weft_put_u8(&m.w, what);
    if (mesh_send_node(d, node, &m) != WEFT_OK)
        answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    return WEFT_OK;
}

static int on_exec_start(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    if (!member_online(d, node)) return refuse_unknown(p, f, node);
    struct pending *q = pending_add(d, PENDING_EXECUTOR, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    node_set_add(&p->exec_nodes, node);
    if (node == d->self) {
        executor_start(d, node, p->id, q->id);
        return WEFT_OK;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_EXEC_START);
    weft_put_u32(&m.w, q->id);
    weft_put_u32(&m.w, p->id);
    if (mesh_send_node(d, node, &m) != WEFT_OK)
        answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    return WEFT_OK;
}

static int on_exec_ready(struct process *p, struct node_frame *f) {
    node_get_address(&f->body, p->address, &p->address_bytes);
    if (f->body.failed) return WEFT_E_PROTO;
    int rc = executor_ready(p);
    process_reply(p, f->request, rc, rc == WEFT_OK ? NULL : "it is not an executor that is starting", NULL);
    return WEFT_OK;
}

static int on_port_bind(struct process *p, struct node_frame *f) {
    uint16_t wanted = weft_get_u16(&f->body), port = 0;
    if (f->body.failed) return WEFT_E_PROTO;
    int rc = node_ports_bind(&p->d->ports, p->id, wanted, geteuid() == 0, &port);
    uint8_t buf[4];
    struct weft_writer w;
    weft_writer_init(&w, buf, sizeof buf);
    weft_put_u16(&w, port);
    process_reply(p, f->request, rc, weft_error_text(rc), &w);
    return WEFT_OK;
}

static int on_port_release(struct process *p, struct node_frame *f) {
    uint16_t port = weft_get_u16(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    int rc = node_ports_release(&p->d->ports, p->id, port);
    process_reply(p, f->request, rc, "it does not hold that port", NULL);
    return WEFT_OK;
}

static void answer_here(struct node_daemon *d, struct pending *q, const struct process *holder) {
    if (holder)
        pending_port_found(d, q->id, d->self, holder->id, holder->address, holder->address_bytes);
    else
        answer(d, q, WEFT_E_NOENT, "nobody here is that", NULL);
}

static int on_port_lookup(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    uint16_t port = weft_get_u16(&f->body);
    if (f->body.failed) return WEFT_E_PROTO;
    if (!member_online(d, node)) return refuse_unknown(p, f, node);
    struct pending *q = pending_add(d, PENDING_PORT, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    if (node == d->self) {
        answer_here(d, q, process_find(d, node_ports_holder(&d->ports, port)));
        return WEFT_OK;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_PORT_LOOKUP);
    weft_put_u32(&m.w, q->id);
    weft_put_u16(&m.w, port);
    if (mesh_send_node(d, node, &m) != WEFT_OK)
        answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    return WEFT_OK;
}

static int on_publish(struct process *p, struct node_frame *f) {
    char name[NODE_PUBLISHED_MAX];
    weft_get_string(&f->body, name, sizeof name);
    if (f->body.failed) return WEFT_E_PROTO;
    int rc = p->address_bytes ? node_names_publish(&p->d->names, p->id, name) : WEFT_E_INVAL;
    process_reply(p, f->request, rc, weft_error_text(rc), NULL);
    return WEFT_OK;
}

static int on_withdraw(struct process *p, struct node_frame *f) {
    char name[NODE_PUBLISHED_MAX];
    weft_get_string(&f->body, name, sizeof name);
    if (f->body.failed) return WEFT_E_PROTO;
    int rc = node_names_withdraw(&p->d->names, p->id, name);
    process_reply(p, f->request, rc, "it does not hold that name", NULL);
    return WEFT_OK;
}

struct process *request_find(struct node_daemon *d, const struct node_sought *s) {
    bool by_name = s->kind == NODE_SOUGHT_NAME;
    struct process *p = process_find(d, by_name ? node_names_holder(&d->names, s->name) : s->process);
    return p && p->address_bytes ? p : NULL;
}

static int on_find(struct process *p, struct node_frame *f) {
    struct node_daemon *d = p->d;
    uint32_t node = weft_get_u32(&f->body);
    struct node_sought s;
    node_get_sought(&f->body, &s);
    if (f->body.failed) return WEFT_E_PROTO;
    if (!member_online(d, node)) return refuse_unknown(p, f, node);
    struct pending *q = pending_add(d, PENDING_PORT, p, f->request, node);
    if (!q) return refuse_limit(p, f);
    if (node == d->self) {
        answer_here(d, q, request_find(d, &s));
        return WEFT_OK;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_FIND);
    weft_put_u32(&m.w, q->id);
    node_put_sought(&m.w, &s);
    if (mesh_send_node(d, node, &m) != WEFT_OK)
        answer(d, q, WEFT_E_UNREACHABLE, "its node cannot be reached", NULL);
    return WEFT_OK;
}

static int on_join_text(struct process *p, struct node_frame *f) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 256);
    weft_put_string(&w, p->d->join_text);
    process_reply(p, f->request, WEFT_OK, NULL, &w);
    weft_writer_fini(&w);
    return WEFT_OK;
}

static int on_stop(struct process *p, struct node_frame *f) {
    struct mesh_message m;
    mesh_begin(&m, NODE_M_STOP);
    mesh_send_all(p->d, &m);
    p->d->stop_ordered = true;
    process_reply(p, f->request, WEFT_OK, NULL, NULL);
    node_daemon_stop(p->d);
    return WEFT_OK;
}

int request_handle(struct process *p, struct node_frame *f) {
    if (f->type == NODE_HELLO) return on_hello(p, f);
    if (f->type == NODE_ENDPOINT) return on_endpoint(p, f);
    if (!p->id) return WEFT_E_PROTO;
    switch ((enum node_request)f->type) {
    case NODE_NODES: return on_nodes(p, f);
    case NODE_INVENTORY: return on_inventory(p, f);
    case NODE_EXEC_START: return on_exec_start(p, f);
    case NODE_EXEC_READY: return on_exec_ready(p, f);
    case NODE_PORT_BIND: return on_port_bind(p, f);
    case NODE_PORT_RELEASE: return on_port_release(p, f);
    case NODE_PORT_LOOKUP: return on_port_lookup(p, f);
    case NODE_STOP: return on_stop(p, f);
    case NODE_JOIN_TEXT: return on_join_text(p, f);
    case NODE_PUBLISH: return on_publish(p, f);
    case NODE_WITHDRAW: return on_withdraw(p, f);
    case NODE_FIND: return on_find(p, f);
    case NODE_USAGE: return on_usage(p, f);
    case NODE_RECORD: return on_record(p, f);
    default: return WEFT_E_PROTO;
    }
}
