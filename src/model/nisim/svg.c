/* SVG. Lines are told apart by dashes and marks, areas by hatching: no colour carries meaning. */
#include "model/nisim/svg.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

#define FONT "font-family=\"sans-serif\" font-size=\"11\""

static void begin(FILE *f, int width, int height) {
    fprintf(
        f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" %s>\n",
        width, height, width, height, FONT);
    fputs("<defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\">"
          "<rect width=\"5\" height=\"5\" fill=\"white\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"5\" "
          "stroke=\"black\" stroke-width=\"2\"/></pattern></defs>\n"
          "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
          f);
}

static int end(FILE *f) {
    fputs("</svg>\n", f);
    return fflush(f) || ferror(f) ? WEFT_E_IO : WEFT_OK;
}

static void text(FILE *f, double x, double y, const char *anchor, const char *s) {
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *s; s++) {
        if (*s == '<')
            fputs("&lt;", f);
        else if (*s == '&')
            fputs("&amp;", f);
        else
            fputc(*s, f);
    }
    fputs("</text>\n", f);
}

static void line(FILE *f, double x1, double y1, double x2, double y2, const char *style) {
    fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"black\" %s/>\n", x1, y1, x2,
            y2, style);
}

/* --- Timelines. --- */

#define LANE_HEIGHT  24
#define LANE_LEFT    120
#define LANE_WIDTH   820
#define LEGEND_WIDTH 980

static bool of_os(enum nisim_lane l) { return l == NISIM_L_OS || l == NISIM_L_SENDER_OS; }

static void axis(FILE *f, double y, cycle_t end_at, double clock_Hz) {
    char label[48];
    line(f, LANE_LEFT, y, LANE_LEFT + LANE_WIDTH, y, "");
    for (int i = 0; i <= 4; i++) {
        double x = LANE_LEFT + LANE_WIDTH * i / 4.0, cycles = (double)end_at * i / 4;
        line(f, x, y, x, y + 4, "");
        snprintf(label, sizeof label, "%.0f cycles, %.0f ns", cycles, cycles / clock_Hz * 1e9);
        text(f, x, y + 16, i == 0 ? "start" : i == 4 ? "end" : "middle", label);
    }
}

static double one_journey(FILE *f, const struct nisim_journey *j, double y, double clock_Hz, double bytes) {
    char label[160];
    double scale = LANE_WIDTH / (double)(j->end ? j->end : 1);
    static const char *const titles[] = {"Lock release (figure 3)", "Asynchronous branch (figure 3)",
                                         "Thread dispatch (figure 3)", "Polling",
                                         "Kernel-mode NI, interrupt and signal (figure 1)"};
    snprintf(label, sizeof label, "%s: %g B by %s; from the message's arrival to the handler %lu cycles",
             titles[j->mechanism], bytes,
             j->mechanism == NISIM_KERNEL ? "system call"
             : j->pio                     ? "PIO"
                                          : "DMA",
             (unsigned long)j->handler);
    fputs("<g font-weight=\"bold\">", f);
    text(f, 10, y + 14, "start", label);
    fputs("</g>\n", f);
    y += 24;
    for (int l = 0; l < NISIM_LANES; l++) {
        text(f, LANE_LEFT - 8, y + l * LANE_HEIGHT + 15, "end", nisim_lane_name[l]);
        line(f, LANE_LEFT, y + l * LANE_HEIGHT + 20, LANE_LEFT + LANE_WIDTH, y + l * LANE_HEIGHT + 20,
             "stroke-width=\"0.3\"");
    }
    for (int i = 0; i < j->count; i++) {
        const struct nisim_step *s = &j->step[i];
        double x = LANE_LEFT + scale * (double)s->from, w = scale * (double)(s->to - s->from);
        fprintf(f,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"18\" stroke=\"black\" fill=\"%s\"/>\n",
                x, y + s->lane * LANE_HEIGHT + 1, w < 1 ? 1 : w,
                of_os(s->lane) ? "url(#hatch)"
                : i % 2        ? "#d0d0d0"
                               : "white");
        snprintf(label, sizeof label, "%d", i + 1);
        fputs("<g paint-order=\"stroke\" stroke=\"white\" stroke-width=\"3\">",
              f); /* so that it shows on hatching */
        text(f, x + w / 2, y + s->lane * LANE_HEIGHT + 14, "middle", label);
        fputs("</g>\n", f);
    }
    y += NISIM_LANES * LANE_HEIGHT + 4;
    axis(f, y, j->end, clock_Hz);
    y += 34;
    for (int i = 0; i < j->count; i++) {
        const struct nisim_step *s = &j->step[i];
        snprintf(label, sizeof label, "%d. %s, %s: %lu", i + 1, nisim_lane_name[s->lane], s->what,
                 (unsigned long)(s->to - s->from));
        text(f, 20 + (i % 2) * 480, y + (i / 2) * 14, "start", label);
    }
    return y + (j->count + 1) / 2 * 14 + 14;
}

