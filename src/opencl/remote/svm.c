/* Remote: shared virtual memory. The executor's driver chooses the addresses; the same are taken in this
 * process, and where they are not free here, others are asked for. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opencl/remote/internal.h"

#define TRIES 8
#define LARGE                                                                                                \
    (4u << 20) /* allocators give so much from elsewhere than from their heap, which this process has too */

/* One allocation there; *address is whole pages. */
static cl_int ask(struct remote_node *n, bk_ref handle, bk_ref context, cl_svm_mem_flags flags, size_t bytes,
                  uint32_t room, uint64_t *address) {
    struct remote_request *r = remote_request_create(n);
    if (!r) return CL_OUT_OF_HOST_MEMORY;
    struct wire_out msg;
    wire_begin(&msg, SVM_ALLOC, svm_alloc, .mem = handle, .context = context, .request = r->id,
               .flags = flags, .size = bytes, .room = room);
    cl_int err = remote_request_wait(n, r, remote_send(n, &msg, NULL, 0, NULL, NULL));
    if (!err && (!r->data || r->bytes != sizeof *address)) err = CL_OUT_OF_RESOURCES;
    if (!err) memcpy(address, r->data, sizeof *address);
    remote_request_drop(n, r);
    return err;
}

/* Nothing that this process has is replaced. */
static bool take_address(uint64_t address, size_t bytes) {
    void *at = mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED) return false;
    if ((uintptr_t)at == address) return true;
    munmap(at, bytes); /* a kernel that does not know the flag */
    return false;
}

static size_t whole_pages(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

cl_int remote_svm_alloc(struct backend *b, bk_ref context, cl_svm_mem_flags flags, size_t size,
                        cl_uint alignment, void **ptr, bk_ref *out) {
    struct remote_node *n = remote_node_of(b);
    size_t bytes = whole_pages(size), tried = 0, page = whole_pages(1);
    bk_ref refs[TRIES];
    cl_int err = CL_OUT_OF_RESOURCES;
    *ptr = NULL;
    if (bytes < size) return err;
    while (!*ptr && tried < TRIES) {
        uint64_t address = 0;
        refs[tried] = remote_handle(n, BK_MEM, NULL);
        if (!refs[tried]) break;
        uint32_t room = tried ? LARGE << (tried - 1) : 0; /* each time farther from those before */
        err = ask(n, refs[tried++], context, flags, bytes, room, &address);
        if (err) break;
        if (address && address % page == 0 && take_address(address, bytes)) *ptr = (void *)(uintptr_t)address;
    }
    /* Those that were not free here are kept until now, so that the driver does not choose them again. */
    if (*ptr) *out = refs[--tried];
    while (tried) remote_release(b, BK_MEM, refs[--tried]);
    return *ptr ? CL_SUCCESS : err ? err : CL_OUT_OF_RESOURCES;
}

void remote_svm_free(struct backend *b, bk_ref context, void *ptr, size_t size, bk_ref ref) {
    munmap(ptr, whole_pages(size));
    remote_release(b, BK_MEM, ref);
}

cl_int remote_set_exec_svm(struct backend *b, bk_ref kernel, cl_uint count, void *const *ptrs,
                           const bk_ref *refs) {
    struct wire_out msg;
    wire_begin(&msg, SET_EXEC_SVM, set_exec_svm, .kernel = kernel);
    if (!wire_add_array(&msg, refs, count)) return CL_OUT_OF_RESOURCES;
    return remote_send(remote_node_of(b), &msg, NULL, 0, NULL, NULL) ? CL_SUCCESS : CL_OUT_OF_RESOURCES;
}
