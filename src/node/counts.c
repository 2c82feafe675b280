/* What the processes of this node count, for whoever asks (usage.h). Their counters are read in their memory:
 * none of them is disturbed, and one that hangs is told of, too. */
#include "node/daemon_internal.h"
#include "node/usage.h"

#include <unistd.h>

/* A process may have two lines, and so two ids. */
struct pids {
    uint32_t at[PROCESSES_MAX];
    size_t count;
};

static bool is_new(struct pids *seen, uint32_t pid) {
    for (size_t i = 0; i < seen->count; i++)
        if (seen->at[i] == pid) return false;
    if (seen->count < PROCESSES_MAX) seen->at[seen->count++] = pid;
    return true;
}

/* What would be too much is taken back: the rest is left out. False then. */
static bool put(struct weft_writer *w, const struct node_usage_who *u) {
    size_t before = w->len;
    node_usage_put(w, u);
    if (!w->failed && w->len <= NODE_USAGE_MAX) return true;
    w->len = before;
    return false;
}

static bool put_executors(struct node_daemon *d, struct weft_writer *w) {
    weft_list_for_each(it, &d->executors) {
        const struct executor *x = weft_list_entry(it, struct executor, link);
        struct node_usage_who u = {.kind = NODE_EXECUTOR,
                                   .process = x->id,
                                   .pid = (uint32_t)x->child.pid,
                                   .client = {x->owner_node, x->owner_process}};
        if (!put(w, &u)) return false;
    }
    return true;
}

void counts_collect(struct node_daemon *d, struct weft_writer *w) {
    static _Thread_local struct pids seen; /* tests have several daemons */
    size_t it = 0;
    uint64_t key;
    seen.count = 0;
    struct node_usage_who self = {.kind = NODE_DAEMON, .pid = (uint32_t)getpid()};
    bool room = put(w, &self) && put_executors(d, w);
    for (struct process *p; room && (p = weft_map_next(&d->processes, &it, &key));) {
        struct node_usage_who u = {.kind = p->kind, .process = p->id, .pid = (uint32_t)p->pid};
        if (p->kind != NODE_EXECUTOR && is_new(&seen, u.pid)) room = put(w, &u);
    }
}
