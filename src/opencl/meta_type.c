/* Program meta data: how many bytes a kernel argument takes, told from OpenCL C's type names. */
#include <stdlib.h>
#include <string.h>

#include "opencl/meta_private.h"

static const struct {
    const char *name;
    size_t size;
} scalars[] = {
    {"char", 1},          {"uchar", 1},          {"unsigned char", 1}, {"short", 2},
    {"ushort", 2},        {"unsigned short", 2}, {"int", 4},           {"uint", 4},
    {"unsigned", 4},      {"unsigned int", 4},   {"long", 8},          {"ulong", 8},
    {"unsigned long", 8}, {"float", 4},          {"double", 8},        {"half", 2},
};

static const char *const handles[] = {
    "image1d_t",       "image1d_array_t", "image1d_buffer_t",      "image2d_t",
    "image2d_array_t", "image2d_depth_t", "image2d_array_depth_t", "image3d_t"};

static bool is_image(const char *type) {
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        if (!strcmp(type, handles[i])) return true;
    return false;
}

enum arg_takes meta_type_takes(cl_kernel_arg_address_qualifier address, const char *type_name) {
    if (address == CL_KERNEL_ARG_ADDRESS_LOCAL) return TAKES_LOCAL;
    if (address != CL_KERNEL_ARG_ADDRESS_PRIVATE) return TAKES_MEM;
    if (!type_name) return TAKES_UNKNOWN;
    if (!strcmp(type_name, "sampler_t")) return TAKES_SAMPLER;
    if (!strcmp(type_name, "queue_t")) return TAKES_QUEUE;
    return is_image(type_name) ? TAKES_MEM : TAKES_VALUE;
}

/* Elements that a vector of n takes room for; 0: there is none of n. */
static size_t vector_room(const char *n) {
    char *end;
    unsigned long v = strtoul(n, &end, 10);
    if (*end) return 0;
    if (v == 3) return 4;
    return v == 2 || v == 4 || v == 8 || v == 16 ? v : 0;
}

static size_t value_size(const char *type) {
    size_t stem = strcspn(type, "0123456789");
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        if (strlen(scalars[i].name) != stem || memcmp(scalars[i].name, type, stem)) continue;
        return type[stem] ? scalars[i].size * vector_room(type + stem) : scalars[i].size;
    }
    return 0;
}

size_t meta_arg_size(cl_kernel_arg_address_qualifier address, const char *type_name) {
    if (address == CL_KERNEL_ARG_ADDRESS_GLOBAL || address == CL_KERNEL_ARG_ADDRESS_CONSTANT)
        return sizeof(cl_mem);
    if (address != CL_KERNEL_ARG_ADDRESS_PRIVATE || !type_name) return 0;
    switch (meta_type_takes(address, type_name)) {
    case TAKES_SAMPLER: return sizeof(cl_sampler);
    case TAKES_QUEUE: return sizeof(cl_command_queue);
    case TAKES_MEM: return sizeof(cl_mem);
    default: return value_size(type_name);
    }
}
