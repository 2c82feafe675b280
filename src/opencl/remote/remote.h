/* Remote: backends whose drivers are on other nodes. One connection a node, to an executor that the node's
 * daemon starts for this process at the first command, shared by the backends of that node's platforms. Made
 * of: node.c (a connection's life, sending), table.c (handles), record.c (commands under way), results.c
 * (what comes back), create.c, command.c, rect.c (the operations), hub.c (all nodes; backends).
 *
 * Order of use: remote_hub_create, _configure (before ep_open), ep_open, _callbacks (before
 * node_client_open), node_client_open, _start; remote_backend_open for each remote platform; at the end
 * _close, node_client_close, ep_close, _destroy. */
#ifndef WEFT_OPENCL_REMOTE_REMOTE_H
#define WEFT_OPENCL_REMOTE_REMOTE_H
#include "node/client.h"
#include "opencl/backend.h"
#include "transport/endpoint.h"

struct remote_hub;

struct remote_hub *remote_hub_create(void);
/* Sets the result handler and, if it is still free, on_peer_down. Who needs that callback too calls ours from
 * his. */
void remote_hub_configure(struct remote_hub *h, struct ep_config *cfg);
void remote_on_peer_down(void *hub, struct ep_peer *peer, int status);
/* Fills the callbacks, their ctx being the hub. Who needs them too calls the functions below from his. */
void remote_hub_callbacks(struct remote_hub *h, struct node_callbacks *cb);
void remote_on_process_down(void *hub, struct node_process p, const char *reason);
void remote_on_node_down(void *hub, uint32_t node, const char *reason);
void remote_on_daemon_down(void *hub);
/* client may be NULL when every node's executor is given by remote_hub_executor (tests). */
void remote_hub_start(struct remote_hub *h, struct ep *ep, struct node_client *client);
/* An executor that runs already: it is connected to instead of starting one. */
int remote_hub_executor(struct remote_hub *h, uint32_t node, const struct node_executor *x);
/* Ends all connections; what is under way completes as for a lost node, quietly. */
void remote_hub_close(struct remote_hub *h);
/* After ep_close. Backends must have been destroyed. */
void remote_hub_destroy(struct remote_hub *h);

/* platform: lives as long as the backend; index: its place in the node's inventory. Opens nothing yet: the
 * connection is made at the first command. */
int remote_backend_open(struct remote_hub *h, uint32_t node, const char *host, uint32_t platform_index,
                        const struct inventory_platform *platform, struct backend **out);

#endif
