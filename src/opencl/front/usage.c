/* Usage: see usage.h. */
#include "opencl/front/usage.h"

#include "base/counter.h"

#define SETS   10
#define BEYOND (SETS + 1) /* of device.usage: it has no set */

enum { ID, OPENED, CLOSED, KERNELS, BYTES_IN, BYTES_OUT, BYTES_DIRECT, TAKEN, GIVEN_BACK, IN_A_SET };
#define SET(n)                                                                                               \
    {"opencl_device" #n "_id", "", "Which device: 1 + node * 2^32 + its number on the node."},               \
        {"opencl_device" #n "_queues_opened", "queues", "Queues made for that device."},                     \
        {"opencl_device" #n "_queues_closed", "queues", "Of those the ones that have ended."},               \
        {"opencl_device" #n "_kernels", "kernels", "Kernels started on that device."},                       \
        {"opencl_device" #n "_bytes_in", "bytes", "Bytes written to that device."},                          \
        {"opencl_device" #n "_bytes_out", "bytes", "Bytes read from that device."},                          \
        {"opencl_device" #n "_bytes_direct", "bytes",                                                        \
         "Of the bytes written: those that came straight from another node's device."},                      \
        {"opencl_device" #n "_memory_taken", "bytes", "Bytes of memory objects made for that device."}, {    \
        "opencl_device" #n "_memory_given_back", "bytes", "Of those the ones that have been given back."     \
    }
WEFT_COUNTERS(usage, SET(0), SET(1), SET(2), SET(3), SET(4), SET(5), SET(6), SET(7), SET(8), SET(9))
_Static_assert(sizeof usage_counters / sizeof *usage_counters == SETS * IN_A_SET, "one set for each number");

static unsigned claim(struct device *d) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned claimed;
    pthread_mutex_lock(&lock);
    unsigned set = atomic_load(&d->usage);
    if (!set) {
        set = claimed < SETS ? ++claimed : BEYOND;
        if (set != BEYOND)
            weft_counter_add(&usage_counters[(set - 1) * IN_A_SET + ID],
                             1 + ((uint64_t)d->backend->node << 32 | d->place));
        atomic_store(&d->usage, set);
    }
    pthread_mutex_unlock(&lock);
    return set;
}

/* What is done with a part of a device is done with the device. */
static void count(struct device *d, unsigned which, uint64_t n) {
    while (d->parent) d = d->parent;
    unsigned set = atomic_load_explicit(&d->usage, memory_order_relaxed);
    if (!set) set = claim(d);
    if (set != BEYOND) weft_counter_add(&usage_counters[(set - 1) * IN_A_SET + which], n);
}

void usage_queue(struct device *d, bool opened) { count(d, opened ? OPENED : CLOSED, 1); }

static size_t rect_bytes(const size_t region[3]) { return region[0] * region[1] * region[2]; }

static size_t image_bytes(const struct bk_command *c) {
    return rect_bytes(c->u.image.region) * c->u.image.element_bytes;
}

static void count_in(struct device *d, const struct bk_command *c, size_t bytes) {
    count(d, BYTES_IN, bytes);
    if (c->meeting) count(d, BYTES_DIRECT, bytes);
}

void usage_command(struct device *d, const struct bk_command *c) {
    switch (c->op) {
    case BK_NDRANGE:
    case BK_NATIVE: count(d, KERNELS, 1); break;
    case BK_WRITE: count_in(d, c, c->u.rw.size); break;
    case BK_READ: count(d, BYTES_OUT, c->u.rw.size); break;
    case BK_WRITE_RECT: count(d, BYTES_IN, rect_bytes(c->u.rect.region)); break;
    case BK_READ_RECT: count(d, BYTES_OUT, rect_bytes(c->u.rect.region)); break;
    case BK_WRITE_IMAGE: count_in(d, c, image_bytes(c)); break;
    case BK_READ_IMAGE: count(d, BYTES_OUT, image_bytes(c)); break;
    default: break; /* moves nothing between host and device; a local driver's shared memory is both's */
    }
}

static struct device *first_device(const struct context *c, cl_uint slot) {
    cl_uint i = 0;
    while (c->device_slot[i] != slot) i++; /* a slot has devices */
    return c->devices[i];
}

void usage_memory(const struct context *c, cl_uint slot, size_t bytes, bool taken) {
    count(first_device(c, slot), taken ? TAKEN : GIVEN_BACK, bytes);
}

void usage_transfer(const struct context *c, cl_uint slot, const struct bk_command *b) {
    usage_command(first_device(c, slot), b);
}
