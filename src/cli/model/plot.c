/* weft model plot: pictures, drawn by graphviz and gnuplot. The tool reads a script and its output goes to a
 * file beside the one that is wanted, which takes its place when the tool has succeeded. */
#include "cli/model/plot.h"
#include "cli/model/recorded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct picture {
    const char *name;
    bool (*plot)(const struct plot_call *call, FILE *f);
    const char *tool, *package;
} pictures[] = {{"topology", plot_topology, "dot", "graphviz"},
                {"ladder", plot_ladder, "gnuplot", "gnuplot-nox"},
                {"roofline", plot_roofline, "gnuplot", "gnuplot-nox"},
                {"predicted", plot_predicted, "gnuplot", "gnuplot-nox"}};
#define PICTURES (sizeof pictures / sizeof *pictures)

static void become(const struct picture *p, const char *format, FILE *script, int out) {
    char option[16];
    snprintf(option, sizeof option, "-T%s", format);
    const bool dot = strcmp(p->tool, "dot") == 0;
    char *argv[] = {(char *)(uintptr_t)p->tool, dot ? option : NULL, NULL};
    if (dup2(fileno(script), STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0) _exit(126);
    execvp(p->tool, argv);
    _exit(errno == ENOENT ? 127 : 126);
}

static bool draw(const struct command *c, const struct picture *p, const char *format, FILE *script,
                 int out) {
    int status = -1;
    fflush(NULL);
    rewind(script);
    pid_t pid = fork();
    if (pid == 0) become(p, format, script, out);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127)
        fprintf(stderr,
                "weft %s: %s, which draws this picture, is not installed (Debian: apt-get install %s)\n",
                c->name, p->tool, p->package);
    else
        fprintf(stderr, "weft %s: %s failed\n", c->name, p->tool);
    return false;
}

static bool draw_to(const struct command *c, const struct picture *p, const char *format, FILE *script,
                    const char *path) {
    char made[4200];
    if (snprintf(made, sizeof made, "%s.XXXXXX", path) >= (int)sizeof made) errno = ENAMETOOLONG;
    int out = strlen(path) < 4096 ? mkostemp(made, O_CLOEXEC) : -1;
    bool ok = out >= 0;
    if (!ok) fprintf(stderr, "weft %s: cannot write %s: %s\n", c->name, path, strerror(errno));
    if (!ok) return false;
    ok = draw(c, p, format, script, out);
    mode_t mask = umask(0);
    umask(mask);
    if (ok && (fchmod(out, 0666 & ~mask) || rename(made, path))) {
        fprintf(stderr, "weft %s: cannot write %s: %s\n", c->name, path, strerror(errno));
        ok = false;
    }
    if (!ok) unlink(made);
    close(out);
    return ok;
}

/* gnuplot is told here what it draws for; dot by its option. */
static int plot(const struct plot_call *call, const struct picture *p, const char *format, const char *path) {
    FILE *script = path ? tmpfile() : stdout;
    if (!script) {
        fprintf(stderr, "weft %s: %s\n", call->c->name, strerror(errno));
        return 1;
    }
    if (strcmp(p->tool, "gnuplot") == 0)
        fprintf(script, "set terminal %s size %s noenhanced\n",
                strcmp(format, "svg") == 0 ? "svg" : "pngcairo", "900,600");
    bool ok = p->plot(call, script);
    if (!path) return !ok;
    ok = ok && draw_to(call->c, p, format, script, path);
    fclose(script);
    return !ok;
}

/* NULL: neither. */
static const char *format_of(const char *path) {
    const char *dot = path ? strrchr(path, '.') : NULL;
    if (!path || (dot && strcmp(dot, ".svg") == 0)) return "svg";
    return dot && strcmp(dot, ".png") == 0 ? "png" : NULL;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"what", required_argument, NULL, 'w'},
                                            {"in", required_argument, NULL, 'i'},
                                            {"on", required_argument, NULL, 'u'},
                                            {"record", required_argument, NULL, 'r'},
                                            {"work", required_argument, NULL, 'k'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const struct command *c = &command_model_plot;
    struct plot_call call = {.c = c};
    struct model_files files = {0};
    struct recorded_call recorded = {0};
    const char *what = "topology", *path = NULL;
    size_t k = 0;
    for (int o; (o = getopt_long(argc, argv, "hm:o:", options, NULL)) != -1;) {
        switch (o) {
        case 'm':
            if (!model_files_add(c, &files, optarg)) return EXIT_USAGE;
            break;
        case 'w': what = optarg; break;
        case 'i': call.in = optarg; break;
        case 'u': call.on = optarg; break;
        case 'o': path = optarg; break;
        case 'r': recorded.file = optarg; break;
        case 'k':
            if (!recorded_add_work(c, &recorded, optarg)) return EXIT_USAGE;
            break;
        case 'h': return command_help(c);
        default: return command_misuse(c, NULL);
        }
    }
    for (; optind < argc; optind++)
        if (!model_files_add(c, &files, argv[optind])) return EXIT_USAGE;
    while (k < PICTURES && strcmp(pictures[k].name, what) != 0) k++;
    if (k == PICTURES)
        return command_misuse(c, "--what %s: topology, ladder, roofline or predicted is wanted", what);
    if (!format_of(path)) return command_misuse(c, "-o %s: a name that ends in .svg or .png is wanted", path);
    struct weft_model *m = recorded_open(c, &files, &recorded);
    if (!m) return 1;
    call.m = m;
    int status = plot(&call, &pictures[k], format_of(path), path);
    weft_model_destroy(m);
    return status;
}

const struct command command_model_plot = {
    .name = "model plot",
    .summary = "draw topology, latencies, a roofline, predictions",
    .usage =
        "Usage: weft model plot [--what PICTURE] [-o FILE.svg|FILE.png] [--record FILE] [FILE]...\n"
        "Draws a picture that is readable in black and white. Needs graphviz (topology) or gnuplot (the "
        "others).\n\n"
        "  --what PICTURE    topology: what is where, with capacities, and links and services with latency "
        "and bandwidth\n"
        "                    ladder: latencies over the size\n"
        "                    roofline: what a unit and its memory reach, with the tasks that run on it; a recorded\n"
        "                    kernel whose operations are not known (--work) is a line: all that it may be\n"
        "                    predicted: predictions against measurements, of tasks with a duration and of "
        "curves\n"
        "  -o, --output FILE the picture (default: the script for dot or gnuplot, on standard output)\n"
        "  --in ENTITY       topology: only it and what it contains\n"
        "  --on UNIT         roofline: of this unit (default: that which runs the first "
        "task or recorded kernel)\n" RECORDED_HELP MODEL_COMMON_HELP,
    .run = run,
};
