/* Properties: what is said of an entity that is no number. */
#include "model/read.h"

#include <string.h>

static const struct {
    const char *name, *words; /* "": any text */
} known[] = {
    {"host", ""},
    {"boot_id", ""},
    {"kernel", ""},
    {"product", ""},
    {"vendor", ""},
    {"driver", ""},
    {"firmware", ""},
    {"os_index", ""},
    {"os_devices", ""},
    {"address", ""},
    {"protocol", ""},
    {"persistent", "bool"},
    {"replace", "lru plru fifo random direct"},
    {"write", "back through around"},
    {"holds", ""},
    {"inclusive", "bool"},
    {"discipline", "fifo ps priority rr"},
    {"preempt", "bool"},
    {"duplex", "full half"},
    {"arbitration", "fifo rr priority weighted"},
    {"ordered", "bool"},
    {"reliable", "bool"},
    {"shared_by", ""},
    {"divisible", "bool"},
    {"persist", "bool"},
    {"sync", "bool"},
    {"pattern", "sequential stride random chase"},
};

const char *model_property_at(size_t i) { return i < sizeof known / sizeof *known ? known[i].name : NULL; }

const char *model_property_words(const char *name) {
    if (strncmp(name, "x_", 2) == 0) return "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) return known[i].words;
    return NULL;
}

static bool read_one(struct reader *r, const struct at *up, const json_t *all, const char *name,
                     weft_model_ref e) {
    const char *words = model_property_words(name);
    struct at at = {up, name, 0};
    if (!words) {
        const char *list[sizeof known / sizeof *known + 1];
        for (size_t i = 0; i <= sizeof known / sizeof *known; i++) list[i] = model_property_at(i);
        return read_unknown(r, &at, "property (own ones begin with x_)", name, list);
    }
    weft_model_text value = 0;
    if (strcmp(words, "bool") == 0) {
        const json_t *j = json_object_get(all, name);
        if (!json_is_boolean(j)) return read_fault(r, &at, "true or false is wanted");
        value = weft_model_intern(r->m, json_is_true(j) ? "true" : "false");
    } else if (*words ? !read_word(r, up, all, name, words, &value)
                      : !read_text(r, up, all, name, MUST, &value))
        return false;
    if (value == WEFT_MODEL_NONE) return read_no_memory(r);
    return weft_model_add_property(r->m, e, name, weft_model_string(r->m, value)) == 0 || read_no_memory(r);
}

bool read_properties(struct reader *r, const struct at *at, const json_t *j, weft_model_ref e) {
    if (!json_is_object(j)) return read_fault(r, at, "an object is wanted");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)j, name, value) if (!read_one(r, at, j, name, e)) return false;
    return true;
}
