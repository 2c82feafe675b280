/* SCIF, the Symmetric Communications Interface, in user space: endpoints, messages, registered memory, remote mappings,
 * remote memory access (RMA) and fences between any two processes, on one host or across the network.
 *
 * Programs written for Intel's library compile unchanged and link with -lscif. "Guide" below is Intel's "Symmetric
 * Communications Interface (SCIF) User Guide", revision 1.0, October 2012; docs/SCIF.md tells what is different here.
 *
 * A program starts with an endpoint: one side binds it to a port, listens and accepts; the other connects. Connected
 * endpoints send and receive bytes in order. Each endpoint has a registered address space: scif_register() gives pages of the
 * program's memory an offset in it, and the peer reads, writes and maps them by that offset, with no call by their owner.
 *
 * Every function that fails returns -1 (or the *_FAILED value of its type) and sets errno; one that succeeds leaves errno as
 * it was. All functions may be called by any thread. Of any endpoint descriptor: EBADF, it is no open descriptor; ENOTTY, it
 * is one of something else. Where "connected" is asked for: ENOTCONN, it never was connected; ECONNRESET, the peer has closed
 * its end; ENODEV, the peer's node is lost. */
#ifndef SCIF_H
#define SCIF_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/select.h>
#include <sys/types.h>
#include <unistd.h>

#define MICACCESSAPI

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types ---- */

/* An endpoint descriptor: an open file descriptor. poll(), select(), epoll, fcntl(O_NONBLOCK), dup(), fork() and close() do
 * with it what they do with any (guide 3.5.1). */
typedef int scif_epd_t;

/* The address of an endpoint: a node of the cluster, and a port of that node (guide 3.2). */
struct scif_portID {
    uint16_t node;
    uint16_t port;
};
#define portID scif_portID
typedef struct portID portID_t;

/* What scif_poll() takes; laid out like struct pollfd. */
struct scif_pollepd {
    scif_epd_t epd;
    short events;  /* asked for */
    short revents; /* answered */
};

#define SCIF_OPEN_FAILED     ((scif_epd_t)-1)
#define SCIF_REGISTER_FAILED ((off_t)-1)
#define SCIF_MMAP_FAILED     ((void *)-1)

/* ---- Ports ---- */

/* Ports below this one are for privileged processes: those of the superuser, or with CAP_NET_BIND_SERVICE. */
#define SCIF_ADMIN_PORT_END 1024
/* Ports above this one are given by scif_bind(epd, 0) and scif_connect(); those between the two ends have to be asked for
 * by number. */
#define SCIF_PORT_RSVD 1088

/* Ports with an owner in Intel's software stack, by its names; nothing here uses them. */
#define SCIF_COI_PORT_0    40
#define SCIF_COI_PORT_1    41
#define SCIF_COI_PORT_2    42
#define SCIF_COI_PORT_3    43
#define SCIF_COI_PORT_4    44
#define SCIF_COI_PORT_5    45
#define SCIF_COI_PORT_6    46
#define SCIF_COI_PORT_7    47
#define SCIF_COI_PORT_8    48
#define SCIF_COI_PORT_9    49
#define SCIF_OFED_PORT_0   60
#define SCIF_OFED_PORT_1   61
#define SCIF_OFED_PORT_2   62
#define SCIF_OFED_PORT_3   63
#define SCIF_OFED_PORT_4   64
#define SCIF_OFED_PORT_5   65
#define SCIF_OFED_PORT_6   66
#define SCIF_OFED_PORT_7   67
#define SCIF_OFED_PORT_8   68
#define SCIF_OFED_PORT_9   69
#define SCIF_NETDEV_PORT_0 80
#define SCIF_NETDEV_PORT_1 81
#define SCIF_NETDEV_PORT_2 82
#define SCIF_NETDEV_PORT_3 83
#define SCIF_NETDEV_PORT_4 84
#define SCIF_NETDEV_PORT_5 85
#define SCIF_NETDEV_PORT_6 86
#define SCIF_NETDEV_PORT_7 87
#define SCIF_NETDEV_PORT_8 88
#define SCIF_NETDEV_PORT_9 89
#define SCIF_RAS_PORT_0    100
#define SCIF_RAS_PORT_1    101
#define SCIF_RAS_PORT_2    102
#define SCIF_RAS_PORT_3    103
#define SCIF_RAS_PORT_4    104
#define SCIF_RAS_PORT_5    105
#define SCIF_RAS_PORT_6    106
#define SCIF_RAS_PORT_7    107
#define SCIF_RAS_PORT_8    108
#define SCIF_RAS_PORT_9    109
#define SCIF_PM_PORT_0     120
#define SCIF_PM_PORT_1     121
#define SCIF_PM_PORT_2     122
#define SCIF_PM_PORT_3     123
#define SCIF_PM_PORT_4     124
#define SCIF_PM_PORT_5     125
#define SCIF_PM_PORT_6     126
#define SCIF_PM_PORT_7     127
#define SCIF_PM_PORT_8     128
#define SCIF_PM_PORT_9     129
#define SCIF_BT_PORT_0     130
#define SCIF_BT_PORT_1     131
#define SCIF_BT_PORT_2     132
#define SCIF_BT_PORT_3     133
#define SCIF_BT_PORT_4     134
#define SCIF_BT_PORT_5     135
#define SCIF_BT_PORT_6     136
#define SCIF_BT_PORT_7     137
#define SCIF_BT_PORT_8     138
#define SCIF_BT_PORT_9     139
#define MPSSD_MONRECV      160
#define MIC_NOTIFY         161

