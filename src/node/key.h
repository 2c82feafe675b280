/* Keys. A user has one key, in a file that only this user can read. For each cluster `weft up` derives
 * credentials from it and a random id: what one cluster's processes share is of no use in another, and no
 * process of a cluster holds the user key itself: daemons get the credentials, programs and executors only
 * the key in them (the job key).
 *
 * Secrets travel in pipes and over the daemon's Unix socket, never on a command line, in the environment or
 * in a log. Whoever is done with one wipes it (OPENSSL_cleanse). */
#ifndef WEFT_NODE_KEY_H
#define WEFT_NODE_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_KEY_BYTES           32
#define NODE_CLUSTER_ID_BYTES    16
#define NODE_CLUSTER_TOKEN_BYTES 16

/* --- the user's key (key_file.c): a file of one line, "weft-key-1 " and 64 hexadecimal digits --- */

/* WEFT_KEY_FILE, else `key` beside the config file. WEFT_E_NOENT: no such place (logged). */
int node_key_path(char *out, size_t cap);
/* WEFT_E_NOENT: there is no file (not logged). WEFT_E_ACCESS: its owner, its mode, or it is a link;
 * WEFT_E_INVAL: no regular file, or not a key (all logged, with what was found and what is wanted). */
int node_key_read(const char *path, uint8_t key[NODE_KEY_BYTES]);
/* A new random key: whole, or not there at all. WEFT_E_EXIST (not logged): there is a file, and not
 * `replace`. */
int node_key_create(const char *path, bool replace, uint8_t key[NODE_KEY_BYTES]);

/* --- what a cluster has of it (key.c) --- */

struct node_credentials {
    uint8_t id[NODE_CLUSTER_ID_BYTES];       /* random, not secret: names the cluster */
    uint8_t token[NODE_CLUSTER_TOKEN_BYTES]; /* daemons show it to each other */
    uint8_t key[NODE_KEY_BYTES];             /* the job key: of every endpoint of the cluster */
};

/* HKDF-SHA256, salt `id`. WEFT_E_NOSUP: the crypto library has no HKDF (logged). */
int node_credentials_derive(struct node_credentials *c, const uint8_t user_key[NODE_KEY_BYTES],
                            const uint8_t id[NODE_CLUSTER_ID_BYTES]);
/* For a new cluster, with a new id. user_key NULL: a cluster that ends with the command that starts it;
 * nobody joins. */
int node_credentials_make(struct node_credentials *c, const uint8_t *user_key);
/* One line of text, without its end, in which they are handed to a daemon. */
#define NODE_CREDENTIALS_TEXT_MAX (24 + 2 * sizeof(struct node_credentials))
void node_credentials_format(const struct node_credentials *c, char out[NODE_CREDENTIALS_TEXT_MAX]);
int node_credentials_parse(const char *text, struct node_credentials *c); /* WEFT_E_INVAL */

/* Lower-case hexadecimal digits, two a byte, and a NUL; the number of digits. */
size_t node_hex_encode(const void *data, size_t bytes, char *out);
/* Exactly 2 * bytes digits; false: another character among them. */
bool node_hex_decode(const char *text, size_t bytes, uint8_t *out);

#endif
