/* A full screen of text on a terminal, drawn again and again: its size is followed, what was there before
 * comes back at the end, also after Ctrl-C, Ctrl-Z and SIGTERM. Plain ANSI sequences, no colours. */
#ifndef WEFT_CLI_SCREEN_H
#define WEFT_CLI_SCREEN_H
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct screen {
    struct termios before;
    bool keys;   /* standard input is the terminal's */
    int signals; /* signalfd */
    size_t rows, columns;
};

bool screen_open(struct screen *s);
void screen_close(struct screen *s);
/* Lines that do not fit are cut, and so are the last ones. */
void screen_draw(const struct screen *s, const char *text);
/* 0: the time is over, or the screen is to be drawn again; else the user ends it: the signal's number (SIGINT
 * for q). */
int screen_wait(struct screen *s, int timeout_ms);

#endif
