/* Which running process a command looks at: by its id, or as the daemon of a node. */
#ifndef WEFT_CLI_TARGET_H
#define WEFT_CLI_TARGET_H
#include <sys/types.h>

#include "cli/command.h"

struct target {
    const char *pid_text;  /* an argument; NULL: none */
    const char *node_text; /* of --node; NULL: none */
};

/* 0, or the exit status after a complaint. Both given, or none, is a misuse. */
int target_find(const struct command *c, const struct target *t, pid_t *pid);
/* What weft_board_visit brought: complains and gives 1 unless it is a number of boards. */
int target_complain(pid_t pid, int rc);

#endif
