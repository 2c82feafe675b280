/* The port space: one word a port. */
#include "node/port.h"

#include "base/error.h"

#include <stdlib.h>

#define PORTS 65536u

int node_ports_init(struct node_ports *ports) {
    ports->holder = calloc(PORTS, sizeof *ports->holder);
    return ports->holder ? WEFT_OK : WEFT_E_NOMEM;
}

void node_ports_fini(struct node_ports *ports) {
    free(ports->holder);
    ports->holder = NULL;
}

static uint32_t lowest_free(const struct node_ports *ports) {
    uint32_t port = NODE_PORT_FIRST;
    while (port < PORTS && ports->holder[port]) port++;
    return port;
}

int node_ports_bind(struct node_ports *ports, uint32_t process, uint16_t wanted, bool privileged,
                    uint16_t *port) {
    if (process == 0) return WEFT_E_INVAL;
    if (wanted != 0 && wanted < NODE_PORT_PRIVILEGED && !privileged) return WEFT_E_ACCESS;
    uint32_t p = wanted ? wanted : lowest_free(ports);
    if (p >= PORTS) return WEFT_E_LIMIT;
    if (ports->holder[p]) return WEFT_E_EXIST;
    ports->holder[p] = process;
    *port = (uint16_t)p;
    return WEFT_OK;
}

int node_ports_release(struct node_ports *ports, uint32_t process, uint16_t port) {
    if (process == 0 || ports->holder[port] != process) return WEFT_E_NOENT;
    ports->holder[port] = 0;
    return WEFT_OK;
}

void node_ports_release_all(struct node_ports *ports, uint32_t process) {
    for (uint32_t p = 0; p < PORTS; p++)
        if (ports->holder[p] == process) ports->holder[p] = 0;
}

uint32_t node_ports_holder(const struct node_ports *ports, uint16_t port) { return ports->holder[port]; }
