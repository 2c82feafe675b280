/* The table of nodes. The lowest node that is up gives out the ids; every daemon is connected to every other,
 * so that each sees for itself who is lost, and with that who is the lowest.
 *
 * DESIGN NOTES. Joining: JOIN to any node, which refers to the lowest one if it is not that; that one
 * reserves an id and answers with it and the table; the newcomer makes its directory and its socket, then
 * says HELLO to every node of the table and to whoever has connected to it meanwhile, and is ready when all
 * have answered. A node is online, for another, once its HELLO has come: so when two daemons have both
 * reported that they are ready, each has the other in its table, in whatever order they joined. A daemon that
 * leaves says so and is forgotten; one that is lost stays in the table, offline, until its id is taken again;
 * that of node 0 never is. When the lowest node is lost, two may give out ids for the moment in which not
 * everybody has noticed. Who was let in by the lost one is ready only when all others have answered its
 * HELLO, and the new lowest one refuses a HELLO whose id it has given to another meanwhile: so no two nodes
 * that are ready have the same id. */
#include "base/error.h"
#include "base/log.h"
#include "node/daemon_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERS_MAX 4u /* one is enough but in the moment in which a node is lost */

/* --- the table --- */

struct member *member_online(struct node_daemon *d, uint32_t node) {
    struct member *m = node < NODE_MAX ? d->members[node] : NULL;
    return m && m->online ? m : NULL;
}

const char *member_name(struct node_daemon *d, uint32_t node, char out[96]) {
    struct member *m = node < NODE_MAX ? d->members[node] : NULL;
    snprintf(out, 96, "node %u (%s)", node, m ? m->entry.host : "unknown");
    return out;
}

static struct member *member_set(struct node_daemon *d, const struct node_entry *e) {
    if (e->id >= NODE_MAX) return NULL;
    struct member *m = d->members[e->id];
    if (!m) {
        m = calloc(1, sizeof *m);
        if (!m) return NULL;
        d->members[e->id] = m;
    } else if (m->entry.boot != e->boot) {
        free(m->inventory);
        *m = (struct member){0};
    }
    m->entry = *e;
    return m;
}

static void member_forget(struct node_daemon *d, uint32_t node) {
    struct member *m = d->members[node];
    d->members[node] = NULL;
    if (m) free(m->inventory);
    free(m);
}

int member_self(struct node_daemon *d) {
    struct member *m = member_set(d, &d->entry);
    if (!m) return WEFT_E_NOMEM;
    m->online = true;
    return WEFT_OK;
}

/* --- up and down --- */

static void go_online(struct node_daemon *d, struct member *m) {
    if (m->online) return;
    m->online = true;
    m->reserved = false;
    weft_info("node", "node %u (%s) is up", m->entry.id, m->entry.host);
    process_news_node(d, NODE_NEWS_UP, m->entry.id, NULL);
}

/* Whatever depended on that node ends: what was asked of it, what it asked for, what was known of it. */
static void go_offline(struct node_daemon *d, struct member *m, const char *reason) {
    uint32_t node = m->entry.id;
    bool was_online = m->online;
    m->online = m->reserved = false;
    m->link = NULL;
    m->inventory_asked = false;
    pending_drop_node(d, node, reason);
    recorder_lost(d, node);
    executor_kill_owned(d, node, 0);
    if (!was_online) return;
    weft_info("node", "node %u (%s) is down: %s", node, m->entry.host, reason);
    process_news_down(d, node, 0, reason);
    process_news_node(d, NODE_NEWS_DOWN, node, reason);
}

static void check_ready(struct node_daemon *d) {
    if (d->state != NODE_DAEMON_JOINING || d->self == NO_NODE || d->entries_due || d->hellos_due) return;
    d->state = NODE_DAEMON_READY;
    weft_info("node", "joined as node %u", d->self);
}

static void hello_answered(struct mesh_link *l) {
    if (!l->hello_due) return;
    l->hello_due = false;
    l->d->hellos_due--;
}

