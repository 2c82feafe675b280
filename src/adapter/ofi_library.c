/* ofi: loads libfabric, and chooses a provider. */
#include "adapter/ofi_internal.h"
#include "base/error.h"
#include "base/log.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION FI_VERSION(1, 17)

static struct ofi_library library;
static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    void *so = dlopen("libfabric.so.1", RTLD_NOW | RTLD_LOCAL); /* for good: its providers start threads */
    if (!so) {
        weft_warn("ofi", "no libfabric: %s", dlerror());
        return;
    }
    const struct {
        const char *name;
        void *to;
    } symbols[] = {{"fi_getinfo", &library.getinfo},
                   {"fi_freeinfo", &library.freeinfo},
                   {"fi_dupinfo", &library.dupinfo},
                   {"fi_fabric", &library.fabric},
                   {"fi_strerror", &library.strerror}};
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(so, symbols[i].name);
        if (!symbol) {
            weft_warn("ofi", "libfabric has no %s", symbols[i].name);
            return;
        }
        memcpy(symbols[i].to, &symbol, sizeof symbol);
    }
    loaded = true;
}

const struct ofi_library *ofi_library(void) {
    pthread_once(&once, load);
    return loaded ? &library : NULL;
}

static bool begins(const char *s, const char *with) { return !strncmp(s, with, strlen(with)); }

/* Moves packets over the kernel's IP: reaches whatever it is bound to, so it is bound with care. */
static bool is_over_ip(const char *provider) {
    return begins(provider, "tcp") || begins(provider, "udp") || begins(provider, "UDP") ||
           begins(provider, "sockets") || begins(provider, "net");
}

/* "tcp" is asked for: "tcp", or "tcp;ofi_rxm". */
static bool is_named(const char *provider, const char *wanted) {
    size_t n = strlen(wanted);
    return begins(provider, wanted) && (provider[n] == 0 || provider[n] == ';');
}

static bool is_fit(const struct fi_info *i, const char *wanted, bool bound) {
    const char *name = i->fabric_attr->prov_name;
    if (!name || strlen(name) > OFI_PROVIDER_MAX || !i->domain_attr || !i->ep_attr || !i->tx_attr)
        return false;
    if (is_over_ip(name) && !bound) return false;
    if (wanted) return is_named(name, wanted);
    /* One that reaches this host only, or is worse than our own udp, is taken only if asked for. */
    return !is_named(name, "shm") && (!is_over_ip(name) || is_named(name, "tcp"));
}

static struct fi_info *hints_new(const struct ofi_library *lib, uint64_t caps) {
    struct fi_info *h = lib->dupinfo(NULL);
    if (!h) return NULL;
    h->caps = caps;
    h->mode = FI_CONTEXT | FI_CONTEXT2;
    h->ep_attr->type = FI_EP_RDM;
    h->tx_attr->msg_order = h->rx_attr->msg_order = FI_ORDER_SAS;
    h->domain_attr->mr_mode =
        FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
    h->domain_attr->threading = FI_THREAD_SAFE;
    h->domain_attr->resource_mgmt = FI_RM_ENABLED;
    return h;
}

/* Keeps the first fit one of the list. */
static struct fi_info *pick(const struct ofi_library *lib, struct fi_info *list, const char *wanted,
                            bool bound) {
    struct fi_info *found = NULL;
    for (struct fi_info *i = list; i && !found; i = i->next)
        if (is_fit(i, wanted, bound)) found = lib->dupinfo(i);
    lib->freeinfo(list);
    return found;
}

static int choose(const struct ofi_library *lib, uint64_t caps, const char *provider, const char *bind_host,
                  uint16_t port, struct fi_info **out) {
    struct fi_info *hints = hints_new(lib, caps), *list = NULL;
    char service[8];
    if (!hints) return WEFT_E_NOMEM;
    snprintf(service, sizeof service, "%u", port);
    hints->fabric_attr->prov_name = (char *)(uintptr_t)provider; /* only read, and not freed: below */
    *out = NULL;
    bool by_name = provider && is_named(provider, "shm"); /* its "node" is no address */
    if (!by_name && !lib->getinfo(API_VERSION, bind_host, port ? service : NULL, FI_SOURCE | FI_NUMERICHOST,
                                  hints, &list))
        *out = pick(lib, list, provider, true);
    list = NULL;
    if (!*out && !lib->getinfo(API_VERSION, NULL, NULL, 0, hints, &list))
        *out = pick(lib, list, provider, false);
    hints->fabric_attr->prov_name = NULL;
    lib->freeinfo(hints);
    return *out ? 0 : WEFT_E_NOSUP;
}

int ofi_choose(const struct ofi_library *lib, const char *provider, const char *bind_host, uint16_t port,
               struct fi_info **out) {
    int rc = choose(lib, FI_MSG | FI_RMA, provider, bind_host, port, out);
    if (rc == WEFT_E_NOSUP) rc = choose(lib, FI_MSG, provider, bind_host, port, out);
    if (rc != WEFT_E_NOSUP) return rc;
    weft_error("ofi",
               "open: no provider%s%s fits (reliable datagrams in order, bound to %s); fi_info lists them",
               provider ? " " : "", provider ? provider : "", bind_host);
    return WEFT_E_NOSUP;
}
