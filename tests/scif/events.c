/* scif_events: says on standard output which nodes come and go, until its input ends. */
#include "alone.h"
#include <stdio.h>
#include <unistd.h>
#include <weft/scif_ext.h>

static void on_event(enum scif_event event, uint16_t node, void *context) {
    printf("node %u is %s\n", node, event == SCIF_NODE_ADDED ? "there" : "lost");
    fflush(stdout);
}

int main(void) {
    char byte;
    if (scif_event_register(on_event, NULL)) alone_fail("scif_event_register");
    puts("listening");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    if (scif_event_unregister(on_event, NULL)) alone_fail("scif_event_unregister");
    return 0;
}
