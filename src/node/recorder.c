/* Recording for `weft run --record`, as a daemon does its part of it: a directory beside its socket, in which the
 * programs of its host that `weft run` starts leave what they did, while some process of the cluster records. It ends
 * with that process. */
#include "base/error.h"
#include "base/log.h"
#include "base/path.h"
#include "node/daemon_internal.h"
#include "node/recorded.h"

#include <stdio.h>

static bool directory(const struct node_daemon *d, char out[WEFT_PATH_MAX]) {
    return snprintf(out, WEFT_PATH_MAX, "%s/" NODE_RECORD_DIR, d->dir.node) < WEFT_PATH_MAX;
}

static bool is_recorder(const struct node_daemon *d, struct node_process who) {
    return d->recorder.node == who.node && d->recorder.process == who.process;
}

static int begin(struct node_daemon *d, struct node_process who) {
    char dir[WEFT_PATH_MAX];
    if (d->recorder.process && !is_recorder(d, who)) return WEFT_E_EXIST;
    if (!directory(d, dir)) return WEFT_E_TOO_BIG;
    weft_dir_remove(dir);
    int rc = weft_dir_make_private(dir);
    if (rc == WEFT_OK) d->recorder = who;
    return rc;
}

static int end(struct node_daemon *d, struct node_process who) {
    char dir[WEFT_PATH_MAX];
    if (!is_recorder(d, who)) return WEFT_E_NOENT;
    d->recorder = (struct node_process){0};
    return directory(d, dir) ? weft_dir_remove(dir) : WEFT_OK;
}

static int get(const struct node_daemon *d, struct node_process who, struct weft_writer *out) {
    char dir[WEFT_PATH_MAX];
    if (!is_recorder(d, who) || !directory(d, dir)) return WEFT_E_NOENT;
    node_recorded_put(out, dir);
    return out->failed ? WEFT_E_NOMEM : WEFT_OK;
}

int recorder_do(struct node_daemon *d, struct node_process who, uint8_t what, struct weft_writer *out) {
    switch (what) {
    case NODE_RECORD_BEGIN: return begin(d, who);
    case NODE_RECORD_GET: return get(d, who, out);
    case NODE_RECORD_END: return end(d, who);
    default: return WEFT_E_INVAL;
    }
}

const char *recorder_reason(int rc) {
    return rc == WEFT_E_EXIST   ? "another weft run --record is under way in this cluster"
           : rc == WEFT_E_NOENT ? "this process does not record"
                                : weft_error_text(rc);
}

void recorder_gone(struct node_daemon *d, uint32_t process) {
    struct mesh_message m;
    end(d, (struct node_process){d->self, process}); /* if it still records here */
    mesh_begin(&m, NODE_M_RECORD_GET);
    weft_put_u32(&m.w, 0);
    weft_put_u32(&m.w, process);
    weft_put_u8(&m.w, NODE_RECORD_END);
    mesh_send_all(d, &m);
}

void recorder_lost(struct node_daemon *d, uint32_t node) {
    if (d->recorder.process && d->recorder.node == node) end(d, d->recorder);
}
