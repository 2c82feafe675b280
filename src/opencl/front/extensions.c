/* Extensions: which of a device's extensions remain when it is reached through weft:
 * those of the kernel language and of plain queries. One that needs calls which weft does not forward would
 * be a false promise. */
#include "opencl/front/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kept[] = {
    "cl_khr_byte_addressable_store",
    "cl_khr_3d_image_writes",
    "cl_khr_image2d_from_buffer",
    "cl_khr_depth_images",
    "cl_khr_global_int32_base_atomics",
    "cl_khr_global_int32_extended_atomics",
    "cl_khr_local_int32_base_atomics",
    "cl_khr_local_int32_extended_atomics",
    "cl_khr_int64_base_atomics",
    "cl_khr_int64_extended_atomics",
    "cl_khr_fp16",
    "cl_khr_fp64",
    "cl_khr_select_fprounding_mode",
    "cl_khr_extended_async_copies",
    "cl_khr_async_work_group_copy_fence",
    "cl_khr_expect_assume",
    "cl_khr_extended_bit_ops",
    "cl_khr_integer_dot_product",
    "cl_khr_extended_versioning",
    "cl_khr_device_uuid",
    "cl_khr_pci_bus_info",
    "cl_khr_work_group_uniform_arithmetic",
    "cl_khr_kernel_clock",
    "cl_khr_create_command_queue",
    "cl_khr_il_program",
    "cl_khr_spir",
    "cl_khr_subgroups",
    "cl_khr_subgroup_ballot",
    "cl_khr_subgroup_clustered_reduce",
    "cl_khr_subgroup_extended_types",
    "cl_khr_subgroup_named_barrier",
    "cl_khr_subgroup_non_uniform_arithmetic",
    "cl_khr_subgroup_non_uniform_vote",
    "cl_khr_subgroup_rotate",
    "cl_khr_subgroup_shuffle",
    "cl_khr_subgroup_shuffle_relative",
    "cl_intel_subgroups",
    "cl_intel_subgroups_short",
    "cl_intel_subgroups_char",
    "cl_intel_subgroups_long",
    "cl_ext_float_atomics",
    "cl_ext_cxx_for_opencl",
    "cl_nv_device_attribute_query",
    "cl_nv_pragma_unroll",
    "cl_nv_compiler_options",
    "cl_amd_device_attribute_query",
    "cl_amd_fp64",
    "cl_amd_media_ops",
    "cl_amd_media_ops2",
    "cl_amd_printf",
    "cl_amd_popcnt",
    "cl_intel_device_attribute_query",
    "cl_intel_required_subgroup_size",
    "cl_arm_core_id",
    "cl_arm_printf",
    "cl_arm_integer_dot_product_int8",
    "cl_qcom_dot_product8",
    "cl_clang_storage_class_specifiers",
    "cl_ext_device_fission",
    "cl_khr_device_enqueue_local_arg_types",
};
static bool is_in(const char *name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0) return true;
    return false;
}

cl_int names_add(struct name_list *l, const char *name, cl_version version) {
    cl_name_version *more = realloc(l->at, (l->count + 1) * sizeof *more);
    if (!more) return CL_OUT_OF_HOST_MEMORY;
    l->at = more;
    memset(&more[l->count], 0, sizeof *more);
    more[l->count].version = version;
    snprintf(more[l->count].name, sizeof more->name, "%s", name);
    l->count++;
    return CL_SUCCESS;
}

/* The version that the device tells in its list of that parameter, else 1.0.0. */
static cl_version version_in(const struct inventory_device *d, cl_uint param, const char *name) {
    const struct inventory_info *info = inventory_find(&d->infos, param);
    for (size_t i = 0; info && i < info->size / sizeof(cl_name_version); i++) {
        cl_name_version v;
        memcpy(&v, (const char *)info->value + i * sizeof v, sizeof v);
        if (strncmp(v.name, name, sizeof v.name) == 0) return v.version;
    }
    return CL_MAKE_VERSION(1, 0, 0);
}

struct name_list extensions_filter(const struct inventory_device *d) {
    struct name_list out = {0};
    const struct inventory_info *info = inventory_find(&d->infos, CL_DEVICE_EXTENSIONS);
    if (!info || !info->size) return out;
    char *text = strndup(info->value, info->size), *save = NULL;
    for (char *name = text ? strtok_r(text, " ", &save) : NULL; name; name = strtok_r(NULL, " ", &save))
        if (is_in(name, kept, sizeof kept / sizeof *kept) && strlen(name) < CL_NAME_VERSION_MAX_NAME_SIZE)
            names_add(&out, name, version_in(d, CL_DEVICE_EXTENSIONS_WITH_VERSION, name));
    free(text);
    return out;
}

struct name_list names_common(const struct name_list *a, const struct name_list *b) {
    struct name_list out = {0};
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (strcmp(a->at[i].name, b->at[j].name) == 0) {
                cl_version low = a->at[i].version < b->at[j].version ? a->at[i].version : b->at[j].version;
                names_add(&out, a->at[i].name, low);
                break;
            }
    return out;
}

char *names_text(const struct name_list *l) {
    size_t bytes = 1;
    for (size_t i = 0; i < l->count; i++) bytes += strlen(l->at[i].name) + 1;
    char *text = malloc(bytes), *at = text;
    if (!text) return NULL;
    *at = '\0';
    for (size_t i = 0; i < l->count; i++) at += sprintf(at, "%s%s", i ? " " : "", l->at[i].name);
    return text;
}

cl_version version_parse(const char *text) {
    unsigned major, minor;
    if (!text) return 0;
    if (sscanf(text, "OpenCL C %u.%u", &major, &minor) != 2 &&
        sscanf(text, "OpenCL %u.%u", &major, &minor) != 2)
        return 0;
    return CL_MAKE_VERSION(major, minor, 0);
}
