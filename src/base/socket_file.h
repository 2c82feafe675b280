/* The file of a Unix socket stays when its process is killed. */
#ifndef WEFT_BASE_SOCKET_FILE_H
#define WEFT_BASE_SOCKET_FILE_H
#include <stdbool.h>

/* Whether no socket is bound to this file of ours any more, in any process, whichever namespaces that has:
 * then nobody will ever be reached there. False when in doubt: no socket, another user's, or in a file system
 * that other hosts may share. The living do not notice that they are asked about. */
bool weft_socket_file_is_abandoned(const char *path);

#endif
