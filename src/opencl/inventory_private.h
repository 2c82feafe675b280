/* Inventory, shared by its own files: limits that collecting keeps to and decoding enforces, and the
 * picked-out fields. */
#ifndef WEFT_OPENCL_INVENTORY_PRIVATE_H
#define WEFT_OPENCL_INVENTORY_PRIVATE_H
#include "opencl/inventory.h"

#define INVENTORY_COUNT_MAX 1024u      /* platforms of a node, devices of a platform, infos of an object */
#define INVENTORY_VALUE_MAX (1u << 20) /* bytes of one answer */

/* Fill the picked-out fields from infos. false: no memory. */
bool inventory_pick_device(struct inventory_device *d);
bool inventory_pick_platform(struct inventory_platform *p);

#endif
