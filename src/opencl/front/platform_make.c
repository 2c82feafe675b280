/* Platforms and devices out of backends: the cluster as one platform, or one a node. */
#include "opencl/front/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CL/cl_weft.h"
#include "base/option.h"
#include "opencl/choice.h"

#define WEFT_VERSION_TEXT "weft 0.1.0"

/* The type that devices are presented as; 0: their own. */
static cl_device_type presented_type(void) {
    const char *as = weft_option_string("opencl_device_type");
    if (!as || strcmp(as, "own") == 0) return 0;
    if (strcmp(as, "cpu") == 0) return CL_DEVICE_TYPE_CPU;
    if (strcmp(as, "gpu") == 0) return CL_DEVICE_TYPE_GPU;
    return CL_DEVICE_TYPE_ACCELERATOR;
}

static const char *info_text(const struct inventory_infos *infos, cl_uint param) {
    const struct inventory_info *i = inventory_find(infos, param);
    return i && i->size && ((const char *)i->value)[i->size - 1] == '\0' ? i->value : NULL;
}

static cl_version backend_version(const struct backend *b) {
    cl_version v = version_parse(info_text(&b->platform->infos, CL_PLATFORM_VERSION));
    return v ? v : CL_MAKE_VERSION(1, 2, 0);
}

static void device_end(void *object) {
    struct device *d = object;
    if (d->sub_devices) d->backend->ops->release_sub_device(d->backend, d->number);
    if (d->sub_devices && atomic_fetch_sub(&d->sub_devices->refs, 1) == 1) {
        inventory_free(d->sub_devices->inventory);
        free(d->sub_devices);
    }
    free(d->name);
    free(d->extension_text);
    free(d->extensions.at);
    if (d->parent) object_drop(d->parent);
}

struct device *device_make(struct platform *p, struct backend *b, const char *host, cl_uint number,
                           const struct inventory_device *own) {
    struct device *d = object_new(OBJECT_DEVICE, sizeof *d, device_end);
    if (!d) return NULL;
    d->platform = p;
    d->backend = b;
    d->number = number;
    d->own = own;
    d->host = host;
    cl_device_type as = presented_type();
    d->type = as ? as | (d->own->type & CL_DEVICE_TYPE_DEFAULT) : d->own->type;
    d->version = version_parse(info_text(&d->own->infos, CL_DEVICE_VERSION));
    if (!d->version) d->version = CL_MAKE_VERSION(1, 2, 0);
    d->extensions = extensions_filter(d->own);
    d->extension_text = names_text(&d->extensions);
    const char *name = d->own->name ? d->own->name : "unnamed device";
    if (asprintf(&d->name, "%s @%s:%u", name, host, b->node) < 0) d->name = NULL;
    if (d->name && d->extension_text) return d;
    object_drop(d);
    return NULL;
}

static cl_int add_device(struct platform *p, const struct backend_entry *e, cl_uint number) {
    struct device **more = realloc(p->devices, (p->device_count + 1) * sizeof(struct device *));
    if (!more) return CL_OUT_OF_HOST_MEMORY;
    p->devices = more;
    struct device *d = device_make(p, e->backend, e->host, number, &e->backend->platform->devices[number]);
    if (!d) return CL_OUT_OF_HOST_MEMORY;
    d->place = e->first + number;
    struct name_list common = p->device_count ? names_common(&p->extensions, &d->extensions)
                                              : names_common(&d->extensions, &d->extensions);
    free(p->extensions.at);
    p->extensions = common;
    p->devices[p->device_count++] = d;
    cl_version v = backend_version(e->backend);
    if (!p->version || v < p->version) p->version = v;
    return CL_SUCCESS;
}

static cl_int finish_platform(struct platform *p) {
    names_add(&p->extensions, "cl_khr_icd", CL_MAKE_VERSION(1, 0, 0));
    names_add(&p->extensions, CL_WEFT_EXTENSION_NAME, CL_MAKE_VERSION(1, 0, 0));
    p->extension_text = names_text(&p->extensions);
    if (asprintf(&p->version_text, "OpenCL %u.%u " WEFT_VERSION_TEXT, CL_VERSION_MAJOR(p->version),
                 CL_VERSION_MINOR(p->version)) < 0)
        p->version_text = NULL;
    return p->extension_text && p->version_text ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
}

static struct platform *make_platform(const struct backend_entry *e, bool per_node) {
    struct platform *p = object_new(OBJECT_PLATFORM, sizeof *p, NULL);
    if (!p) return NULL;
    p->host = strdup(e->host);
    p->node = e->backend->node;
    int n = per_node ? asprintf(&p->name, "weft @%s:%u", e->host, p->node) : asprintf(&p->name, "weft");
    if (n < 0) p->name = NULL;
    return p->host && p->name ? p : NULL;
}

/* A device that programs are to see. */
struct seen {
    const struct backend_entry *entry;
    cl_uint number;
    size_t rank;
};

static int by_rank(const void *a, const void *b) {
    size_t x = ((const struct seen *)a)->rank, y = ((const struct seen *)b)->rank;
    return x < y ? -1 : x > y;
}

static struct seen *all_seen(const struct backend_entry *entries, size_t count, size_t *out_count) {
    size_t room = 1, n = 0;
    for (size_t i = 0; i < count; i++) room += entries[i].backend->platform->device_count;
    struct seen *all = calloc(room, sizeof *all);
    for (size_t i = 0; all && i < count; i++) {
        const size_t *rank = entries[i].rank;
        for (cl_uint k = 0; k < entries[i].backend->platform->device_count; k++)
            if (!rank || rank[k] != CHOICE_LEFT_OUT)
                all[n] = (struct seen){&entries[i], k, rank ? rank[k] : n}, n++;
    }
    if (all) qsort(all, n, sizeof *all, by_rank);
    *out_count = n;
    return all;
}

/* The platform for an entry's devices: made by the first of them. */
static struct platform *platform_for(struct platform **list, cl_uint *made, const struct backend_entry *e,
                                     bool per_node) {
    for (cl_uint i = 0; i < *made; i++)
        if (!per_node || list[i]->node == e->backend->node) return list[i];
    list[*made] = make_platform(e, per_node);
    return list[*made] ? list[(*made)++] : NULL;
}

cl_int platforms_make(const struct backend_entry *entries, size_t count, bool per_node,
                      struct platform ***out, cl_uint *out_count) {
    size_t seen_count;
    struct platform **list = calloc(count ? count : 1, sizeof *list);
    struct seen *seen = all_seen(entries, count, &seen_count);
    cl_uint made = 0;
    cl_int rc = list && seen ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    for (size_t i = 0; !rc && i < seen_count; i++) {
        struct platform *p = platform_for(list, &made, seen[i].entry, per_node);
        rc = p ? add_device(p, seen[i].entry, seen[i].number) : CL_OUT_OF_HOST_MEMORY;
    }
    for (cl_uint i = 0; !rc && i < made; i++) rc = finish_platform(list[i]);
    free(seen);
    if (rc) return rc;
    *out = list;
    *out_count = made;
    return CL_SUCCESS;
}
