/* The nodes of the fabric (guide 3.1, 3.12), and what is in the header. */
#include "areas.h"
#include "support.h"
#include <string.h>

static int all_nodes(uint16_t *nodes, int room, uint16_t *self) {
    int n = (int)OK(scif_get_nodeIDs(nodes, room, self));
    CHECK(n >= 1);
    CHECK(n <= room);
    return n;
}

static void lists_self(struct sciftest *t) {
    uint16_t nodes[1024], self = 0xffff;
    int n = all_nodes(nodes, 1024, &self), found = 0;
    (void)t;
    for (int i = 0; i < n; i++) found += nodes[i] == self;
    CHECK_EQ(found, 1);
}

static void ascending(struct sciftest *t) {
    uint16_t nodes[1024], self;
    int n = all_nodes(nodes, 1024, &self);
    (void)t;
    for (int i = 1; i < n; i++) CHECK(nodes[i - 1] < nodes[i]);
}

static void only_self(struct sciftest *t) {
    uint16_t nodes[1024], self = 0xffff, again = 0xfffe;
    int n = all_nodes(nodes, 1024, &self);
    (void)t;
    CHECK_EQ(OK(scif_get_nodeIDs(NULL, 0, &again)), n);
    CHECK_EQ(again, self);
}

static void without_self(struct sciftest *t) {
    uint16_t nodes[1024], other[1024], self;
    int n = all_nodes(nodes, 1024, &self);
    (void)t;
    CHECK_EQ(OK(scif_get_nodeIDs(other, 1024, NULL)), n);
    CHECK(!memcmp(nodes, other, (size_t)n * sizeof nodes[0]));
    CHECK_EQ(OK(scif_get_nodeIDs(NULL, 0, NULL)), n);
}

static void little_room(struct sciftest *t) {
    uint16_t nodes[1024], some[4] = {0xaaaa, 0xaaaa, 0xaaaa, 0xaaaa}, self;
    int n = all_nodes(nodes, 1024, &self);
    (void)t;
    CHECK_EQ(OK(scif_get_nodeIDs(some, 1, &self)), n);
    CHECK_EQ(some[0], nodes[0]);
    CHECK_EQ(some[1], 0xaaaa);
}

static void much_room(struct sciftest *t) {
    uint16_t nodes[1024], self;
    (void)t;
    memset(nodes, 0xaa, sizeof nodes);
    int n = all_nodes(nodes, 1023, &self);
    for (int i = n; i < 1024; i++) CHECK_EQ(nodes[i], 0xaaaa);
}

static void wrong_len(struct sciftest *t) {
    uint16_t self, node;
    (void)t;
    FAILS(scif_get_nodeIDs(&node, -1, &self), EINVAL);
}

static void wrong_nodes(struct sciftest *t) {
    uint16_t self;
    (void)t;
    FAILS(scif_get_nodeIDs(NULL, 1, &self), EFAULT);
}

static void keeps_errno(struct sciftest *t) {
    uint16_t self;
    (void)t;
    errno = 4711;
    OK(scif_get_nodeIDs(NULL, 0, &self));
    CHECK_EQ(errno, 4711);
}

static void each_other(struct sciftest *t) {
    uint16_t nodes[1024], self = own_node(), other;
    int found = 0;
    tell(t, &self, sizeof self);
    hear(t, &other, sizeof other);
    meet(t);
    int n = all_nodes(nodes, 1024, &self);
    for (int i = 0; i < n; i++) found += nodes[i] == other;
    CHECK_EQ(found, 1);
}

