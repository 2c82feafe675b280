/* Host identity: tells whether an address that means something only inside one host, or one namespace of it,
 * was made there. Two processes get the same 16 bytes exactly when they run under the same boot of the same
 * kernel and in the same namespace of the given kind. */
#ifndef WEFT_ADAPTER_HOST_ID_H
#define WEFT_ADAPTER_HOST_ID_H
#include <stdint.h>

#define HOST_ID_BYTES 16

/* `ns`: a name under /proc/self/ns ("net", "pid"). Without /proc, the host's name stands in for it. */
void host_id(const char *ns, uint8_t out[HOST_ID_BYTES]);
/* A number that nobody else has or can guess. */
uint64_t host_random(void);

#endif
