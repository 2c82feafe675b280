/* shm addresses: a process, a token, a directory, and a digest of where that directory is. Two processes
 * reach each other exactly when the digest of what each sees there is the same: same boot, same pid namespace
 * (or the peer could not be watched or read), same directory (not another one that happens to have its name
 * in another mount namespace), same user. */
#include "adapter/shm_internal.h"
#include "base/codec.h"
#include "base/error.h"
#include "base/log.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS_VERSION 1

static uint64_t mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 32;
}

static void digest(const uint8_t host[HOST_ID_BYTES], const struct stat *dir, uint8_t out[HOST_ID_BYTES]) {
    uint64_t lanes[2];
    memcpy(lanes, host, sizeof lanes);
    for (int i = 0; i < 2; i++) {
        lanes[i] = mix(lanes[i] + (uint64_t)i, dir->st_dev);
        lanes[i] = mix(lanes[i], dir->st_ino);
        lanes[i] = mix(lanes[i], geteuid());
    }
    memcpy(out, lanes, sizeof lanes);
}

static bool is_private_dir(const char *path, struct stat *st) {
    return !lstat(path, st) && S_ISDIR(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 077);
}

int shm_address_init(struct shm *s, const char *run_dir) {
    struct stat st;
    if (!run_dir || run_dir[0] != '/') {
        weft_error("shm", "open: run_dir \"%s\" is not an absolute path", run_dir ? run_dir : "");
        return WEFT_E_INVAL;
    }
    if (strlen(run_dir) > SHM_DIR_MAX) {
        weft_error("shm", "open: run_dir has %zu characters, a socket's path leaves %d", strlen(run_dir),
                   SHM_DIR_MAX);
        return WEFT_E_LIMIT;
    }
    int rc = weft_dir_make_private(run_dir);
    if (rc) return rc;
    if (!is_private_dir(run_dir, &st)) {
        weft_error("shm", "open: %s is not a directory of this user's alone", run_dir);
        return WEFT_E_ACCESS;
    }
    host_id("pid", s->host);
    s->address.pid = (uint32_t)getpid();
    s->address.token = host_random();
    digest(s->host, &st, s->address.place);
    strcpy(s->address.dir, run_dir);
    s->blob_bytes = shm_address_encode(&s->address, s->blob);
    return 0;
}

size_t shm_address_encode(const struct shm_address *a, uint8_t out[ADAPTER_ADDRESS_MAX]) {
    struct weft_writer w;
    weft_writer_init(&w, out, ADAPTER_ADDRESS_MAX);
    weft_put_u8(&w, ADDRESS_VERSION);
    weft_put_u32(&w, a->pid);
    weft_put_u64(&w, a->token);
    weft_put_bytes(&w, a->place, sizeof a->place);
    weft_put_bytes(&w, a->dir, strlen(a->dir));
    return w.len;
}

int shm_address_decode(const void *blob, size_t len, struct shm_address *out) {
    struct weft_reader r;
    struct shm_address a = {0};
    weft_reader_init(&r, blob, len);
    uint8_t version = weft_get_u8(&r);
    a.pid = weft_get_u32(&r);
    a.token = weft_get_u64(&r);
    const void *place = weft_get_bytes(&r, sizeof a.place);
    size_t dir_len = weft_reader_left(&r);
    if (r.failed || version != ADDRESS_VERSION || dir_len == 0 || dir_len > SHM_DIR_MAX) return WEFT_E_INVAL;
    const char *dir = weft_get_bytes(&r, dir_len);
    if (dir[0] != '/' || memchr(dir, 0, dir_len) || a.pid == 0 || a.pid > INT32_MAX) return WEFT_E_INVAL;
    memcpy(a.place, place, sizeof a.place);
    memcpy(a.dir, dir, dir_len);
    *out = a;
    return 0;
}

bool shm_address_here(const struct shm *s, const struct shm_address *a) {
    struct stat st;
    uint8_t place[HOST_ID_BYTES];
    if (!is_private_dir(a->dir, &st)) return false;
    digest(s->host, &st, place);
    return !memcmp(place, a->place, sizeof place);
}

void shm_address_socket_path(const struct shm_address *a, char out[SHM_SOCKET_PATH_MAX]) {
    snprintf(out, SHM_SOCKET_PATH_MAX, "%s/shm-%x-%08x", a->dir, a->pid, (unsigned)(a->token & UINT32_MAX));
}