/* The values are part of the binary interface: programs were compiled with them. */
static void constants(struct sciftest *t) {
    (void)t;
    CHECK_EQ(SCIF_ACCEPT_SYNC, 1);
    CHECK_EQ(SCIF_SEND_BLOCK, 1);
    CHECK_EQ(SCIF_RECV_BLOCK, 1);
    CHECK_EQ(SCIF_PROT_READ, 1);
    CHECK_EQ(SCIF_PROT_WRITE, 2);
    CHECK_EQ(SCIF_MAP_FIXED, 0x10);
    CHECK_EQ(SCIF_MAP_KERNEL, 0x20);
    CHECK_EQ(SCIF_FENCE_INIT_SELF, 1);
    CHECK_EQ(SCIF_FENCE_INIT_PEER, 2);
    CHECK_EQ(SCIF_SIGNAL_LOCAL, 0x10);
    CHECK_EQ(SCIF_SIGNAL_REMOTE, 0x20);
    CHECK_EQ(SCIF_RMA_USECPU, 1);
    CHECK_EQ(SCIF_RMA_USECACHE, 2);
    CHECK_EQ(SCIF_RMA_SYNC, 4);
    CHECK_EQ(SCIF_RMA_ORDERED, 8);
    CHECK_EQ(SCIF_RMA_ORDER, SCIF_RMA_ORDERED);
    CHECK_EQ(SCIF_ADMIN_PORT_END, 1024);
    CHECK_EQ(SCIF_PORT_RSVD, 1088);
}

static void types(struct sciftest *t) {
    (void)t;
    CHECK_EQ(sizeof(scif_epd_t), sizeof(int));
    CHECK_EQ(sizeof(struct scif_portID), 4);
    CHECK_EQ(offsetof(struct scif_portID, node), 0);
    CHECK_EQ(sizeof(struct portID), 4); /* the name of old sources */
    CHECK_EQ(sizeof(portID_t), 4);
    CHECK_EQ(sizeof(struct scif_pollepd), sizeof(struct pollfd));
    CHECK_EQ(offsetof(struct scif_pollepd, events), offsetof(struct pollfd, events));
    CHECK_EQ(offsetof(struct scif_pollepd, revents), offsetof(struct pollfd, revents));
    CHECK_EQ(SCIF_POLLIN, POLLIN);
    CHECK_EQ(SCIF_POLLOUT, POLLOUT);
    CHECK_EQ(SCIF_POLLERR, POLLERR);
    CHECK_EQ(SCIF_POLLHUP, POLLHUP);
    CHECK_EQ(SCIF_POLLNVAL, POLLNVAL);
    CHECK(SCIF_OPEN_FAILED == (scif_epd_t)-1);
    CHECK(SCIF_REGISTER_FAILED == (off_t)-1);
    CHECK(SCIF_MMAP_FAILED == (void *)-1);
}

#define CITE "contract: scif_get_nodeIDs"
static const struct sciftest_case cases[] = {
    {"scif_h__has_the_values_of_the_contract", "contract: types and constants", constants, NULL, 0},
    {"scif_h__has_the_types_of_the_contract", "contract: types and constants", types, NULL, 0},
    {"scif_get_nodeIDs__lists_own_node_once", "guide 3.12", lists_self, NULL, 0},
    {"scif_get_nodeIDs__lists_ascending", CITE, ascending, NULL, 0},
    {"scif_get_nodeIDs__without_list_gives_number_and_self", CITE, only_self, NULL, 0},
    {"scif_get_nodeIDs__without_self_gives_list", CITE, without_self, NULL, 0},
    {"scif_get_nodeIDs__with_little_room_gives_number_of_all", CITE, little_room, NULL, 0},
    {"scif_get_nodeIDs__writes_no_more_than_the_nodes", CITE, much_room, NULL, 0},
    {"scif_get_nodeIDs__of_negative_len_is_EINVAL", CITE, wrong_len, NULL, 0},
    {"scif_get_nodeIDs__of_no_list_with_room_is_EFAULT", CITE, wrong_nodes, NULL, 0},
    {"scif_get_nodeIDs__keeps_errno", "contract: clients 5", keeps_errno, NULL, 0},
    {"scif_get_nodeIDs__lists_the_node_of_the_other_side", "guide 3.12", each_other, each_other, 0},
};
SCIFTEST_AREA(node_area, cases);