void member_lost(struct mesh_link *l, const char *why) {
    struct node_daemon *d = l->d;
    hello_answered(l);
    struct member *m = l->node != NO_NODE ? d->members[l->node] : NULL;
    if (m && m->link == l) {
        char reason[NODE_REASON_MAX], name[96];
        snprintf(reason, sizeof reason, "the daemon of %s is gone: %s", member_name(d, l->node, name), why);
        bool never_up = !m->online;
        go_offline(d, m, reason);
        node_rundir_clean(d->base); /* it may have been killed on this host */
        if (never_up) member_forget(d, l->node);
    }
    check_ready(d);
}

void member_left(struct mesh_link *l, const char *why) {
    struct node_daemon *d = l->d;
    hello_answered(l);
    struct member *m = d->members[l->node];
    if (m && m->link == l) {
        char reason[NODE_REASON_MAX], name[96];
        snprintf(reason, sizeof reason, "%s has left: %.80s", member_name(d, l->node, name), why);
        go_offline(d, m, reason);
        member_forget(d, l->node);
    }
    l->node = NO_NODE;
    check_ready(d);
}

/* --- the side of joining that takes nodes in --- */

static void refuse(struct mesh_link *l, const char *reason) {
    weft_warn("node", "a daemon that wants to join is refused: %s", reason);
    struct mesh_message m;
    mesh_begin(&m, NODE_M_REFUSED);
    node_put_reason(&m.w, reason);
    mesh_send(l, &m);
}

/* Version and token, the first fields of JOIN and HELLO. */
static bool check_credentials(struct mesh_link *l, struct weft_reader *r, char reason[NODE_REASON_MAX]) {
    uint16_t version = weft_get_u16(r);
    const uint8_t *token = weft_get_bytes(r, NODE_CLUSTER_TOKEN_BYTES);
    if (r->failed) return false;
    uint8_t differs = 0;
    for (size_t i = 0; i < NODE_CLUSTER_TOKEN_BYTES; i++) differs |= token[i] ^ l->d->credentials.token[i];
    if (version != NODE_PROTOCOL_VERSION)
        snprintf(reason, NODE_REASON_MAX, "it speaks version %u of the daemons' protocol, this side %u",
                 version, NODE_PROTOCOL_VERSION);
    else if (differs)
        snprintf(reason, NODE_REASON_MAX, "its token is not this cluster's (a join text of an earlier one?)");
    else
        return true;
    return false;
}

static bool is_taken(struct node_daemon *d, uint32_t id) {
    return id == d->self || (d->members[id] && d->members[id]->link);
}

/* The lowest node that is up takes nodes in. */
static uint32_t admitter(struct node_daemon *d) {
    for (uint32_t i = 0; i < d->self; i++)
        if (member_online(d, i) && d->members[i]->link) return i;
    return d->self;
}

static void refer(struct mesh_link *l, const struct node_entry *to) {
    struct mesh_message m;
    mesh_begin(&m, NODE_M_REFER);
    weft_put_blob(&m.w, to->address, to->address_bytes);
    mesh_send(l, &m);
}

/* The id that a newcomer gets; NO_NODE with a reason. */
static uint32_t choose_id(struct node_daemon *d, uint32_t wanted, char reason[NODE_REASON_MAX]) {
    if (wanted != NO_NODE) {
        if (wanted == 0 || wanted >= NODE_MAX)
            snprintf(reason, NODE_REASON_MAX, "node ids go from 1 to %u", NODE_MAX - 1);
        else if (is_taken(d, wanted))
            snprintf(reason, NODE_REASON_MAX, "node %u is up already", wanted);
        else
            return wanted;
        return NO_NODE;
    }
    for (uint32_t i = 1; i < NODE_MAX; i++)
        if (!is_taken(d, i)) return i;
    snprintf(reason, NODE_REASON_MAX, "a cluster has at most %u nodes", NODE_MAX);
    return NO_NODE;
}

static void send_table(struct mesh_link *l, uint32_t newcomer) {
    struct node_daemon *d = l->d;
    struct mesh_message m;
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODE_MAX; i++) count += d->members[i] && i != newcomer;
    mesh_begin(&m, NODE_M_JOINED);
    weft_put_u32(&m.w, newcomer);
    weft_put_u32(&m.w, d->self);
    weft_put_u32(&m.w, count);
    mesh_send(l, &m);
    for (uint32_t i = 0; i < NODE_MAX; i++) {
        struct member *e = d->members[i];
        if (!e || i == newcomer) continue;
        mesh_begin(&m, NODE_M_ENTRY);
        node_put_entry(&m.w, &e->entry);
        weft_put_u8(&m.w, (uint8_t)(e->online | (i == d->self || e->link) << 1 | e->inventory_ready << 2));
        mesh_send(l, &m);
    }
}

