/* Remote: all nodes of this process, and the backends over them. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "opencl/remote/internal.h"

struct remote_hub *remote_hub_create(void) {
    struct remote_hub *h = calloc(1, sizeof *h);
    if (!h) return NULL;
    weft_list_init(&h->nodes);
    weft_list_init(&h->pairs);
    weft_map_init(&h->passes);
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->pair_lock, NULL);
    pthread_mutex_init(&h->order_lock, NULL);
    return h;
}

void remote_hub_configure(struct remote_hub *h, struct ep_config *cfg) {
    cfg->yields = true;
    cfg->answered = true;
    cfg->handlers[WIRE_HANDLER_RESULT] = (struct ep_handler){remote_on_result, h};
    if (cfg->on_peer_down) return;
    cfg->on_peer_down = remote_on_peer_down;
    cfg->ctx = h;
}

void remote_hub_callbacks(struct remote_hub *h, struct node_callbacks *cb) {
    *cb = (struct node_callbacks){.on_process_down = remote_on_process_down,
                                  .on_node_down = remote_on_node_down,
                                  .on_daemon_down = remote_on_daemon_down,
                                  .ctx = h};
}

void remote_hub_start(struct remote_hub *h, struct ep *ep, struct node_client *client) {
    h->ep = ep;
    h->client = client;
}

/* ---- nodes ---- */
static struct remote_node *find_node(struct remote_hub *h, uint32_t id) {
    weft_list_for_each(it, &h->nodes) {
        struct remote_node *n = weft_list_entry(it, struct remote_node, link);
        if (n->id == id) return n;
    }
    return NULL;
}

static struct remote_node *get_node(struct remote_hub *h, uint32_t id, const char *host) {
    pthread_mutex_lock(&h->lock);
    struct remote_node *n = find_node(h, id);
    if (!n && (n = remote_node_create(h, id, host))) weft_list_push_back(&h->nodes, &n->link);
    pthread_mutex_unlock(&h->lock);
    return n;
}

int remote_hub_executor(struct remote_hub *h, uint32_t node, const struct node_executor *x) {
    struct remote_node *n = get_node(h, node, NULL);
    if (!n) return WEFT_E_NOMEM;
    n->executor = *x;
    n->executor_given = true;
    return WEFT_OK;
}

/* ---- losses ---- */
void remote_on_peer_down(void *hub, struct ep_peer *peer, int status) {
    struct remote_hub *h = hub;
    pthread_mutex_lock(&h->lock);
    struct remote_node *n = NULL;
    weft_list_for_each(it, &h->nodes) {
        struct remote_node *at = weft_list_entry(it, struct remote_node, link);
        if (ep_peer_context(peer) == at) n = at;
    }
    pthread_mutex_unlock(&h->lock);
    if (n && remote_node_has_peer(n, peer)) remote_node_lost(n, weft_error_text(status));
}

void remote_on_process_down(void *hub, struct node_process p, const char *reason) {
    struct remote_hub *h = hub;
    pthread_mutex_lock(&h->lock);
    struct remote_node *n = find_node(h, p.node);
    pthread_mutex_unlock(&h->lock);
    if (!n) return;
    pthread_mutex_lock(&n->send_lock);
    bool its = n->state == REMOTE_UP && n->executor.id.process == p.process;
    pthread_mutex_unlock(&n->send_lock);
    if (its) remote_node_lost(n, reason);
}

void remote_on_node_down(void *hub, uint32_t node, const char *reason) {
    struct remote_hub *h = hub;
    pthread_mutex_lock(&h->lock);
    struct remote_node *n = find_node(h, node);
    pthread_mutex_unlock(&h->lock);
    if (n) remote_node_lost(n, reason);
}

static void lose_all(struct remote_hub *h, const char *reason) {
    pthread_mutex_lock(&h->lock);
    struct weft_list *it = h->nodes.next;
    while (it != &h->nodes) {
        struct remote_node *n = weft_list_entry(it, struct remote_node, link);
        pthread_mutex_unlock(&h->lock);
        remote_node_lost(n, reason);
        pthread_mutex_lock(&h->lock);
        it = it->next; /* nodes are never taken out */
    }
    pthread_mutex_unlock(&h->lock);
}

void remote_on_daemon_down(void *hub) { lose_all(hub, "this node's daemon is gone"); }

void remote_hub_close(struct remote_hub *h) {
    atomic_store(&h->closing, true);
    lose_all(h, "closed");
}

void remote_hub_destroy(struct remote_hub *h) {
    struct weft_list *it;
    while ((it = weft_list_pop_front(&h->nodes)))
        remote_node_destroy(weft_list_entry(it, struct remote_node, link));
    remote_pairs_fini(h);
    share_pool_drop(h->pool);
    pthread_mutex_destroy(&h->order_lock);
    pthread_mutex_destroy(&h->pair_lock);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- backends ---- */
static void destroy_backend(struct backend *b) { free(b); }

static const struct backend_ops operations = {
    .create_context = remote_create_context,
    .create_queue = remote_create_queue,
    .create_device_queue = remote_create_device_queue,
    .set_default_device_queue = remote_set_default_device_queue,
    .create_buffer = remote_create_buffer,
    .host_view = remote_host_view,
    .create_twin = remote_create_twin,
    .is_one = remote_is_one,
    .create_sub_buffer = remote_create_sub_buffer,
    .create_image = remote_create_image,
    .create_pipe = remote_create_pipe,
    .image_formats = remote_image_formats,
    .create_sampler = remote_create_sampler,
    .create_program_source = remote_create_program_source,
    .create_program_binary = remote_create_program_binary,
    .build = remote_build,
    .get_binaries = remote_get_binaries,
    .compile = remote_compile,
    .link = remote_link,
    .create_program_builtin = remote_create_program_builtin,
    .create_program_il = remote_create_program_il,
    .set_specialization = remote_set_specialization,
    .create_sub_devices = remote_create_sub_devices,
    .release_sub_device = remote_release_sub_device,
    .sub_group_info = remote_sub_group_info,
    .svm_alloc = remote_svm_alloc,
    .svm_free = remote_svm_free,
    .set_exec_svm = remote_set_exec_svm,
    .timers = remote_timers,
    .create_kernel = remote_create_kernel,
    .set_arg = remote_set_arg,
    .create_user_event = remote_create_user_event,
    .set_user_event = remote_set_user_event,
    .enqueue = remote_enqueue,
    .flush = remote_flush,
    .finish = remote_finish,
    .wait_event = remote_wait_event,
    .event_status = remote_event_status,
    .event_times = remote_event_times,
    .event_children_ns = remote_event_children_ns,
    .meet = remote_meet,
    .bridge = remote_bridge,
    .end_bridge = remote_end_bridge,
    .event_notify = remote_event_notify,
    .release = remote_release,
    .destroy = destroy_backend,
};

int remote_backend_open(struct remote_hub *h, uint32_t node, const char *host, uint32_t platform_index,
                        const struct inventory_platform *platform, struct backend **out) {
    struct remote_node *n = get_node(h, node, host);
    struct remote_backend *b = n ? calloc(1, sizeof *b) : NULL;
    if (!b) return WEFT_E_NOMEM;
    b->base = (struct backend){.ops = &operations, .node = node, .platform = platform};
    b->node = n;
    b->platform = platform_index;
    *out = &b->base;
    return WEFT_OK;
}
