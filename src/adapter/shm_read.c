/* shm remote read: the system copies straight out of the peer's memory (cross-memory attach), without its
 * help.
 *
 * A region says: this adapter, that address and length. The peer that owns the memory describes it, over its
 * own link, and the reader reads only that process and only inside what was described; a false description
 * harms its maker alone. The system cannot revoke such a description: conceal() is a promise of the protocol
 * above, not kept by force. */
#include "adapter/shm_internal.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"
#include "base/option.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#define REGION_BYTES 24
#define READ_MAX     ((size_t)1 << 30) /* bytes a call: the system's own limit is just under 2 GiB */

/* Whether the system call exists and is let through here; whether a given peer may be read is found out by
 * reading. */
bool shm_read_works(void) {
    char from = 1, to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};
    return weft_option_bool("shm_remote_read") && process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 &&
           to == 1;
}

int shm_expose(struct adapter *a, struct adapter_peer *peer, const void *ptr, size_t len, void *region,
               size_t *region_len) {
    struct shm *s = (struct shm *)a;
    struct weft_writer w;
    weft_writer_init(&w, region, *region_len);
    weft_put_u64(&w, s->address.token);
    weft_put_u64(&w, (uintptr_t)ptr);
    weft_put_u64(&w, len);
    if (w.failed) return WEFT_E_TOO_BIG;
    *region_len = w.len;
    return 0;
}

void shm_conceal(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len) {
    (void)a; /* nothing is kept for a region */
}

static int read_error(const struct adapter_peer *peer, int err) {
    switch (err) {
    case ESRCH: return WEFT_E_PEER_LOST;
    case EFAULT: return WEFT_E_INVAL;
    case EPERM:
    case ENOSYS:
        shm_count(SHM_READS_REFUSED, 1);
        weft_info("shm", "the system refuses to read process %u (kernel.yama.ptrace_scope?): using packets",
                  peer->address.pid);
        return WEFT_E_ACCESS;
    default: return weft_error_from_errno(err);
    }
}

static int copy(const struct adapter_peer *peer, uint64_t from, uint8_t *to, size_t len) {
    while (len) {
        size_t step = len < READ_MAX ? len : READ_MAX;
        struct iovec local = {to, step}, remote = {(void *)(uintptr_t)from, step};
        ssize_t n = process_vm_readv((pid_t)peer->address.pid, &local, 1, &remote, 1, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return read_error(peer, errno);
        if (n == 0) return WEFT_E_INVAL;
        to += n;
        from += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int shm_read(struct adapter *a, struct adapter_peer *peer, const void *region, size_t region_len,
             uint64_t offset, void *dst, size_t len) {
    struct weft_reader r;
    weft_reader_init(&r, region, region_len);
    uint64_t token = weft_get_u64(&r), start = weft_get_u64(&r), size = weft_get_u64(&r);
    if (r.failed || region_len != REGION_BYTES || token != peer->address.token) return WEFT_E_INVAL;
    if (offset > size || len > size - offset || size > UINTPTR_MAX || start > UINTPTR_MAX - size)
        return WEFT_E_INVAL;
    if (peer->link[0]->pidfd < 0)
        return WEFT_E_ACCESS; /* could not tell the peer from a later process of its number */
    int rc = copy(peer, start + offset, dst, len);
    if (rc == WEFT_E_ACCESS || rc == WEFT_E_INVAL)
        return shm_link_hung_up(peer->link[0]) ? WEFT_E_PEER_LOST : rc;
    if (rc) return rc;
    /* Alive and with us after the copy: so it was that process, and that program, all the time. */
    if (shm_link_hung_up(peer->link[0])) return WEFT_E_PEER_LOST;
    shm_count(SHM_READS, 1);
    shm_count(SHM_READ_BYTES, len);
    return 0;
}