/* ---- Flags ---- */

#define SCIF_ACCEPT_SYNC 1 /* scif_accept() waits for a connection request */
#define SCIF_SEND_BLOCK  1 /* scif_send() waits until everything is in the queue */
#define SCIF_RECV_BLOCK  1 /* scif_recv() waits until everything has come */

#define SCIF_PROT_READ  1 /* the window may be read */
#define SCIF_PROT_WRITE 2 /* the window may be written */

#define SCIF_MAP_FIXED  0x10 /* the offset (or address) that is given, and no other */
#define SCIF_MAP_KERNEL 0x20 /* kernel addresses: EINVAL for programs */

#define SCIF_RMA_USECPU   1 /* by the processor; here always so on one host */
#define SCIF_RMA_USECACHE 2 /* scif_vreadfrom(), scif_vwriteto(): keep what was pinned for the next time */
#define SCIF_RMA_SYNC     4 /* return when the transfer is complete */
#define SCIF_RMA_ORDERED  8 /* the last cache line is written after all others */
#define SCIF_RMA_ORDER    SCIF_RMA_ORDERED

#define SCIF_FENCE_INIT_SELF 1 /* RMAs that were started through this endpoint */
#define SCIF_FENCE_INIT_PEER 2 /* RMAs that were started through its peer */
#define SCIF_FENCE_RAS_SELF  4 /* the guide's word for INIT_SELF */
#define SCIF_FENCE_RAS_PEER  8 /* the guide's word for INIT_PEER */
#define SCIF_SIGNAL_LOCAL    0x10 /* scif_fence_signal() writes lval at loff */
#define SCIF_SIGNAL_REMOTE   0x20 /* scif_fence_signal() writes rval at roff */

#define SCIF_POLLIN   POLLIN
#define SCIF_POLLOUT  POLLOUT
#define SCIF_POLLERR  POLLERR
#define SCIF_POLLHUP  POLLHUP
#define SCIF_POLLNVAL POLLNVAL

/* ---- Endpoints and connections (guide 3.3) ---- */

/* Makes an endpoint: unbound, blocking, close-on-exec. The caller closes it with scif_close(). Returns its descriptor, or
 * SCIF_OPEN_FAILED: EMFILE, ENFILE, too many open files; ENOMEM; ENXIO, the node's SCIF service is not there and cannot be
 * started. */
scif_epd_t scif_open(void);

/* Binds an endpoint to port pn of this node; 0: to the lowest free one from 1089 on. Returns the port. EINVAL, it is bound
 * already, or the port is in use; EISCONN, it is listening, connecting or connected; EACCES, 0 < pn < SCIF_ADMIN_PORT_END
 * without privilege; ENOSPC, no port is free. */
int scif_bind(scif_epd_t epd, uint16_t pn);

/* Makes a bound endpoint a listener, on which up to backlog connection requests (at most 1024) wait for scif_accept(); further
 * ones are refused. Returns 0. EINVAL, it is not bound, or backlog <= 0; EISCONN, it is listening, connecting or connected. */
int scif_listen(scif_epd_t epd, int backlog);

