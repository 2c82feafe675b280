/* Recording on all nodes: each daemon keeps a directory for it while the recorder's line is there, and tells what is in
 * it. A process that has just sent its last message to CMD may still be on its way out: it is waited for a moment. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/cluster.h"
#include "cli/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 10000u
#define ENDS_TIMEOUT_MS   3000u
#define AGAIN_MS          20

struct recorder {
    struct node_client *line;
    struct node_info *node;
    int nodes;
};

bool record_may_write(const char *path) {
    char dir[4096];
    if (snprintf(dir, sizeof dir, "%s", path) >= (int)sizeof dir) errno = ENAMETOOLONG;
    char *slash = strrchr(dir, '/');
    if (slash) slash[slash == dir] = 0;
    if (strlen(path) < sizeof dir && access(slash ? dir : ".", W_OK | X_OK) == 0) return true;
    fprintf(stderr, "weft: cannot write %s: %s\n", path, strerror(errno));
    return false;
}

/* --- Beginning and ending --- */

static int begin_node(struct recorder *r, const struct node_info *n) {
    if (!n->online) return WEFT_OK;
    int rc = node_client_record(r->line, n->id, NODE_RECORD_BEGIN, NULL, NULL, ANSWER_TIMEOUT_MS);
    if (rc == WEFT_OK) return rc;
    if (rc == WEFT_E_EXIST)
        fprintf(stderr, "weft: another weft run --record or --summary is under way in this cluster\n");
    else
        fprintf(stderr, "weft: node %u (%s) does not record: %s\n", n->id, n->host, weft_error_text(rc));
    return rc;
}

struct recorder *record_begin(const char *socket) {
    struct recorder *r = calloc(1, sizeof *r);
    int rc = r ? node_client_open(&r->line, NULL, socket, NODE_TOOL, NULL) : WEFT_E_NOMEM;
    if (rc != WEFT_OK) {
        cluster_complain("nothing can be recorded", rc);
        free(r);
        return NULL;
    }
    r->nodes = cluster_nodes(r->line, &r->node);
    for (int i = 0; rc == WEFT_OK && i < r->nodes; i++) rc = begin_node(r, &r->node[i]);
    if (rc == WEFT_OK && r->nodes >= 0) return r;
    record_end(r);
    return NULL;
}

void record_end(struct recorder *r) {
    if (!r) return;
    node_client_close(r->line); /* with which the nodes end it */
    free(r->node);
    free(r);
}

/* --- Collecting --- */

static void read_directory(struct record *record, const char *dir) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 65536);
    node_recorded_put(&w, dir);
    if (w.failed)
        record->short_of_memory = true;
    else
        record_read(record, w.data, w.len); /* it was made here: it holds */
    weft_writer_fini(&w);
}

/* A node that has gone since takes its processes' counts along. */
static void read_node(struct recorder *r, struct record *record, const struct node_info *n, bool tell) {
    void *blob = NULL;
    size_t bytes = 0;
    if (!n->online) return;
    int rc = node_client_record(r->line, n->id, NODE_RECORD_GET, &blob, &bytes, ANSWER_TIMEOUT_MS);
    if (rc == WEFT_OK) rc = record_read(record, blob, bytes);
    if (rc != WEFT_OK && tell)
        fprintf(stderr, "weft: what the processes of node %u (%s) did is not known: %s\n", n->id, n->host,
                weft_error_text(rc));
    free(blob);
}

static struct record gather(struct recorder *r, const char *dir, bool last) {
    struct record record = {0};
    read_directory(&record, dir);
    for (int i = 0; i < r->nodes; i++) read_node(r, &record, &r->node[i], last);
    return record;
}

struct record record_collect(struct recorder *r, const char *dir) {
    uint64_t until = weft_now_ns() + ENDS_TIMEOUT_MS * WEFT_NS_PER_MS;
    struct record record = gather(r, dir, false);
    while (record.running && weft_now_ns() < until) {
        record_fini(&record);
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
        record = gather(r, dir, false);
    }
    record_fini(&record);
    record = gather(r, dir, true);
    if (record.running)
        fprintf(stderr, "weft: %u processes have not ended; what they did until now counts\n",
                record.running);
    if (record.left_out)
        fprintf(stderr, "weft: there was no room for what %u processes did\n", record.left_out);
    return record;
}
