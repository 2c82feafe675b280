/* Memory: latency by working set, bandwidth by operation, bursts into a write queue, wear. */
#include "model/predict/predict.h"

#include <math.h>

static double tier_s(double added_s, double capacity, double used) {
    return used > capacity ? added_s * (1 - capacity / used) : 0;
}

double weft_memory_latency_s(const struct weft_memory *m, enum weft_memory_op op, double working_set_B) {
    double s = m->op[op].latency_s;
    for (unsigned i = 0; i < m->op[op].buffers; i++)
        s += tier_s(m->op[op].buffer[i].added_s, m->op[op].buffer[i].capacity_B, working_set_B);
    return s;
}

double weft_memory_amplification(const struct weft_memory *m, double piece_B) {
    if (!(m->granule_B > 0) || !(piece_B > 0)) return 1;
    return ceil(piece_B / m->granule_B) * m->granule_B / piece_B;
}

double weft_memory_stream_s(const struct weft_memory *m, double read_B, double write_B, double piece_B) {
    double s = 0;
    if (read_B > 0) s += read_B / m->op[WEFT_MEMORY_READ].Bps;
    if (write_B > 0) s += write_B * weft_memory_amplification(m, piece_B) / m->op[WEFT_MEMORY_WRITE].Bps;
    return s;
}

double weft_memory_burst_s(const struct weft_memory *m, double bytes) {
    double drain_Bps = m->op[WEFT_MEMORY_WRITE].Bps;
    if (!(m->accept_Bps > drain_Bps)) return bytes / drain_Bps;
    /* It fills at the difference, so what goes in fast is more than the queue's own size. */
    double fast_B = m->queue_B * m->accept_Bps / (m->accept_Bps - drain_Bps);
    if (bytes <= fast_B) return bytes / m->accept_Bps;
    return fast_B / m->accept_Bps + (bytes - fast_B) / drain_Bps;
}

double weft_memory_write_s(const struct weft_memory *m, double piece_B, double load_Bps) {
    double amplification = weft_memory_amplification(m, piece_B), Bps = m->op[WEFT_MEMORY_WRITE].Bps;
    double service_s = (piece_B > 0 ? piece_B : m->granule_B) * amplification / Bps;
    double busy = load_Bps * amplification / Bps;
    return busy < 1 ? service_s * (1 + busy / (2 * (1 - busy))) : INFINITY;
}

double weft_memory_life_s(const struct weft_memory *m, double write_Bps, double piece_B) {
    if (!(m->endurance_writes > 0) || !(write_Bps > 0)) return INFINITY;
    return m->capacity_B * m->endurance_writes / (write_Bps * weft_memory_amplification(m, piece_B));
}

double weft_connection_s(double hit_s, double miss_s, double cached, double connections) {
    return hit_s + tier_s(miss_s, cached, connections);
}
