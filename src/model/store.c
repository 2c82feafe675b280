/* Where the user's model is, and the descriptions of parts that come with weft. */
#include "base/option.h"
#include "base/path.h"
#include "model/model_internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

WEFT_OPTIONS(
    model, "model",
    {.name = "model",
     .type = WEFT_OPTION_STRING,
     .help = "the model file that is used when none is named; unset: weft/model.json in the user's data "
             "directory"},
    {.name = "model_folder",
     .type = WEFT_OPTION_STRING,
     .help = "the folder of descriptions that a model file may use; unset: the one that comes with weft"})

int weft_model_default_path(char *out, size_t cap) {
    const char *set = weft_option_string("model"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n;
    if (set && *set)
        n = snprintf(out, cap, "%s", set);
    else if (data && *data == '/')
        n = snprintf(out, cap, "%s/weft/model.json", data);
    else if (home && *home)
        n = snprintf(out, cap, "%s/.local/share/weft/model.json", home);
    else
        return WEFT_E_NOENT;
    return n > 0 && (size_t)n < cap ? 0 : WEFT_E_TOO_BIG;
}

/* Where this code is: a program of weft's, or the library in somebody else's. */
static int folder_of_library(char *out, size_t cap) {
    Dl_info here;
    if (!dladdr((void *)(uintptr_t)weft_model_default_folder, &here) || !here.dli_fname) return WEFT_E_NOENT;
    const char *slash = strrchr(here.dli_fname, '/');
    if (!slash) return WEFT_E_NOENT;
    int n = snprintf(out, cap, "%.*s/../share/weft/model", (int)(slash - here.dli_fname), here.dli_fname);
    return n > 0 && (size_t)n < cap ? 0 : WEFT_E_TOO_BIG;
}

/* Beside the programs or the library: bin/../share/weft/model, lib/../share/weft/model. */
int weft_model_default_folder(char *out, size_t cap) {
    const char *set = weft_option_string("model_folder");
    if (set && *set) {
        int n = snprintf(out, cap, "%s", set);
        return n > 0 && (size_t)n < cap ? 0 : WEFT_E_TOO_BIG;
    }
    int rc = weft_exe_path("../share/weft/model", out, cap);
    if (!rc && access(out, R_OK) == 0) return 0;
    rc = folder_of_library(out, cap);
    return rc ? rc : access(out, R_OK) ? WEFT_E_NOENT : 0;
}
