/* Import: what hwloc knows of a machine, this one or one that it has described in a file, as entities. */
#include "model/hwloc_names.h"

#include <hwloc/cpukinds.h>
#include <hwloc/memattrs.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct import {
    struct weft_model *m;
    hwloc_topology_t t;
    const char *id;
    weft_model_text tool;
    int rc; /* the first failure; nothing is done after it */
};

static void keep(struct import *im, int rc) {
    if (rc && !im->rc) im->rc = rc;
}

/* hwloc's texts come from firmware and from files: one word more than printable is none. */
static void property(struct import *im, weft_model_ref e, const char *name, const char *value) {
    char clean[256];
    size_t n = 0;
    for (const char *c = value ? value : ""; *c && n + 1 < sizeof clean; c++)
        clean[n++] = *c >= ' ' && *c < 127 ? *c : '?';
    while (n && clean[n - 1] == ' ') n--;
    clean[n] = '\0';
    if (n && !im->rc) keep(im, weft_model_add_property(im->m, e, name, clean));
}

static void observe(struct import *im, weft_model_ref e, enum weft_model_attribute a, double value,
                    const char *unit, const char *op, weft_model_text from) {
    if (im->rc || value <= 0) return;
    struct weft_model_observation o = weft_model_observation_of(e, a, value, WEFT_MODEL_OS);
    o.unit = weft_model_intern(im->m, unit);
    o.tool = im->tool;
    o.when.op = weft_model_intern(im->m, op);
    o.when.from = from;
    if (o.unit == WEFT_MODEL_NONE || o.when.op == WEFT_MODEL_NONE)
        keep(im, WEFT_E_NOMEM);
    else
        keep(im, weft_model_add_observation(im->m, &o));
}

static weft_model_ref entity_of(struct import *im, hwloc_obj_t obj) {
    char id[512];
    for (; obj; obj = obj->parent) {
        if (!hwloc_entity_id(obj, im->id, id, sizeof id)) continue;
        weft_model_ref e = weft_model_find(im->m, id);
        if (e != WEFT_MODEL_NONE) return e;
    }
    return WEFT_MODEL_NONE;
}

static weft_model_ref add(struct import *im, hwloc_obj_t obj, enum weft_model_kind kind,
                          const char *class_name, hwloc_obj_t inside) {
    char id[512];
    if (im->rc || !hwloc_entity_id(obj, im->id, id, sizeof id)) return WEFT_MODEL_NONE;
    weft_model_ref e = weft_model_add_entity(im->m, id, kind, class_name);
    if (e == WEFT_MODEL_NONE) {
        keep(im, weft_model_find(im->m, id) != WEFT_MODEL_NONE ? WEFT_E_EXIST : WEFT_E_NOMEM);
        return e;
    }
    im->m->entities[e].parent = inside ? entity_of(im, inside) : WEFT_MODEL_NONE;
    if (obj->os_index != HWLOC_UNKNOWN_INDEX && obj->type != HWLOC_OBJ_OS_DEVICE &&
        obj->type != HWLOC_OBJ_PCI_DEVICE) {
        char index[16];
        snprintf(index, sizeof index, "%u", obj->os_index);
        property(im, e, "os_index", index);
    }
    return e;
}

/* What kind of memory: hwloc tells since it knows of several (KNL's MCDRAM, persistent memory used as a
 * node). */
static const char *memory_class(hwloc_obj_t obj) {
    const char *subtype = obj->subtype ? obj->subtype : "";
    const char *driver = hwloc_obj_get_info_by_name(obj, "DAXDevice");
    if (strcmp(subtype, "MCDRAM") == 0 || strcmp(subtype, "HBM") == 0) return "hbm";
    if (strcmp(subtype, "NVM") == 0 || driver) return "nvm";
    if (strcmp(subtype, "GPUMemory") == 0) return "gpu";
    if (strncmp(subtype, "CXL", 3) == 0) return "cxl";
    return "dram";
}

static void add_cache(struct import *im, hwloc_obj_t obj) {
    weft_model_ref e = add(im, obj, WEFT_MODEL_BUFFER, "cache", obj->parent);
    if (e == WEFT_MODEL_NONE) return;
    const struct hwloc_cache_attr_s *c = &obj->attr->cache;
    observe(im, e, WEFT_MODEL_CAPACITY, (double)c->size, "B", NULL, 0);
    observe(im, e, WEFT_MODEL_LINE, c->linesize, "B", NULL, 0);
    observe(im, e, WEFT_MODEL_WAYS, c->associativity > 0 ? c->associativity : 0, "1", NULL, 0);
}

static void add_core(struct import *im, hwloc_obj_t obj) {
    weft_model_ref e = add(im, obj, WEFT_MODEL_COMPUTE, "core", obj->parent);
    unsigned threads = obj->arity;
    if (e == WEFT_MODEL_NONE) return;
    observe(im, e, WEFT_MODEL_SMT, threads, "1", NULL, 0);
    int kind = hwloc_cpukinds_get_by_cpuset(im->t, obj->cpuset, 0);
    struct hwloc_info_s *infos;
    unsigned count;
    if (kind < 0 || hwloc_cpukinds_get_info(im->t, (unsigned)kind, NULL, NULL, &count, &infos, 0)) return;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(infos[i].name, "FrequencyMaxMHz") == 0)
            observe(im, e, WEFT_MODEL_CLOCK, atof(infos[i].value) * 1e6, "MHz", NULL, 0);
}

