/* Model files: any bytes are taken; a wrong file says why and leaves nothing; a right one is written and read again
 * without a difference, settles, and can be laid out for questions. */
#include "fuzz.h"
#include "weft/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTIONS_BYTES 4096 /* larger inputs are not laid out: it costs more than it finds */
#define QUESTIONS_EVERY 16   /* of the others one in so many: SQLite takes as long as all the rest */

static char *written(const struct weft_model *m, size_t *len) {
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    FUZZ_CHECK(f && weft_model_write(m, f) == 0);
    fclose(f);
    return text;
}

static bool any_row(void *ctx, int columns, const struct weft_model_cell *cells) {
    (void)ctx;
    FUZZ_CHECK(columns > 0 && cells[0].name);
    return true;
}

static void walk(const struct weft_model *m) {
    for (weft_model_ref e = 0; e < m->entity_count; e++) {
        FUZZ_CHECK(weft_model_find(m, weft_model_id(m, e)) == e);
        unsigned depth = 0;
        for (weft_model_ref at = e; at != WEFT_MODEL_NONE; at = m->entities[at].parent)
            FUZZ_CHECK(depth++ <= m->entity_count);
        FUZZ_CHECK(m->first_adjacent[e] <= m->first_adjacent[e + 1]);
    }
    for (uint32_t i = 0; i < m->observation_count; i++) {
        char text[512];
        FUZZ_CHECK(m->observations[i].value >= 0);
        weft_model_observation_text(m, &m->observations[i], text, sizeof text);
        FUZZ_CHECK(strlen(text) < sizeof text);
    }
    for (uint32_t i = 0; i < m->curve_count; i++) {
        (void)weft_model_curve_at(m, &m->curves[i], 0);
        (void)weft_model_curve_at(m, &m->curves[i], 1e300);
    }
}

static void ask(const struct weft_model *m) {
    struct weft_model_db *db;
    char why[200] = "";
    if (weft_model_db_open(m, &db)) return;
    weft_model_db_limit(db, 200000);
    weft_model_db_question(db, "disagreements", any_row, NULL, why, sizeof why);
    weft_model_db_question(db, "leaks", any_row, NULL, why, sizeof why);
    weft_model_db_close(db);
}

static void check_again(const struct weft_model *m) {
    struct weft_model *again;
    struct weft_model_fault fault;
    size_t len, len_again;
    char *text = written(m, &len);
    FUZZ_CHECK(weft_model_create(&again) == 0);
    FUZZ_CHECK(weft_model_parse(again, text, len, "written", &fault) == 0);
    char *text_again = written(again, &len_again);
    FUZZ_CHECK(len == len_again && memcmp(text, text_again, len) == 0);
    free(text);
    free(text_again);
    weft_model_destroy(again);
}

/* By its bytes, so that an input does the same each time. */
static bool is_asked(const uint8_t *data, size_t size) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < size; i++) h = (h ^ data[i]) * 16777619u;
    return size <= QUESTIONS_BYTES && (h >> 16) % QUESTIONS_EVERY == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct weft_model *m;
    struct weft_model_fault fault;
    FUZZ_CHECK(weft_model_create(&m) == 0);
    if (weft_model_parse(m, (const char *)data, size, "input", &fault)) {
        FUZZ_CHECK(fault.reason[0] && strcmp(fault.file, "input") == 0);
        FUZZ_CHECK(m->entity_count == 0 && m->observation_count == 0 && m->curve_count == 0);
    } else {
        walk(m);
        check_again(m);
        if (is_asked(data, size)) ask(m);
    }
    weft_model_destroy(m);
    return 0;
}
