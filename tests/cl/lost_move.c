/* A device ends in the middle of moves of a buffer from it and to it: whatever depends on them ends, with an
 * error or right, and the other devices go on. */
#include "lost.h"
#include <time.h>

#define BYTES     ((size_t)32 << 20)
#define NO_COPY_S 3e-3 /* reading and writing 32 MiB takes longer: both devices have the buffer in one place */
#define POINTS    6 /* in the time that a move takes */

/* A buffer with contents on one device that commands on others wait for. */
struct move {
    struct cltest t;
    unsigned from, to;
    cl_mem mem;
    cl_event moved, behind, elsewhere;
};

static void begin(struct cltest *t, struct move *m, unsigned from, unsigned to) {
    *m = (struct move){.from = from, .to = to};
    lost_open_again(t, &m->t);
    m->mem = cltest_buffer(&m->t, CL_MEM_READ_WRITE, BYTES, NULL);
    OK(clEnqueueFillBuffer(m->t.queue[from], m->mem, "abcd", 4, 0, BYTES, 0, NULL, NULL));
    OK(clFinish(m->t.queue[from]));
}

static void go(struct move *m) {
    unsigned other = 3 - m->from - m->to;
    cl_mem small = cltest_buffer(&m->t, CL_MEM_READ_WRITE, 64, NULL);
    lost_append(&m->t, m->to, m->mem, 1, 0, NULL, &m->moved);
    OK(clEnqueueFillBuffer(m->t.queue[m->to], m->mem, "efgh", 4, BYTES / 2, 4096, 1, &m->moved, &m->behind));
    OK(clEnqueueFillBuffer(m->t.queue[other], small, "ijkl", 4, 0, 64, 1, &m->behind, &m->elsewhere));
    OK(clReleaseMemObject(small));
    OK(clFlush(m->t.queue[m->to]));
    OK(clFlush(m->t.queue[other]));
}

static void end(struct move *m) {
    OK(clReleaseEvent(m->moved));
    OK(clReleaseEvent(m->behind));
    OK(clReleaseEvent(m->elsewhere));
    OK(clReleaseMemObject(m->mem));
    lost_close_again(&m->t);
}

/* Of one that nothing happens to. */
static double time_of_move(struct cltest *t, unsigned from, unsigned to) {
    struct move m;
    begin(t, &m, from, to);
    double begun = lost_seconds();
    go(&m);
    OK(clWaitForEvents(1, &m.moved));
    double time = lost_seconds() - begun;
    OK(clFinish(m.t.queue[to]));
    end(&m);
    return time;
}

static void check_ends(const struct move *m) {
    const cl_event all[] = {m->moved, m->behind, m->elsewhere};
    double begun = lost_seconds();
    for (int i = 0; i < 3; i++) {
        cl_int err = clWaitForEvents(1, &all[i]), status = cltest_status(all[i]);
        CHECK(status <= CL_COMPLETE && !err == !status);
    }
    CHECK(lost_seconds() - begun < LOST_TOGETHER_S);
    for (int i = 1; i < 3; i++) CHECK(cltest_status(all[i - 1]) == CL_COMPLETE || cltest_status(all[i]) < 0);
}

/* Whether the move had ended before. */
static bool lose_in(struct cltest *t, unsigned from, unsigned to, double delay_s) {
    struct move m;
    begin(t, &m, from, to);
    cl_mem own = cltest_buffer(&m.t, CL_MEM_READ_WRITE, 64, NULL);
    cl_command_queue q = cltest_queue(&m.t, 0, 0);
    cl_event crashed, crash = lost_prepare_crash(&m.t, q, own, &crashed);
    OK(clReleaseCommandQueue(q));
    go(&m);
    nanosleep(&(struct timespec){(time_t)delay_s, (long)((delay_s - (double)(time_t)delay_s) * 1e9)}, NULL);
    OK(clSetUserEventStatus(crash, CL_COMPLETE));
    check_ends(&m);
    CHECK(clWaitForEvents(1, &crashed) && cltest_status(crashed) < 0);
    bool moved = cltest_status(m.moved) == CL_COMPLETE;
    for (unsigned i = 1; i < m.t.n_devices; i++) lost_go_on(&m.t, i);
    OK(clReleaseEvent(crash));
    OK(clReleaseEvent(crashed));
    OK(clReleaseMemObject(own));
    end(&m);
    return moved;
}

static void lose_between(struct cltest *t, unsigned from, unsigned to) {
    double time = time_of_move(t, from, to);
    unsigned moved = 0;
    for (int i = 0; i < POINTS; i++) moved += lose_in(t, from, to, time * i / POINTS);
    cltest_note("node %u to node %u: %.0f ms; %u of %d moves ended before the crash", t->info[from].node,
                t->info[to].node, time * 1e3, moved, POINTS);
    CHECK(moved < POINTS || time < NO_COPY_S);
}

void lost_move(struct cltest *t) {
    CHECK(t->n_devices == 3);
    for (unsigned i = 1; i < 3; i++) {
        lose_between(t, 0, i);
        lose_between(t, i, 0);
    }
}
