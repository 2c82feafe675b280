/* Messages between daemons: active messages over the endpoint, all on one channel, so that they are handled
 * in the order they were sent. Only an inventory and what processes count have data. A connection that has
 * not shown the cluster's token may ping and join, and nothing else. */
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"
#include "node/recorded.h"

#include <stdlib.h>
#include <string.h>

#define PINGS_MAX 64u /* echoes with data under way */

/* --- sending --- */

void mesh_begin(struct mesh_message *m, enum node_mesh type) {
    weft_writer_init(&m->w, m->buf, sizeof m->buf);
    weft_put_u8(&m->w, (uint8_t)type);
}

static int send_with(struct mesh_link *l, const struct mesh_message *m, const void *blob, size_t bytes,
                     void (*on_done)(void *, int), void *arg) {
    if (m->w.failed) return WEFT_E_TOO_BIG;
    struct ep_send s = {.handler = NODE_ON_MESH,
                        .header = m->buf,
                        .header_bytes = m->w.len,
                        .data = blob,
                        .data_bytes = bytes,
                        .on_done = on_done,
                        .arg = arg};
    return ep_send(l->peer, &s);
}

int mesh_send(struct mesh_link *l, const struct mesh_message *m) {
    return send_with(l, m, NULL, 0, NULL, NULL);
}

int mesh_send_node(struct node_daemon *d, uint32_t node, const struct mesh_message *m) {
    struct member *to = member_online(d, node);
    return to && to->link ? mesh_send(to->link, m) : WEFT_E_UNREACHABLE;
}

static void free_copy(void *arg, int status) { free(arg); }

int mesh_send_blob(struct node_daemon *d, uint32_t node, const struct mesh_message *m, const void *blob,
                   size_t bytes) {
    struct member *to = member_online(d, node);
    if (!to || !to->link) return WEFT_E_UNREACHABLE;
    if (bytes == 0) return mesh_send(to->link, m);
    void *copy = malloc(bytes);
    if (!copy) return WEFT_E_NOMEM;
    memcpy(copy, blob, bytes);
    int rc = send_with(to->link, m, copy, bytes, free_copy, copy);
    if (rc != WEFT_OK) free(copy);
    return rc;
}

void mesh_send_all(struct node_daemon *d, const struct mesh_message *m) {
    weft_list_for_each_safe(it, &d->links) {
        struct mesh_link *l = weft_list_entry(it, struct mesh_link, link);
        if (l->trusted && l->node != NO_NODE) mesh_send(l, m);
    }
}

/* Something to acknowledge on each connection, so that the transport notices a peer that is gone. A
 * connection whose adapter tells death by itself needs none. */
void mesh_keep_alive(struct node_daemon *d) {
    struct mesh_message m;
    mesh_begin(&m, NODE_M_ALIVE);
    weft_list_for_each_safe(it, &d->links) {
        struct mesh_link *l = weft_list_entry(it, struct mesh_link, link);
        const char *adapter = ep_peer_adapter(l->peer);
        if (l->trusted && adapter && strcmp(adapter, "shm") != 0) mesh_send(l, &m);
    }
}

/* --- receiving --- */

struct incoming_blob {
    struct node_daemon *d;
    enum node_mesh type;
    uint32_t node, request;
    size_t bytes;
    uint8_t data[];
};

static void keep_inventory(struct node_daemon *d, uint32_t node, void *blob, size_t bytes) {
    struct member *m = d->members[node];
    if (!m || m->inventory_here) {
        free(blob);
        return;
    }
    m->inventory = blob;
    m->inventory_bytes = bytes;
    m->inventory_here = m->inventory_ready = true;
    m->inventory_asked = false;
    pending_inventory(d, node);
}

static void take_blob(struct incoming_blob *in) {
    if (in->type != NODE_M_INVENTORY) {
        enum pending_kind kind = in->type == NODE_M_USAGE ? PENDING_USAGE : PENDING_RECORD;
        pending_blob(in->d, in->request, in->node, kind, in->data, in->bytes);
        return;
    }
    void *blob = in->bytes ? malloc(in->bytes) : NULL;
    if (blob) memcpy(blob, in->data, in->bytes);
    if (blob || !in->bytes) keep_inventory(in->d, in->node, blob, in->bytes);
}

static void on_blob_data(void *arg, int status) {
    struct incoming_blob *in = arg;
    if (status == WEFT_OK) take_blob(in);
    free(in);
}

