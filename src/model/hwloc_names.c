/* Objects of hwloc and entities of the model: names, attributes, units. */
#include "model/hwloc_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int hwloc_load(const char *xml, hwloc_topology_t *out, struct weft_model_fault *fault) {
    hwloc_topology_t t;
    *fault = (struct weft_model_fault){0};
    snprintf(fault->file, sizeof fault->file, "%s", xml ? xml : "this machine");
    if (hwloc_topology_init(&t)) {
        snprintf(fault->reason, sizeof fault->reason, "hwloc does not start");
        return WEFT_E_NOMEM;
    }
    hwloc_topology_set_io_types_filter(t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    /* OpenCL's drivers are asked by weft itself; through hwloc they would load weft's own library, too. */
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "opencl");
    errno = 0;
    if ((xml && hwloc_topology_set_xml(t, xml)) || hwloc_topology_load(t)) {
        int err = errno;
        hwloc_topology_destroy(t);
        if (err == ENOENT || err == EACCES) {
            snprintf(fault->reason, sizeof fault->reason, "%s", strerror(err));
            return weft_error_from_errno(err);
        }
        snprintf(fault->reason, sizeof fault->reason,
                 xml ? "hwloc does not take it for a topology in XML" : "hwloc cannot look at it");
        return WEFT_E_INVAL;
    }
    *out = t;
    return 0;
}

/* "pci-0000:3b:00.0", "dev-eth0": what an id may have of the name. */
static void device_name(hwloc_obj_t obj, char *out, size_t cap) {
    if (obj->type == HWLOC_OBJ_PCI_DEVICE) {
        const struct hwloc_pcidev_attr_s *p = &obj->attr->pcidev;
        snprintf(out, cap, "pci-%04x:%02x:%02x.%x", p->domain, p->bus, p->dev, p->func);
        return;
    }
    size_t len = (size_t)snprintf(out, cap, "dev-");
    for (const char *c = obj->name ? obj->name : ""; *c && len + 1 < cap; c++)
        out[len++] = isalnum((unsigned char)*c) || strchr("._-", *c) ? *c : '_';
    out[len] = '\0';
}

bool hwloc_entity_id(hwloc_obj_t obj, const char *id, char *out, size_t cap) {
    char name[128];
    unsigned i = obj->logical_index;
    switch (obj->type) {
    case HWLOC_OBJ_MACHINE: snprintf(out, cap, "%s", id); return true;
    case HWLOC_OBJ_PACKAGE: snprintf(name, sizeof name, "package%u", i); break;
    case HWLOC_OBJ_DIE: snprintf(name, sizeof name, "die%u", i); break;
    case HWLOC_OBJ_GROUP: snprintf(name, sizeof name, "group%u-%u", obj->attr->group.depth, i); break;
    case HWLOC_OBJ_NUMANODE: snprintf(name, sizeof name, "numa%u", i); break;
    case HWLOC_OBJ_MEMCACHE: snprintf(name, sizeof name, "memcache%u", i); break;
    case HWLOC_OBJ_L1CACHE:
    case HWLOC_OBJ_L2CACHE:
    case HWLOC_OBJ_L3CACHE:
    case HWLOC_OBJ_L4CACHE:
    case HWLOC_OBJ_L5CACHE: snprintf(name, sizeof name, "l%u-%u", obj->attr->cache.depth, i); break;
    case HWLOC_OBJ_CORE: snprintf(name, sizeof name, "core%u", i); break;
    case HWLOC_OBJ_PU: snprintf(name, sizeof name, "pu%u", i); break;
    case HWLOC_OBJ_PCI_DEVICE:
    case HWLOC_OBJ_OS_DEVICE: device_name(obj, name, sizeof name); break;
    default: return false;
    }
    return (size_t)snprintf(out, cap, "%s.%s", id, name) < cap;
}

bool hwloc_memattr_at(size_t i, hwloc_memattr_id_t *which, enum weft_model_attribute *attribute,
                      const char **op, double *factor) {
    static const struct {
        hwloc_memattr_id_t which;
        enum weft_model_attribute attribute;
        const char *op;
        double factor; /* hwloc has MiB/s and ns */
    } known[] = {{HWLOC_MEMATTR_ID_LATENCY, WEFT_MODEL_LATENCY, "", 1e-9},
                 {HWLOC_MEMATTR_ID_READ_LATENCY, WEFT_MODEL_LATENCY, "read", 1e-9},
                 {HWLOC_MEMATTR_ID_WRITE_LATENCY, WEFT_MODEL_LATENCY, "write", 1e-9},
                 {HWLOC_MEMATTR_ID_BANDWIDTH, WEFT_MODEL_BANDWIDTH, "", 1048576},
                 {HWLOC_MEMATTR_ID_READ_BANDWIDTH, WEFT_MODEL_BANDWIDTH, "read", 1048576},
                 {HWLOC_MEMATTR_ID_WRITE_BANDWIDTH, WEFT_MODEL_BANDWIDTH, "write", 1048576}};
    if (i >= sizeof known / sizeof *known) return false;
    *which = known[i].which;
    *attribute = known[i].attribute;
    *op = known[i].op;
    *factor = known[i].factor;
    return true;
}
