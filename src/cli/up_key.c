/* The key of `weft up`: read, or made when a cluster is the first to need one. The credentials that it gives
 * are all that leaves this process. */
#include "base/error.h"
#include "base/path.h"
#include "cli/up.h"
#include "node/protocol.h"

#include <openssl/crypto.h>
#include <stdio.h>

static bool read_or_make(const char *path, uint8_t key[NODE_KEY_BYTES]) {
    int rc = node_key_read(path, key);
    if (rc != WEFT_E_NOENT) return rc == WEFT_OK;
    rc = node_key_create(path, false, key);
    if (rc == WEFT_E_EXIST) return node_key_read(path, key) == WEFT_OK; /* another one was quicker */
    if (rc == WEFT_OK) fprintf(stderr, "weft: there was no key yet: made one, %s (mode 0600)\n", path);
    return rc == WEFT_OK;
}

static bool make(struct node_credentials *c) {
    char path[WEFT_PATH_MAX];
    uint8_t key[NODE_KEY_BYTES];
    bool good = node_key_path(path, sizeof path) == WEFT_OK && read_or_make(path, key) &&
                node_credentials_make(c, key) == WEFT_OK;
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

/* A key made here could not be the cluster's. */
static bool derive(struct node_credentials *c, const uint8_t *id) {
    char path[WEFT_PATH_MAX];
    uint8_t key[NODE_KEY_BYTES];
    if (node_key_path(path, sizeof path) != WEFT_OK) return false;
    int rc = node_key_read(path, key);
    if (rc == WEFT_E_NOENT)
        fprintf(stderr,
                "weft: that cluster has a key, and this host has none: put the key file of the host where "
                "the cluster "
                "was\n      started at %s (mode 0600)\n",
                path);
    bool good = rc == WEFT_OK && node_credentials_derive(c, key, id) == WEFT_OK;
    OPENSSL_cleanse(key, sizeof key);
    return good;
}

bool up_credentials(const struct up_arguments *a, struct node_credentials *c, bool *keyed) {
    struct node_join j;
    *keyed = !a->insecure;
    if (!a->join) return a->insecure || make(c);
    if (node_join_parse(a->join, &j) != WEFT_OK) {
        fprintf(stderr,
                "weft: that is not a join text: weft up prints it, it begins with weft2- or weft1-\n");
        return false;
    }
    if (j.keyed && a->insecure) {
        fprintf(stderr, "weft: that cluster has a key: join it without --insecure\n");
        return false;
    }
    *keyed = j.keyed;
    return !j.keyed || derive(c, j.id);
}
