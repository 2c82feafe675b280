/* What hwloc and the model call the same thing. */
#ifndef WEFT_MODEL_HWLOC_NAMES_H
#define WEFT_MODEL_HWLOC_NAMES_H
#include "model/model_internal.h"

#include <hwloc.h>
#include <hwloc/export.h>

/* The XML of version 2, which hwloc 2 writes by itself. */
#if HWLOC_API_VERSION >= 0x00030000
#define HWLOC_XML_V2 HWLOC_TOPOLOGY_EXPORT_XML_FLAG_V2
#else
#define HWLOC_XML_V2 0
#endif

/* The topology of this machine (NULL) or of an hwloc XML file. What is wrong stands in the fault. */
int hwloc_load(const char *xml, hwloc_topology_t *out, struct weft_model_fault *fault);
/* The id of an object's entity below the node `id`; false: it has none. */
bool hwloc_entity_id(hwloc_obj_t obj, const char *id, char *out, size_t cap);
/* The memory attributes of hwloc that the model knows: which attribute, which operation ("" for any), and
 * what hwloc's unit is in SI. False after the last. */
bool hwloc_memattr_at(size_t i, hwloc_memattr_id_t *which, enum weft_model_attribute *attribute,
                      const char **op, double *factor);

#endif
