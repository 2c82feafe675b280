/* Where the daemon of this program's node listens: a library of its own, for those that want nothing else of
 * the node. */
#ifndef WEFT_NODE_WHERE_H
#define WEFT_NODE_WHERE_H
#include <stddef.h>

/* `given`, else WEFT_NODE_SOCKET, else that of this host's first node of the cluster of `weft up`. Whether
 * anybody listens there is another question. WEFT_E_TOO_BIG (logged); WEFT_E_ACCESS: the run directory is not
 * safe. */
int node_socket_path(const char *given, char *out, size_t cap);

#endif
