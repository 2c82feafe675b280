/* The configuration of a simulated node: every quantity that decides a result is here, with its unit and
 * range, and can be given in a file of the model's format. The table in config.c is the one list of them. */
#ifndef WEFT_MODEL_NISIM_CONFIG_H
#define WEFT_MODEL_NISIM_CONFIG_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NISIM_LINE 64 /* bytes of a cache line, and of what goes over the wire at once */

enum nisim_policy {
    NISIM_QUEUE,
    NISIM_EVICT,
    NISIM_OS
}; /* a thread is to be dispatched and no context is free */

struct nisim_config {
    char name[64];
    double clock_Hz, contexts, issue, flush; /* core */
    double l1_B, l1_ways;                    /* each of instructions and data */
    double l2_B, l2_ways, l2_cycles;
    double mb_B, mb_ways, mb_cycles;     /* message buffer; its cycles are added to those of L2 */
    double dram_s, dram_banks, dram_Bps; /* a bank's time for a line; the bus behind the banks */
    double tlb_entries, tlb_reads, window, fifo_B, start_B; /* network interface */
    double ni_setup, ni_line, ni_decide, lock_port, branch_port, spawn_port, store_ipc, store_lines,
        completion;
    double wire_bps, wire_s, header_B, credits;
    double kernel_lines, kernel_serial, send_lines, send_serial, io_s;
    double threads, ipc, gap, working_B; /* computing threads */
    double handler_instr, handler_ipc, handler_code, handler_data, save_instr, save_lines, evict_instr,
        policy;
    double message_B, rate, spread, count; /* arriving messages; spread 1: Poisson, 0: at equal intervals */
};

void nisim_config_default(struct nisim_config *c);
/* The machine on which the paper measured its interrupt: 147 MHz, 512 KiB of L2, 270 ns for a miss. */
void nisim_config_paper(struct nisim_config *c);
/* Replaces what the file, a model of the parts of this node, states. WEFT_E_INVAL, and why in `why` with the
 * place or the name of what is wrong; then *c is as before. */
int nisim_config_load(struct nisim_config *c, const char *path, char *why, size_t why_len);
/* One value, "core.clock=4e9": as in a file, the same refusals. */
int nisim_config_set(struct nisim_config *c, const char *assignment, char *why, size_t why_len);
/* The whole configuration as such a model. */
int nisim_config_write(const struct nisim_config *c, FILE *f);

/* Seconds in cycles of the core's clock, at least 1. */
static inline uint64_t nisim_cycles(const struct nisim_config *c, double seconds) {
    double n = seconds * c->clock_Hz + 0.5;
    return n < 1 ? 1 : (uint64_t)n;
}
/* What the wire needs for so many bytes, in cycles. */
static inline uint64_t nisim_wire_cycles(const struct nisim_config *c, double bytes) {
    return nisim_cycles(c, 8 * bytes / c->wire_bps);
}
/* A line's time from memory when nothing is in the way: a miss of L1 and L2 costs this. */
static inline uint64_t nisim_miss_cycles(const struct nisim_config *c) {
    return (uint64_t)c->l2_cycles + nisim_cycles(c, c->dram_s) + nisim_cycles(c, NISIM_LINE / c->dram_Bps);
}

#endif
