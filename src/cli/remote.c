/* Daemons over ssh: the command, a limited number of hosts at a time, and what became of each. */
#include "cli/remote.h"

#include "base/error.h"
#include "base/option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define AT_ONCE          32
#define READY_TIMEOUT_MS 30000u
#define WORDS_MAX        32

WEFT_OPTIONS(remote, "cli",
             {.name = "ssh",
              .type = WEFT_OPTION_STRING,
              .value = "ssh",
              .help = "Command that weft up --hosts starts daemons with; its words are separated by blanks."})

struct launching {
    const struct host_list *hosts;
    const struct remote_spec *spec;
    struct daemon_process *processes;
    unsigned failed;
};

static bool log_name(const struct launching *l, unsigned i, char out[WEFT_PATH_MAX]) {
    return snprintf(out, WEFT_PATH_MAX, "%s/weftd-%s.log", l->spec->log_dir, l->hosts->hosts[i].text) <
           WEFT_PATH_MAX;
}

/* --- what became of it --- */

void remote_last_words(const char *path, char *out, size_t cap) {
    char line[512];
    FILE *f = fopen(path, "re");
    *out = 0;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (*line && !strstr(line, ": Exited with exit code "))
            snprintf(out, cap, "%s", line); /* srun's echo */
    }
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
    if (f) fclose(f);
}

static void tell_failure(const struct launching *l, unsigned i) {
    const struct daemon_process *p = &l->processes[i];
    char path[WEFT_PATH_MAX], words[400] = "", how[64];
    if (log_name(l, i, path)) remote_last_words(path, words, sizeof words);
    if (p->late)
        snprintf(how, sizeof how, "not ready after %u s", READY_TIMEOUT_MS / 1000);
    else if (p->pid > 0)
        snprintf(how, sizeof how, "failed");
    else if (WIFSIGNALED(p->status))
        snprintf(how, sizeof how, "ssh was killed by signal %d", WTERMSIG(p->status));
    else
        snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(p->status));
    fprintf(stderr, "weft: %s: %s%s%s\n", l->hosts->hosts[i].text, how, *words ? ": " : "", words);
}

static void tell(void *arg, struct daemon_process *p) {
    struct launching *l = arg;
    unsigned i = (unsigned)(p - l->processes);
    if (p->state == DAEMON_READY) {
        fprintf(stderr, "weft: %s: node %u is ready\n", l->hosts->hosts[i].text, p->node);
        return;
    }
    l->failed++;
    tell_failure(l, i);
}

/* --- starting --- */

static int start_one(struct launching *l, unsigned i) {
    char command[512], path[WEFT_PATH_MAX], *words[WORDS_MAX];
    const struct host *h = &l->hosts->hosts[i];
    int n = 0;
    snprintf(command, sizeof command, "%s", weft_option_string("ssh"));
    for (char *save, *w = strtok_r(command, " \t", &save); w && n < WORDS_MAX - 8;
         w = strtok_r(NULL, " \t", &save))
        words[n++] = w;
    if (n == 0) words[n++] = (char *)"ssh";
    words[n++] = (char *)"-o";
    words[n++] = (char *)"BatchMode=yes";
    words[n++] = (char *)"-o";
    words[n++] = (char *)"ConnectTimeout=10";
    if (*h->port) {
        words[n++] = (char *)"-p";
        words[n++] = (char *)h->port;
    }
    words[n++] = (char *)h->destination;
    words[n] = NULL;
    const struct remote_spec *s = l->spec;
    struct daemon_spec spec = {.cluster = s->cluster,
                               .credentials = s->credentials,
                               .join = s->join,
                               .node = -1,
                               .reach = s->reach,
                               .insecure = !s->credentials,
                               .bound = s->bound,
                               .launcher = words,
                               .shell = true,
                               .dir = s->dir,
                               .output = log_name(l, i, path) ? path : NULL};
    return daemon_start(&l->processes[i], &spec);
}

bool remote_start(struct daemon_process *p, const struct host_list *hosts, const struct remote_spec *spec,
                  int abort_fd) {
    struct launching l = {.hosts = hosts, .spec = spec, .processes = p};
    unsigned ready = 0;
    bool aborted = false;
    for (unsigned first = 0; first < hosts->count && !aborted; first += AT_ONCE) {
        unsigned count = hosts->count - first < AT_ONCE ? hosts->count - first : AT_ONCE, failed = l.failed;
        for (unsigned i = first; i < first + count; i++)
            if (start_one(&l, i) != WEFT_OK) l.failed++;
        bool all = daemons_await(p + first, count, READY_TIMEOUT_MS, abort_fd, tell, &l);
        aborted = !all && l.failed == failed;
        for (unsigned i = first; i < first + count; i++) ready += p[i].state == DAEMON_READY;
        if (l.failed && !spec->partial) break;
    }
    if (aborted || ready == 0) return false;
    if (l.failed) fprintf(stderr, "weft: %u of %u hosts failed\n", l.failed, hosts->count);
    return !l.failed || spec->partial;
}
