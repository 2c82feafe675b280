/* weft: the command. Finds the command asked for and runs it. */
#include "base/log.h"
#include "base/nearest.h"
#include "base/option.h"
#include "base/trace.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_run,   &command_up,     &command_down,   &command_nodes, &command_devices,
    &command_ping,  &command_bench,  &command_info,   &command_stats, &command_top,
    &command_trace, &command_config, &command_keygen, &command_sim,
    &command_model, &command_nisim};
#define COMMANDS (sizeof commands / sizeof *commands)

static const struct command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown(const char *name) {
    struct weft_nearest nearest;
    weft_nearest_init(&nearest, name);
    for (size_t i = 0; i < COMMANDS; i++) weft_nearest_offer(&nearest, commands[i]->name);
    weft_nearest_offer(&nearest, "help");
    if (nearest.best)
        fprintf(stderr, "weft: there is no command \"%s\"; did you mean \"%s\"?\n", name, nearest.best);
    else
        fprintf(stderr, "weft: there is no command \"%s\"; `weft help` lists them\n", name);
    return EXIT_USAGE;
}

static int help(void) {
    printf("Usage: weft COMMAND [OPTION]...\n"
           "Makes a cluster of ordinary machines usable as one.\n\n");
    for (size_t i = 0; i < COMMANDS; i++) printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n  weft help COMMAND, weft COMMAND --help   what a command does\n"
           "  weft --version\n\n"
           "Try it on this machine: weft run --nodes 2 -- clinfo -l\n");
    return 0;
}

int command_help(const struct command *c) {
    fputs(c->usage, stdout);
    return 0;
}

int command_misuse(const struct command *c, const char *fmt, ...) {
    if (fmt) {
        va_list args;
        va_start(args, fmt);
        fprintf(stderr, "weft %s: ", c->name);
        vfprintf(stderr, fmt, args);
        fputc('\n', stderr);
        va_end(args);
    }
    fprintf(stderr, "Try `weft %s --help`.\n", c->name);
    return EXIT_USAGE;
}

int command_options(const struct command *c, int argc, char **argv, bool *json, const char **argument) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h') return command_help(c);
        if (o != 'j') return command_misuse(c, NULL);
        *json = true;
    }
    if (argument && optind < argc) *argument = argv[optind++];
    return optind < argc ? command_misuse(c, "unexpected argument %s", argv[optind]) : -1;
}

bool command_number(const struct command *c, const char *option, const char *text, long min, long max,
                    long *out) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (*text && !*end && !errno && n >= min && n <= max) {
        *out = n;
        return true;
    }
    command_misuse(c, "%s %s: a number from %ld to %ld is wanted", option, text, min, max);
    return false;
}

/* What is opened later must not take the place of a standard stream that is closed: what is printed would go there. */
static void open_standard_streams(void) {
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
    open_standard_streams();
    weft_log_init("weft");
    weft_trace_on_crash();
    if (argc < 2) {
        help();
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) return help();
    if (strcmp(name, "help") == 0) { /* help X Y: X Y --help */
        static char asked[] = "--help";
        if (argc == 2) return help();
        memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 1] = asked;
        name = argv[1];
        if (strcmp(name, "help") == 0) return help();
    }
    if (strcmp(name, "--version") == 0) {
        printf("weft %s\n", WEFT_VERSION);
        return 0;
    }
    const struct command *c = find(name);
    if (!c) return unknown(name);
    weft_options_check_environment();
    char said[32]; /* getopt begins its complaints with it */
    snprintf(said, sizeof said, "weft %s", c->name);
    argv[1] = said;
    return c->run(argc - 1, argv + 1);
}