/* Connects an endpoint to the listener of port *dst, binding it first if that was not done; waits until the listener's side
 * accepts. With O_NONBLOCK it fails with EINPROGRESS, the endpoint becomes writable when the answer is there, and a second
 * call gives it. Returns the local port, which is more than 0. EINVAL, dst is NULL; ENODEV, no such node, or it was lost;
 * ECONNREFUSED, nobody listens there, its backlog is full, or it did not accept within 10 seconds: the endpoint stays bound,
 * and one may try again; EISCONN, it is connected; EOPNOTSUPP, it is a listener; EALREADY, another thread is connecting it;
 * ENOSPC, no port is free; EINTR, a signal came: call again for the answer. */
int scif_connect(scif_epd_t epd, struct scif_portID *dst);

/* Accepts a connection request: *newepd becomes an endpoint with the listener's port, connected to *peer. Both belong to the
 * caller. Without SCIF_ACCEPT_SYNC: EAGAIN if no request is there. Returns 0. EINVAL, another flag, a NULL pointer, or not a
 * listener; EINTR, a signal came, or another thread closed the listener; EMFILE, ENFILE, ENOMEM (the request stays). */
int scif_accept(scif_epd_t epd, struct scif_portID *peer, scif_epd_t *newepd, int flags);

/* Closes a descriptor, as close() does: with the last one the endpoint goes (guide 3.10.1). Its windows are unregistered, RMAs
 * that were started come to their end, blocked calls of other threads return. Its port is free again when the listener and all
 * endpoints that were accepted on it are gone. Returns 0. */
int scif_close(scif_epd_t epd);

/* ---- Messages (guide 3.4) ---- */

/* Puts len bytes into the queue to the peer, which holds 4095 bytes, 8190 to another host. Without SCIF_SEND_BLOCK as many as have room, maybe none;
 * with it all, however long that takes. The memory may be reused on return. Returns how many; 0 if len is 0. EINVAL, len < 0,
 * or another flag; EINTR, a signal came before a byte had gone; EFAULT, msg is NULL. Needs to be connected. */
int scif_send(scif_epd_t epd, void *msg, int len, int flags);

/* Takes up to len bytes from the queue; with SCIF_RECV_BLOCK exactly len, unless the peer closes, or a signal comes, after the
 * first byte. Returns how many; 0 is no end of file. After the peer's close what is in the queue can still be taken, then
 * ECONNRESET. Other errors as scif_send(). */
int scif_recv(scif_epd_t epd, void *msg, int len, int flags);

/* ---- Registered memory (guide 3.5, 3.9) ---- */

/* Registers the pages of addr to addr + len as a window of the endpoint's registered address space, at offset with
 * SCIF_MAP_FIXED, else where this library chooses, in an order that depends on nothing but the calls before. The window stands
 * for the pages that back the addresses now, whatever happens to the addresses afterwards, until it is unregistered and nobody
 * uses it any more; prot_flags says what others may do with it. Returns the window's offset, or SCIF_REGISTER_FAILED. EINVAL,
 * addr, len or a fixed offset is no multiple of the page size, len is 0, the offset is negative, or flags are unknown;
 * EADDRINUSE, a fixed window would overlap another; EFAULT, not all addresses are backed by memory of the protection asked
 * for; ENOMEM, EAGAIN, the pages cannot be kept. Needs to be connected. */
off_t scif_register(scif_epd_t epd, void *addr, size_t len, off_t offset, int prot_flags, int map_flags);

/* Unregisters all windows between offset and offset + len; they have to lie within it wholly. Peers that have them mapped keep
 * them, and their offsets are not given again before they let go. Returns 0, also if no window is there. EINVAL, no multiple of
 * the page size, or part of a window. Needs to be connected. */
int scif_unregister(scif_epd_t epd, off_t offset, size_t len);

/* ---- Mapped remote memory (guide 3.6) ---- */

/* Maps len bytes at offset of the peer's registered address space, which one or several adjoining windows cover, at addr with
 * SCIF_MAP_FIXED (replacing what is there), else at an address that the system chooses. The mapping is of the window's own
 * pages; it outlives the window and the endpoint, ends with scif_munmap(), and is not inherited over fork(). Returns the
 * address, or SCIF_MMAP_FAILED. EINVAL, no multiple of the page size, or unknown flags; ENXIO, not covered by windows; EPERM,
 * a window does not allow it; ENOMEM, also if the peer's process is stopped and does not answer for some seconds (5, and 10 ms
 * for each MiB). Needs to be connected. If the peer's node is lost, access to the mapping ends the process
 * by SIGBUS (guide 3.10.2). */
