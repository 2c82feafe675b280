/* What CMD did, as tables: on which devices, in which kernels, and in which processes. */
#include "base/error.h"
#include "cli/device_list.h"
#include "cli/output.h"
#include "cli/record.h"

#include <stdlib.h>
#include <string.h>

#define KERNELS_SHOWN        20
#define PROCESSES_SHOWN      20
#define INVENTORY_TIMEOUT_MS 5000u

struct sum {                          /* of a device, or of a kernel on a device */
    uint64_t device;                  /* node << 32 | its number there */
    const char *kernel, *name, *host; /* as the kernel's entry has them; NULL: not told */
    uint64_t kernels, timed, total_ns, least_ns, in_bytes, out_bytes;
};
struct sums {
    struct sum *sum;
    size_t count;
};

/* --- Adding up --- */

/* The one of that device and kernel (NULL: the device itself). There is room for each. */
static struct sum *sum_of(struct sums *s, uint64_t device, const char *kernel) {
    for (size_t i = 0; i < s->count; i++)
        if (s->sum[i].device == device && (!kernel || strcmp(s->sum[i].kernel, kernel) == 0))
            return &s->sum[i];
    s->sum[s->count] = (struct sum){.device = device, .kernel = kernel, .least_ns = UINT64_MAX};
    return &s->sum[s->count++];
}

static void add_times(struct sum *s, const struct weft_record_kernel *k) {
    uint64_t least_ns = k->least_ns, timed = k->timed;
    s->name = k->device;
    s->host = k->host;
    s->timed += timed;
    s->total_ns += k->total_ns;
    if (timed && least_ns < s->least_ns) s->least_ns = least_ns;
}

static void add_devices(struct sums *s, const struct record *r) {
    for (size_t i = 0; i < r->processes; i++)
        for (const struct record_device *d = r->process[i].device; d < r->process[i].device + RECORD_DEVICES;
             d++) {
            if (!d->id) continue;
            struct sum *of = sum_of(s, d->id - 1, NULL);
            of->kernels += d->kernels;
            of->in_bytes += d->in_bytes;
            of->out_bytes += d->out_bytes;
        }
    for (size_t i = 0; i < r->kernels; i++)
        add_times(sum_of(s, r->kernel[i].did.device_id, NULL), &r->kernel[i].did);
}

static void add_kernels(struct sums *s, const struct record *r) {
    for (size_t i = 0; i < r->kernels; i++) {
        const struct weft_record_kernel *k = &r->kernel[i].did;
        struct sum *of = sum_of(s, k->device_id, k->name);
        of->kernels += k->launches;
        add_times(of, k);
    }
}

static int by_device(const void *a, const void *b) {
    const struct sum *p = a, *q = b;
    return p->device < q->device ? -1 : p->device > q->device;
}

static int by_time(const void *a, const void *b) {
    const struct sum *p = a, *q = b;
    return p->total_ns != q->total_ns ? (p->total_ns < q->total_ns ? 1 : -1) : by_device(a, b);
}

/* --- Showing --- */

static const struct choice_device *find_device(const struct device_list *l, uint64_t device) {
    uint32_t node = (uint32_t)(device >> 32), place = (uint32_t)device;
    for (size_t i = 0; i < l->count; i++)
        if (l->devices[i].node == node && place-- == 0) return &l->devices[i];
    return NULL;
}

/* The number of `weft devices` and the name that CMD has seen. A node that has gone since has no numbers. */
static void add_device(struct table *t, const struct device_list *l, const struct sum *s) {
    const struct choice_device *d = find_device(l, s->device);
    const char *name = d ? d->device->name : s->name, *host = d ? d->host : s->host;
    if (d)
        table_add(t, "%zu", d->number);
    else
        table_add(t, "-");
    table_add(t, "%s @%s:%u", name ? name : "?", host ? host : "?", (unsigned)(s->device >> 32));
}

/* Nothing is known of a device whose commands do not profile. */
static void add_time(struct table *t, const struct sum *s, double seconds, double unit, int digits) {
    if (s->timed)
        table_add(t, "%.*f", digits, seconds / unit);
    else
        table_add(t, "-");
}

