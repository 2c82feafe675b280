#include "cost.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned long count_packets(void) {
    unsigned long all = 0, in, out;
    char line[512], name[32];
    FILE *f = fopen("/proc/net/dev", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, " %31[^:]: %*u %lu %*u %*u %*u %*u %*u %*u %*u %lu", name, &in, &out) == 3 &&
            strcmp(name, "lo"))
            all += in + out;
    if (f) fclose(f);
    return all;
}

static bool is_named(const char *process, const char *name) {
    char path[64], line[64] = "";
    snprintf(path, sizeof path, "/proc/%.20s/comm", process);
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f)) line[strcspn(line, "\n")] = 0;
    if (f) fclose(f);
    return name && !strcmp(line, name);
}

static unsigned long sleeps_of_thread(const char *process, const char *thread) {
    char line[512];
    unsigned long n = 0;
    snprintf(line, sizeof line, "/proc/%.20s/task/%.20s/status", process, thread);
    FILE *f = fopen(line, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1) break;
    if (f) fclose(f);
    return n;
}

static unsigned long sleeps_of(const char *process) {
    char path[64];
    unsigned long n = 0;
    snprintf(path, sizeof path, "/proc/%.20s/task", process);
    DIR *all = opendir(path);
    for (struct dirent *d; all && (d = readdir(all));)
        if (isdigit((unsigned char)*d->d_name)) n += sleeps_of_thread(process, d->d_name);
    if (all) closedir(all);
    return n;
}

struct cost cost_now(const char *process, const char *or_process) {
    struct cost c = {.packets = count_packets()};
    DIR *all = opendir("/proc");
    for (struct dirent *d; all && (d = readdir(all));)
        if (isdigit((unsigned char)*d->d_name) &&
            (is_named(d->d_name, process) || is_named(d->d_name, or_process)))
            c.sleeps += sleeps_of(d->d_name);
    if (all) closedir(all);
    return c;
}
