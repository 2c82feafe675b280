/* What was recorded as an application of the model. */
#ifndef WEFT_CLI_RECORD_MODEL_H
#define WEFT_CLI_RECORD_MODEL_H
#include "cli/record.h"

/* Sorts it, and writes the file; false after a message. */
bool record_model_write(struct record *r, const char *path);

#endif
