/* `weft run --record`: what the boards that a program's processes left say, as an application of the model. */
#ifndef WEFT_CLI_RECORD_H
#define WEFT_CLI_RECORD_H
#include <stdbool.h>

/* Reads all boards in `dir` and writes the file `path`; false after a message. */
bool record_write(const char *dir, const char *path);
/* Before CMD is run: whether the file can be made; a message if not. */
bool record_may_write(const char *path);

#endif
