/* Inventory: looking answers up, picking out the often used ones, and freeing. */
#include "opencl/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "opencl/inventory_private.h"

const struct inventory_info *inventory_find(const struct inventory_infos *infos, cl_uint param) {
    for (uint32_t i = 0; i < infos->count; i++) {
        if (infos->at[i].param == param) return &infos->at[i];
    }
    return NULL;
}

cl_int inventory_answer(const void *value, size_t size, size_t room, void *out, size_t *size_ret) {
    if (out && room < size) return CL_INVALID_VALUE;
    if (out && size) memcpy(out, value, size);
    if (size_ret) *size_ret = size;
    return CL_SUCCESS;
}

static char *pick_string(const struct inventory_infos *infos, cl_uint param) {
    const struct inventory_info *i = inventory_find(infos, param);
    return i && i->size ? strndup(i->value, i->size) : strdup("");
}

/* A number of exactly that size; else out stays as it is. */
static void pick(const struct inventory_infos *infos, cl_uint param, void *out, size_t size) {
    const struct inventory_info *i = inventory_find(infos, param);
    if (i && i->size == size) memcpy(out, i->value, size);
}

bool inventory_pick_device(struct inventory_device *d) {
    const struct inventory_infos *at = &d->infos;
    d->max_dims = 3;
    pick(at, CL_DEVICE_TYPE, &d->type, sizeof d->type);
    pick(at, CL_DEVICE_MAX_MEM_ALLOC_SIZE, &d->max_alloc_bytes, sizeof d->max_alloc_bytes);
    pick(at, CL_DEVICE_GLOBAL_MEM_SIZE, &d->global_mem_bytes, sizeof d->global_mem_bytes);
    pick(at, CL_DEVICE_LOCAL_MEM_SIZE, &d->local_mem_bytes, sizeof d->local_mem_bytes);
    pick(at, CL_DEVICE_MAX_WORK_GROUP_SIZE, &d->max_group_items, sizeof d->max_group_items);
    pick(at, CL_DEVICE_MAX_WORK_ITEM_SIZES, d->max_item_sizes, sizeof d->max_item_sizes);
    pick(at, CL_DEVICE_MAX_WORK_ITEM_DIMENSIONS, &d->max_dims, sizeof d->max_dims);
    pick(at, CL_DEVICE_MEM_BASE_ADDR_ALIGN, &d->address_align_bits, sizeof d->address_align_bits);
    d->name = pick_string(at, CL_DEVICE_NAME);
    return d->name;
}

bool inventory_pick_platform(struct inventory_platform *p) {
    p->name = pick_string(&p->infos, CL_PLATFORM_NAME);
    return p->name;
}

static void free_infos(struct inventory_infos *infos) {
    for (uint32_t i = 0; i < infos->count; i++) free(infos->at[i].value);
    free(infos->at);
}

void inventory_free(struct inventory *inv) {
    if (!inv) return;
    for (uint32_t i = 0; i < inv->platform_count; i++) {
        struct inventory_platform *p = &inv->platforms[i];
        for (uint32_t j = 0; j < p->device_count; j++) {
            free_infos(&p->devices[j].infos);
            free(p->devices[j].name);
        }
        free(p->devices);
        free_infos(&p->infos);
        free(p->name);
    }
    free(inv->platforms);
    free(inv->host);
    free(inv);
}
