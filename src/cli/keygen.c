/* weft keygen: makes the user's key. */
#include "base/error.h"
#include "base/path.h"
#include "cli/command.h"
#include "node/key.h"

#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static int make(const char *path, bool replace) {
    uint8_t key[NODE_KEY_BYTES];
    int rc = node_key_create(path, replace, key);
    OPENSSL_cleanse(key, sizeof key);
    if (rc == WEFT_E_EXIST) {
        fprintf(stderr, "weft: %s is there already and stays as it is; --force replaces it\n", path);
        return 1;
    }
    if (rc != WEFT_OK) return 1;
    printf("A new key is in %s (mode 0600).\n"
           "`weft up --hosts` hands what the other hosts need to them; where you type `weft up --join` "
           "instead, the\n"
           "same file must be there.\n",
           path);
    if (replace)
        printf("Clusters that are up keep what they have of the old one; hosts that have a copy of it need "
               "this one.\n");
    return 0;
}

static int run(int argc, char **argv) {
    static const struct option options[] = {{"force", no_argument, NULL, 'f'},
                                            {"file", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool force = false;
    const char *file = NULL;
    char path[WEFT_PATH_MAX];
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (o) {
        case 'f': force = true; break;
        case 'o': file = optarg; break;
        case 'h': return command_help(&command_keygen);
        default: return command_misuse(&command_keygen, NULL);
        }
    }
    if (optind < argc) return command_misuse(&command_keygen, "unexpected argument %s", argv[optind]);
    if (file && !*file) return command_misuse(&command_keygen, "--file: a name is wanted");
    if (!file && node_key_path(path, sizeof path) != WEFT_OK) return 1;
    return make(file ? file : path, force);
}

const struct command command_keygen = {
    .name = "keygen",
    .summary = "make the key that your clusters derive theirs from",
    .usage = "Usage: weft keygen [--force] [--file F]\n"
             "Makes a random key of 32 bytes in a file that only you can read (mode 0600):\n"
             "$XDG_CONFIG_HOME/weft/key or ~/.config/weft/key, or what WEFT_KEY_FILE names. `weft up` does "
             "the same\n"
             "when there is none.\n\n"
             "  --force    replace the key that is there; without it that one is never touched\n"
             "  --file F   make it in F\n",
    .run = run,
};
