/* Inventory, as bytes: magic, version, host, then platforms with their infos and devices. Decoding trusts
 * nothing: every count is capped before memory is made for it. */
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "opencl/inventory_private.h"

#define INVENTORY_MAGIC   0x56495457u /* "WTIV" */
#define INVENTORY_VERSION 1u
#define INFO_BYTES_MIN    8u /* encoded: parameter and length */

static void put_infos(struct weft_writer *w, const struct inventory_infos *infos) {
    weft_put_u32(w, infos->count);
    for (uint32_t i = 0; i < infos->count; i++) {
        weft_put_u32(w, infos->at[i].param);
        weft_put_blob(w, infos->at[i].value, infos->at[i].size);
    }
}

void *inventory_encode(const struct inventory *inv, size_t *bytes) {
    struct weft_writer w;
    weft_writer_init_heap(&w, 65536);
    weft_put_u32(&w, INVENTORY_MAGIC);
    weft_put_u32(&w, INVENTORY_VERSION);
    weft_put_string(&w, inv->host);
    weft_put_u32(&w, inv->platform_count);
    for (uint32_t i = 0; i < inv->platform_count; i++) {
        const struct inventory_platform *p = &inv->platforms[i];
        put_infos(&w, &p->infos);
        weft_put_u32(&w, p->device_count);
        for (uint32_t j = 0; j < p->device_count; j++) put_infos(&w, &p->devices[j].infos);
    }
    void *blob = weft_writer_take(&w, bytes);
    weft_writer_fini(&w);
    return blob;
}

/* A count of things of which each takes at least `least` bytes; 0 and failed when that cannot be. */
static uint32_t get_count(struct weft_reader *r, size_t least) {
    uint32_t n = weft_get_u32(r);
    if (r->failed || n > INVENTORY_COUNT_MAX || n > weft_reader_left(r) / least) {
        r->failed = true;
        return 0;
    }
    return n;
}

static void get_infos(struct weft_reader *r, struct inventory_infos *infos) {
    uint32_t count = get_count(r, INFO_BYTES_MIN);
    infos->at = calloc((size_t)count + 1, sizeof *infos->at);
    if (!infos->at) r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        struct inventory_info *info = &infos->at[i];
        size_t size = 0;
        info->param = weft_get_u32(r);
        const void *value = weft_get_blob(r, &size);
        if (r->failed || size > INVENTORY_VALUE_MAX) {
            r->failed = true;
            return;
        }
        info->value = calloc(1, size + 1);
        if (!info->value) {
            r->failed = true;
            return;
        }
        if (size) memcpy(info->value, value, size);
        info->size = (uint32_t)size;
        infos->count++;
    }
}

static void get_platform(struct weft_reader *r, struct inventory_platform *p) {
    get_infos(r, &p->infos);
    uint32_t count = get_count(r, 4);
    p->devices = calloc((size_t)count + 1, sizeof *p->devices);
    if (!p->devices) r->failed = true;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        p->device_count++;
        get_infos(r, &p->devices[i].infos);
        if (!r->failed && !inventory_pick_device(&p->devices[i])) r->failed = true;
    }
    if (!r->failed && !inventory_pick_platform(p)) r->failed = true;
}

struct inventory *inventory_decode(const void *blob, size_t bytes) {
    struct weft_reader r;
    weft_reader_init(&r, blob, bytes);
    uint32_t magic = weft_get_u32(&r), version = weft_get_u32(&r);
    if (r.failed || magic != INVENTORY_MAGIC || version != INVENTORY_VERSION) {
        weft_warn("opencl",
                  "inventory of another kind: magic %08x version %u, this side reads %08x version %u", magic,
                  version, INVENTORY_MAGIC, INVENTORY_VERSION);
        return NULL;
    }
    struct inventory *inv = calloc(1, sizeof *inv);
    if (!inv) return NULL;
    inv->host = weft_get_string_dup(&r);
    uint32_t count = get_count(&r, 8);
    inv->platforms = calloc((size_t)count + 1, sizeof *inv->platforms);
    if (!inv->host || !inv->platforms) r.failed = true;
    for (uint32_t i = 0; i < count && !r.failed; i++) {
        inv->platform_count++;
        get_platform(&r, &inv->platforms[i]);
    }
    if (!r.failed && !weft_reader_left(&r)) return inv;
    inventory_free(inv);
    return NULL;
}
