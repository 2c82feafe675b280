/* Platforms and devices, and the discovery that makes them: local drivers first, then the devices of other
 * nodes. They are made once, at the first call, and live as long as the process. */
#ifndef WEFT_OPENCL_FRONT_PLATFORM_H
#define WEFT_OPENCL_FRONT_PLATFORM_H
#include "opencl/backend.h"
#include "opencl/front/info.h"
#include "opencl/front/object.h"

struct name_list {
    cl_name_version *at;
    size_t count;
};

struct platform {
    struct object object;
    char *name, *host; /* host: the node whose devices it shows, or this one's */
    uint32_t node;
    struct device **devices;
    cl_uint device_count;
    cl_version version; /* the lowest of its devices' platforms */
    char *version_text, *extension_text;
    struct name_list extensions; /* common to all devices, and the platform's own */
};

/* Answers of sub-devices that were made together. */
struct sub_devices {
    _Atomic uint32_t refs;
    struct inventory *inventory;
};

struct device {
    struct object object;
    struct device *parent;           /* held; NULL: a root device, which never ends */
    struct sub_devices *sub_devices; /* of a sub-device: what `own` is in */
    struct platform *platform;
    struct backend *backend;
    cl_uint number;         /* the backend's */
    cl_uint place;          /* of a root device: among all devices of its node */
    _Atomic unsigned usage; /* of a root device: usage.c's; 0: not counted yet */
    const struct inventory_device *own;
    const char *host;
    cl_device_type type; /* as presented */
    cl_version version;
    char *name, *extension_text;
    struct name_list extensions; /* the device's, without what weft does not forward */
};

struct backend_entry {
    struct backend *backend;
    const char *host;
    cl_uint first; /* the place of its first device among its node's */
    size_t *rank;  /* heap; its devices' places among all, or CHOICE_LEFT_OUT; NULL: as they come */
};

/* All platforms; discovers at the first call. */
const struct platform *const *platforms_get(cl_uint *count);
/* For tests: these backends instead of what discovery would find. Before any other call; per_node as the
 * option. */
cl_int platforms_set(const struct backend_entry *entries, size_t count, bool per_node);
/* Makes platforms and devices of backends (platform_make.c). 0 or an error (no memory). */
cl_int platforms_make(const struct backend_entry *entries, size_t count, bool per_node,
                      struct platform ***out, cl_uint *out_count);
/* Local and remote backends; entries (heap) and count 0 when there are none (discovery.c). */
void discovery_run(struct backend_entry **entries, size_t *count);

/* A device with one reference; NULL: no memory (platform_make.c). */
struct device *device_make(struct platform *p, struct backend *b, const char *host, cl_uint number,
                           const struct inventory_device *own);

static inline struct platform *platform_from(cl_platform_id h) { return object_check(h, OBJECT_PLATFORM); }
static inline struct device *device_from(cl_device_id h) { return object_check(h, OBJECT_DEVICE); }
cl_int device_answer(const struct device *d, cl_device_info param, struct info_out out);
/* A number of that width, at most 8 bytes, among the device's own answers; 0: it does not tell. */
uint64_t device_number(const struct device *d, cl_device_info param, size_t bytes);
bool device_type_valid(cl_device_type type);
bool device_type_matches(const struct device *d, cl_device_type wanted, bool first);

/* Extensions of a device that need nothing of the host side that weft does not forward (extensions.c). */
struct name_list extensions_filter(const struct inventory_device *d);
struct name_list names_common(const struct name_list *a, const struct name_list *b);
cl_int names_add(struct name_list *l, const char *name, cl_version version);
char *names_text(const struct name_list *l);
/* "OpenCL 3.0 …" and "OpenCL C 1.2 …" to a version; 0: not understood. */
cl_version version_parse(const char *text);

#endif