int nisim_svg_journeys(FILE *f, const struct nisim_journey *j, int count, double clock_Hz, double bytes) {
    int height = 10;
    for (int i = 0; i < count; i++)
        height += 24 + NISIM_LANES * LANE_HEIGHT + 38 + (j[i].count + 1) / 2 * 14 + 14;
    begin(f, LEGEND_WIDTH, height);
    double y = 5;
    for (int i = 0; i < count; i++) y = one_journey(f, &j[i], y, clock_Hz, bytes);
    return end(f);
}

/* --- Plots. --- */

#define PLOT_WIDTH  460
#define PLOT_HEIGHT 330
#define LEFT        62
#define TOP         30
#define WIDE        270
#define HIGH        240

static const char *const dashes[] = {"",
                                     "stroke-dasharray=\"8 3\"",
                                     "stroke-dasharray=\"2 3\"",
                                     "stroke-dasharray=\"8 3 2 3\"",
                                     "stroke-dasharray=\"14 4\"",
                                     "stroke-width=\"2.5\"",
                                     "stroke-width=\"2.5\" stroke-dasharray=\"8 4\""};

struct scale {
    double min, max;
    bool log;
};

static double on(const struct scale *s, double v) {
    if (s->log) return v <= s->min ? 0 : (log(v) - log(s->min)) / (log(s->max) - log(s->min));
    return (v - s->min) / (s->max - s->min);
}

static struct scale range(const struct nisim_plot *p, bool of_x) {
    struct scale s = {.min = INFINITY, .max = -INFINITY, .log = of_x ? p->log_x : p->log_y};
    for (int c = 0; c < p->curves; c++)
        for (int i = 0; i < p->curve[c].count; i++) {
            double v = of_x ? p->curve[c].x[i] : p->curve[c].y[i];
            if (!isfinite(v) || (s.log && v <= 0)) continue;
            if (v < s.min) s.min = v;
            if (v > s.max) s.max = v;
        }
    if (!isfinite(s.min)) s.min = s.log ? 1 : 0, s.max = s.log ? 10 : 1;
    if (!s.log && s.min > 0 && !of_x) s.min = 0;
    if (s.max <= s.min) s.max = s.log ? 10 * s.min : s.min + 1;
    return s;
}

static void mark(FILE *f, int c, double x, double y) {
    static const char *const shapes[] = {"M-3-3h6v6h-6z",      "M0-4L4 3H-4z",  "M-3-3L3 3M3-3L-3 3",
                                         "M0-4L4 0L0 4L-4 0z", "M0-4V4M-4 0H4", "M0 4L4-3H-4z",
                                         "M-2-2h4v4h-4z"};
    fprintf(f, "<path d=\"%s\" transform=\"translate(%.1f %.1f)\" fill=\"%s\" stroke=\"black\"/>\n",
            shapes[c % 7], x, y, c % 2 ? "black" : "white");
}

/* "20k", "3M": four figures at most. */
static void short_number(char *out, size_t len, double v) {
    static const char *const suffix[] = {"", "k", "M", "G"};
    int k = 0;
    while (fabs(v) >= 1000 && k < 3) v /= 1000, k++;
    snprintf(out, len, "%.3g%s", v, suffix[k]);
}

