/* The environment of CMD: an ICD vendor directory in which weft's library is the only driver, and that
 * library for programs that were linked with --wrap. The directory that was in force before goes on to weft
 * itself, which loads the drivers from there. Nothing in /etc is touched. */
#include "cli/run.h"

#include "base/board.h"
#include "base/error.h"
#include "node/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void run_environment_prepare(const struct run_arguments *a) {
    const char *vendors =
        getenv("WEFT_OPENCL_VENDORS"); /* inside another `weft run`: the real ones already */
    if (!vendors || !*vendors) vendors = getenv("OCL_ICD_VENDORS");
    if (!vendors || !*vendors) vendors = "/etc/OpenCL/vendors";
    setenv("WEFT_OPENCL_VENDORS", vendors, 1);
    if (a->adapter) setenv("WEFT_ADAPTER", a->adapter, 1);
    if (a->platforms) setenv("WEFT_OPENCL_PLATFORMS", a->platforms, 1);
    if (a->devices) setenv("WEFT_OPENCL_DEVICES", a->devices, 1);
    if (a->cap) setenv("WEFT_OPENCL_CAP", a->cap, 1);
}

/* lib/ beside the bin/ in which this program lies. */
static bool find_library(char out[PATH_MAX]) {
    char bin[WEFT_PATH_MAX], path[WEFT_PATH_MAX + 64];
    if (weft_exe_path(NULL, bin, sizeof bin) != WEFT_OK) return false;
    snprintf(path, sizeof path, "%s/../lib/libweft_opencl.so", bin);
    return realpath(path, out) != NULL;
}

static int write_icd(const char *vendors, const char *library) {
    char path[WEFT_PATH_MAX + 128];
    snprintf(path, sizeof path, "%s/weft.icd", vendors);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && dprintf(fd, "%s\n", library) == (int)strlen(library) + 1;
    if (!good) fprintf(stderr, "weft: cannot write %s: %s\n", path, strerror(errno));
    if (fd >= 0) close(fd);
    return good ? WEFT_OK : WEFT_E_IO;
}

static int set_vendors(const char *dir) {
    char library[PATH_MAX], vendors[WEFT_PATH_MAX];
    if (!find_library(library)) {
        fprintf(stderr, "weft: lib/libweft_opencl.so is missing beside bin/: OpenCL programs see this "
                        "machine's devices only\n");
        return WEFT_OK;
    }
    setenv("WEFT_OPENCL_LIBRARY", library, 1);
    if (snprintf(vendors, sizeof vendors, "%s/vendors/", dir) >= (int)sizeof vendors) return WEFT_E_TOO_BIG;
    vendors[strlen(vendors) - 1] = 0;
    int rc = weft_dir_make_private(vendors);
    if (rc == WEFT_OK) rc = write_icd(vendors, library);
    strcat(vendors,
           "/"); /* ocl-icd and the Khronos loader both take a directory; the slash tells it from a file */
    setenv("OCL_ICD_VENDORS", vendors, 1);
    unsetenv("OCL_ICD_FILENAMES");
    unsetenv("OPENCL_VENDOR_PATH");
    return rc;
}

static bool is_directory(const char *path) {
    struct stat st;
    return path && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where CMD leaves what it does: for this run itself; where a run that this one is part of has said; or,
 * while one of another host records, beside this node's daemon. */
static int set_record(const struct run_arguments *a, const char *dir, const char *socket) {
    char record[WEFT_PATH_MAX];
    const char *inherited = getenv(WEFT_BOARD_DIR_ENV);
    bool own = run_is_recorded(a);
    if (!own && is_directory(inherited)) return WEFT_OK;
    int where = own ? (int)strlen(dir) : (int)(strrchr(socket, '/') - socket);
    if (snprintf(record, sizeof record, "%.*s/" NODE_RECORD_DIR, where, own ? dir : socket) >=
        (int)sizeof record)
        return WEFT_E_TOO_BIG;
    int rc = own ? weft_dir_make_private(record) : WEFT_OK;
    if (rc == WEFT_OK && is_directory(record))
        setenv(WEFT_BOARD_DIR_ENV, record, 1);
    else
        unsetenv(WEFT_BOARD_DIR_ENV);
    return rc;
}

int run_environment_set(const struct run_arguments *a, const char *dir, const char *socket) {
    setenv("WEFT_NODE_SOCKET", socket, 1);
    int rc = set_record(a, dir, socket);
    return rc == WEFT_OK ? set_vendors(dir) : rc;
}
