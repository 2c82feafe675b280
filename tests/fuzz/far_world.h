/* A node's SCIF service for the fuzz target `far`, with all that is around it played: the transport, the
 * node's daemon, the clock, and programs at its lines. */
#ifndef WEFT_FAR_WORLD_H
#define WEFT_FAR_WORLD_H
#include "scif/layout.h"
#include "scif/protocol.h"
#include "scif/service/far.h"

#define WORLD_PEERS 3u
#define WORLD_ENDS  6u
#define WORLD_PORT  2000
#define WORLD_PAGES 8u
/* What is in the file of the windows before anybody writes: each page its own. */
#define WORLD_PATTERN(page) ((unsigned char)(0xc0 + (page)))
/* The page is in no window; it may only be read; only written. */
enum { WORLD_RW, WORLD_READ, WORLD_WRITE, WORLD_OUTSIDE };

/* ---- The service ---- */
void world_open(void);
/* Everything is closed, and nothing has been left open. */
void world_close(void);
struct service *world_service(void);
/* Until there is nothing more to do. */
void world_settle(void);
void world_wait(uint64_t ns);

/* ---- Other services ---- */
bool world_peer_up(unsigned k); /* it connects */
void world_peer_down(unsigned k, int status);
/* data NULL and bytes: it is to come (world_complete). False: it is not there. */
bool world_say(unsigned k, const void *header, size_t header_bytes, const void *data, uint64_t bytes);
/* Of what is under way the i-th ends. */
void world_complete(unsigned i, int status);
void world_found(int status); /* the oldest look-up ends */
void world_process_down(uint32_t node, uint32_t process);
void world_node_down(uint32_t node);
void world_refuse_next(void); /* the next message cannot be sent */

/* What is around the service (far_outside.c): for far_world.c alone. */
void outside_open(void);
void outside_close(void);
void outside_turn(void); /* peers that the service has failed go down */

/* ---- Programs here ---- */
enum world_line { WORLD_LINE, WORLD_STAGE, WORLD_PAGES_LINE, WORLD_LINES };
struct world_end {
    uint64_t id; /* 0: none */
    int fd[3];   /* its outer socket, its inner one, its memory */
    struct scif_memory *memory;
    int peer_fd[2];           /* its peer's memory and inner socket; -1: none */
    struct scif_shared *peer; /* NULL: none */
};
struct world_end *world_end(unsigned i);
void world_end_open(unsigned i);   /* it takes the place of what was there */
bool world_end_accept(unsigned i); /* likewise, if a request waits */
void world_end_connect(unsigned i, uint16_t node, uint16_t port);
void world_end_close(unsigned i);
/* Windows: the first three pages of a file. */
void world_end_give_windows(unsigned i);
/* A record on a line, which is opened if need be. file: a descriptor to send with it, or -1. */
void world_request(enum world_line which, const void *record, size_t bytes, int file);
/* With the descriptors of a frame, if this system lets them be made. */
void world_request_with_frame(enum world_line which, const void *record, size_t bytes);
void world_line_close(enum world_line which);
int world_file(void); /* of the windows */
/* The owner of the windows answers the oldest question; -1: it closes the socket. others: the program at the
 * line for pages may have the same memory. */
void world_door_answer(int error, bool others);
uint64_t world_shown(void); /* which that program was last asked to show; 0: none */

/* The file's page is as it was. */
bool world_page_is_untouched(unsigned page);

#endif
