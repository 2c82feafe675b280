/* Fixture of tests that run over each adapter: a process of the fabric, a, and who it is connected to. */
#ifndef WEFT_FABRIC_FAB_PAIR_H
#define WEFT_FABRIC_FAB_PAIR_H
#include "fabric/fab_fixture.h"

extern const char *adapters;
extern struct fab a, b;        /* with "self" b is not used: everything leads back to a */
extern struct fab *to;         /* who receives */
extern struct weft_peer *peer; /* a's, to `to` */
extern uint8_t *data;          /* FAB_BYTES, filled with seed 7 */

int setup_over(const char *name);
int setup_self(void **state);
int setup_shm(void **state);
int setup_udp(void **state);
int setup_sim(void **state);
int teardown(void **state);

#define FAB_OVER(name, adapter)                                                                              \
    { #name "_" #adapter, name, setup_##adapter, teardown, NULL }
#define EACH(name) FAB_OVER(name, self), FAB_OVER(name, shm), FAB_OVER(name, udp), FAB_OVER(name, sim)

#endif
