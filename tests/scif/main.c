/* scif_conformance: what the SCIF User Guide and docs/SCIF.md promise, checked against any <scif.h> and
 * libscif. */
#include "areas.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t heard;
static void on_signal(int signal) { heard = signal; }

/* The first call of all: where there is no service yet it starts one, and the program's handlers stay. */
static void probe(struct sciftest *t) {
    (void)t;
    signal(SIGUSR1, on_signal);
    scif_epd_t epd = scif_open();
    if (epd < 0 && errno == ENXIO) sciftest_skip("there is no SCIF here");
    raise(SIGUSR1);
    CHECK_EQ(heard, SIGUSR1);
}

const struct sciftest_case sciftest_probe = {"probe", "contract: scif_open", probe, probe, 0};

const struct sciftest_case *sciftest_find(const char *name) {
    if (!strcmp(name, sciftest_probe.name)) return &sciftest_probe;
    for (unsigned a = 0; a < sciftest_n_areas; a++)
        for (unsigned i = 0; i < sciftest_areas[a]->n; i++)
            if (!strcmp(sciftest_areas[a]->cases[i].name, name)) return &sciftest_areas[a]->cases[i];
    return NULL;
}

static void list(void) {
    for (unsigned a = 0; a < sciftest_n_areas; a++)
        for (unsigned i = 0; i < sciftest_areas[a]->n; i++)
            printf("%s (%s)\n", sciftest_areas[a]->cases[i].name, sciftest_areas[a]->cases[i].cite);
}

static int usage(FILE *to) {
    fputs("usage: scif_conformance [--list] [--right COMMAND] [part of a case's name]...\n"
          "  --list           print the cases and what they cite\n"
          "  --right COMMAND  run the right sides by \"COMMAND scif_conformance --serve\", maybe on another "
          "node;\n"
          "                   without it both sides are on this one\n"
          "environment: SCIFTEST_TIMEOUT=seconds a case may take, 20 if unset\n"
          "             SCIFTEST_EXHAUST=1 to run also the cases that use up all ports of a node\n",
          to);
    return to == stdout ? 0 : 2;
}

/* Our standard input and output carry the frames: whatever a case prints must not get between them. */
static int serve(void) {
    int in = fcntl(0, F_DUPFD_CLOEXEC, 3), out = fcntl(1, F_DUPFD_CLOEXEC, 3),
        null = open("/dev/null", O_RDWR);
    if (in < 0 || out < 0 || null < 0) return 1;
    dup2(null, 0);
    dup2(2, 1);
    close(null);
    return sciftest_serve(in, out, false);
}

/* Cases end as soon as they know, with what they have allocated: no leak of the library. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

int main(int argc, char **argv) {
    const char *limit = getenv("SCIFTEST_TIMEOUT");
    struct sciftest_options o = {.limit_s = limit ? (unsigned)strtoul(limit, NULL, 10) : 20};
    int i = 1;
    if (o.limit_s == 0) return usage(stderr);
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--list")) return list(), 0;
        if (!strcmp(argv[i], "--help")) return usage(stdout);
        if (!strcmp(argv[i], "--serve")) return serve();
        if (strcmp(argv[i], "--right") != 0 || i + 1 == argc) return usage(stderr);
        o.right = argv[++i];
    }
    o.selection = argv + i;
    o.n_selection = argc - i;
    return sciftest_run(&o);
}
