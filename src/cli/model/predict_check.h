/* weft model predict --check: what is promised of predictions on this machine, run and compared. */
#ifndef WEFT_CLI_MODEL_PREDICT_CHECK_H
#define WEFT_CLI_MODEL_PREDICT_CHECK_H
#include "cli/command.h"

#include <stdbool.h>
#include <stddef.h>

struct predict_check {
    bool json, quick;
    const char *output; /* where the model goes that the prediction is made from; NULL: nowhere */
};

/* On a busy machine rounds take longer: after so long there is no further one. */
#define PREDICT_CHECK_S 240

/* The exit status: 1 if it is not met, or after a message. */
int predict_check_matmul(const struct command *c, const struct predict_check *call);
int predict_check_colocation(const struct command *c, const struct predict_check *call);

#endif