static void show_devices(const struct sums *s, const struct device_list *l, double seconds, FILE *f) {
    struct table t;
    TABLE_HEADING(&t, "#", "DEVICE", "KERNELS", "IN KERNELS s", "OF THE RUN %", "TO IT B", "FROM IT B");
    for (size_t i = 0; i < s->count; i++) {
        const struct sum *d = &s->sum[i];
        add_device(&t, l, d);
        table_add(&t, "%llu", (unsigned long long)d->kernels);
        add_time(&t, d, (double)d->total_ns * 1e-9, 1, 3);
        add_time(&t, d, (double)d->total_ns * 1e-9, 0.01 * seconds, 0);
        table_add_short(&t, (double)d->in_bytes);
        table_add_short(&t, (double)d->out_bytes);
    }
    table_write(&t, f);
}

static void show_kernels(const struct sums *s, const struct device_list *l, FILE *f) {
    struct table t;
    size_t n = s->count < KERNELS_SHOWN ? s->count : KERNELS_SHOWN;
    TABLE_HEADING(&t, "KERNEL", "LAUNCHES", "TOGETHER s", "MEAN us", "LEAST us", "#", "DEVICE");
    for (size_t i = 0; i < n; i++) {
        const struct sum *k = &s->sum[i];
        table_add(&t, "%s", k->kernel);
        table_add(&t, "%llu", (unsigned long long)k->kernels);
        add_time(&t, k, (double)k->total_ns * 1e-9, 1, 3);
        add_time(&t, k, (double)k->total_ns * 1e-9, 1e-6 * (double)k->timed, 1);
        add_time(&t, k, (double)k->least_ns * 1e-9, 1e-6, 1);
        add_device(&t, l, k);
    }
    table_write(&t, f);
    if (n < s->count) fprintf(f, "and %zu more\n", s->count - n);
}

static void show_processes(const struct record *r, FILE *f) {
    struct table t;
    size_t n = r->processes < PROCESSES_SHOWN ? r->processes : PROCESSES_SHOWN;
    TABLE_HEADING(&t, "PROCESS", "HOST", "PROGRAM", "LIVED s", "CPU s", "SENT B");
    for (size_t i = 0; i < n; i++) {
        const struct record_process *p = &r->process[i];
        uint64_t sent = 0;
        for (size_t k = 0; k < r->peers; k++)
            if (r->peer[k].process == i)
                sent +=
                    r->peer[k].did.did[WEFT_RECORD_MESSAGE].bytes + r->peer[k].did.did[WEFT_RECORD_PUT].bytes;
        table_add(&t, "%u", p->who.pid);
        table_add(&t, "%s", p->who.host);
        table_add(&t, "%s", p->who.program);
        table_add(&t, p->cpu_ns ? "%.3f" : "-", (double)(p->end_ns - p->who.start_ns) * 1e-9);
        table_add(&t, p->cpu_ns ? "%.3f" : "-", (double)p->cpu_ns * 1e-9);
        table_add_short(&t, (double)sent);
    }
    table_write(&t, f);
    if (n < r->processes) fprintf(f, "and %zu more\n", r->processes - n);
}

/* Its list is empty when the cluster does not tell any more. */
static struct device_list list_devices(const char *socket) {
    struct device_list l = {0};
    struct node_client *c;
    if (node_client_open(&c, NULL, socket, NODE_TOOL, NULL) != WEFT_OK) return l;
    if (!device_list_get(&l, c, INVENTORY_TIMEOUT_MS, false)) l = (struct device_list){0};
    node_client_close(c);
    return l;
}

void record_summary(const struct record *r, const char *socket, double seconds, FILE *f) {
    size_t most = RECORD_DEVICES * r->processes + r->kernels + 1;
    struct sums devices = {calloc(most, sizeof *devices.sum), 0},
                kernels = {calloc(most, sizeof *kernels.sum), 0};
    struct device_list l = list_devices(socket);
    fprintf(f, "\nweft: it took %.3f s, in %zu %s that used weft\n", seconds, r->processes,
            r->processes == 1 ? "process" : "processes");
    if (devices.sum && kernels.sum) {
        add_devices(&devices, r);
        add_kernels(&kernels, r);
        qsort(devices.sum, devices.count, sizeof *devices.sum, by_device);
        qsort(kernels.sum, kernels.count, sizeof *kernels.sum, by_time);
    }
    if (devices.count) show_devices(&devices, &l, seconds, f);
    if (kernels.count) show_kernels(&kernels, &l, f);
    if (r->processes) show_processes(r, f);
    device_list_free(&l);
    free(devices.sum);
    free(kernels.sum);
}
