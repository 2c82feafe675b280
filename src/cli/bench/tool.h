/* Programs of others that a contest runs: found on PATH, pinned, watched and ended with weft whatever
 * happens, and what they print. */
#ifndef WEFT_CLI_BENCH_TOOL_H
#define WEFT_CLI_BENCH_TOOL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOOL_ARGS_MAX  40
#define TOOL_OUT_BYTES 16384

struct tool {
    const char *argv[TOOL_ARGS_MAX]; /* argv[0] is looked for on PATH */
    const char *env[8];              /* "NAME=value", beside the present environment */
    const char *input;               /* for its standard input; NULL: none */
    int cpu;                         /* -1: any */
    pid_t pid;                       /* 0: not running */
    int fd;                          /* its output and errors */
    char out[TOOL_OUT_BYTES];        /* the end of them, always a string */
    size_t len;
    double cpu_s; /* that it used, and its children: known when it has ended */
};

/* Appends an argument. */
void tool_add(struct tool *t, const char *arg);
/* The program's path; false: it is not installed. */
bool tool_find(const char *program, char *path, size_t cap);
/* Starts it in a process group of its own. 0 or WEFT_E_*. */
int tool_start(struct tool *t);
/* Collects its output until it ends. WEFT_E_IO: it ended with a failure; WEFT_E_TIMEDOUT; WEFT_E_INTR. */
int tool_finish(struct tool *t, uint64_t deadline_ns);
/* Ends it: politely, then not. */
void tool_stop(struct tool *t);
/* A server and its client. The server listens on the port before the client is started; both have ended when
 * this returns. */
int tool_run_pair(struct tool *server, struct tool *client, uint16_t port, uint64_t deadline_ns);
/* A TCP port that nobody listens on now; 0: none. */
uint16_t tool_free_port(void);

/* The number in a table that a program printed: in the last line that has as many cells as the line with the
 * heading `column`, below that one. Cells are separated by any of the characters. False: there is none. */
bool tool_number(const char *text, const char *column, const char *separators, double *out);
/* The last line that says something, for a complaint. */
void tool_last_line(const struct tool *t, char *out, size_t cap);

#endif
