/* Addresses, and finding others by asking the daemons. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/option.h"
#include "base/path.h"
#include "fabric/count.h"
#include "fabric/fabric.h"
#include "node/client.h"

#include <stdio.h>
#include <stdlib.h>

#define LAST_WORDS_NS (100 * WEFT_NS_PER_MS) /* what an ended process still said has arrived by then */

#define ADDRESS_MAGIC 0x31414657u /* "WFA1" */

_Static_assert(WEFT_ADDRESS_MAX >= EP_ADDRESS_MAX + 16, "an address must fit");

/* -- addresses -- */

void address_make(struct weft_address *out, struct weft_id id, const void *ep_address, size_t bytes) {
    struct weft_writer w;
    weft_writer_init(&w, out->data, sizeof out->data);
    weft_put_u32(&w, ADDRESS_MAGIC);
    weft_put_u32(&w, id.node);
    weft_put_u32(&w, id.process);
    weft_put_bytes(&w, ep_address, bytes);
    out->bytes = (uint32_t)w.len;
}

int address_read(const struct weft_address *a, struct weft_id *id, const void **part, size_t *bytes) {
    if (!a || a->bytes > sizeof a->data) return WEFT_E_INVAL;
    struct weft_reader r;
    weft_reader_init(&r, a->data, a->bytes);
    uint32_t magic = weft_get_u32(&r);
    id->node = weft_get_u32(&r);
    id->process = weft_get_u32(&r);
    *bytes = weft_reader_left(&r);
    *part = weft_get_bytes(&r, *bytes);
    return r.failed || magic != ADDRESS_MAGIC || *bytes > EP_ADDRESS_MAX ? WEFT_E_INVAL : 0;
}

int weft_own_address(struct weft *w, struct weft_address *out) {
    uint8_t buf[EP_ADDRESS_MAX];
    size_t bytes = sizeof buf;
    int rc = ep_address(w->ep, buf, &bytes);
    if (rc == 0) address_make(out, w->self, buf, bytes);
    return rc;
}

/* -- the cluster -- */

/* The socket of another node of this host: beside that of the cluster that the environment names. */
static int socket_of_node(uint32_t node, char *out, size_t cap) {
    const char *inherited = weft_option_string("node_socket");
    char run_dir[WEFT_PATH_MAX];
    int n;
    if (inherited && *inherited) {
        const char *at = strstr(inherited, "/node");
        for (const char *next; at && (next = strstr(at + 1, "/node"));) at = next;
        if (!at) return WEFT_E_NOENT;
        n = snprintf(out, cap, "%.*s/node%u/socket", (int)(at - inherited), inherited, node);
    } else {
        int rc = weft_run_dir(run_dir, sizeof run_dir);
        if (rc) return rc;
        n = snprintf(out, cap, "%s/default/node%u/socket", run_dir, node);
    }
    return n >= 0 && (size_t)n < cap ? 0 : WEFT_E_TOO_BIG;
}

int directory_attach(struct weft *w, uint32_t node) {
    char path[WEFT_PATH_MAX + 64];
    bool asked = node != WEFT_ANY_NODE;
    int rc = asked ? socket_of_node(node, path, sizeof path) : 0;
    const struct node_callbacks cb = {
        .on_process_down = directory_on_process_down, .on_node_down = directory_on_node_down, .ctx = w};
    struct node_client *client = NULL;
    if (rc == 0) rc = node_client_open(&client, w->ep, asked ? path : NULL, NODE_PROGRAM, &cb);
    if (rc == WEFT_E_NOENT && !asked) return 0;
    if (rc) return rc;
    struct node_process self = node_client_self(client);
    pthread_mutex_lock(&w->lock); /* handlers run already */
    w->self = (struct weft_id){self.node, self.process};
    w->client = client;
    pthread_mutex_unlock(&w->lock);
    return 0;
}

void directory_detach(struct weft *w) {
    if (!w->client) return;
    node_client_endpoint_closed(w->client);
    node_client_close(w->client);
    w->client = NULL;
}

/* -- news of the ends of processes -- */

void directory_watch(struct weft_peer *p) {
    struct weft *w = p->w;
    pthread_mutex_lock(&w->lock);
    struct node_client *client = w->client;
    pthread_mutex_unlock(&w->lock);
    if (client) node_client_watch(client, (struct node_process){p->id.node, p->id.process});
}

/* Those that are still up when their last words have had time to arrive. */
static void fail_ended(void *arg) {
    struct weft *w = arg;
    const struct weft *before = fabric_enter(w);
    for (struct weft_peer *p; (p = peer_next_ended(w));) {
        /* Who closes itself may have the other's goodbye already: its linger time ends what is left. */
        bool up = !atomic_load(&w->closing) && atomic_load(&p->status) == 0 && !atomic_load(&p->gone);
        if (up)
            weft_info("fabric", "process %u of node %u has ended, says its daemon", p->id.process,
                      p->id.node);
        if (up) ep_peer_fail(p->ep, WEFT_E_PEER_LOST);
        pthread_mutex_lock(&w->lock);
        peer_drop(p);
        pthread_mutex_unlock(&w->lock);
    }
    fabric_leave(before);
}

