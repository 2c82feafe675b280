/* A sender that ends its connection takes its data back while the receiver is copying it: the message must
 * not end as if it were whole. The receiver is stopped in the middle of its last step by a page that may not
 * be written. */
#include "base/counter.h"
#include "base/error.h"
#include "transport/ep_fixture.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES ((size_t)256 << 10)
#define PAGE  4096u

static uint8_t *target;
static atomic_int stopped, go_on;

static void in_the_copy(int sig, siginfo_t *info, void *context) {
    if ((uint8_t *)info->si_addr < target || (uint8_t *)info->si_addr >= target + BYTES) abort();
    atomic_store(&stopped, 1);
    while (!atomic_load(&go_on)) sched_yield();
    mprotect(target, BYTES, PROT_READ | PROT_WRITE);
}

static void note_window_bytes(void *ctx, const struct weft_counter *c, uint64_t value) {
    if (!strcmp(c->name, "shm_window_bytes")) *(uint64_t *)ctx = value;
}

static uint64_t window_bytes(void) {
    uint64_t n = UINT64_MAX;
    weft_counters_visit(note_window_bytes, &n);
    assert_int_not_equal(n, UINT64_MAX);
    return n;
}

/* Until the receiver has mapped the sender's window: then the data is copied by this process, not the system.
 */
static int warm_up(struct fx *a, struct fx *b, const uint8_t *data) {
    int sent = 0;
    uint64_t before = window_bytes();
    while (window_bytes() == before) {
        fx_send(a, a->peer, H_KEEP, 0, (uint64_t)sent, 1, data, BYTES);
        fx_await_idle(&a->sent, ++sent);
        fx_await_idle(&b->kept_calls, sent);
        assert_int_equal(b->kept_status, 0);
    }
    return sent;
}

static void send__taken_back_during_the_copy(void **state) {
    struct fx a, b;
    struct sigaction stop = {.sa_sigaction = in_the_copy, .sa_flags = SA_SIGINFO}, before;
    fx_open(&a, "shm", false);
    fx_open(&b, "shm", true);
    uint8_t *data = ep_alloc(a.ep, BYTES);
    target = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(data && target != MAP_FAILED);
    b.kept = target;
    fx_fill(data, BYTES, 1);
    fx_connect(&a, &b);
    int sent = warm_up(&a, &b, data);
    assert_int_equal(sigaction(SIGSEGV, &stop, &before), 0);
    assert_int_equal(mprotect(target + BYTES - PAGE, PAGE, PROT_NONE), 0);
    fx_send(&a, a.peer, H_KEEP, 0, (uint64_t)sent, 1, data, BYTES);
    fx_await_idle(&stopped, 1);
    ep_peer_fail(a.peer, WEFT_E_CANCELED);
    fx_await_idle(&a.send_failed, 1);
    memset(data, 0xee, BYTES); /* it is this side's again */
    atomic_store(&go_on, 1);
    fx_await_idle(&b.kept_calls, sent + 1);
    assert_int_not_equal(b.kept_status, 0);
    assert_false(fx_holds(target, BYTES, 1)); /* so it was read after it had been taken back */
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);
    ep_disconnect(a.peer);
    fx_close(&a);
    fx_close(&b);
    munmap(target, BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(send__taken_back_during_the_copy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
