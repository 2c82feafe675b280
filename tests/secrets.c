/* Looks for a cluster's secrets where they must not be: user key, job key and daemons' token, as bytes or as
 * hexadecimal digits, in the files named. Prints where they are; exit status 0: nowhere, 1: somewhere, 2:
 * nothing could be looked at.
 *
 *   usage: secrets KEY_FILE JOIN_TEXT FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "node/protocol.h"

#define FILE_MAX (64u << 20)

struct secret {
    const char *name;
    const uint8_t *data;
    size_t bytes;
};

/* Files of /proc have no size that could be asked for. */
static char *read_all(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "r");
    char *text = f ? malloc(FILE_MAX) : NULL;
    *bytes = text ? fread(text, 1, FILE_MAX, f) : 0;
    if (f) fclose(f);
    return text;
}

static bool holds(const char *text, size_t bytes, const struct secret *s) {
    char hex[2 * NODE_KEY_BYTES + 1];
    size_t digits = node_hex_encode(s->data, s->bytes, hex);
    return memmem(text, bytes, s->data, s->bytes) || memmem(text, bytes, hex, digits);
}

int main(int argc, char **argv) {
    uint8_t key[NODE_KEY_BYTES];
    struct node_join j;
    struct node_credentials c;
    if (argc < 4 || node_key_read(argv[1], key) != WEFT_OK || node_join_parse(argv[2], &j) != WEFT_OK ||
        !j.keyed || node_credentials_derive(&c, key, j.id) != WEFT_OK) {
        fprintf(stderr, "usage: secrets KEY_FILE JOIN_TEXT FILE...\n");
        return 2;
    }
    const struct secret secrets[] = {
        {"user key", key, sizeof key}, {"job key", c.key, sizeof c.key}, {"token", c.token, sizeof c.token}};
    unsigned looked = 0, found = 0;
    for (int i = 3; i < argc; i++) {
        size_t bytes;
        char *text = read_all(argv[i], &bytes);
        looked += bytes > 0;
        for (size_t k = 0; text && k < sizeof secrets / sizeof *secrets; k++) {
            if (!holds(text, bytes, &secrets[k])) continue;
            printf("the %s is in %s\n", secrets[k].name, argv[i]);
            found++;
        }
        free(text);
    }
    printf("%u files looked at\n", looked);
    return found ? 1 : looked ? 0 : 2;
}
