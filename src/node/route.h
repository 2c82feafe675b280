/* Which of its addresses a host uses towards another one: the one that the other one can answer to. */
#ifndef WEFT_NODE_ROUTE_H
#define WEFT_NODE_ROUTE_H
#include "node/client.h"

/* The source address of the route to `host` (a name or a numeric address), as text. Nothing is sent. WEFT_E_NOENT: the name
 * is not known, WEFT_E_UNREACHABLE: no route (logged, both). */
int node_route_source(const char *host, char out[NODE_NAME_MAX]);

#endif
