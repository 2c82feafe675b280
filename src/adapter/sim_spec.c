/* sim: what the network is like, from one line of text. */
#include "adapter/sim_internal.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#include <string.h>

enum key {
    SEED,
    LOSS,
    DUPLICATE,
    REORDER,
    CORRUPT,
    TRUNCATE,
    REFUSE,
    DELAY_US,
    JITTER_US,
    RATE_MBPS,
    QUEUE_BYTES,
    PACKET_BYTES,
    PATH_BYTES,
    CUT_MS,
    EVERY_MS,
    TAGS,
    METHOD1,
    METHOD2,
    KEYS
};

static const struct {
    const char *name;
    double value, min, max; /* value: unless it is given */
} keys[KEYS] = {
    [SEED] = {"seed", 1, 0, 0x1p53},
    [LOSS] = {"loss", 0, 0, 1},
    [DUPLICATE] = {"duplicate", 0, 0, 1},
    [REORDER] = {"reorder", 0, 0, 1},
    [CORRUPT] = {"corrupt", 0, 0, 1},
    [TRUNCATE] = {"truncate", 0, 0, 1},
    [REFUSE] = {"refuse", 0, 0, 0.99},
    [DELAY_US] = {"delay_us", 0, 0, 1e7},
    [JITTER_US] = {"jitter_us", 0, 0, 1e7},
    [RATE_MBPS] = {"rate_MBps", 0, 0, 1e6},
    [QUEUE_BYTES] = {"queue_bytes", 0, 0, 1e12},
    [PACKET_BYTES] = {"packet_bytes", 1472, 1200, SIM_PACKET_MAX},
    [PATH_BYTES] = {"path_bytes", 0, 0, 65536},
    [CUT_MS] = {"cut_ms", 0, 0, 1e6},
    [EVERY_MS] = {"every_ms", 0, 0, 1e9},
    [TAGS] = {"tags", 0, 0, 1e6},
    [METHOD1] = {"method1", 1, 0, 1},
    [METHOD2] = {"method2", 1, 0, 1},
};

static enum key key_of(const char *name, size_t len) {
    for (int k = 0; k < KEYS; k++)
        if (strlen(keys[k].name) == len && !memcmp(keys[k].name, name, len)) return (enum key)k;
    return KEYS;
}

/* Digits with a point among them, whatever the program's locale. */
static bool read_number(const char *text, size_t len, double *out) {
    double value = 0, unit = 1;
    bool point = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '.' && !point) {
            point = true;
        } else if (text[i] >= '0' && text[i] <= '9') {
            value = 10 * value + (text[i] - '0');
            if (point) unit *= 10;
        } else {
            return false;
        }
    }
    *out = value / unit;
    return len > (size_t)point;
}

static int read_field(const char *field, size_t len, double value[KEYS]) {
    const char *equal = memchr(field, '=', len);
    size_t name_bytes = equal ? (size_t)(equal - field) : len;
    enum key k = key_of(field, name_bytes);
    double v;
    if (k == KEYS) {
        weft_error("sim", "a simulated network has no \"%.*s\"", (int)name_bytes, field);
        return WEFT_E_INVAL;
    }
    if (!equal || !read_number(equal + 1, len - name_bytes - 1, &v) || v < keys[k].min || v > keys[k].max) {
        weft_error("sim", "\"%.*s\": a number from %g to %g is wanted after %s=", (int)len, field,
                   keys[k].min, keys[k].max, keys[k].name);
        return WEFT_E_INVAL;
    }
    value[k] = v;
    return 0;
}

static void fill(struct sim_spec *spec, const double v[KEYS]) {
    *spec = (struct sim_spec){
        .net = {.loss = v[LOSS],
                .duplicate = v[DUPLICATE],
                .reorder = v[REORDER],
                .corrupt = v[CORRUPT],
                .truncate = v[TRUNCATE],
                .delay_ns = (uint64_t)(v[DELAY_US] * WEFT_NS_PER_US),
                .jitter_ns = (uint64_t)(v[JITTER_US] * WEFT_NS_PER_US),
                .ns_per_byte_x1000 = v[RATE_MBPS] > 0 ? (uint64_t)(1e6 / v[RATE_MBPS]) : 0,
                .path_bytes = (size_t)v[PATH_BYTES],
                .queue_bytes = v[RATE_MBPS] > 0 ? (size_t)v[QUEUE_BYTES] : 0},
        .seed = (uint64_t)v[SEED],
        .refuse = v[REFUSE],
        .cut_ns = (uint64_t)(v[CUT_MS] * WEFT_NS_PER_MS),
        .every_ns = (uint64_t)(v[EVERY_MS] * WEFT_NS_PER_MS),
        .packet_bytes = (size_t)v[PACKET_BYTES],
        .tag_entries = (size_t)v[TAGS],
        .method1 = v[METHOD1] > 0,
        .method2 = v[METHOD2] > 0,
    };
}

int sim_spec_parse(const char *text, struct sim_spec *out) {
    double value[KEYS];
    for (int k = 0; k < KEYS; k++) value[k] = keys[k].value;
    for (const char *at = text ? text : ""; *at;) {
        size_t len = strcspn(at, ",");
        int rc = read_field(at, len, value);
        if (rc) return rc;
        at += len + (at[len] == ',');
    }
    fill(out, value);
    return 0;
}
