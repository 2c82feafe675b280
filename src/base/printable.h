/* Printable: texts of other processes on their way to a terminal, which obeys control characters. */
#ifndef WEFT_BASE_PRINTABLE_H
#define WEFT_BASE_PRINTABLE_H

/* Puts ? for each control character: C0, DEL, and C1 as UTF-8 has it. */
static inline void weft_printable(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < ' ' || *p == 0x7f) *p = '?';
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) p[0] = p[1] = '?';
    }
}

#endif
