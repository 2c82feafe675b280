/* The tier form against published curves of a real memory behind two buffers (Optane DIMMs): pointer chasing
 * over working sets of 1 KiB to 1 GiB, on six interleaved DIMMs and on one. The buffers' capacities are the
 * memory's description (16 KiB and 16 MiB a DIMM); only the three latencies are fitted, to every other point.
 * The curves are not part of this repository: without the folder OPTANE_DATA (WEFT_OPTANE_DATA names another)
 * all of this is skipped. */
#include "base/error.h"
#include "model/predict/predict.h"
#include "model/predict/predict_test.h"

#include <stdlib.h>
#include <string.h>

#define POINTS 1024
#define KIB    1024.0
#define MIB    (1024 * KIB)

struct points {
    double x[POINTS], read[POINTS], write[POINTS];
    size_t n;
};

static const char *folder(void) {
    const char *named = getenv("WEFT_OPTANE_DATA");
    return named ? named : OPTANE_DATA;
}

static FILE *open_data(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder(), name);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("no %s: skipped\n", path);
        skip();
    }
    return f;
}

/* The place of a column in the heading; rows have no quotes. */
static int column(const char *heading, const char *name) {
    int at = 0;
    for (const char *p = heading; p; p = strchr(p, ','), at++) {
        p += *p == ',';
        if (!strncmp(p, name, strlen(name)) && strchr(",\r\n", p[strlen(name)])) return at;
    }
    fail_msg("no column %s", name);
    return -1;
}

static const char *cell(const char *line, int at) {
    for (; at > 0; at--) line = strchr(line, ',') + 1;
    return line;
}

struct columns {
    int size, count, start, written, read, type;
};

static void read_line(const char *line, const struct columns *c, double wanted_line_B, struct points *p) {
    double size = strtod(cell(line, c->size), NULL), start = strtod(cell(line, c->start), NULL);
    double written = strtod(cell(line, c->written), NULL), read = strtod(cell(line, c->read), NULL);
    const char *type = cell(line, c->type), *end = strchr(type, ',');
    char text[64];
    snprintf(text, sizeof text, "%.*s", end ? (int)(end - type) : 63, type);
    double line_B = strtod(strrchr(text, '-') + 1, NULL);
    if (line_B != wanted_line_B || size < KIB || p->n == POINTS) return;
    double accesses = strtod(cell(line, c->count), NULL) * (size / line_B);
    p->x[p->n] = size;
    p->write[p->n] = (written - start) / accesses;
    p->read[p->n++] = (read - written) / accesses;
}

static void load(const char *name, double line_B, struct points *p) {
    char line[1024];
    FILE *f = open_data(name);
    p->n = 0;
    assert_non_null(fgets(line, sizeof line, f));
    const struct columns c = {column(line, "access_size"),    column(line, "count"),
                              column(line, "cycle_start"),    column(line, "cycle_write_end"),
                              column(line, "cycle_read_end"), column(line, "raw_type")};
    while (fgets(line, sizeof line, f)) read_line(line, &c, line_B, p);
    fclose(f);
    assert_true(p->n > 20);
}

static struct weft_curve fit(const double *x, const double *y, size_t n, double dimms, unsigned buffers) {
    const double knees[] = {dimms * 16 * KIB, dimms * 16 * MIB};
    struct weft_curve_ask ask = {.form = buffers ? WEFT_MODEL_TIER : WEFT_MODEL_CONSTANT,
                                 .knees = knees,
                                 .knee_count = buffers,
                                 .hold_out = 2};
    struct weft_curve c;
    assert_int_equal(weft_curve_fit(&ask, x, y, n, &c), WEFT_OK);
    printf("%u buffers: %zu points held out: median %.2f %%, p95 %.2f %%, max %.2f %%\n", buffers,
           c.held_out.points, 100 * c.held_out.median, 100 * c.held_out.p95, 100 * c.held_out.max);
    return c;
}

static bool meets(const struct weft_fit_error *e) { return e->median <= 0.01 && e->p95 <= 0.03; }

static void optane__two_buffers_reproduce_the_read_curve(void **state) {
    struct points p;
    load("RaW-Interleaved-NT.csv", 64, &p);
    struct weft_curve c = fit(p.x, p.read, p.n, 6, 2);
    assert_true(c.held_out.points >= 50);
    assert_true(meets(&c.held_out));
    assert_true(c.parameter[0] > 0 && c.parameter[2] > 0 && c.parameter[4] > 0); /* each level is slower */
}

static void optane__the_same_form_fails_without_its_buffers(void **state) {
    struct points p;
    load("RaW-Interleaved-NT.csv", 64, &p);
    for (unsigned buffers = 0; buffers < 2; buffers++) {
        struct weft_curve c = fit(p.x, p.read, p.n, 6, buffers);
        assert_false(meets(&c.held_out));
        assert_true(c.held_out.median > 0.05 && c.held_out.p95 > 0.06);
    }
}

/* What was learned on six DIMMs, with a sixth of their buffers, says what one does. */
static void optane__six_modules_tell_one(void **state) {
    struct points six, one;
    struct weft_fit_error e;
    load("RaW-Interleaved-NT.csv", 64, &six);
    load("RaW-NonInterleaved-NT.csv", 64, &one);
    struct weft_curve c = fit(six.x, six.read, six.n, 6, 2);
    c.parameter[1] /= 6;
    c.parameter[3] /= 6;
    assert_int_equal(weft_curve_error(&c, one.x, one.read, one.n, &e), WEFT_OK);
    printf("one DIMM from six: %zu points: median %.2f %%, p95 %.2f %%, max %.2f %%\n", e.points,
           100 * e.median, 100 * e.p95, 100 * e.max);
    assert_true(e.median <= 0.02);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(optane__two_buffers_reproduce_the_read_curve),
        cmocka_unit_test(optane__the_same_form_fails_without_its_buffers),
        cmocka_unit_test(optane__six_modules_tell_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
