/* File transfer by gets, with progress.
 *
 * The second process maps a file, makes it a window for reading and tells the first its handle and checksum.
 * The first fetches it piece by piece, a few at a time: the callback of each get that ends takes the next
 * piece, as from a work queue. The second process does nothing meanwhile. */
#include "pair.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "Usage: fabric-fetch [FILE [COPY]]\n"
    "Fetches FILE (default: 64 MiB of made-up data) out of the memory of a second process, checks\n"
    "it, and writes it to COPY if that is named. Progress goes to standard error.\n"
    "Over two nodes: weft run --nodes 2 --adapter udp -- fabric-fetch FILE\n";

enum { OFFER, DONE, HANDLERS };
enum { PIECE_BYTES = 1 << 20, PIECES_AT_ONCE = 8, MADE_UP_BYTES = 64 << 20 };

struct offer {
    struct weft_window_handle handle;
    uint64_t bytes, checksum;
};

static struct pair pair;
static struct offer offer;
static atomic_int offered, done;

/* FNV-1a over words; what matters here is that it sees every byte. */
static uint64_t checksum(const uint8_t *p, size_t bytes) {
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, p + i, bytes - i < 8 ? bytes - i : 8);
        sum = (sum ^ word) * 0x100000001b3u;
    }
    return sum;
}

static void on_offer(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                     struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)action;
    if (msg->header_bytes != sizeof offer) return;
    memcpy(&offer, msg->header, sizeof offer);
    offered = 1;
}

static void on_done(void *ctx, struct weft_peer *peer, const struct weft_msg *msg,
                    struct weft_action *action) {
    (void)ctx;
    (void)peer;
    (void)msg;
    (void)action;
    done = 1;
}

static int is_set(void *arg) { return *(atomic_int *)arg; }

/* -- the second process -- */

static uint8_t *load(const char *path, size_t *bytes) {
    struct stat st = {.st_size = MADE_UP_BYTES};
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path && (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)) {
        fprintf(stderr, "%s: cannot be read, or is empty\n", path);
        exit(1);
    }
    *bytes = (size_t)st.st_size;
    int flags = path ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS;
    uint8_t *p = mmap(NULL, *bytes, path ? PROT_READ : PROT_READ | PROT_WRITE, flags, fd, 0);
    if (p == MAP_FAILED) must(WEFT_E_NOMEM, "mmap");
    if (!path) pattern_fill(p, *bytes, 0);
    if (fd >= 0) close(fd);
    return p;
}

static void serve(const char *path) {
    size_t bytes;
    uint8_t *file = load(path, &bytes);
    struct weft_window *window;
    struct offer mine = {.bytes = bytes, .checksum = checksum(file, bytes)};
    must(weft_window_export(pair.w, weft_buf_ptr(file, bytes), WEFT_READ, pair.peer, &window, &mine.handle),
         "weft_window_export");
    must(weft_send_eager(pair.peer, OFFER, &mine, sizeof mine, NULL, 0), "weft_send_eager");
    must(weft_wait(pair.w, is_set, &done, WEFT_FOREVER), "weft_wait");
    must(weft_window_revoke(window, WEFT_FOREVER), "weft_window_revoke");
    munmap(file, bytes);
}

/* -- the first process -- */

static struct weft_remote remote;
static uint8_t *copy;
static _Atomic uint64_t next_byte, bytes_here;
static atomic_int under_way, failure;

static void on_piece(void *arg, int status);

/* Takes the next piece, from whichever thread. */
static void fetch_next(void) {
    uint64_t from = atomic_fetch_add(&next_byte, PIECE_BYTES);
    if (from >= offer.bytes || failure) return;
    uint64_t bytes = offer.bytes - from < PIECE_BYTES ? offer.bytes - from : PIECE_BYTES;
    struct weft_done end = {NULL, on_piece, (void *)(uintptr_t)bytes};
    under_way++;
    int rc = weft_get_buffer(&remote, from, weft_buf_ptr(copy + from, (size_t)bytes), &end);
    if (rc == 0) return;
    under_way--;
    failure = rc;
}

static void on_piece(void *arg, int status) {
    if (status)
        failure = status;
    else
        bytes_here += (uint64_t)(uintptr_t)arg;
    fetch_next();
    under_way--; /* last: while it is not 0 there is something to wait for */
}

static uint64_t percent(void) { return bytes_here * 100 / offer.bytes; }
static int has_moved(void *arg) { return under_way == 0 || percent() > *(uint64_t *)arg; }

static void fetch_all(void) {
    for (int i = 0; i < PIECES_AT_ONCE; i++) fetch_next();
    while (under_way) {
        uint64_t shown = percent();
        fprintf(stderr, "\r%3llu %%", (unsigned long long)shown);
        must(weft_wait(pair.w, has_moved, &shown, WEFT_FOREVER), "weft_wait");
    }
    fprintf(stderr, "\r%3llu %%\n", (unsigned long long)percent());
}

static int save(const char *path) {
    FILE *f = fopen(path, "wb");
    int bad = !f || fwrite(copy, 1, offer.bytes, f) != offer.bytes;
    if (f && fclose(f) != 0) bad = 1;
    if (bad) perror(path);
    return bad;
}

static int fetch(const char *path) {
    void *memory;
    must(weft_wait(pair.w, is_set, &offered, WEFT_FOREVER), "weft_wait");
    must(weft_window_import(pair.peer, &offer.handle, &remote), "weft_window_import");
    must(weft_alloc(pair.w, offer.bytes, &memory), "weft_alloc");
    copy = memory;
    double start = seconds();
    fetch_all();
    double took = seconds() - start;
    must(failure, "weft_get_buffer");
    must(weft_send_eager(pair.peer, DONE, NULL, 0, NULL, 0), "weft_send_eager");
    int bad = bytes_here != offer.bytes || checksum(copy, offer.bytes) != offer.checksum;
    if (!bad && path) bad = save(path);
    printf("%llu bytes in %.3f s, %.2f GB/s\n", (unsigned long long)offer.bytes, took,
           (double)offer.bytes / took / 1e9);
    return bad;
}

int main(int argc, char **argv) {
    int at = pair_options(argc, argv, help);
    const char *path = at < argc ? argv[at] : NULL, *to = at + 1 < argc ? argv[at + 1] : NULL;
    static const struct weft_handler handlers[HANDLERS] = {{on_offer, NULL}, {on_done, NULL}};
    pair_open(&pair, handlers, HANDLERS);
    int bad = 0;
    if (pair.rank)
        serve(path);
    else
        bad = fetch(to);
    if (copy) weft_free(pair.w, copy, offer.bytes);
    int status = pair_close(&pair, bad);
    if (!pair.rank) printf("%s\n", status ? "FAILED" : "verified");
    return status;
}