static void on_blob(struct mesh_link *l, enum node_mesh type, struct weft_reader *r, const struct ep_msg *msg,
                    struct ep_sink *sink) {
    uint32_t request = weft_get_u32(r);
    size_t most = type == NODE_M_USAGE    ? NODE_USAGE_MAX
                  : type == NODE_M_RECORD ? NODE_RECORDED_MAX
                                          : NODE_INVENTORY_MAX;
    int status = type == NODE_M_RECORD ? (int)(int32_t)weft_get_u32(r) : WEFT_OK;
    if (r->failed || msg->data_bytes > most) return;
    if (status != WEFT_OK) {
        pending_fail(l->d, request, l->node, PENDING_RECORD, status < 0 ? status : WEFT_E_IO,
                     recorder_reason(status));
        return;
    }
    struct incoming_blob *in = malloc(sizeof *in + msg->data_bytes);
    if (!in) return;
    *in = (struct incoming_blob){
        .d = l->d, .type = type, .node = l->node, .request = request, .bytes = msg->data_bytes};
    if (msg->data || !msg->data_bytes) {
        if (msg->data) memcpy(in->data, msg->data, in->bytes);
        on_blob_data(in, WEFT_OK);
    } else {
        *sink = (struct ep_sink){.buf = in->data, .on_data = on_blob_data, .arg = in};
    }
}

static void tell_usage(struct mesh_link *l, struct weft_reader *r) {
    struct mesh_message m;
    struct weft_writer w;
    uint32_t request = weft_get_u32(r);
    if (r->failed) return;
    mesh_begin(&m, NODE_M_USAGE);
    weft_put_u32(&m.w, request);
    weft_writer_init_heap(&w, 4096);
    counts_collect(l->d, &w);
    mesh_send_blob(l->d, l->node, &m, w.data, w.failed ? 0 : w.len);
    weft_writer_fini(&w);
}

static void on_record(struct mesh_link *l, struct weft_reader *r) {
    struct mesh_message m;
    struct weft_writer w;
    uint32_t request = weft_get_u32(r), process = weft_get_u32(r);
    uint8_t what = weft_get_u8(r);
    if (r->failed || !process) return;
    weft_writer_init_heap(&w, 4096);
    int rc = recorder_do(l->d, (struct node_process){l->node, process}, what, &w);
    mesh_begin(&m, NODE_M_RECORD);
    weft_put_u32(&m.w, request);
    weft_put_u32(&m.w, (uint32_t)rc);
    if (request) mesh_send_blob(l->d, l->node, &m, w.data, rc == WEFT_OK ? w.len : 0);
    weft_writer_fini(&w);
}

static void on_executor_answer(struct mesh_link *l, enum node_mesh type, struct weft_reader *r) {
    uint32_t request = weft_get_u32(r);
    if (type == NODE_M_EXEC_FAILED) {
        int status = (int)(int32_t)weft_get_u32(r);
        char reason[NODE_REASON_MAX];
        node_get_reason(r, reason);
        if (!r->failed)
            pending_fail(l->d, request, l->node, PENDING_EXECUTOR, status < 0 ? status : WEFT_E_IO, reason);
        return;
    }
    uint32_t process = weft_get_u32(r);
    const uint8_t *token = weft_get_bytes(r, NODE_TOKEN_BYTES);
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes;
    node_get_address(r, address, &bytes);
    if (!r->failed) pending_executor_ready(l->d, request, l->node, process, token, address, bytes);
}

static void tell_found(struct mesh_link *l, uint32_t request, struct process *p) {
    if (p) node_set_add(&p->watchers, l->node);
    struct mesh_message m;
    mesh_begin(&m, NODE_M_PORT_REPLY);
    weft_put_u32(&m.w, request);
    weft_put_u32(&m.w, (uint32_t)(p ? WEFT_OK : WEFT_E_NOENT));
    weft_put_u32(&m.w, p ? p->id : 0);
    weft_put_blob(&m.w, p ? p->address : NULL, p ? p->address_bytes : 0);
    mesh_send(l, &m);
}

static void on_port_lookup(struct mesh_link *l, struct weft_reader *r) {
    uint32_t request = weft_get_u32(r);
    uint16_t port = weft_get_u16(r);
    if (!r->failed) tell_found(l, request, process_find(l->d, node_ports_holder(&l->d->ports, port)));
}

static void on_find(struct mesh_link *l, struct weft_reader *r) {
    uint32_t request = weft_get_u32(r);
    struct node_sought s;
    node_get_sought(r, &s);
    if (!r->failed) tell_found(l, request, request_find(l->d, &s));
}

static void on_port_reply(struct mesh_link *l, struct weft_reader *r) {
    uint32_t request = weft_get_u32(r);
    int status = (int)(int32_t)weft_get_u32(r);
    uint32_t process = weft_get_u32(r);
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes;
    node_get_address(r, address, &bytes);
    if (r->failed) return;
    if (status == WEFT_OK)
        pending_port_found(l->d, request, l->node, process, address, bytes);
    else
        pending_fail(l->d, request, l->node, PENDING_PORT, WEFT_E_NOENT, "nobody there is that");
}

