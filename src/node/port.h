/* Port space of one node by SCIF's rules: a port has one holder; port 0 asks for the lowest free one from
 * NODE_PORT_FIRST; ports below NODE_PORT_PRIVILEGED need privilege. No locking. */
#ifndef WEFT_NODE_PORT_H
#define WEFT_NODE_PORT_H
#include <stdbool.h>
#include <stdint.h>

#define NODE_PORT_PRIVILEGED 1024 /* SCIF_ADMIN_PORT_END */
#define NODE_PORT_FIRST 1089      /* SCIF_PORT_RSVD + 1 */

struct node_ports { uint32_t *holder; };   /* by port: the process, 0: free */

int node_ports_init(struct node_ports *ports);   /* WEFT_E_NOMEM */
void node_ports_fini(struct node_ports *ports);
/* WEFT_E_EXIST in use, WEFT_E_ACCESS privilege is missing, WEFT_E_LIMIT no port is free, WEFT_E_INVAL process 0. */
int node_ports_bind(struct node_ports *ports, uint32_t process, uint16_t wanted, bool privileged, uint16_t *port);
int node_ports_release(struct node_ports *ports, uint32_t process, uint16_t port);   /* WEFT_E_NOENT: not its port */
void node_ports_release_all(struct node_ports *ports, uint32_t process);
uint32_t node_ports_holder(const struct node_ports *ports, uint16_t port);           /* 0: free */

#endif
