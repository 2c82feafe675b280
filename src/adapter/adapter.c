/* The registry of adapters: which ones this build has, best first. ofi is found by name only: opening it
 * loads libfabric and its plugins, which takes long. */
#include "adapter/adapter.h"

#include <string.h>

static const struct adapter_ops *const adapters[] = {&adapter_self_ops, &adapter_shm_ops, &adapter_udp_ops,
                                                     NULL};

const struct adapter_ops *const *adapter_list(void) { return adapters; }

const struct adapter_ops *adapter_find(const char *name) {
    for (const struct adapter_ops *const *a = adapters; name && *a; a++)
        if (!strcmp((*a)->name, name)) return *a;
#if WEFT_HAVE_LIBFABRIC
    if (name && !strcmp(name, "ofi")) return &adapter_ofi_ops;
#endif
    return NULL;
}
