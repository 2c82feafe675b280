/* Writes what goes over an interface to a file, frame after frame, until it is told to end (TERM). Says
 * "ready" when it listens. Takes the right to see packets, as root or in a namespace.
 *
 *   usage: capture INTERFACE FILE */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t ended;
static void on_term(int number) { ended = 1; }

int main(int argc, char **argv) {
    static char frame[1 << 17];
    FILE *out = argc == 3 ? fopen(argv[2], "w") : NULL;
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (argc == 3) at.sll_ifindex = (int)if_nametoindex(argv[1]);
    if (!out || fd < 0 || !at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        perror("capture");
        return EXIT_FAILURE;
    }
    struct sigaction sa = {.sa_handler = on_term}; /* not restarted: recv ends with it */
    sigaction(SIGTERM, &sa, NULL);
    puts("ready");
    fflush(stdout);
    while (!ended) {
        ssize_t n = recv(fd, frame, sizeof frame, 0);
        if (n > 0) fwrite(frame, 1, (size_t)n, out);
        fflush(out);
    }
    return fclose(out) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
