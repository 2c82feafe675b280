/* Paced devices: the kernels that they know. */
#include <string.h>

#include "paced.h"

/* ---- sbmp: the kernel of matmul, and of the paper whose program that follows ----
 * sbmp(n, slice, subA, subB, subC): subC[i * slice + j] is the product of row i of subA and row j of subB, of
 * n elements each.
 */
enum { N, SLICE, SUB_A, SUB_B, SUB_C };

static bool sbmp_fits(const struct paced_value *arg, const size_t global[2]) {
    if (arg[N].number < 1 || arg[SLICE].number < 1 || !global[0] || !global[1]) return false;
    size_t n = (size_t)arg[N].number, slice = (size_t)arg[SLICE].number, most = (size_t)1 << 20;
    if (global[0] > most || global[1] > slice) return false;
    return global[0] * n <= arg[SUB_A].mem->bytes / sizeof(float) &&
           global[1] * n <= arg[SUB_B].mem->bytes / sizeof(float) &&
           (global[0] - 1) * slice + global[1] <= arg[SUB_C].mem->bytes / sizeof(float);
}

static double sbmp_flops(const struct paced_value *arg, const size_t global[2]) {
    return 2.0 * (double)global[0] * (double)global[1] * arg[N].number;
}

/* In sixteen sums, which the compiler makes vectors of. Where the elements are whole numbers the order does
 * not matter. */
static float dot(const float *a, const float *b, size_t n) {
    float sum[16] = {0};
    size_t k = 0;
    for (; k + 16 <= n; k += 16)
        for (size_t l = 0; l < 16; l++) sum[l] += a[k + l] * b[k + l];
    for (; k < n; k++) sum[0] += a[k] * b[k];
    for (size_t l = 1; l < 16; l++) sum[0] += sum[l];
    return sum[0];
}

static void sbmp_compute(const struct paced_value *arg, const size_t global[2]) {
    size_t n = (size_t)arg[N].number, slice = (size_t)arg[SLICE].number;
    const float *a = (const float *)arg[SUB_A].mem->data, *b = (const float *)arg[SUB_B].mem->data;
    float *c = (float *)arg[SUB_C].mem->data;
    for (size_t i = 0; i < global[0]; i++)
        for (size_t j = 0; j < global[1]; j++) c[i * slice + j] = dot(a + i * n, b + j * n, n);
}

const struct paced_kernel paced_kernels[] = {
    {.name = "sbmp",
     .args = 5,
     .arg = {{"n", false}, {"slice", false}, {"subA", true}, {"subB", true}, {"subC", true}},
     .fits = sbmp_fits,
     .flops = sbmp_flops,
     .compute = sbmp_compute},
};
const size_t paced_kernel_count = sizeof paced_kernels / sizeof *paced_kernels;

const struct paced_kernel *paced_find_kernel(const char *name) {
    for (size_t i = 0; i < paced_kernel_count; i++)
        if (!strcmp(paced_kernels[i].name, name)) return &paced_kernels[i];
    return NULL;
}
