/* Units: what a file may say beside a number. */
#include "model/model_internal.h"

#include <string.h>

static const struct unit {
    const char *name;
    enum weft_model_dimension dimension;
    double factor;
} units[] = {
    {"1", WEFT_MODEL_DIM_COUNT, 1},
    {"%", WEFT_MODEL_DIM_COUNT, 0.01},
    {"writes", WEFT_MODEL_DIM_COUNT, 1},
    {"s", WEFT_MODEL_DIM_TIME, 1},
    {"ms", WEFT_MODEL_DIM_TIME, 1e-3},
    {"us", WEFT_MODEL_DIM_TIME, 1e-6},
    {"ns", WEFT_MODEL_DIM_TIME, 1e-9},
    {"ps", WEFT_MODEL_DIM_TIME, 1e-12},
    {"B", WEFT_MODEL_DIM_SIZE, 1},
    {"kB", WEFT_MODEL_DIM_SIZE, 1e3},
    {"MB", WEFT_MODEL_DIM_SIZE, 1e6},
    {"GB", WEFT_MODEL_DIM_SIZE, 1e9},
    {"TB", WEFT_MODEL_DIM_SIZE, 1e12},
    {"PB", WEFT_MODEL_DIM_SIZE, 1e15},
    {"KiB", WEFT_MODEL_DIM_SIZE, 1024},
    {"MiB", WEFT_MODEL_DIM_SIZE, 1048576},
    {"GiB", WEFT_MODEL_DIM_SIZE, 1073741824},
    {"TiB", WEFT_MODEL_DIM_SIZE, 1099511627776},
    {"PiB", WEFT_MODEL_DIM_SIZE, 1125899906842624},
    {"B/s", WEFT_MODEL_DIM_RATE, 1},
    {"kB/s", WEFT_MODEL_DIM_RATE, 1e3},
    {"MB/s", WEFT_MODEL_DIM_RATE, 1e6},
    {"GB/s", WEFT_MODEL_DIM_RATE, 1e9},
    {"TB/s", WEFT_MODEL_DIM_RATE, 1e12},
    {"KiB/s", WEFT_MODEL_DIM_RATE, 1024},
    {"MiB/s", WEFT_MODEL_DIM_RATE, 1048576},
    {"GiB/s", WEFT_MODEL_DIM_RATE, 1073741824},
    {"bit/s", WEFT_MODEL_DIM_RATE, 0.125},
    {"kbit/s", WEFT_MODEL_DIM_RATE, 125},
    {"Mbit/s", WEFT_MODEL_DIM_RATE, 125e3},
    {"Gbit/s", WEFT_MODEL_DIM_RATE, 125e6},
    {"Tbit/s", WEFT_MODEL_DIM_RATE, 125e9},
    {"s/B", WEFT_MODEL_DIM_TIME_PER_SIZE, 1},
    {"ns/B", WEFT_MODEL_DIM_TIME_PER_SIZE, 1e-9},
    {"ps/B", WEFT_MODEL_DIM_TIME_PER_SIZE, 1e-12},
    {"1/s", WEFT_MODEL_DIM_FREQUENCY, 1},
    {"Hz", WEFT_MODEL_DIM_FREQUENCY, 1},
    {"kHz", WEFT_MODEL_DIM_FREQUENCY, 1e3},
    {"MHz", WEFT_MODEL_DIM_FREQUENCY, 1e6},
    {"GHz", WEFT_MODEL_DIM_FREQUENCY, 1e9},
    {"op", WEFT_MODEL_DIM_WORK, 1},
    {"kop", WEFT_MODEL_DIM_WORK, 1e3},
    {"Mop", WEFT_MODEL_DIM_WORK, 1e6},
    {"Gop", WEFT_MODEL_DIM_WORK, 1e9},
    {"Top", WEFT_MODEL_DIM_WORK, 1e12},
    {"op/s", WEFT_MODEL_DIM_WORK_RATE, 1},
    {"Mop/s", WEFT_MODEL_DIM_WORK_RATE, 1e6},
    {"Gop/s", WEFT_MODEL_DIM_WORK_RATE, 1e9},
    {"Top/s", WEFT_MODEL_DIM_WORK_RATE, 1e12},
    {"W", WEFT_MODEL_DIM_POWER, 1},
    {"mW", WEFT_MODEL_DIM_POWER, 1e-3},
    {"kW", WEFT_MODEL_DIM_POWER, 1e3},
    {"J", WEFT_MODEL_DIM_ENERGY, 1},
};
#define UNITS (sizeof units / sizeof *units)

bool weft_model_unit(const char *name, enum weft_model_dimension *dimension, double *factor) {
    for (size_t i = 0; i < UNITS; i++) {
        if (strcmp(units[i].name, name) != 0) continue;
        *dimension = units[i].dimension;
        *factor = units[i].factor;
        return true;
    }
    return false;
}

const char *weft_model_si_unit(enum weft_model_dimension d) {
    for (size_t i = 0; i < UNITS; i++)
        if (units[i].dimension == d && units[i].factor == 1) return units[i].name;
    return "1";
}

const char *model_unit_at(size_t i, enum weft_model_dimension *dimension) {
    if (i >= UNITS) return NULL;
    *dimension = units[i].dimension;
    return units[i].name;
}
