/* Remote: what the executor sends back. It is believed only as far as it names something that is under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "opencl/remote/internal.h"

/* Data on its way into the program's memory, or into memory made for a reply or for printed text. The
 * endpoint tells its end in any case, also when the node is lost. */
struct arriving {
    struct remote_node *node;
    struct remote_record *record; /* READ_DATA: held */
    cl_int status;
    uint64_t times[4];
    bool has_times;
    uint64_t request; /* REPLY */
    void *buf;        /* REPLY, PRINTF */
    size_t bytes;
};

static void print(const void *text, size_t bytes) {
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
}

/* ---- reads ---- */
static struct remote_record *find_record(struct remote_node *n, uint64_t handle, bool hold) {
    pthread_mutex_lock(&n->lock);
    struct remote_record *r = remote_slot_record(n, handle, BK_EVENT);
    if (r && (!r->want_result || r->result_in || r->user)) r = NULL;
    if (r && hold) r->holds++;
    pthread_mutex_unlock(&n->lock);
    return r;
}

static void on_read_data(void *arg, int status) {
    struct arriving *a = arg;
    cl_int result = status ? CL_DEVICE_NOT_AVAILABLE : a->status;
    remote_record_arrived(a->record, result, a->has_times ? a->times : NULL);
    remote_record_put(a->record);
    free(a);
}

static void take_read(struct remote_node *n, const struct wire_in *in, const struct ep_msg *msg,
                      struct ep_sink *sink) {
    cl_int status = (cl_int)(int64_t)in->read_data.status;
    const uint64_t *times = in->count[0] == 4 ? in->array[0] : NULL;
    struct remote_record *r = find_record(n, in->read_data.event, true);
    if (!r) return;
    bool fits = r->reading && msg->data_bytes == r->bytes;
    if (status >= 0 && !fits) status = CL_OUT_OF_RESOURCES; /* not what was asked for */
    if (status == CL_COMPLETE && !msg->data) {
        struct arriving *a = calloc(1, sizeof *a);
        if (a) {
            *a = (struct arriving){.node = n, .record = r, .has_times = times};
            if (times) memcpy(a->times, times, sizeof a->times);
            remote_record_arriving(r);
            *sink =
                (struct ep_sink){.buf = r->packed ? r->packed : r->host, .on_data = on_read_data, .arg = a};
            return;
        }
        status = CL_OUT_OF_HOST_MEMORY;
    }
    if (status == CL_COMPLETE && r->packed)
        remote_box_spread(&r->box, msg->data);
    else if (status == CL_COMPLETE)
        memcpy(r->host, msg->data, msg->data_bytes);
    remote_record_result(r, status, times);
    remote_record_put(r);
}

static void take_event(struct remote_node *n, const struct wire_in *in) {
    const uint64_t *times = in->count[0] == 4 ? in->array[0] : NULL;
    cl_int status = (cl_int)(int64_t)in->event.status;
    struct remote_record *r = find_record(n, in->event.event, false);
    if (!r) return;
    if (r->reading && status >= 0) status = CL_OUT_OF_RESOURCES; /* a read ends by its data */
    remote_record_result(r, status > 0 ? CL_COMPLETE : status, times);
}

/* ---- replies ---- */
static void on_reply_data(void *arg, int status) {
    struct arriving *a = arg;
    if (status) {
        free(a->buf);
        remote_request_answer(a->node, a->request, CL_DEVICE_NOT_AVAILABLE, NULL, 0);
    } else {
        remote_request_answer(a->node, a->request, a->status, a->buf, a->bytes);
    }
    free(a);
}

static void on_print_data(void *arg, int status) {
    struct arriving *a = arg;
    if (!status) print(a->buf, a->bytes);
    free(a->buf);
    free(a);
}

/* Memory for data still to come; NULL: too much. */
static struct arriving *expect(struct remote_node *n, uint64_t bytes) {
    struct arriving *a = bytes <= REMOTE_REPLY_MAX ? calloc(1, sizeof *a) : NULL;
    if (!a) return NULL;
    *a = (struct arriving){.node = n, .buf = malloc(bytes), .bytes = bytes};
    if (a->buf) return a;
    free(a);
    return NULL;
}

