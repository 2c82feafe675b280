/* Where the daemon of this program's node listens. */
#include "node/where.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "base/path.h"
#include "base/socket_file.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

WEFT_OPTIONS(node_where, "node",
             {.name = "node_socket",
              .type = WEFT_OPTION_STRING,
              .help = "Socket of the daemon to which a program attaches; weft run sets it."},
             {.name = "record",
              .type = WEFT_OPTION_STRING,
              .help = "Directory in which a program leaves its counters; weft run --record sets it."})

/* The lowest node of the cluster on this host from that number on; false: there is none. */
static bool next_node(const char *cluster_dir, unsigned long from, unsigned long *out) {
    bool found = false;
    DIR *dir = opendir(cluster_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        if (strncmp(e->d_name, "node", 4) != 0) continue;
        unsigned long id = strtoul(e->d_name + 4, &end, 10);
        if (*end || id < from || (found && id >= *out)) continue;
        *out = id;
        found = true;
    }
    if (dir) closedir(dir);
    return found;
}

/* What a daemon that was killed leaves behind is there until another one has noticed. */
static bool is_left_over(const char *socket) {
    struct stat st;
    return lstat(socket, &st) || weft_socket_file_is_abandoned(socket);
}

/* The lowest node of the cluster of `weft up` on this host that lives; node 0 may be on another. */
static unsigned long first_node(const char *cluster_dir) {
    char path[WEFT_PATH_MAX + 64];
    unsigned long first = 0, id;
    if (!next_node(cluster_dir, 0, &first) || !next_node(cluster_dir, first + 1, &id)) return first;
    for (id = first;;) {
        snprintf(path, sizeof path, "%s/node%lu/socket", cluster_dir, id);
        if (!is_left_over(path)) return id;
        if (!next_node(cluster_dir, id + 1, &id)) return first;
    }
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
