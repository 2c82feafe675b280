/* Two processes of the fabric in one program, or one that talks to itself. */
#include "fabric/fab_pair.h"

#include <stdlib.h>
#include <string.h>

const char *adapters;
struct fab a, b, *to;
struct weft_peer *peer;
uint8_t *data;

int setup_over(const char *name) {
    adapters = name;
    bool self = strcmp(name, "self") == 0;
    fab_open(&a, name);
    if (!self) fab_open(&b, name);
    to = self ? &a : &b;
    peer = fab_connect(&a, to);
    data = malloc(FAB_BYTES);
    fab_fill(data, FAB_BYTES, 7);
    return 0;
}
int setup_self(void **state) { return setup_over("self"); }
int setup_shm(void **state) { return setup_over("shm"); }
int setup_udp(void **state) { return setup_over("udp"); }
int setup_sim(void **state) { return setup_over("sim"); }

int teardown(void **state) {
    if (to == &b) fab_close(&b);
    fab_close(&a);
    free(data);
    return 0;
}
