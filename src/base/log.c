/* Log lines: formatted on the stack, cleaned of control characters (a peer's text may be in them), written
 * whole with one write(2). The options are read at the first line; a thread that logs while another reads
 * them uses the defaults. */
#include "base/log.h"

#include "base/option.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

WEFT_OPTIONS(log, "base",
             {.name = "log",
              .type = WEFT_OPTION_ENUM,
              .value = "warn",
              .choices = "error|warn|info|debug|trace",
              .help = "Least severe level that is logged."},
             {.name = "log_file",
              .type = WEFT_OPTION_STRING,
              .help = "File to which log lines are appended, instead of standard error."})

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};
#define LEVELS (sizeof level_names / sizeof *level_names)

static atomic_bool started;
static atomic_int level_shown = WEFT_LOG_WARN;
static atomic_int log_fd = STDERR_FILENO;
static char program_name[32];

void weft_log_init(const char *program) { snprintf(program_name, sizeof program_name, "%s", program); }

static void open_file(const char *path) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd >= 0)
        atomic_store(&log_fd, fd);
    else
        weft_warn("log", "cannot open the log file %s: %s; logging to standard error", path, strerror(errno));
}

static void start(void) {
    if (atomic_exchange(&started, true)) return;
    int saved_errno = errno;
    weft_options_defer_warnings(true);
    const char *name = weft_option_string("log");
    for (size_t i = 0; name && i < LEVELS; i++)
        if (strcmp(name, level_names[i]) == 0) atomic_store(&level_shown, (int)i);
    const char *path = weft_option_string("log_file");
    if (path && *path) open_file(path);
    weft_options_defer_warnings(false);
    errno = saved_errno;
}

int weft_log_enabled(enum weft_log_level level) {
    if (!atomic_load_explicit(&started, memory_order_relaxed)) start();
    return (int)level <= atomic_load_explicit(&level_shown, memory_order_relaxed);
}

/* "weftd: warn: udp: " for a person at a terminal; with time and process where lines of several are mixed. */
static size_t put_prefix(char *line, size_t cap, enum weft_log_level level, const char *module) {
    const char *program = *program_name ? program_name : program_invocation_short_name;
    const char *name = level < LEVELS ? level_names[level] : "?";
    int n;
    if (atomic_load(&log_fd) == STDERR_FILENO && atomic_load(&level_shown) < WEFT_LOG_DEBUG) {
        n = snprintf(line, cap, "%s: %s: %s: ", program, name, module);
    } else {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        struct tm tm;
        char stamp[32] = "";
        if (gmtime_r(&now.tv_sec, &tm)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
        n = snprintf(line, cap, "%s.%06ldZ %s[%d]: %s: %s: ", stamp, now.tv_nsec / 1000, program,
                     (int)getpid(), name, module);
    }
    return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

static void clean(char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = text[i] == '\t' || text[i] == '\n' ? ' ' : '?';
}

static void write_all(int fd, const char *p, size_t n) {
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return; /* there is nowhere left to report it */
        p += done;
        n -= (size_t)done;
    }
}

void weft_log_write(enum weft_log_level level, const char *module, const char *fmt, ...) {
    int saved_errno = errno;
    if (!atomic_load_explicit(&started, memory_order_relaxed)) start();
    char line[LINE_MAX_BYTES];
    size_t n = put_prefix(line, sizeof line - 1, level, module), room = sizeof line - 1 - n;
    va_list args;
    va_start(args, fmt);
    errno = saved_errno; /* for %m */
    int text = vsnprintf(line + n, room, fmt, args);
    va_end(args);
    if (text >= 0 && (size_t)text >= room) {
        text = (int)room - 1;
        memcpy(line + sizeof line - 1 - 4, "...", 3);
    }
    if (text > 0) n += (size_t)text;
    clean(line, n);
    line[n++] = '\n';
    write_all(atomic_load(&log_fd), line, n);
    errno = saved_errno;
}
