/* Memory in which a program sees pages of another host: a file in memory that nobody else maps, of which no
 * page is there at first, and a descriptor of the faults in it (faults.h) that is of this mapping alone. Both
 * are given to whoever serves it (pager.h): the program's service, which needs no thread of the program's for
 * that. The program keeps them, too, so that it can end the mapping when the service is gone. */
#ifndef WEFT_SCIF_SHARE_FRAME_H
#define WEFT_SCIF_SHARE_FRAME_H
#include <stdbool.h>
#include <stdint.h>

struct frame {
    uintptr_t address;
    uint32_t pages;
    int file, faults; /* -1: none */
    bool in_system_calls;
};

/* 0 or an errno. */
int frame_open(struct frame *f, uint32_t pages, bool writable);
/* The program is done with it; what is mapped stays. */
void frame_close(struct frame *f);
/* It was never used: it is unmapped, too. Nobody else serves it. */
void frame_discard(struct frame *f);
/* Who served it is gone: the program gets SIGBUS where it touches it, wherever it has moved it. */
void frame_lose(struct frame *f);

#endif
