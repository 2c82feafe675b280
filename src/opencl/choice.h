/* Choice: which devices a list such as "gpu@alpha,!2" names, and in which order a program sees them. For the
 * library that programs load and for the commands that show what it would do. No I/O.
 *
 * A list is terms separated by commas. A term is WHAT, @PLACE or WHAT@PLACE, with ! or - before it to leave
 * out what it names. WHAT: gpu, cpu, accelerator or custom; a number or a range of them; all; else a part of
 * the device's name, in either case, which name: before it keeps from being read otherwise. PLACE: a host
 * (its first label does), a node's number, host:node or node:number; node:2 alone is @2. Numbers count from 0
 * as `weft devices` does: by node, then as the node's drivers have them; beside a place, the devices of that
 * place. */
#ifndef WEFT_OPENCL_CHOICE_H
#define WEFT_OPENCL_CHOICE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opencl/inventory.h"

struct choice_device {
    uint32_t node;
    const char *host;
    const struct inventory_device *device;
    size_t number; /* in the order of all nodes' ids */
};

#define CHOICE_LEFT_OUT ((size_t)-1)

/* Whether the list can be read; else what is wrong with it. */
bool choice_check(const char *list, char *why, size_t room);
/* rank[i]: the place of all[i] in the program's order, or CHOICE_LEFT_OUT. That order is the terms', within a
 * term the numbers' if it has some, else that of `all`. Without a term that takes in (list NULL: none at all)
 * everything is in. cap: at most so many, the first; 0: all. Returns how many are chosen; none of a list that
 * cannot be read. */
size_t choice_make(const char *list, size_t cap, const struct choice_device *all, size_t count, size_t *rank);
/* The first term that no device fits; false: each fits some. */
bool choice_unmatched(const char *list, const struct choice_device *all, size_t count, char *term,
                      size_t room);
const char *choice_type_name(cl_device_type type);
/* What there is, "0 NAME (gpu) @host:node" each, with `between` between them (heap; NULL: no memory). */
char *choice_text(const struct choice_device *all, size_t count, const char *between);

#endif
