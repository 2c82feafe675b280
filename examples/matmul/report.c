/* What the program prints about a product: a table for people, an object for programs. */
#include "matmul.h"
#include <stddef.h>
#include <string.h>

static double total_flops(const struct job *j) {
    double sum = 0;
    for (unsigned i = 0; i < j->n_devices; i++) sum += j->workers[i].flops;
    return sum;
}

static double gflops(double flops, double seconds) { return seconds > 0 ? flops / seconds * 1e-9 : 0; }

/* The widest text of a column, at least its title and at most `most`. */
static int column(const struct job *j, const char *title, size_t offset, int most) {
    int width = (int)strlen(title);
    for (unsigned i = 0; i < j->n_devices; i++) {
        int len = (int)strlen((const char *)&j->devices[i] + offset);
        if (len > width) width = len;
    }
    return width < most ? width : most;
}

void report_table(const struct job *j, uint64_t checksum, FILE *out) {
    double flops = total_flops(j);
    int host = column(j, "host", offsetof(struct cldevice, host), 24);
    int name = column(j, "device", offsetof(struct cldevice, name), 48);
    fprintf(out, "%4s  %-*s  %-*s %7s %6s %9s %10s %8s\n", "node", host, "host", name, "device", "blocks",
            "share", "kernel s", "transfer s", "GFLOP/s");
    for (unsigned i = 0; i < j->n_devices; i++) {
        const struct worker *w = &j->workers[i];
        const struct cldevice *d = w->device;
        fprintf(out, "%4u  %-*.*s  %-*.*s %7llu %5.1f%% %9.3f %10.3f %8.2f\n", d->node, host, host, d->host,
                name, name, d->name, (unsigned long long)w->blocks, 100 * w->flops / flops, w->kernel_s,
                w->transfer_s, gflops(w->flops, w->busy_s));
    }
    fprintf(out, "%d x %d in blocks of %d: %.3f s, %.2f GFLOP/s, checksum %016llx\n", j->n, j->n, j->slice,
            j->seconds, gflops(flops, j->seconds), (unsigned long long)checksum);
}

static void json_text(const char *s, FILE *out) {
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

void report_json(const struct job *j, bool verified, uint64_t checksum, FILE *out) {
    fprintf(
        out,
        "{\"n\":%d,\"slice\":%d,\"seconds\":%.6f,\"gflops\":%.3f,\"verified\":%s,\"checksum\":\"%016llx\",",
        j->n, j->slice, j->seconds, gflops(total_flops(j), j->seconds), verified ? "true" : "false",
        (unsigned long long)checksum);
    fputs("\"devices\":[", out);
    for (unsigned i = 0; i < j->n_devices; i++) {
        const struct worker *w = &j->workers[i];
        fputs(i ? ",{\"host\":" : "{\"host\":", out);
        json_text(w->device->host, out);
        fprintf(out, ",\"node\":%u,\"name\":", w->device->node);
        json_text(w->device->name, out);
        fprintf(out, ",\"blocks\":%llu,\"kernel_s\":%.6f,\"transfer_s\":%.6f,\"gflops\":%.3f}",
                (unsigned long long)w->blocks, w->kernel_s, w->transfer_s, gflops(w->flops, w->busy_s));
    }
    fputs("]}\n", out);
}
