/* Runs a command on a terminal of its own, for tests. usage: terminal ROWS COLUMNS KEY COMMAND...
 * When it has drawn twice the terminal becomes 5 rows lower and 20 columns narrower; when it has drawn twice
 * more, KEY is typed
 * (^C: Ctrl-C, as the terminal makes a signal of it). What the command wrote goes to standard output. Exit
 * status: the command's; 100 if it left the terminal's settings changed, 101 if it did not end. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 60 /* for all of it, at most */

static char output[1 << 20];
static size_t bytes;

static unsigned drawn(void) {
    unsigned n = 0;
    for (const char *p = output; (p = strstr(p, "\033[H")); p++) n++;
    return n;
}

/* Reads until the command has drawn so many times; UINT_MAX: until it has closed the terminal. False: too
 * late. */
static bool read_until(int fd, unsigned times, time_t end) {
    while (drawn() < times) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (time(NULL) > end || bytes + 1 >= sizeof output) return false;
        if (poll(&p, 1, 1000) <= 0) continue;
        ssize_t n = read(fd, output + bytes, sizeof output - bytes - 1);
        if (n <= 0) return times == (unsigned)-1;
        bytes += (size_t)n;
    }
    return true;
}

static bool act(int fd, struct winsize size, const char *key, time_t end) {
    if (!read_until(fd, 2, end)) return false;
    size.ws_row -= 5;
    size.ws_col -= 20;
    ioctl(fd, TIOCSWINSZ, &size);
    if (!read_until(fd, drawn() + 2, end)) return false;
    char c = strcmp(key, "^C") == 0 ? 3 : key[0];
    return write(fd, &c, 1) == 1 && read_until(fd, (unsigned)-1, end);
}

static int status_of(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The terminal's session leader: it outlives the command, and so do the terminal's settings. */
static int lead(char **command) {
    struct termios before, after;
    tcgetattr(STDIN_FILENO, &before);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    signal(SIGINT, SIG_IGN);
    int status = status_of(pid);
    tcgetattr(STDIN_FILENO, &after);
    return before.c_lflag == after.c_lflag ? status : 100;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    struct winsize size = {.ws_row = (unsigned short)atoi(argv[1]), .ws_col = (unsigned short)atoi(argv[2])};
    int fd;
    pid_t pid = forkpty(&fd, NULL, NULL, &size);
    if (pid < 0) return 2;
    if (pid == 0) _exit(lead(argv + 4));
    bool ended = act(fd, size, argv[3], time(NULL) + SECONDS);
    fwrite(output, 1, bytes, stdout);
    if (!ended) kill(-pid, SIGKILL);
    int status = status_of(pid);
    return ended ? status : 101;
}
