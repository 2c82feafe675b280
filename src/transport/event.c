/* Events: what the engine's owner must do, in order, and what follows when it has been done. */
#include "transport/conn.h"
#include "transport/stats.h"

void event_free(struct engine *e, struct engine_event *ev) {
    if (ev->type == ENGINE_EVENT_SENT)
        tx_free(e, weft_container_of(ev, struct tx, event));
    else if (ev->type == ENGINE_EVENT_HEADER || ev->type == ENGINE_EVENT_DATA)
        rx_free(weft_container_of(ev, struct rx, event));
}

static void event_prepare(struct conn *c, struct engine_event *ev, enum engine_event_type type, int status) {
    ev->type = (uint8_t)type;
    ev->status = status;
    ev->conn = c;
    ev->queued = true;
    c->refs++;
}

void event_push(struct engine *e, struct conn *c, struct engine_event *ev, enum engine_event_type type,
                int status) {
    event_prepare(c, ev, type, status);
    weft_list_push_back(&e->events, &ev->node);
}

void event_push_front(struct engine *e, struct conn *c, struct engine_event *ev, enum engine_event_type type,
                      int status) {
    event_prepare(c, ev, type, status);
    weft_list_push_front(&e->events, &ev->node);
}

bool engine_has_event(const struct engine *e) { return !weft_list_empty(&e->events); }

static void event_over(struct engine *e, struct engine_event *ev) {
    struct conn *c = ev->conn;
    event_free(e, ev);
    c->refs--;
    conn_maybe_free(c);
}

struct engine_event *engine_next_event(struct engine *e) {
    for (struct weft_list *n; (n = weft_list_pop_front(&e->events));) {
        struct engine_event *ev = weft_list_entry(n, struct engine_event, node);
        ev->queued = false;
        bool told = ev->type == ENGINE_EVENT_DATA || ev->type == ENGINE_EVENT_SENT || !ev->conn->silent;
        if (told) {
            ev->running = true;
            if (ev->type == ENGINE_EVENT_HEADER) stats_add(STATS_MESSAGES_DELIVERED, 1);
            return ev;
        }
        event_over(e, ev);
    }
    return NULL;
}

void engine_event_message(const struct engine_event *ev, struct ep_msg *msg) {
    const struct rx *rx = weft_container_of(ev, struct rx, event);
    *msg = (struct ep_msg){
        .handler = rx->handler,
        .channel = rx->channel,
        .header = rx->header,
        .header_bytes = rx->header_bytes,
        .data_bytes = rx->data_bytes,
        .data = rx->rendezvous ? NULL : rx->data,
        .token = rx->token,
        .canceled_zero_copy = rx->normal != 0,
    };
}

bool engine_event_accepted(const struct engine_event *ev) { return ev->conn->accepted; }

void engine_event_done(struct engine *e, uint64_t now, struct engine_event *ev, const struct ep_sink *sink) {
    struct conn *c = ev->conn;
    struct rx *rx = ev->type == ENGINE_EVENT_HEADER ? weft_container_of(ev, struct rx, event) : NULL;
    ev->running = false;
    if (!rx || !rx->rendezvous) {
        event_over(e, ev);
        return;
    }
    static const struct ep_sink none;
    rendezvous_accept(rx, sink ? sink : &none);
    c->refs--;
    conn_update_timer(c);
    conn_maybe_free(c);
}
