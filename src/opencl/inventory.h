/* Inventory: what OpenCL platforms and devices a node has, with every answer they give to information queries, so that
 * a client answers its program without a message. Collected once per node by `weft-exec --inventory` (a process of its
 * own: a driver that crashes costs nothing else), kept by the daemon as an opaque blob, decoded by clients. */
#ifndef WEFT_OPENCL_INVENTORY_H
#define WEFT_OPENCL_INVENTORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>

struct inventory_info { cl_uint param; uint32_t size; void *value; };   /* pointers inside values are cleared */
struct inventory_infos { struct inventory_info *at; uint32_t count; };

struct inventory_device {
    struct inventory_infos infos;
    cl_device_type type;            /* the often used ones, picked out of infos */
    char *name;
    cl_ulong max_alloc_bytes, global_mem_bytes, local_mem_bytes;
    size_t max_group_items, max_item_sizes[3];
    cl_uint max_dims, address_align_bits;
};
struct inventory_platform {
    struct inventory_infos infos;
    char *name;
    struct inventory_device *devices;
    uint32_t device_count;
};
struct inventory {
    char *host;                     /* host name of the node */
    struct inventory_platform *platforms;
    uint32_t platform_count;
};

struct drivers;
/* Asks all drivers; a query that a driver refuses is left out. NULL only without memory. */
struct inventory *inventory_collect(const struct drivers *drivers);
/* The same of these devices alone, as one platform. */
struct inventory *inventory_collect_devices(cl_uint count, const cl_device_id *devices);
void inventory_free(struct inventory *inv);
/* Heap blob; caller frees. NULL: no memory. */
void *inventory_encode(const struct inventory *inv, size_t *bytes);
/* Checks everything (the blob comes from another node): NULL when it does not hold. */
struct inventory *inventory_decode(const void *blob, size_t bytes);
const struct inventory_info *inventory_find(const struct inventory_infos *infos, cl_uint param);
/* clGet…Info semantics over a value: CL_SUCCESS, CL_INVALID_VALUE (room too small). */
cl_int inventory_answer(const void *value, size_t size, size_t room, void *out, size_t *size_ret);

#endif
