/* Dummy: the specification's dummy page, a debugging tool. In debug builds the bytes of late packets (their
 * buffer was canceled, is complete, or has them already) are stored, as a device would, but here: in one
 * poisoned superpacket between guards that is checked each time. Other builds only drop them. */
#ifndef WEFT_TRANSPORT_DUMMY_H
#define WEFT_TRANSPORT_DUMMY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef NDEBUG
#define DUMMY_ENABLED 0
#else
#define DUMMY_ENABLED 1
#endif

struct dummy;

/* NULL: no memory; the others take that as well. */
struct dummy *dummy_create(void);
void dummy_destroy(struct dummy *d);
/* Stores bytes at an offset of the superpacket; what would reach beyond its end is left out. False: some
 * other byte of the page has changed, so something writes where it must not. */
bool dummy_store(struct dummy *d, size_t offset, const void *bytes, size_t len);
/* The page itself, for tests that spoil it. */
uint8_t *dummy_page(struct dummy *d);

#endif