void *scif_mmap(void *addr, size_t len, int prot_flags, int map_flags, scif_epd_t epd, off_t offset);

/* Unmaps, as munmap() does. Returns 0. EINVAL as munmap(). */
int scif_munmap(void *addr, size_t len);

/* ---- Remote memory access (guide 3.7) ----
 * A range may span adjoining windows and begin anywhere. Without SCIF_RMA_SYNC a call may return before its transfer is
 * complete: fences below tell. A message that is sent after an RMA is received after it. Two transfers that overlap and are not
 * separated by a fence leave either's data. Errors: EINVAL, len is 0, or an unknown flag; ENXIO, an offset range is not covered
 * by windows; EPERM, a window does not allow it; EFAULT, the local address is not memory. Needs to be connected. */

/* Reads len bytes at roffset of the peer's registered address space into loffset of the own. Returns 0. */
int scif_readfrom(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags);
/* Writes len bytes at loffset of the own registered address space to roffset of the peer's. Returns 0. */
int scif_writeto(scif_epd_t epd, off_t loffset, size_t len, off_t roffset, int rma_flags);
/* Reads len bytes at offset of the peer's registered address space into addr. Returns 0. */
int scif_vreadfrom(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags);
/* Writes len bytes at addr to offset of the peer's registered address space. addr may be reused when the transfer is complete.
 * Returns 0. */
int scif_vwriteto(scif_epd_t epd, void *addr, size_t len, off_t offset, int rma_flags);

/* ---- Fences (guide 3.8) ----
 * flags names whose RMAs are meant: exactly one of SCIF_FENCE_INIT_SELF and SCIF_FENCE_INIT_PEER. What is started after a mark
 * neither waits for it nor is waited for. */

/* Marks the RMAs that are under way. *mark is for scif_fence_wait(). Returns 0. EINVAL, wrong flags, or mark is NULL; ENOMEM.
 * Needs to be connected. */
int scif_fence_mark(scif_epd_t epd, int flags, int *mark);
/* Waits until the RMAs of the mark are complete. Returns 0. EINVAL, no mark of this endpoint; EINTR. Needs to be connected. */
int scif_fence_wait(scif_epd_t epd, int mark);
/* Marks the RMAs that are under way and returns; when they are complete lval is written, 8 bytes at once, at loff of the own
 * registered address space (SCIF_SIGNAL_LOCAL) and rval at roff of the peer's (SCIF_SIGNAL_REMOTE). Returns 0. EINVAL, wrong
 * flags, neither signal, or an offset that is no multiple of 4; ENXIO, the 8 bytes are not in one window; EPERM, the window may
 * not be written. Needs to be connected. */
int scif_fence_signal(scif_epd_t epd, off_t loff, uint64_t lval, off_t roff, uint64_t rval, int flags);

/* ---- Utilities (guide 3.12) ---- */

/* Stores up to len ids of the nodes that are online, ascending, and the own one at *self; nodes may be NULL if len is 0, self
 * may be NULL. Returns how many nodes are online, the own included. EINVAL, len < 0; EFAULT, nodes is NULL and len is not 0;
 * ENXIO, as scif_open(). */
int scif_get_nodeIDs(uint16_t *nodes, int len, uint16_t *self);

/* As poll(): waits until one of nepds endpoints is ready, timeout_ms milliseconds at most, for ever if that is negative. An
 * endpoint with a negative descriptor is passed over. Connected: SCIF_POLLIN, bytes have come; SCIF_POLLOUT, the queue has room;
 * SCIF_POLLHUP, the peer is gone. Listener: SCIF_POLLIN, a request waits. Connecting: SCIF_POLLOUT, the answer is there. Neither:
 * SCIF_POLLERR. SCIF_POLLNVAL: no open descriptor; other files are polled as poll() does. Returns how many have an answer, 0 after
 * the time. EINTR, EFAULT, EINVAL as poll(). */
int scif_poll(struct scif_pollepd *epds, unsigned int nepds, long timeout_ms);

/* The file descriptor behind an endpoint descriptor: the same number. */
static inline int scif_get_fd(scif_epd_t epd) { return (int)epd; }

#ifdef __cplusplus
}
#endif

#endif
