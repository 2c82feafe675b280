/* weft config: all options of all modules, with their values and where those come from. */
#include "base/config.h"
#include "base/error.h"
#include "base/nearest.h"
#include "base/option.h"
#include "cli/command.h"
#include "cli/output.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct view {
    const char *only; /* NULL: all */
    bool json, verbose;
    unsigned shown;
    struct table table;
    struct weft_nearest nearest;
};

static void show_one(const char *module, const struct weft_option *o, const char *value, const char *source) {
    char variable[80] = "WEFT_";
    for (size_t i = 0; o->name[i] && i < sizeof variable - 6; i++) {
        variable[5 + i] = (char)toupper((unsigned char)o->name[i]);
        variable[6 + i] = 0;
    }
    printf("%s = %s\n  %s\n", o->name, value ? value : "(unset)", o->help ? o->help : "");
    printf("  from %s; default %s; set it with %s or in the config file; module %s\n", source,
           o->value ? o->value : "(unset)", variable, module);
    if (o->unit) printf("  unit %s\n", o->unit);
    if (o->choices)
        printf("  one of %s\n", o->choices);
    else if (o->min || o->max)
        printf("  from %lld to %lld\n", (long long)o->min, (long long)o->max);
}

static void visit(void *ctx, const char *module, const struct weft_option *o, const char *value,
                  const char *source) {
    struct view *v = ctx;
    if (v->only) weft_nearest_offer(&v->nearest, o->name);
    if (v->only && strcmp(v->only, o->name) != 0) return;
    v->shown++;
    if (v->json) {
        json_line(json_pack("{s:s, s:s, s:s?, s:s, s:s?, s:s?, s:s?}", "module", module, "name", o->name,
                            "value", value, "source", source, "default", o->value, "unit", o->unit, "help",
                            o->help));
        return;
    }
    if (v->only) {
        show_one(module, o, value, source);
        return;
    }
    table_add(&v->table, "%s", o->name);
    table_add(&v->table, "%s", value ? value : "-");
    table_add(&v->table, "%s", source);
    table_add(&v->table, "%s", o->value ? o->value : "-");
    table_add(&v->table, "%s", o->unit ? o->unit : "");
    table_add(&v->table, "%s", o->help ? o->help : "");
}

static void tell_unused_model(void) {
    char path[4096];
    const char *why = weft_options_model_unused();
    if (why && weft_config_path(WEFT_OPTION_MODEL_FILE, path, sizeof path) == WEFT_OK)
        fprintf(stderr, "weft: %s does not count: %s; `weft model measure` makes it anew\n", path, why);
}

static int run(int argc, char **argv) {
    struct view v = {0};
    int status = command_options(&command_config, argc, argv, &v.json, &v.only);
    if (status >= 0) return status;
    if (v.only) weft_nearest_init(&v.nearest, v.only);
    table_init(&v.table, 6);
    const char *const heading[] = {"NAME", "VALUE", "SOURCE", "DEFAULT", "UNIT", "HELP"};
    for (size_t i = 0; !v.json && !v.only && i < 6; i++) table_add(&v.table, "%s", heading[i]);
    weft_options_visit(visit, &v);
    if (!v.json && !v.only) table_print(&v.table);
    if (!v.json) tell_unused_model();
    if (!v.only || v.shown) return 0;
    if (v.nearest.best)
        fprintf(stderr, "weft: there is no option %s; did you mean %s?\n", v.only, v.nearest.best);
    else
        fprintf(stderr, "weft: there is no option %s; `weft config` lists them\n", v.only);
    return 1;
}

const struct command command_config = {
    .name = "config",
    .summary = "show all options, their values and where they come from",
    .usage = "Usage: weft config [--json] [NAME]\n"
             "Shows every option, or the one named: value, source (environment, file, model, default), "
             "default, unit, help.\n"
             "An option udp_gso is set by the variable WEFT_UDP_GSO or by a line `udp_gso = no` in the file\n"
             "$XDG_CONFIG_HOME/weft/config (~/.config/weft/config). Both come before what `weft model measure` has found\n"
             "on this machine (source model, the file model.conf beside it).\n\n"
             "  --json   one object a line: module, name, value, source, default, unit, help\n",
    .run = run,
};
