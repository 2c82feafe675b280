/* An MPI ping-pong over Open MPI's shared memory, as a contender. The program's source is part of weft
 * (mpi_pingpong.c) and is built with mpicc when a contest begins. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/bench/contest.h"
#include "node/rundir.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (30 * WEFT_NS_PER_S)
#define IN_FLIGHT   (4u << 20)
#define WINDOW_MAX  256
#define WINDOW_MIN  4

/* The source, put in by the assembler; with a zero behind it. */
__asm__(".section .rodata\n"
        "weft_mpi_source: .incbin \"" WEFT_MPI_SOURCE "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char weft_mpi_source[];

static int build(struct contest *x, const struct contender *c, struct contest_turn *t) {
    static struct tool compiler;
    char path[WEFT_PATH_MAX + 32], cluster[64];
    if (x->mpi_built) return 0;
    int rc = *x->dir ? 0 : node_rundir_make_temporary(cluster, sizeof cluster, x->dir, sizeof x->dir);
    if (rc) return rc;
    snprintf(path, sizeof path, "%s/mpi_pingpong", x->dir);
    compiler = (struct tool){
        .argv = {c->compiler, "-O2", "-x", "c", "-", "-o", path}, .input = weft_mpi_source, .cpu = -1};
    rc = tool_start(&compiler);
    if (!rc) rc = tool_finish(&compiler, weft_now_ns() + PATIENCE_NS);
    tool_stop(&compiler);
    if (rc) tool_last_line(&compiler, t->problem, sizeof t->problem);
    x->mpi_built = !rc;
    return rc;
}

int contender_run_mpi(struct contest *x, const struct contender *c, struct contest_turn *t) {
    static struct tool mpirun;
    char path[WEFT_PATH_MAX + 32], size[24], count[24], window[24], cpu[2][16];
    uint64_t in_flight = t->size ? IN_FLIGHT / t->size : WINDOW_MAX;
    static const char *const columns[FIGURES_MAX] = {"seconds_each", "sender_cpu_s", "receiver_cpu_s"};
    int rc = build(x, c, t);
    if (rc) return rc;
    in_flight = in_flight > WINDOW_MAX ? WINDOW_MAX : in_flight < WINDOW_MIN ? WINDOW_MIN : in_flight;
    snprintf(path, sizeof path, "%s/mpi_pingpong", x->dir);
    snprintf(size, sizeof size, "%" PRIu64, t->size);
    snprintf(count, sizeof count, "%" PRIu64, t->count);
    snprintf(window, sizeof window, "%" PRIu64, in_flight);
    for (int i = 0; i < 2; i++) snprintf(cpu[i], sizeof cpu[i], "%d", x->o->cpu[i]);
    mpirun = (struct tool){.argv = {c->program, "-np", "2", "--oversubscribe", "--bind-to", "none", "--mca",
                                    "pml", "ob1", "--mca", "btl", "vader,self", "--mca",
                                    "mpi_yield_when_idle", "0", "--mca", "orte_tmpdir_base", x->dir},
                           .cpu = -1};
    if (geteuid() == 0) tool_add(&mpirun, "--allow-run-as-root");
    const char *const program[] = {path,   c->detail[x->o->kind][t->test],    size,      count,
                                   window, t->written ? "written" : "static", c->option, cpu[0],
                                   cpu[1]};
    for (size_t i = 0; i < sizeof program / sizeof *program; i++) tool_add(&mpirun, program[i]);
    rc = tool_start(&mpirun);
    if (!rc) rc = tool_finish(&mpirun, weft_now_ns() + PATIENCE_NS);
    tool_stop(&mpirun);
    if (rc) {
        tool_last_line(&mpirun, t->problem, sizeof t->problem);
        return rc;
    }
    for (size_t f = 0; f < x->test->figures; f++)
        if (!tool_number(mpirun.out, columns[f], " ", &t->each_s[f])) {
            snprintf(t->problem, sizeof t->problem, "its output has no line below %s with a number",
                     columns[f]);
            return WEFT_E_PROTO;
        }
    return 0;
}
