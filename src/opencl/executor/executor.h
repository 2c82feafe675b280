/* Executor: carries out one client's commands on this node's drivers. Made of: serve.c (who may speak, and
 * the order of commands whose data is still on its way), dispatch.c (from a decoded command to its function),
 * objects.c (handles), create.c, enqueue.c, transfer.c, build.c (the commands themselves), results.c (what
 * goes back), staging.c (memory for data under way), capture.c (standard output).
 *
 * Threads: the endpoint's handlers queue commands; the thread of executor_run carries them out and alone has
 * the handle table. Drivers' threads and the build thread only send results. Nothing here waits for a device.
 */
#ifndef WEFT_OPENCL_EXECUTOR_EXECUTOR_H
#define WEFT_OPENCL_EXECUTOR_EXECUTOR_H
#include <stdbool.h>
#include <stdint.h>

#include "node/client.h"
#include "opencl/drivers.h"
#include "transport/endpoint.h"

struct executor;

/* NULL: no memory. The drivers must outlive it. */
struct executor *executor_create(const struct drivers *drivers, const uint8_t token[NODE_TOKEN_BYTES]);
/* Puts the executor's handler and peer callback into an endpoint's configuration (with accept); then, when it
 * is open, tells the executor. */
void executor_configure(struct executor *x, struct ep_config *cfg);
void executor_attach(struct executor *x, struct ep *ep);
/* From now on this process's standard output goes to the client. */
int executor_capture_output(struct executor *x);
/* Serves until the client is gone, executor_stop was called, or no client came within the time. */
void executor_run(struct executor *x, unsigned client_timeout_ms);
void executor_stop(struct executor *x); /* any thread, handlers too */
/* After its endpoint was closed: ends all commands, releases all objects. */
void executor_destroy(struct executor *x);

#endif
