/* The registry of adapters: which ones this build has, best first. */
#include "adapter/adapter.h"

#include <string.h>

static const struct adapter_ops *const adapters[] = {&adapter_self_ops, &adapter_shm_ops, &adapter_udp_ops,
                                                     NULL};

const struct adapter_ops *const *adapter_list(void) { return adapters; }

const struct adapter_ops *adapter_find(const char *name) {
    for (const struct adapter_ops *const *a = adapters; name && *a; a++)
        if (!strcmp((*a)->name, name)) return *a;
    return NULL;
}