static void take_in(struct mesh_link *l, uint32_t wanted, struct node_entry *e) {
    struct node_daemon *d = l->d;
    char reason[NODE_REASON_MAX];
    e->id = choose_id(d, wanted, reason);
    if (e->id == NO_NODE) {
        refuse(l, reason);
        return;
    }
    struct member *m = member_set(d, e);
    if (!m) {
        refuse(l, "out of memory");
        return;
    }
    m->link = l;
    m->reserved = true;
    l->trusted = true;
    l->node = e->id;
    send_table(l, e->id);
}

void member_on_join(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    char reason[NODE_REASON_MAX] = "its request cannot be read";
    struct node_entry e;
    if (l->node != NO_NODE) return; /* it has joined on this connection */
    bool valid = check_credentials(l, r, reason);
    uint32_t wanted = valid ? weft_get_u32(r) : 0;
    if (valid) node_get_entry(r, &e);
    if (!valid || r->failed)
        refuse(l, reason);
    else if (d->state != NODE_DAEMON_READY)
        refuse(l, "this node is joining itself and takes nobody in yet: try again");
    else if (admitter(d) != d->self)
        refer(l, &d->members[admitter(d)]->entry);
    else
        take_in(l, wanted, &e);
}

/* --- the newcomer's side --- */

/* Both have a key, the same cluster's, or neither has one. */
static int check_join(struct node_daemon *d, const struct node_join *j) {
    if (j->keyed && !d->keyed) {
        weft_error("node", "the cluster of that join text has a key, and this daemon was given none");
        return WEFT_E_ACCESS;
    }
    if (!j->keyed && d->keyed) {
        weft_error("node", "the cluster of that join text has no key, and this daemon was given one");
        return WEFT_E_INVAL;
    }
    if (j->keyed && memcmp(j->id, d->credentials.id, sizeof j->id) != 0) {
        weft_error("node", "the join text is of another cluster than the key that this daemon was given");
        return WEFT_E_INVAL;
    }
    return WEFT_OK;
}

static int ask_to_join(struct node_daemon *d, const void *address, size_t bytes) {
    d->join_link = mesh_connect(d, address, bytes);
    if (!d->join_link) {
        weft_error(
            "node",
            "the address of %s is out of reach of %s, where this daemon listens: --bind says where else",
            d->refers ? "the node that takes nodes in" : "that join text", d->bind_host);
        return WEFT_E_UNREACHABLE;
    }
    struct mesh_message m;
    mesh_begin(&m, NODE_M_JOIN);
    weft_put_u16(&m.w, NODE_PROTOCOL_VERSION);
    weft_put_bytes(&m.w, d->credentials.token, sizeof d->credentials.token);
    weft_put_u32(&m.w, d->wanted_node < 0 ? NO_NODE : (uint32_t)d->wanted_node);
    node_put_entry(&m.w, &d->entry);
    return mesh_send(d->join_link, &m);
}

int member_join_start(struct node_daemon *d, const char *text) {
    struct node_join j;
    if (node_join_parse(text, &j) != WEFT_OK) {
        weft_error("node", "that is not a join text: weft up prints it, it begins with weft1- or weft2-");
        return WEFT_E_INVAL;
    }
    int rc = check_join(d, &j);
    if (rc != WEFT_OK) return rc;
    if (!j.keyed) memcpy(d->credentials.token, j.id, sizeof j.id);
    return ask_to_join(d, j.address, j.address_bytes);
}

/* Only the node that the JOIN went to may send it on, and not in circles. */
void member_on_refer(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    uint8_t address[EP_ADDRESS_MAX];
    size_t bytes;
    node_get_address(r, address, &bytes);
    if (r->failed || l != d->join_link || d->self != NO_NODE) return;
    mesh_disconnect(l);
    if (++d->refers > REFERS_MAX) {
        weft_error("node",
                   "the nodes of the cluster do not agree on which of them takes nodes in: try again");
        daemon_end(d);
    } else if (ask_to_join(d, address, bytes) != WEFT_OK) {
        daemon_end(d);
    }
}

