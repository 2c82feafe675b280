/* A command of weft: one file each, listed in main.c. Options of getopt_long; results go to standard output, as a table
 * or, with --json, one object a line; everything else to standard error. */
#ifndef WEFT_CLI_COMMAND_H
#define WEFT_CLI_COMMAND_H
#include <stdbool.h>

struct command {
    const char *name;
    const char *summary;         /* for the list of `weft --help` */
    const char *usage;           /* for `weft NAME --help` */
    int (*run)(int argc, char **argv);   /* the exit status; argv[0] is "weft NAME" */
};

#define EXIT_USAGE 2

extern const struct command command_up, command_down, command_nodes, command_devices, command_ping, command_config,
    command_run, command_bench, command_info, command_stats, command_top, command_trace, command_keygen, command_sim,
    command_model, command_nisim;

/* Prints "weft NAME: …; try `weft NAME --help`" after what getopt said; EXIT_USAGE. */
int command_misuse(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* --help: prints the usage; 0. */
int command_help(const struct command *c);
/* For commands whose options are --json and --help only: -1 to go on, or the exit status. With `argument` one argument
 * is allowed, and goes there. */
int command_options(const struct command *c, int argc, char **argv, bool *json, const char **argument);
/* A decimal number in a range, or a message and false. */
bool command_number(const struct command *c, const char *option, const char *text, long min, long max, long *out);

#endif
