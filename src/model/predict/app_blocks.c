/* A task whose blocks several units share: as predict.h has it, operands being where the first unit is. */
#include "base/error.h"
#include "model/predict/app_basis.h"

#include <math.h>

#define NIC_B (1 << 20) /* blocks are large: the rate of such messages is a card's */

uint32_t app_units(const struct weft_model *m, weft_model_ref task) {
    uint32_t n = 0;
    while (n < WEFT_MAKESPAN_DEVICES_MAX && weft_app_related(m, WEFT_MODEL_RUNS, task, n) != WEFT_MODEL_NONE)
        n++;
    return n;
}

/* The number of a unit's host, the first unit's being 0; -1: what is missing was told. */
static int node_of(struct app_basis *b, struct app_blocks *s, weft_model_ref unit) {
    weft_model_ref host = weft_app_host(b->m, unit);
    int n = 0;
    struct app_path path;
    while (n < s->cluster.nodes && s->host[n] != host) n++;
    if (n < s->cluster.nodes) return n;
    if (n == WEFT_MAKESPAN_NODES_MAX) return -1;
    s->host[n] = host;
    s->nic_Bps[n] = INFINITY;
    s->cluster.nodes++;
    if (n == 0) return n;
    if (!app_path(b, s->unit[0], unit, NIC_B, "of blocks", &path)) return -1;
    s->nic_Bps[n] = weft_logp_rate_Bps(&path.logp, NIC_B);
    return n;
}

static bool add_units(struct app_basis *b, weft_model_ref task, struct app_blocks *s) {
    size_t lacked = b->missing_count;
    double fastest = 0;
    uint32_t units = app_units(b->m, task);
    for (uint32_t i = 0; i < units; i++) {
        struct app_task_time t;
        s->unit[i] = weft_app_related(b->m, WEFT_MODEL_RUNS, task, i);
        int node = node_of(b, s, s->unit[i]);
        if (node < 0) break;
        app_task_time(b, task, s->unit[i], &t);
        s->device[i] = (struct weft_block_device){node, fmax(t.compute_s, t.memory_s) / s->app.rows};
        s->cluster.devices++;
    }
    for (int n = 1; n < s->cluster.nodes; n++) fastest = fmax(fastest, s->nic_Bps[n]);
    s->nic_Bps[0] = fastest > 0 ? fastest : 1e12;
    return b->missing_count == lacked && s->cluster.devices == (int)units;
}

int app_blocks(struct app_basis *b, weft_model_ref task, struct app_blocks *s) {
    double reads, writes, blocks = basis_value(b, task, WEFT_MODEL_BLOCKS, NULL);
    s->cluster = (struct weft_block_cluster){.device = s->device, .nic_Bps = s->nic_Bps};
    s->policy = (struct weft_block_policy){.nic = WEFT_NIC_SHARED, .prefetch = 1, .tail_aware = true};
    if (!(blocks >= 1) || blocks > WEFT_MAKESPAN_SLICES_MAX - 1) {
        basis_miss(b, "the task %s has no number of blocks from 1 to %d", weft_model_id(b->m, task),
                   WEFT_MAKESPAN_SLICES_MAX - 1);
        return WEFT_E_NOENT;
    }
    app_task_bytes(b, task, &reads, &writes);
    s->app = (struct weft_block_app){.rows = (int)blocks, .columns = 1};
    s->app.row_B = reads / s->app.rows;
    s->app.result_B = writes / s->app.rows;
    return add_units(b, task, s) ? WEFT_OK : WEFT_E_NOENT;
}
