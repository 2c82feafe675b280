/* Where the daemon of this program's node listens. */
#include "node/where.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/path.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

WEFT_OPTIONS(node_where, "node",
             {.name = "node_socket",
              .type = WEFT_OPTION_STRING,
              .help = "Socket of the daemon to which a program attaches; weft run sets it."},
             {.name = "record",
              .type = WEFT_OPTION_STRING,
              .help = "Directory in which a program leaves its counters; weft run --record sets it."})

/* The lowest node of the cluster of `weft up` on this host; node 0 may be on another. */
static unsigned long first_node(const char *cluster_dir) {
    unsigned long first = 0;
    bool found = false;
    DIR *dir = opendir(cluster_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        if (strncmp(e->d_name, "node", 4) != 0) continue;
        unsigned long id = strtoul(e->d_name + 4, &end, 10);
        if (*end || (found && id >= first)) continue;
        first = id;
        found = true;
    }
    if (dir) closedir(dir);
    return first;
}

int node_socket_path(const char *path, char *out, size_t cap) {
    char run_dir[WEFT_PATH_MAX], cluster[WEFT_PATH_MAX + 16], found[WEFT_PATH_MAX + 64];
    if (!path) path = weft_option_string("node_socket");
    if (!path || !*path) {
        int rc = weft_run_dir(run_dir, sizeof run_dir);
        if (rc != WEFT_OK) return rc;
        snprintf(cluster, sizeof cluster, "%s/default", run_dir);
        snprintf(found, sizeof found, "%s/node%lu/socket", cluster, first_node(cluster));
        path = found;
    }
    int n = snprintf(out, cap, "%s", path);
    if (n >= 0 && (size_t)n < cap) return WEFT_OK;
    weft_error("node",
               "the daemon's socket has a name longer than %zu bytes: %s (XDG_RUNTIME_DIR says where it is)",
               cap - 1, path);
    return WEFT_E_TOO_BIG;
}
