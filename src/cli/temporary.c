/* Starting the cluster of one `weft run`. */
#include "cli/temporary.h"

#include "base/error.h"
#include "cli/slurm.h"
#include "node/route.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define READY_TIMEOUT_MS 20000u
#define AT_ONCE          8u

struct start {
    struct temporary *t;
    const char *cluster, *dir;
    const char *bind; /* NULL: loopback */
    struct node_credentials credentials;
    struct slurm slurm;
    int abort_fd;
};

static bool start_one(struct start *s, unsigned i) {
    struct daemon_process *p = s->t->local;
    struct daemon_spec spec = {.cluster = s->cluster,
                               .credentials = &s->credentials,
                               .join = i ? p[0].join : NULL,
                               .node = (int32_t)i,
                               .bind = s->bind,
                               .bound = true};
    return daemon_start(&p[i], &spec) == WEFT_OK;
}

static bool await(struct start *s, unsigned first, unsigned count) {
    return daemons_await(s->t->local + first, count, READY_TIMEOUT_MS, s->abort_fd, NULL, NULL);
}

static bool start_some(struct start *s, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++)
        if (!start_one(s, i)) return false;
    return await(s, first, count);
}

/* Others join some at a time: node 0 takes in only so many at once, and what ails all is said a few times. */
static bool start_local(struct start *s) {
    bool good = start_some(s, 0, 1);
    for (unsigned first = 1, count; good && first < s->t->local_count; first += count) {
        count = s->t->local_count - first;
        if (count > AT_ONCE) count = AT_ONCE;
        good = start_some(s, first, count);
    }
    return good;
}

static bool start_remote(struct start *s) {
    struct remote_spec spec = {.cluster = s->cluster,
                               .credentials = &s->credentials,
                               .join = s->t->local[0].join,
                               .reach = s->bind,
                               .log_dir = s->dir,
                               .bound = true};
    return s->t->remote_count == 0 || slurm_start(s->t->remote, &s->slurm, &spec, s->abort_fd);
}

static bool find_allocation(struct start *s, char bind[NODE_NAME_MAX]) {
    if (!slurm_find(&s->slurm)) return false;
    if (s->slurm.count == 0) return true;
    if (node_route_source(s->slurm.first, bind) != WEFT_OK) return false;
    s->bind = bind;
    s->t->remote_count = 1;
    return true;
}

bool temporary_start(struct temporary *t, const char *cluster, const char *dir, unsigned nodes,
                     int abort_fd) {
    struct start s = {.t = t, .cluster = cluster, .dir = dir, .abort_fd = abort_fd};
    char bind[NODE_NAME_MAX];
    *t = (struct temporary){.local_count = nodes ? nodes : 1};
    bool good = nodes || !slurm_is_there() || find_allocation(&s, bind);
    t->local = daemons_create(t->local_count);
    t->remote = daemons_create(1);
    good = good && t->local && t->remote && node_credentials_make(&s.credentials, NULL) == WEFT_OK &&
           start_local(&s) && start_remote(&s);
    OPENSSL_cleanse(&s.credentials, sizeof s.credentials);
    slurm_free(&s.slurm);
    return good;
}

void temporary_end(struct temporary *t) {
    if (t->remote) daemons_end(t->remote, t->remote_count);
    if (t->local) daemons_end(t->local, t->local_count);
    free(t->remote);
    free(t->local);
    *t = (struct temporary){0};
}
