/* Names of one node's processes: a name has one holder, a process may hold several. No locking. */
#ifndef WEFT_NODE_NAME_H
#define WEFT_NODE_NAME_H
#include <stdint.h>

#include "base/list.h"

#define NODE_PUBLISHED_MAX     64 /* bytes of a name, its NUL included */
#define NODE_NAMES_MAX         16384
#define NODE_NAMES_PROCESS_MAX 1024

struct node_names {
    struct weft_list all;
    uint32_t count;
};

void node_names_init(struct node_names *names);
void node_names_fini(struct node_names *names);
/* WEFT_E_EXIST another process holds it (its own again is fine), WEFT_E_LIMIT, WEFT_E_INVAL empty, too long,
 * or process 0, WEFT_E_NOMEM. */
int node_names_publish(struct node_names *names, uint32_t process, const char *name);
int node_names_withdraw(struct node_names *names, uint32_t process,
                        const char *name); /* WEFT_E_NOENT: not its name */
void node_names_withdraw_all(struct node_names *names, uint32_t process);
uint32_t node_names_holder(const struct node_names *names, const char *name); /* 0: nobody */

#endif
