/* Paths: the run directory and safe ways to make and remove what lives in it. The run directory is
 * $XDG_RUNTIME_DIR/weft, else /tmp/weft-<uid>; mode 0700, owned by this user, not a symbolic link: checked on
 * each use. */
#ifndef WEFT_BASE_PATH_H
#define WEFT_BASE_PATH_H
#include <stddef.h>

#define WEFT_PATH_MAX 256

int weft_run_dir(char *out, size_t cap);     /* makes it if missing; WEFT_E_ACCESS when it is not safe */
int weft_dir_make_private(const char *path); /* mkdir 0700, or checks the one that is there */
/* Makes the directories above a file that are missing, with this mode less the umask. Tells nothing: errors are those of
 * mkdir, and who makes the file says more. */
int weft_dir_make_above(const char *path, unsigned mode);
int weft_dir_remove(const char *path);       /* recursively, never following links; missing is success */
/* Directory of the running executable; with `name` appended when not NULL ("weftd" beside "weft"). */
int weft_exe_path(const char *name, char *out, size_t cap);

#endif
