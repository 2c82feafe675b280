/* weft model predict: its parts. */
#ifndef WEFT_CLI_MODEL_PREDICT_H
#define WEFT_CLI_MODEL_PREDICT_H
#include "cli/command.h"

/* Measures and prints how long predictions take; the exit status, 1 if they take longer than they may. */
int predict_speed(const struct command *c, bool json);

#endif