static void add_place(struct import *im, hwloc_obj_t obj, const char *class_name) {
    weft_model_ref e = add(im, obj, WEFT_MODEL_NODE, class_name, obj->parent);
    if (e == WEFT_MODEL_NONE) return;
    const char *model = hwloc_obj_get_info_by_name(obj, "CPUModel");
    property(im, e, "product", model);
    if (obj->parent) return;
    property(im, e, "host", hwloc_obj_get_info_by_name(obj, "HostName"));
    property(im, e, "kernel", hwloc_obj_get_info_by_name(obj, "OSRelease"));
}

static void add_memory(struct import *im, hwloc_obj_t obj) {
    weft_model_ref e = add(im, obj, WEFT_MODEL_MEMORY, memory_class(obj), obj->parent);
    if (e == WEFT_MODEL_NONE) return;
    observe(im, e, WEFT_MODEL_CAPACITY, (double)obj->attr->numanode.local_memory, "B", NULL, 0);
    if (obj->parent && obj->parent->type == HWLOC_OBJ_MEMCACHE) {
        struct weft_model_relation r = {
            .type = WEFT_MODEL_BACKS, .from = e, .to = entity_of(im, obj->parent)};
        keep(im, weft_model_add_relation(im->m, &r));
    }
}

/* --- Devices --- */

static const char *osdev_class(hwloc_obj_t obj) {
    switch (obj->attr->osdev.type) {
    case HWLOC_OBJ_OSDEV_GPU: return "gpu";
    case HWLOC_OBJ_OSDEV_NETWORK:
    case HWLOC_OBJ_OSDEV_OPENFABRICS: return "nic";
    case HWLOC_OBJ_OSDEV_DMA: return "dma";
    case HWLOC_OBJ_OSDEV_COPROC: return "accelerator";
    default: return NULL; /* a disk */
    }
}

/* By what the system has made of it, else by its PCI class; NULL: a disk, "": nothing of interest. */
static const char *pci_class(hwloc_obj_t obj) {
    for (hwloc_obj_t d = obj->io_first_child; d; d = d->next_sibling)
        if (d->type == HWLOC_OBJ_OS_DEVICE) return osdev_class(d);
    switch (obj->attr->pcidev.class_id >> 8) {
    case 0x01: return NULL;
    case 0x02: return "nic";
    case 0x03: return "gpu";
    case 0x12: return "accelerator";
    default: return "";
    }
}

static void add_link(struct import *im, weft_model_ref device, weft_model_ref to, double rate) {
    char id[600];
    snprintf(id, sizeof id, "%s-link", weft_model_id(im->m, device));
    weft_model_ref link = weft_model_add_entity(im->m, id, WEFT_MODEL_LINK, "pcie");
    if (link == WEFT_MODEL_NONE) {
        keep(im, WEFT_E_NOMEM);
        return;
    }
    im->m->entities[link].parent = im->m->entities[device].parent;
    im->m->entities[link].ends[0] = device;
    im->m->entities[link].ends[1] = to;
    observe(im, link, WEFT_MODEL_BANDWIDTH, rate, "GB/s", NULL, 0);
}

/* What the system calls the device: "mlx5_0 ib0". */
static void add_names(struct import *im, weft_model_ref e, hwloc_obj_t obj) {
    char names[256] = "";
    size_t len = 0;
    for (hwloc_obj_t d = obj->io_first_child; d && len < sizeof names; d = d->next_sibling)
        if (d->name)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? " " : "", d->name);
    property(im, e, "os_devices", names);
}

static void add_device(struct import *im, hwloc_obj_t obj) {
    bool pci = obj->type == HWLOC_OBJ_PCI_DEVICE;
    if (!pci && obj->parent->type == HWLOC_OBJ_PCI_DEVICE) return; /* it is that device */
    const char *class_name = pci ? pci_class(obj) : osdev_class(obj);
    if (class_name && !*class_name) return;
    hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(im->t, obj);
    weft_model_ref e = class_name ? add(im, obj, WEFT_MODEL_COMPUTE, class_name, hwloc_get_root_obj(im->t))
                                  : add(im, obj, WEFT_MODEL_MEMORY, "storage", hwloc_get_root_obj(im->t));
    if (e == WEFT_MODEL_NONE) return;
    const char *model = hwloc_obj_get_info_by_name(obj, pci ? "PCIDevice" : "Model");
    property(im, e, "product", model);
    if (pci) add_names(im, e, obj);
    weft_model_ref to = near ? entity_of(im, near) : WEFT_MODEL_NONE;
    if (im->rc || !pci || to == WEFT_MODEL_NONE) return;
    if (obj->attr->pcidev.linkspeed > 0) {
        add_link(im, e, to, (double)obj->attr->pcidev.linkspeed * 1e9);
        return;
    }
    struct weft_model_relation r = {.type = WEFT_MODEL_ATTACHED, .from = e, .to = to};
    keep(im, weft_model_add_relation(im->m, &r));
}

