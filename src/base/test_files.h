/* What tests ask of directories. */
#ifndef WEFT_BASE_TEST_FILES_H
#define WEFT_BASE_TEST_FILES_H
#include "base/path.h"

#include <dirent.h>
#include <stdio.h>

/* How many entries it has; those that begin with a dot do not count. */
static inline size_t test_entries(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* dir/name, in one of a few static buffers. */
static inline const char *test_path(const char *dir, const char *name) {
    static char paths[4][WEFT_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, WEFT_PATH_MAX, "%s/%s", dir, name);
    return path;
}

#endif
