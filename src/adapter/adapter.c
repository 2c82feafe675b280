/* The registry of adapters: which ones this build has, best first. Two are found by name only: ofi, because
 * opening it loads libfabric and its plugins, which takes long, and sim, which is no network to work with. */
#include "adapter/adapter.h"

#include <string.h>

static const struct adapter_ops *const adapters[] = {&adapter_self_ops, &adapter_shm_ops, &adapter_udp_ops,
                                                     NULL};

static const struct adapter_ops *const named[] = {
#if WEFT_HAVE_LIBFABRIC
    &adapter_ofi_ops,
#endif
    &adapter_sim_ops, NULL};

const struct adapter_ops *const *adapter_list(void) { return adapters; }
const struct adapter_ops *const *adapter_list_named(void) { return named; }

static const struct adapter_ops *find_in(const struct adapter_ops *const *list, const char *name) {
    while (*list && strcmp((*list)->name, name) != 0) list++;
    return *list;
}

const struct adapter_ops *adapter_find(const char *name) {
    if (!name) return NULL;
    const struct adapter_ops *found = find_in(adapters, name);
    return found ? found : find_in(named, name);
}
