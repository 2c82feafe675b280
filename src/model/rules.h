/* The rule layer: the tables that a model is laid out in for questions, and the views that say what follows
 * from them. */
#ifndef WEFT_MODEL_RULES_H
#define WEFT_MODEL_RULES_H

#include "weft/model.h"

#include <sqlite3.h>

extern const char model_tables[]; /* before the tables are filled */
extern const char model_rules[];  /* after it: indices and views */

/* Makes the tables, fills them from a settled model, and adds the rules; a code of SQLite. */
int model_lay_out(const struct weft_model *m, sqlite3 *sql);

/* What a question with a name asks. Its arguments are ?1, ?2, …; one that is not given is NULL. */
struct model_question {
    const char *name, *arguments, *help; /* "DEVICE [COUNT]" */
    int needed, most;                    /* how many arguments */
    int ids;                             /* the first so many name an entity, which has to be there */
    const char *sql;
};
extern const struct model_question model_questions[]; /* name NULL ends them */

#endif