/* --- The tree --- */

static void add_object(struct import *im, hwloc_obj_t obj) {
    switch (obj->type) {
    case HWLOC_OBJ_MACHINE: add_place(im, obj, "host"); break;
    case HWLOC_OBJ_PACKAGE: add_place(im, obj, "package"); break;
    case HWLOC_OBJ_DIE: add_place(im, obj, "die"); break;
    case HWLOC_OBJ_GROUP: add_place(im, obj, "group"); break;
    case HWLOC_OBJ_NUMANODE: add_memory(im, obj); break;
    case HWLOC_OBJ_CORE: add_core(im, obj); break;
    case HWLOC_OBJ_PU:
        if (obj->parent->type != HWLOC_OBJ_CORE || obj->parent->arity > 1)
            add(im, obj, WEFT_MODEL_COMPUTE, "thread", obj->parent);
        break;
    case HWLOC_OBJ_PCI_DEVICE:
    case HWLOC_OBJ_OS_DEVICE: add_device(im, obj); break;
    default:
        if (hwloc_obj_type_is_dcache(obj->type) || obj->type == HWLOC_OBJ_MEMCACHE) add_cache(im, obj);
    }
}

/* Parents before children; hwloc keeps memory and devices apart from the rest. */
static void add_tree(struct import *im, hwloc_obj_t obj) {
    if (im->rc) return;
    add_object(im, obj);
    for (hwloc_obj_t c = obj->memory_first_child; c; c = c->next_sibling) add_tree(im, c);
    for (hwloc_obj_t c = obj->first_child; c; c = c->next_sibling) add_tree(im, c);
    for (hwloc_obj_t c = obj->io_first_child; c; c = c->next_sibling) add_tree(im, c);
}

/* The entity that an initiator stands for; 0: the memory's own place. */
static weft_model_text initiator_text(struct import *im, hwloc_obj_t target,
                                      const struct hwloc_location *from) {
    hwloc_obj_t obj = from->type == HWLOC_LOCATION_TYPE_OBJECT
                          ? from->location.object
                          : hwloc_get_first_largest_obj_inside_cpuset(im->t, from->location.cpuset);
    if (from->type == HWLOC_LOCATION_TYPE_CPUSET && target->cpuset &&
        hwloc_bitmap_isequal(from->location.cpuset, target->cpuset))
        return weft_model_intern(im->m, "local");
    weft_model_ref e = obj ? entity_of(im, obj) : WEFT_MODEL_NONE;
    return e == WEFT_MODEL_NONE ? 0 : im->m->entities[e].id;
}

#define INITIATORS_MAX 256
static void add_memattrs(struct import *im, hwloc_obj_t target) {
    hwloc_memattr_id_t which;
    enum weft_model_attribute attribute;
    const char *op;
    double factor;
    weft_model_ref e = entity_of(im, target);
    for (size_t i = 0; e != WEFT_MODEL_NONE && hwloc_memattr_at(i, &which, &attribute, &op, &factor); i++) {
        struct hwloc_location from[INITIATORS_MAX];
        hwloc_uint64_t values[INITIATORS_MAX];
        unsigned n = INITIATORS_MAX;
        if (hwloc_memattr_get_initiators(im->t, which, target, 0, &n, from, values)) continue;
        const char *unit = attribute == WEFT_MODEL_LATENCY ? "ns" : "MiB/s";
        weft_model_text local = weft_model_intern(im->m, "local");
        /* The memory's own place first: that figure is the memory's where nobody asks from where. */
        for (int own = 1; own >= 0; own--)
            for (unsigned k = 0; k < n && k < INITIATORS_MAX; k++) {
                weft_model_text who = initiator_text(im, target, &from[k]);
                if ((who == local) == own)
                    observe(im, e, attribute, (double)values[k] * factor, unit, op, who);
            }
    }
}

int weft_model_import_hwloc(struct weft_model *m, const char *xml, const char *id,
                            struct weft_model_fault *fault) {
    struct import im = {.m = m, .id = id};
    int rc = hwloc_load(xml, &im.t, fault);
    if (rc) return rc;
    struct model_mark mark = model_mark(m);
    im.tool = weft_model_intern(m, "hwloc");
    keep(&im, im.tool == WEFT_MODEL_NONE ? WEFT_E_NOMEM : 0);
    add_tree(&im, hwloc_get_root_obj(im.t));
    for (hwloc_obj_t n = NULL; (n = hwloc_get_next_obj_by_type(im.t, HWLOC_OBJ_NUMANODE, n));)
        add_memattrs(&im, n);
    hwloc_topology_destroy(im.t);
    if (!im.rc) im.rc = weft_model_settle(m);
    if (!im.rc) return 0;
    model_rollback(m, &mark);
    snprintf(fault->reason, sizeof fault->reason,
             im.rc == WEFT_E_EXIST ? "the model has entities named \"%s…\" already: give another id" : "%s",
             im.rc == WEFT_E_EXIST ? id : weft_error_text(im.rc));
    return im.rc;
}