void directory_on_process_down(void *arg, struct node_process p, const char *reason) {
    struct weft *w = arg;
    fabric_count(COUNT_ENDS_TOLD, 1);
    if (peer_mark_ended(w, (struct weft_id){p.node, p.process}, true))
        ep_timer(w->ep, weft_now_ns() + LAST_WORDS_NS, fail_ended, w);
}

/* Its daemon is lost, so nobody knows what became of its processes: whether they live is seen by their
 * connections. */
void directory_on_node_down(void *arg, uint32_t node, const char *reason) {
    peer_mark_ended(arg, (struct weft_id){node, 0}, false);
}

static int may_ask(const struct weft *w) {
    static atomic_bool said;
    if (fabric_in_callback(w)) return WEFT_E_BUSY;
    if (w->client) return 0;
    if (!atomic_exchange(&said, true))
        weft_warn("fabric", "this process is in no cluster (weft up, weft run): there are no names, processes and ports");
    return WEFT_E_NOSUP;
}

int weft_node_count(struct weft *w) {
    if (!w->client) return fabric_in_callback(w) ? WEFT_E_BUSY : 1;
    int rc = may_ask(w);
    return rc ? rc : node_client_nodes(w->client, NULL, 0, 10000);
}

static bool is_name(const char *name) { return name && *name && strlen(name) < WEFT_NAME_MAX; }

int weft_publish(struct weft *w, const char *name) {
    int rc = is_name(name) ? may_ask(w) : WEFT_E_INVAL;
    return rc ? rc : node_client_publish(w->client, name);
}

int weft_withdraw(struct weft *w, const char *name) {
    int rc = is_name(name) ? may_ask(w) : WEFT_E_INVAL;
    return rc ? rc : node_client_withdraw(w->client, name);
}

static int find_on(struct weft *w, uint32_t node, const char *name, uint32_t process,
                   struct weft_address *out) {
    uint8_t buf[EP_ADDRESS_MAX];
    size_t bytes = sizeof buf;
    struct node_process p = {node, process};
    int rc = node_client_find(w->client, node, name, &p, buf, &bytes);
    if (rc == 0) address_make(out, (struct weft_id){p.node, p.process}, buf, bytes);
    return rc;
}

static int find_anywhere(struct weft *w, struct node_info *nodes, const char *name,
                         struct weft_address *out) {
    int count = node_client_nodes(w->client, nodes, NODE_MAX, 10000);
    int rc = count < 0 ? count : WEFT_E_NOENT;
    for (int i = 0; i < count && i < NODE_MAX && (rc == WEFT_E_NOENT || rc == WEFT_E_UNREACHABLE); i++)
        rc = nodes[i].online ? find_on(w, nodes[i].id, name, 0, out) : rc;
    return rc == WEFT_E_UNREACHABLE ? WEFT_E_NOENT : rc;
}

static bool never(void *arg) { return false; }

int weft_lookup_name(struct weft *w, const char *name, uint64_t timeout_ns, struct weft_address *out) {
    int rc = is_name(name) ? may_ask(w) : WEFT_E_INVAL;
    if (rc) return rc;
    struct node_info *nodes = malloc(NODE_MAX * sizeof *nodes);
    if (!nodes) return WEFT_E_NOMEM;
    uint64_t start = weft_now_ns(), pause_ns = WEFT_NS_PER_MS, passed;
    while ((rc = find_anywhere(w, nodes, name, out)) == WEFT_E_NOENT) {
        passed = weft_now_ns() - start;
        if (passed >= timeout_ns) break;
        fabric_wait(w, never, NULL, pause_ns < timeout_ns - passed ? pause_ns : timeout_ns - passed);
        if (pause_ns < 50 * WEFT_NS_PER_MS) pause_ns *= 2;
    }
    free(nodes);
    return rc == WEFT_E_NOENT && timeout_ns ? WEFT_E_TIMEDOUT : rc;
}

int weft_lookup_process(struct weft *w, struct weft_id id, struct weft_address *out) {
    int rc = may_ask(w);
    return rc ? rc : find_on(w, id.node, NULL, id.process, out);
}

int weft_port_bind(struct weft *w, uint16_t wanted, uint16_t *port) {
    int rc = may_ask(w);
    return rc ? rc : node_client_port_bind(w->client, wanted, port);
}

int weft_port_release(struct weft *w, uint16_t port) {
    int rc = may_ask(w);
    return rc ? rc : node_client_port_release(w->client, port);
}

int weft_lookup_port(struct weft *w, uint32_t node, uint16_t port, struct weft_address *out) {
    uint8_t buf[EP_ADDRESS_MAX];
    size_t bytes = sizeof buf;
    struct node_process p;
    int rc = may_ask(w);
    if (rc == 0) rc = node_client_port_lookup(w->client, node, port, &p, buf, &bytes);
    if (rc == 0) address_make(out, (struct weft_id){p.node, p.process}, buf, bytes);
    return rc;
}
