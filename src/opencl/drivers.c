/* Drivers: a small ICD loader. Each driver file named by the vendor directory is opened privately
 * (RTLD_LOCAL) and asked for its platforms; from there on every call goes through the objects' own dispatch
 * tables. */
#include "opencl/drivers.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/option.h"

#define VENDORS_DEFAULT "/etc/OpenCL/vendors"
#define OWN_LIBRARY     "libweft_opencl"
#define OWN_MARKER      "clWeftMarkerWEFT" /* weft's own library answers a query for this function */
#define PATH_BYTES      4096
#define PLATFORMS_MAX   64
#define DEVICES_MAX     1024

WEFT_OPTIONS(drivers, "opencl",
             {.name = "opencl_vendors",
              .type = WEFT_OPTION_STRING,
              .help = "Directory of .icd files, one .icd file or one library to load OpenCL drivers from "
                      "(default: OCL_ICD_VENDORS, else " VENDORS_DEFAULT ")."})

static struct drivers loaded;
static pthread_once_t load_once = PTHREAD_ONCE_INIT;

typedef cl_int platform_ids_fn(cl_uint, cl_platform_id *, cl_uint *);
typedef void *extension_fn(const char *);

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static bool is_own_library(const char *path) {
    const char *slash = strrchr(path, '/');
    return !strncmp(slash ? slash + 1 : path, OWN_LIBRARY, strlen(OWN_LIBRARY));
}

/* Devices of a platform; one without devices, or whose driver fails the question, stays with none. */
static void load_devices(struct driver_platform *p) {
    cl_uint count = 0;
    cl_int err = p->dispatch->clGetDeviceIDs(p->id, CL_DEVICE_TYPE_ALL, 0, NULL, &count);
    if (err || !count || count > DEVICES_MAX) return;
    p->devices = calloc(count, sizeof *p->devices);
    if (!p->devices) return;
    cl_uint got = 0;
    err = p->dispatch->clGetDeviceIDs(p->id, CL_DEVICE_TYPE_ALL, count, p->devices, &got);
    p->device_count = err ? 0 : got < count ? got : count;
}

static void add_platform(cl_platform_id id, const char *library) {
    struct driver_platform *grown = realloc(loaded.platforms, (loaded.count + 1) * sizeof *grown);
    if (!grown) return;
    loaded.platforms = grown;
    struct driver_platform *p = &grown[loaded.count];
    *p = (struct driver_platform){.id = id, .dispatch = DRIVER(id), .library = strdup(library)};
    load_devices(p);
    loaded.count++;
}

static void add_platforms(platform_ids_fn *get, const char *library) {
    cl_uint count = 0;
    cl_int err = get(0, NULL, &count);
    if (err || !count || count > PLATFORMS_MAX) {
        weft_info("opencl", "driver %s has no platform (%d)", library, err);
        return;
    }
    cl_platform_id ids[PLATFORMS_MAX] = {0};
    cl_uint got = 0;
    err = get(count, ids, &got);
    if (err) {
        weft_warn("opencl", "driver %s does not tell its platforms (%d)", library, err);
        return;
    }
    for (cl_uint i = 0; i < got && i < count; i++) {
        if (ids[i] && DRIVER(ids[i])) add_platform(ids[i], library);
    }
}

static void load_library(const char *path) {
    char *real = realpath(path, NULL);
    bool own = is_own_library(path) || (real && is_own_library(real));
    free(real);
    if (own) return;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        weft_warn("opencl", "driver %s cannot be loaded: %s", path, dlerror());
        return;
    }
    extension_fn *extension = (extension_fn *)dlsym(lib, "clGetExtensionFunctionAddress");
    if (extension && extension(OWN_MARKER)) return;
    platform_ids_fn *get = extension ? (platform_ids_fn *)extension("clIcdGetPlatformIDsKHR") : NULL;
    if (!get) get = (platform_ids_fn *)dlsym(lib, "clIcdGetPlatformIDsKHR");
    if (!get) {
        weft_warn("opencl", "driver %s is no ICD: it has no clIcdGetPlatformIDsKHR", path);
        return;
    }
    add_platforms(get, path); /* never closed: drivers keep threads and exit handlers */
}

/* An .icd file holds the library's name or path on its first line. */
static void load_icd(const char *path) {
    char line[PATH_BYTES];
    FILE *f = fopen(path, "re");
    if (!f) {
        weft_warn("opencl", "%s cannot be read: %m", path);
        return;
    }
    char *got = fgets(line, sizeof line, f);
    fclose(f);
    if (!got) return;
    char *name = line + strspn(line, " \t");
    name[strcspn(name, "\r\n")] = 0;
    for (size_t n = strlen(name); n && (name[n - 1] == ' ' || name[n - 1] == '\t'); n--) name[n - 1] = 0;
    if (*name) load_library(name);
}

static int is_icd(const struct dirent *e) { return ends_with(e->d_name, ".icd"); }

/* By name, so that every process of a node sees the platforms in one order. */
static void load_directory(const char *dir) {
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_icd, alphasort);
    if (count < 0) weft_info("opencl", "no OpenCL vendor directory %s: %m", dir);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        int n = snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        if (n > 0 && (size_t)n < sizeof path) load_icd(path);
        free(entries[i]);
    }
    free(entries);
}

static void load_all(void) {
    const char *from = weft_option_string("opencl_vendors");
    if (!from || !*from) from = getenv("OCL_ICD_VENDORS");
    if (!from || !*from) from = VENDORS_DEFAULT;
    struct stat st;
    if (stat(from, &st) == 0 && S_ISDIR(st.st_mode))
        load_directory(from);
    else if (ends_with(from, ".icd"))
        load_icd(from);
    else
        load_library(from);
}

const struct drivers *drivers_load(void) {
    pthread_once(&load_once, load_all);
    return &loaded;
}

/* ---- calls that began as extensions ---- */
sub_devices_fn *driver_sub_devices(const cl_icd_dispatch *d, bool ext) {
    return ext ? (sub_devices_fn *)d->clCreateSubDevicesEXT : d->clCreateSubDevices;
}

sub_group_info_fn *driver_sub_group_info(const cl_icd_dispatch *d) {
    return d->clGetKernelSubGroupInfo ? d->clGetKernelSubGroupInfo : d->clGetKernelSubGroupInfoKHR;
}

void driver_release_device(cl_device_id device) {
    const cl_icd_dispatch *d = DRIVER(device);
    if (d->clReleaseDevice)
        d->clReleaseDevice(device);
    else
        d->clReleaseDeviceEXT(device);
}

cl_ulong driver_children_ns(cl_event event) {
    cl_ulong end = 0, complete = 0;
    const cl_icd_dispatch *d = DRIVER(event);
    if (d->clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) ||
        d->clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_COMPLETE, sizeof complete, &complete, NULL))
        return 0;
    return complete > end ? complete - end : 0;
}