static void say_hello(struct mesh_link *l) {
    struct node_daemon *d = l->d;
    struct mesh_message m;
    mesh_begin(&m, NODE_M_HELLO);
    weft_put_u16(&m.w, NODE_PROTOCOL_VERSION);
    weft_put_bytes(&m.w, d->credentials.token, sizeof d->credentials.token);
    node_put_entry(&m.w, &d->entry);
    if (mesh_send(l, &m) != WEFT_OK) return;
    l->hello_due = true;
    d->hellos_due++;
}

static void greet_all(struct node_daemon *d) {
    int rc = daemon_settle(d);
    if (rc != WEFT_OK) {
        if (rc != WEFT_E_EXIST) /* who lives there has been told */
            weft_error("node", "cannot set up as node %u: %s", d->self, weft_error_text(rc));
        daemon_end(d);
        return;
    }
    weft_list_for_each_safe(it, &d->links) {
        struct mesh_link *l = weft_list_entry(it, struct mesh_link, link);
        if (l->trusted) say_hello(l);
    }
    check_ready(d);
}

void member_on_joined(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    uint32_t id = weft_get_u32(r), by = weft_get_u32(r), count = weft_get_u32(r);
    if (l != d->join_link || d->self != NO_NODE || r->failed || id == 0 || id >= NODE_MAX || by == id ||
        by >= NODE_MAX || count == 0 || count > NODE_MAX)
        return;
    d->self = id;
    d->joined_by = by;
    d->entries_due = count;
}

void member_on_entry(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    struct node_entry e;
    node_get_entry(r, &e);
    uint8_t flags = weft_get_u8(r);
    if (l != d->join_link || d->entries_due == 0 || r->failed || e.id >= NODE_MAX || e.id == d->self) return;
    d->entries_due--;
    struct member *m = member_set(d, &e);
    if (m && !m->link && (flags & 2)) {
        m->link = e.id == d->joined_by ? l : mesh_connect(d, e.address, e.address_bytes);
        if (m->link) m->link->node = e.id;
        m->online = m->link && (flags & 1);
        m->inventory_ready = flags & 4;
    }
    if (d->entries_due == 0) greet_all(d);
}

/* --- greetings --- */

void member_on_hello(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    char reason[NODE_REASON_MAX] = "its greeting cannot be read";
    struct node_entry e;
    bool valid = check_credentials(l, r, reason);
    if (valid) node_get_entry(r, &e);
    if (!valid || r->failed || e.id >= NODE_MAX || e.id == d->self ||
        (l->node != NO_NODE && l->node != e.id)) {
        refuse(l, reason);
        return;
    }
    struct member *old = d->members[e.id];
    if (old && old->reserved && old->entry.boot != e.boot) {
        refuse(l, "its id has been given to another node meanwhile: try again");
        return;
    }
    if (old && old->link && old->link != l) {
        if (old->entry.boot != e.boot)
            member_lost(old->link, "another daemon has taken its id");
        else if (old->link->hello_due)
            hello_answered(old->link);
    }
    struct member *m = member_set(d, &e);
    if (!m) return;
    if (m->link && m->link != l) m->link->node = NO_NODE;
    m->link = l;
    l->trusted = true;
    l->node = e.id;
    go_online(d, m);
    struct mesh_message ok;
    mesh_begin(&ok, NODE_M_HELLO_OK);
    weft_put_u8(&ok.w, d->self != NO_NODE && d->listen_fd >= 0);
    weft_put_u8(&ok.w, d->self != NO_NODE && d->members[d->self] && d->members[d->self]->inventory_ready);
    mesh_send(l, &ok);
}

void member_on_hello_ok(struct mesh_link *l, struct weft_reader *r) {
    struct node_daemon *d = l->d;
    bool online = weft_get_u8(r), inventory_ready = weft_get_u8(r);
    if (r->failed || !l->trusted) return;
    hello_answered(l);
    struct member *m = l->node != NO_NODE ? d->members[l->node] : NULL;
    if (m && m->link == l && online) {
        m->inventory_ready |= inventory_ready;
        go_online(d, m);
    }
    check_ready(d);
}