static void take_reply(struct remote_node *n, const struct wire_in *in, const struct ep_msg *msg,
                       struct ep_sink *sink) {
    uint64_t id = in->reply.request;
    cl_int status = (cl_int)(int64_t)in->reply.status;
    if (!remote_request_known(n, id)) return;
    if (!msg->data_bytes) {
        remote_request_answer(n, id, status, NULL, 0);
        return;
    }
    struct arriving *a = expect(n, msg->data_bytes);
    if (!a) {
        remote_request_answer(n, id, CL_OUT_OF_HOST_MEMORY, NULL, 0);
        return;
    }
    a->request = id;
    a->status = status;
    if (msg->data) {
        memcpy(a->buf, msg->data, msg->data_bytes);
        on_reply_data(a, 0);
    } else {
        *sink = (struct ep_sink){.buf = a->buf, .on_data = on_reply_data, .arg = a};
    }
}

static void take_print(struct remote_node *n, const struct ep_msg *msg, struct ep_sink *sink) {
    if (msg->data) {
        print(msg->data, msg->data_bytes);
        return;
    }
    struct arriving *a = msg->data_bytes ? expect(n, msg->data_bytes) : NULL;
    if (a) *sink = (struct ep_sink){.buf = a->buf, .on_data = on_print_data, .arg = a};
}

/* ---- the rest ---- */
static void take_queue_error(struct remote_node *n, const struct wire_in *in) {
    pthread_mutex_lock(&n->lock);
    struct remote_queue *q = remote_slot_record(n, in->queue_error.queue, BK_QUEUE);
    if (q && !q->error) q->error = (cl_int)(int64_t)in->queue_error.status;
    pthread_mutex_unlock(&n->lock);
    weft_info("opencl", "node %u: a command without event failed: %d", n->id,
              (int)(int64_t)in->queue_error.status);
}

static void take_place(struct remote_node *n, const struct wire_in *in) {
    pthread_mutex_lock(&n->lock);
    struct share_region *g = n->region;
    pthread_mutex_unlock(&n->lock);
    if (g) share_free(g, in->place_free.place);
}

int64_t remote_clock_offset(uint64_t asked_ns, uint64_t answered_ns, uint64_t clock, bool same_machine) {
    return same_machine ? 0 : (int64_t)(clock - (asked_ns + (answered_ns - asked_ns) / 2));
}

static void take_opened(struct remote_node *n, const struct wire_in *in) {
    if (!in->opened.status) {
        uint64_t boot = wire_boot();
        pthread_mutex_lock(&n->send_lock);
        uint64_t asked_ns = n->opened_ns;
        pthread_mutex_unlock(&n->send_lock);
        pthread_mutex_lock(&n->lock);
        n->clock_offset =
            remote_clock_offset(asked_ns, weft_now_ns(), in->opened.clock, boot && boot == in->opened.boot);
        pthread_mutex_unlock(&n->lock);
        return;
    }
    char reason[96];
    snprintf(reason, sizeof reason, "its executor speaks protocol %u, this side %u",
             (unsigned)in->opened.version, WIRE_VERSION);
    remote_node_lost(n, reason);
}

void remote_on_result(void *hub, struct ep_peer *peer, const struct ep_msg *msg, struct ep_sink *sink) {
    struct remote_node *n = ep_peer_context(peer);
    struct wire_in in;
    if (!n) return;
    if (!wire_decode(&in, msg->header, msg->header_bytes, msg->data_bytes, WIRE_RESULTS)) {
        remote_node_lost(n, "its executor broke the protocol");
        return;
    }
    switch (in.call) {
    case WIRE_OPENED: take_opened(n, &in); break;
    case WIRE_REPLY: take_reply(n, &in, msg, sink); break;
    case WIRE_EVENT: take_event(n, &in); break;
    case WIRE_READ_DATA: take_read(n, &in, msg, sink); break;
    case WIRE_QUEUE_ERROR: take_queue_error(n, &in); break;
    case WIRE_NOT_KEPT: remote_reuse_refused(n, in.not_kept.slot); break;
    case WIRE_PLACE_FREE: take_place(n, &in); break;
    case WIRE_CONTEXT_HOSTS: remote_context_hosts(n, in.context_hosts.context); break;
    case WIRE_PRINTF: take_print(n, msg, sink); break;
    case WIRE_PEER_DOWN: remote_peer_down(n, (uint32_t)in.peer_down.number); break;
    case WIRE_AFTER: remote_order_after(n, (uint32_t)in.after.number, in.after.results); break;
    }
    remote_order_result(n);
}
