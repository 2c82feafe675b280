/* Hosts as they are given to --hosts and in a hosts file: HOST, USER@HOST, HOST:PORT, USER@HOST:PORT; an IPv6 address with a
 * port stands in brackets. */
#ifndef WEFT_CLI_HOST_LIST_H
#define WEFT_CLI_HOST_LIST_H
#include <stdbool.h>
#include <stddef.h>

#define HOST_TEXT_MAX 256

struct host {
    char text[HOST_TEXT_MAX];         /* as it was given */
    char destination[HOST_TEXT_MAX];  /* for ssh: without port and brackets */
    char port[6];                     /* "": ssh's own */
};

struct host_list {
    struct host *hosts;               /* heap */
    unsigned count;
};

const char *host_name(const struct host *h);   /* the part of destination behind USER@ */
/* Adds the hosts of "a,b,c", or those of a file, one a line, # begins a comment. A host that is there already, or a text that
 * is none, is told on standard error, and false returned. */
bool host_list_add(struct host_list *l, const char *text);
bool host_list_add_file(struct host_list *l, const char *path);
void host_list_free(struct host_list *l);
/* Takes out those that are this host by name (told), since it is node 0 anyway. */
void host_list_drop_self(struct host_list *l, const char *self);

#endif
