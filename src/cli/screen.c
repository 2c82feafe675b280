/* A full screen on a terminal: see screen.h. */
#include "cli/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"

static void find_size(struct screen *s) {
    struct winsize w = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
    s->rows = w.ws_row ? w.ws_row : 24;
    s->columns = w.ws_col ? w.ws_col : 80;
}

static void enter(struct screen *s) {
    s->keys = tcgetattr(STDIN_FILENO, &s->before) == 0;
    if (s->keys) {
        struct termios t = s->before;
        t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
    }
    fputs(ENTER, stdout);
    fflush(stdout);
    find_size(s);
}

static void leave(struct screen *s) {
    fputs(LEAVE, stdout);
    fflush(stdout);
    if (s->keys) tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
}

bool screen_open(struct screen *s) {
    const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) sigaddset(&set, numbers[i]);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0) return false;
    sigprocmask(SIG_BLOCK, &set, NULL);
    enter(s);
    return true;
}

void screen_close(struct screen *s) {
    leave(s);
    close(s->signals);
}

/* Bytes of the line that fill at most so many columns: each character but a continuation byte of UTF-8 takes
 * one. */
static size_t fitting(const char *line, size_t bytes, size_t columns) {
    size_t i = 0;
    for (; i < bytes; i++) {
        bool begins = ((unsigned char)line[i] & 0xc0) != 0x80;
        if (begins && columns-- == 0) break;
    }
    return i;
}

void screen_draw(const struct screen *s, const char *text) {
    fputs("\033[H", stdout);
    for (size_t row = 0; row < s->rows && *text; row++) {
        size_t n = strcspn(text, "\n");
        printf("%s\033[K%.*s", row ? "\n" : "", (int)fitting(text, n, s->columns), text);
        text += n + (text[n] == '\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

static int take_signal(struct screen *s) {
    struct signalfd_siginfo i;
    if (read(s->signals, &i, sizeof i) != sizeof i) return 0;
    if (i.ssi_signo == SIGWINCH) {
        find_size(s);
        return 0;
    }
    if (i.ssi_signo != SIGTSTP) return (int)i.ssi_signo;
    leave(s);
    raise(SIGSTOP);
    enter(s);
    return 0;
}

static int take_key(void) {
    char c;
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (n == 0) return SIGHUP; /* the terminal is gone */
    return n == 1 && (c == 'q' || c == 'Q') ? SIGINT : 0;
}

int screen_wait(struct screen *s, int timeout_ms) {
    struct pollfd f[] = {{.fd = s->signals, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    if (poll(f, s->keys ? 2 : 1, timeout_ms) <= 0) return 0;
    int ended = f[0].revents ? take_signal(s) : 0;
    if (!ended && s->keys && f[1].revents) ended = take_key();
    return ended;
}
