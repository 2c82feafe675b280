/* A stand-in for weft-exec in tests. WEFT_FAKE_MODE says what it does; its address is its token and its pid,
 * so that a test can check the one and kill the other. */
#include "base/codec.h"
#include "node/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INVENTORY_BYTES 100000

static int inventory(const char *mode) {
    if (strcmp(mode, "inventory-crash") == 0) raise(SIGKILL);
    if (strcmp(mode, "inventory-hang") == 0) pause();
    size_t bytes = strcmp(mode, "inventory-huge") == 0 ? 5u << 20 : INVENTORY_BYTES;
    for (size_t i = 0; i < bytes; i++) putchar((int)(i % 251));
    return 0;
}

int main(int argc, char **argv) {
    const char *mode = getenv("WEFT_FAKE_MODE");
    if (!mode) mode = "ready";
    if (argc > 1 && strcmp(argv[1], "--inventory") == 0) return inventory(mode);
    if (strcmp(mode, "exit") == 0) return 3;
    if (strcmp(mode, "silent") == 0) pause();

    uint8_t token[NODE_TOKEN_BYTES + 1], address[32];
    if (read(STDIN_FILENO, token, sizeof token) != NODE_TOKEN_BYTES) return 4;
    const char *marked = getenv("WEFT_EXECUTOR");
    if (!marked || strcmp(marked, "1") != 0 || getenv("SECRET_OF_THE_CALLER")) return 5;
    struct node_client *c;
    if (node_client_open(&c, NULL, NULL, NODE_EXECUTOR, NULL) != 0) return 6;
    struct weft_writer w;
    weft_writer_init(&w, address, sizeof address);
    weft_put_bytes(&w, token, NODE_TOKEN_BYTES);
    weft_put_u32(&w, (uint32_t)getpid());
    if (node_client_executor_ready(c, address, w.len) != 0) return 7;
    if (strcmp(mode, "close") == 0) node_client_close(c);
    for (;;) pause();
}