static void on_trusted(struct mesh_link *l, enum node_mesh type, struct weft_reader *r,
                       const struct ep_msg *msg, struct ep_sink *sink) {
    struct node_daemon *d = l->d;
    char reason[NODE_REASON_MAX];
    uint32_t a, b;
    switch (type) {
    case NODE_M_LEAVE:
        node_get_reason(r, reason);
        if (!r->failed) member_left(l, reason);
        break;
    case NODE_M_STOP:
        weft_info("node", "node %u ends the cluster", l->node);
        daemon_end(d);
        break;
    case NODE_M_INVENTORY_READY: d->members[l->node]->inventory_ready = true; break;
    case NODE_M_INVENTORY_GET:
        a = weft_get_u32(r);
        if (!r->failed) pending_inventory_from(d, l->node, a);
        break;
    case NODE_M_INVENTORY:
    case NODE_M_RECORD:
    case NODE_M_USAGE: on_blob(l, type, r, msg, sink); break;
    case NODE_M_RECORD_GET: on_record(l, r); break;
    case NODE_M_USAGE_GET: tell_usage(l, r); break;
    case NODE_M_EXEC_START:
        a = weft_get_u32(r);
        b = weft_get_u32(r);
        if (!r->failed) executor_start(d, l->node, b, a);
        break;
    case NODE_M_EXEC_READY:
    case NODE_M_EXEC_FAILED: on_executor_answer(l, type, r); break;
    case NODE_M_PROCESS_DOWN:
        a = weft_get_u32(r);
        node_get_reason(r, reason);
        if (!r->failed && a) process_news_down(d, l->node, a, reason);
        break;
    case NODE_M_CLIENT_DOWN:
        a = weft_get_u32(r);
        if (!r->failed && a) executor_kill_owned(d, l->node, a);
        break;
    case NODE_M_PORT_LOOKUP: on_port_lookup(l, r); break;
    case NODE_M_PORT_REPLY: on_port_reply(l, r); break;
    case NODE_M_FIND: on_find(l, r); break;
    default: break; /* ALIVE, and what a later version may add */
    }
}

static void on_mesh(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct mesh_link *l = ep_peer_context(peer);
    if (!l || l->d->state == NODE_DAEMON_ENDED) return;
    struct weft_reader r;
    weft_reader_init(&r, msg->header, msg->header_bytes);
    enum node_mesh type = weft_get_u8(&r);
    if (r.failed) return;
    switch (type) {
    case NODE_M_JOIN: member_on_join(l, &r); break;
    case NODE_M_JOINED: member_on_joined(l, &r); break;
    case NODE_M_REFER: member_on_refer(l, &r); break;
    case NODE_M_HELLO: member_on_hello(l, &r); break;
    case NODE_M_ENTRY: member_on_entry(l, &r); break;
    case NODE_M_HELLO_OK: member_on_hello_ok(l, &r); break;
    case NODE_M_REFUSED: {
        char reason[NODE_REASON_MAX];
        node_get_reason(&r, reason);
        if (r.failed || l->d->state != NODE_DAEMON_JOINING || !(l == l->d->join_link || l->hello_due)) break;
        weft_error("node", "the cluster refuses this node: %s", reason);
        daemon_end(l->d);
        break;
    }
    default:
        if (l->trusted && l->node != NO_NODE && l->d->members[l->node]) on_trusted(l, type, &r, msg, sink);
    }
}

/* --- ping --- */

struct echo {
    struct node_daemon *d;
    struct ep_peer *peer;
    uint8_t header[NODE_PING_HEADER_MAX];
    size_t header_bytes, bytes;
    uint8_t data[];
};

static void free_echo(void *arg, int status) {
    struct echo *e = arg;
    e->d->echoes--;
    free(e);
}

static void send_echo(void *arg, int status) {
    struct echo *e = arg;
    struct ep_send s = {.handler = NODE_ON_PONG,
                        .header = e->header,
                        .header_bytes = e->header_bytes,
                        .data = e->data,
                        .data_bytes = e->bytes,
                        .on_done = free_echo,
                        .arg = e};
    if (status != WEFT_OK || ep_send(e->peer, &s) != WEFT_OK) free_echo(e, status);
}

