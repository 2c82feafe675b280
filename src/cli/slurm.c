/* Slurm: scontrol tells the nodes, srun starts the daemons. All tasks of a step get the same standard input
 * and share its standard output, so one line of credentials, one join text and one "keep" do for all, and the
 * step is ready when as many lines say so as it has tasks. */
#include "cli/slurm.h"

#include "base/error.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READY_TIMEOUT_MS 60000u /* srun may wait for its step to be granted */
#define LOG_NAME         "weftd-srun.log"

bool slurm_is_there(void) {
    const char *job = getenv("SLURM_JOB_ID");
    return job && *job;
}

/* --- the allocation --- */

static bool is_name(const char *text) {
    for (const char *p = text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p)) return false;
    return *text && *text != '-';
}

/* By Slurm's name of this node, where Slurm has started us; else by the host's. */
static bool is_self(const char *name) {
    char host[HOST_TEXT_MAX] = "";
    const char *node = getenv("SLURMD_NODENAME");
    if (node && *node) return strcmp(name, node) == 0;
    gethostname(host, sizeof host - 1);
    if (strcmp(name, host) == 0) return true;
    host[strcspn(host, ".")] = 0;
    return strcmp(name, host) == 0;
}

static bool add_name(struct slurm *s, const char *name) {
    if (!is_name(name) || strlen(name) >= sizeof s->first) {
        fprintf(stderr, "weft: scontrol names a node \"%.60s\", which is no name\n", name);
        return false;
    }
    if (is_self(name)) return true;
    char *longer = NULL;
    if (asprintf(&longer, "%s%s%s", s->others ? s->others : "", s->others ? "," : "", name) < 0) return false;
    free(s->others);
    s->others = longer;
    if (s->count++ == 0) strcpy(s->first, name);
    return true;
}

bool slurm_find(struct slurm *s) {
    *s = (struct slurm){0};
    char line[HOST_TEXT_MAX];
    fflush(NULL);
    FILE *f = popen("scontrol show hostnames", "re"); /* those of SLURM_JOB_NODELIST */
    bool good = f != NULL;
    unsigned lines = 0;
    while (good && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\r\n")] = 0;
        lines++;
        good = add_name(s, line);
    }
    if (f && pclose(f) != 0) lines = 0;
    if (good && lines > 0) return true;
    if (good)
        fprintf(
            stderr,
            "weft: SLURM_JOB_ID is set, but `scontrol show hostnames` does not tell the nodes of the job;\n"
            "      --nodes 1 makes a cluster of this host alone\n");
    slurm_free(s);
    return false;
}

void slurm_free(struct slurm *s) {
    free(s->others);
    *s = (struct slurm){0};
}

/* --- the daemons --- */

struct step {
    const struct slurm *slurm;
    const char *log;
};

static void tell(void *arg, struct daemon_process *p) {
    const struct step *step = arg;
    char words[400];
    if (p->state == DAEMON_READY) {
        fprintf(stderr, "weft: srun: %u %s ready: %s\n", p->ready, p->ready == 1 ? "node is" : "nodes are",
                step->slurm->others);
        return;
    }
    remote_last_words(step->log, words, sizeof words);
    fprintf(stderr, "weft: srun: %u of %u nodes are ready%s%s%s\n", p->ready, p->wanted,
            p->late ? ", and time is over" : "", *words ? ": " : "", words);
}

bool slurm_start(struct daemon_process *p, const struct slurm *s, const struct remote_spec *spec,
                 int abort_fd) {
    char nodes[32], tasks[32], log[WEFT_PATH_MAX], *list = NULL;
    snprintf(nodes, sizeof nodes, "--nodes=%u", s->count);
    snprintf(tasks, sizeof tasks, "--ntasks=%u", s->count);
    if (snprintf(log, sizeof log, "%s/" LOG_NAME, spec->log_dir) >= (int)sizeof log ||
        asprintf(&list, "--nodelist=%s", s->others) < 0)
        return false;
    /* --overlap: it takes no processors away from the job's other steps; --cpu-bind=none, --whole: executors
     * may use all of the node's that the job has. A daemon that dies does not take the others along. */
    char *const words[] = {(char *)"srun",
                           nodes,
                           tasks,
                           (char *)"--ntasks-per-node=1",
                           list,
                           (char *)"--overlap",
                           (char *)"--whole",
                           (char *)"--cpu-bind=none",
                           (char *)"--mpi=none",
                           (char *)"--input=all",
                           (char *)"--output=all",
                           (char *)"--error=all",
                           (char *)"--unbuffered",
                           (char *)"--kill-on-bad-exit=0",
                           (char *)"--wait=0",
                           (char *)"--job-name=weftd",
                           NULL};
    struct daemon_spec d = {.cluster = spec->cluster,
                            .credentials = spec->credentials,
                            .join = spec->join,
                            .node = -1,
                            .reach = spec->reach,
                            .insecure = !spec->credentials,
                            .bound = spec->bound,
                            .launcher = words,
                            .dir = spec->dir,
                            .output = log,
                            .count = s->count};
    struct step step = {.slurm = s, .log = log};
    bool good =
        daemon_start(p, &d) == WEFT_OK && daemons_await(p, 1, READY_TIMEOUT_MS, abort_fd, tell, &step);
    free(list);
    return good;
}
