/* What a recorded process leaves: its counts with each peer, also when it was killed, and a fork's own. */
#include "base/record.h"

#include "base/board.h"
#include "base/board_view.h"
#include "base/error.h"
#include "base/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 30

static char dir[] = "/tmp/weft-record-XXXXXX";
static const struct weft_record_id self = {0, 7}, peer = {1, 9};

/* Runs this program again, which is then recorded and does `what`. */
static int run(const char *what) {
    pid_t pid = fork();
    if (pid == 0) {
        setenv("WEFT_RECORD", dir, 1);
        execl("/proc/self/exe", "record_test", what, NULL);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void count_puts(void *ctx, const struct weft_record *r) {
    *(uint64_t *)ctx += r->did[WEFT_RECORD_PUT].count;
}
static void look_at(void *ctx, const struct weft_board_view *v) { weft_board_records(v, count_puts, ctx); }

/* As `weft stats` does. */
static int look_at_itself(void) {
    uint64_t puts = 0;
    return weft_board_visit(getpid(), look_at, &puts) == 1 && puts == 2 ? 0 : 1;
}

static int child(const char *what) {
    if (!weft_recording) return 1;
    weft_record_add(weft_record_peer(self, peer), WEFT_RECORD_PUT, 100);
    weft_record_add(weft_record_peer(self, peer), WEFT_RECORD_PUT, 28);
    if (strcmp(what, "kill") == 0) raise(SIGKILL);
    if (strcmp(what, "look") == 0) return look_at_itself();
    for (uint32_t i = 0; strcmp(what, "fork") == 0 && i < FORKS; i++) {
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            weft_record_add(weft_record_peer(self, peer), WEFT_RECORD_GET, 5);
            exit(0);
        }
        for (uint32_t k = 0; k < 200; k++) /* while the child copies the board */
            weft_record_peer(self, (struct weft_record_id){100 + i, k});
        if (waitpid(pid, &status, 0) != pid || status) return 1;
    }
    return 0;
}

struct seen {
    unsigned boards, ended;
    uint64_t puts, put_bytes, gets;
};

static void see_record(void *ctx, const struct weft_record *r) {
    struct seen *s = ctx;
    if (!r->claimed) return;
    s->ended += r->cpu_ns > 0;
    if (r->peer.node != peer.node) return;
    assert_int_equal(r->self.process, self.process);
    assert_int_equal(r->peer.process, peer.process);
    s->puts += r->did[WEFT_RECORD_PUT].count;
    s->put_bytes += r->did[WEFT_RECORD_PUT].bytes;
    s->gets += r->did[WEFT_RECORD_GET].count;
}

static void see_board(void *ctx, const struct weft_board_view *v) {
    ((struct seen *)ctx)->boards++;
    assert_true(weft_board_pid(v) > 0);
    weft_board_records(v, see_record, ctx);
}

/* Looks at all boards and removes them. */
static struct seen look(void) {
    struct seen s = {0};
    char path[400];
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        assert_int_equal(weft_board_visit_file(path, see_board, &s), WEFT_OK);
        unlink(path);
    }
    closedir(d);
    return s;
}

static void record__is_off_by_default(void **state) {
    assert_false(weft_recording);
    assert_null(weft_record_peer(self, peer));
    weft_record_add(NULL, WEFT_RECORD_PUT, 1);
}

static void record__stays_after_the_end(void **state) {
    assert_int_equal(run("end"), 0);
    struct seen s = look();
    assert_int_equal(s.boards, 1);
    assert_int_equal(s.ended, 1);
    assert_int_equal(s.puts, 2);
    assert_int_equal(s.put_bytes, 128);
}

static void record__stays_after_a_kill(void **state) {
    assert_int_equal(run("kill"), SIGKILL);
    struct seen s = look();
    assert_int_equal(s.boards, 1);
    assert_int_equal(s.ended, 0);
    assert_int_equal(s.put_bytes, 128);
}

static void record__is_seen_meanwhile(void **state) {
    assert_int_equal(run("look"), 0);
    assert_int_equal(look().boards, 1);
}

static void record__of_a_fork_is_its_own(void **state) {
    assert_int_equal(run("fork"), 0);
    struct seen s = look();
    assert_int_equal(s.boards, 1 + FORKS);
    assert_int_equal(s.ended, 1 + FORKS);
    assert_int_equal(s.put_bytes, 128); /* the parent's, once */
    assert_int_equal(s.gets, FORKS);
}

static void board_visit_file__refuses_what_is_no_board(void **state) {
    char path[400];
    struct seen s = {0};
    snprintf(path, sizeof path, "%s/other", dir);
    assert_int_equal(weft_board_visit_file(path, see_board, &s), WEFT_E_NOENT);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("weftbrd", f);
    fclose(f);
    assert_int_equal(weft_board_visit_file(path, see_board, &s), WEFT_E_INVAL);
    assert_int_equal(truncate(path, WEFT_BOARD_BYTES), 0);
    assert_int_equal(weft_board_visit_file(path, see_board, &s), WEFT_E_VERSION);
    assert_int_equal(s.boards, 0);
    unlink(path);
}

static int make_dir(void **state) { return mkdtemp(dir) ? 0 : -1; }
static int remove_dir(void **state) { return rmdir(dir); }

int main(int argc, char **argv) {
    if (argc > 1) return child(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record__is_off_by_default),
        cmocka_unit_test(record__stays_after_the_end),
        cmocka_unit_test(record__stays_after_a_kill),
        cmocka_unit_test(record__is_seen_meanwhile),
        cmocka_unit_test(record__of_a_fork_is_its_own),
        cmocka_unit_test(board_visit_file__refuses_what_is_no_board),
    };
    return cmocka_run_group_tests_name("record", tests, make_dir, remove_dir);
}