static void on_ping(void *ctx, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    if (msg->header_bytes > NODE_PING_HEADER_MAX || msg->data_bytes > NODE_PING_DATA_MAX) return;
    if (msg->data_bytes == 0) {
        struct ep_send s = {
            .handler = NODE_ON_PONG, .header = msg->header, .header_bytes = msg->header_bytes};
        ep_send(peer, &s);
        return;
    }
    struct node_daemon *d = ctx;
    struct echo *e = d->echoes < PINGS_MAX ? malloc(sizeof *e + msg->data_bytes) : NULL;
    if (!e) return;
    d->echoes++;
    e->d = d;
    e->peer = peer;
    e->header_bytes = msg->header_bytes;
    e->bytes = msg->data_bytes;
    memcpy(e->header, msg->header, msg->header_bytes);
    if (msg->data) {
        memcpy(e->data, msg->data, e->bytes);
        send_echo(e, WEFT_OK);
    } else {
        *sink = (struct ep_sink){.buf = e->data, .on_data = send_echo, .arg = e};
    }
}

/* --- connections --- */

static struct mesh_link *link_create(struct node_daemon *d, struct ep_peer *peer) {
    struct mesh_link *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    *l = (struct mesh_link){.d = d, .peer = peer, .node = NO_NODE};
    weft_list_push_back(&d->links, &l->link);
    return l;
}

/* Nobody keeps a pointer to it: a daemon that has ended still tells others about its executors, and another
 * link may get this memory. */
static void link_free(struct mesh_link *l) {
    struct node_daemon *d = l->d;
    struct member *m = l->node != NO_NODE ? d->members[l->node] : NULL;
    if (m && m->link == l) m->link = NULL;
    if (d->join_link == l) d->join_link = NULL;
    weft_list_remove(&l->link);
    free(l);
}

static void on_peer_up(void *ctx, struct ep_peer *peer) { ep_peer_set_context(peer, link_create(ctx, peer)); }

static void on_peer_down(void *ctx, struct ep_peer *peer, int status) {
    struct node_daemon *d = ctx;
    struct mesh_link *l = ep_peer_context(peer);
    if (!l) return;
    ep_peer_set_context(peer, NULL);
    bool was_join = l == d->join_link;
    bool outgoing = l->outgoing, ended = d->state == NODE_DAEMON_ENDED;
    if (!ended) member_lost(l, weft_error_text(status));
    link_free(l);
    if (ended) return;
    if (outgoing) ep_disconnect(peer);
    if (was_join && d->state == NODE_DAEMON_JOINING) {
        if (status == WEFT_E_ACCESS)
            weft_error(
                "node",
                "the cluster has another key: is the key file here the one of the host where the cluster "
                "was started, and the join text the present cluster's?");
        else
            weft_error("node",
                       "cannot reach the node that would take this one in: %s (is its daemon up, and is the "
                       "join text the present cluster's? `weft nodes --join` on any node prints one)",
                       weft_error_text(status));
        daemon_end(d);
    }
}

struct mesh_link *mesh_connect(struct node_daemon *d, const void *address, size_t bytes) {
    struct mesh_link *l = link_create(d, NULL);
    if (!l) return NULL;
    l->trusted = l->outgoing = true;
    int rc = ep_connect(d->ep, address, bytes, l, &l->peer);
    if (rc == WEFT_OK) return l;
    weft_error("node", "cannot connect to another daemon: %s", weft_error_text(rc));
    link_free(l);
    return NULL;
}

void mesh_disconnect(struct mesh_link *l) {
    struct ep_peer *peer = l->peer;
    ep_peer_set_context(peer, NULL);
    link_free(l);
    ep_disconnect(peer);
}

int mesh_open(struct node_daemon *d) {
    struct ep_config cfg = {.adapters = d->adapters,
                            .run_dir = d->base,
                            .bind_host = d->bind_host,
                            .key = d->keyed ? d->credentials.key : NULL,
                            .accept = true,
                            .no_thread = true,
                            .on_peer_up = on_peer_up,
                            .on_peer_down = on_peer_down,
                            .ctx = d};
    cfg.handlers[NODE_ON_MESH] = (struct ep_handler){.on_header = on_mesh, .ctx = d};
    cfg.handlers[NODE_ON_PING] = (struct ep_handler){.on_header = on_ping, .ctx = d};
    int rc = ep_open(&d->ep, &cfg);
    if (rc == WEFT_E_INVAL)
        weft_error("node",
                   "is %s an address of this host? --bind wants one that it has (`ip address` lists them)",
                   d->bind_host);
    if (rc == WEFT_OK || rc == WEFT_E_INVAL || strcmp(d->adapters, "shm,udp") != 0) return rc;
    cfg.adapters = "udp";
    rc = ep_open(&d->ep, &cfg);
    if (rc == WEFT_OK) weft_warn("node", "going on without shm"); /* a host that forbids it */
    return rc;
}
