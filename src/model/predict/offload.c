/* Offload or not, with the reason in words. */
#include "model/predict/predict.h"

#include <math.h>
#include <stdio.h>

#define TIME_TEXT 24

/* "3.1 ms": three digits are more than a forecast is good for. */
static const char *time_text(double s, char text[TIME_TEXT]) {
    static const struct {
        double from_s;
        const char *name;
    } unit[] = {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
    size_t i = 0;
    while (i < 3 && s < unit[i].from_s) i++;
    snprintf(text, TIME_TEXT, "%.3g %s", s / unit[i].from_s, unit[i].name);
    return text;
}

static double moved_s(const struct weft_forecast *f) { return f->in_s + f->out_s; }

bool weft_offload(const char *here, const struct weft_forecast *at_here, const char *there,
                  const struct weft_forecast *at_there, char *reason, size_t size) {
    char a[TIME_TEXT], b[TIME_TEXT], c[TIME_TEXT], d[TIME_TEXT];
    double times = at_here->seconds / at_there->seconds;
    time_text(at_here->seconds, a);
    time_text(at_there->seconds, b);
    time_text(moved_s(at_there), c);
    time_text(at_there->kernel_s, d);
    if (at_there->seconds < at_here->seconds) {
        snprintf(reason, size,
                 "worth it: %s on %s, %s of it for transfers, against %s on %s: %.2g times as fast", b, there,
                 c, a, here, times);
        return true;
    }
    if (at_there->kernel_s < at_here->seconds)
        snprintf(reason, size,
                 "not worth it: %s on %s against %s on %s; the kernel alone would be sooner (%s), but moving "
                 "its data "
                 "takes %s",
                 b, there, a, here, d, c);
    else
        snprintf(reason, size, "not worth it: %s on %s against %s on %s; it computes no faster there (%s)", b,
                 there, a, here, d);
    return false;
}
