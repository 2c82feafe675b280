/* The config file: any bytes are taken, what is found lies in order, bad lines are told. */
#include "base/config.h"
#include "fuzz.h"

#include <string.h>

static void problem(void *ctx, unsigned line, const char *text) { FUZZ_CHECK(line > 0 && text && *text); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct weft_config c;
    weft_config_init(&c);
    weft_config_parse(&c, (const char *)data, size, problem, NULL);
    for (size_t i = 0; i < c.count; i++) {
        FUZZ_CHECK(c.lines[i].name && c.lines[i].value &&
                   strlen(c.lines[i].name) + strlen(c.lines[i].value) <= size);
        FUZZ_CHECK(i == 0 || c.lines[i].number > c.lines[i - 1].number);
        FUZZ_CHECK(weft_config_find(&c, c.lines[i].name));
    }
    weft_config_fini(&c);
    return 0;
}