static void tick(FILE *f, const struct scale *s, bool of_x, double x0, double y0, double v) {
    char label[24];
    double x = of_x ? x0 + WIDE * on(s, v) : x0, y = of_x ? y0 + HIGH : y0 + HIGH - HIGH * on(s, v);
    short_number(label, sizeof label, v);
    line(f, x, y, of_x ? x : x - 4, of_x ? y + 4 : y, "");
    text(f, of_x ? x : x - 6, of_x ? y + 16 : y + 4, of_x ? "middle" : "end", label);
}

/* At round numbers: 1, 2 and 5 of a decade where there are few decades, or steps of such a number. */
static void ticks(FILE *f, const struct scale *s, bool of_x, double x0, double y0) {
    static const double of_decade[] = {1, 2, 5};
    double decades = s->log ? log10(s->max / s->min) : 0, step = 0;
    if (s->log) {
        for (double decade = pow(10, floor(log10(s->min))); decade <= s->max; decade *= 10)
            for (int i = 0; i < (decades > 2.5 ? 1 : 3); i++)
                if (decade * of_decade[i] >= s->min && decade * of_decade[i] <= s->max)
                    tick(f, s, of_x, x0, y0, decade * of_decade[i]);
        return;
    }
    step = pow(10, floor(log10((s->max - s->min) / 4)));
    while ((s->max - s->min) / step > 8) step *= (s->max - s->min) / step > 20 ? 5 : 2;
    for (double v = ceil(s->min / step) * step; v <= s->max; v += step) tick(f, s, of_x, x0, y0, v);
}

static void curve(FILE *f, const struct nisim_plot *p, int c, const struct scale *sx, const struct scale *sy,
                  double x0, double y0) {
    const struct nisim_curve *v = &p->curve[c];
    fprintf(f, "<polyline fill=\"none\" stroke=\"black\" %s points=\"", dashes[c % 7]);
    for (int i = 0; i < v->count; i++)
        if (isfinite(v->y[i]))
            fprintf(f, "%.1f,%.1f ", x0 + WIDE * on(sx, v->x[i]), y0 + HIGH - HIGH * on(sy, v->y[i]));
    fputs("\"/>\n", f);
    for (int i = 0; i < v->count; i++)
        if (isfinite(v->y[i])) mark(f, c, x0 + WIDE * on(sx, v->x[i]), y0 + HIGH - HIGH * on(sy, v->y[i]));
    double y = y0 + 10 + c * 18;
    line(f, x0 + WIDE + 12, y, x0 + WIDE + 44, y, dashes[c % 7]);
    mark(f, c, x0 + WIDE + 28, y);
    text(f, x0 + WIDE + 50, y + 4, "start", v->name);
}

int nisim_svg_plots(FILE *f, const struct nisim_plot *p, int count, int columns) {
    begin(f, columns * PLOT_WIDTH, (count + columns - 1) / columns * PLOT_HEIGHT);
    for (int i = 0; i < count; i++) {
        double x0 = i % columns * PLOT_WIDTH + LEFT, y0 = i / columns * PLOT_HEIGHT + TOP;
        struct scale sx = range(&p[i], true), sy = range(&p[i], false);
        text(f, x0 - LEFT + 8, y0 - 14, "start", p[i].title);
        fprintf(f,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"black\"/>\n",
                x0, y0, WIDE, HIGH);
        ticks(f, &sx, true, x0, y0);
        ticks(f, &sy, false, x0, y0);
        text(f, x0 + WIDE / 2.0, y0 + HIGH + 34, "middle", p[i].x_title);
        fprintf(f, "<g transform=\"translate(%.1f %.1f) rotate(-90)\">", x0 - 46, y0 + HIGH / 2.0);
        text(f, 0, 0, "middle", p[i].y_title);
        fputs("</g>\n", f);
        for (int c = 0; c < p[i].curves; c++) curve(f, &p[i], c, &sx, &sy, x0, y0);
    }
    return end(f);
}
