/* Command line of the matrix product. */
#include "matmul.h"
#include "matrix.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>

static const char help[] =
    "usage: matmul N SLICE [--json] [--prefetch] [--tail-aware] [--devices TEXT] [--platform TEXT] [--node "
    "K]\n"
    "\n"
    "Multiplies two N x N matrices in single precision on every OpenCL device that there is, in blocks of\n"
    "SLICE x SLICE that the devices take from a shared counter, and checks the result exactly.\n"
    "\n"
    "  N                order of the matrices, 1 or more\n"
    "  SLICE            order of a block, 1 or more; it need not divide N, and more than N means N\n"
    "  --json           print one JSON object instead of the table\n"
    "  --prefetch       send a device its next block's data while it computes, and give it the block that\n"
    "                   needs the fewest rows and columns that its node has not had\n"
    "  --tail-aware     let no device take one of the last blocks that others would have done before it\n"
    "  --devices TEXT   use only devices with TEXT in their name (any case)\n"
    "  --platform TEXT  use only platforms with TEXT in their name (any case)\n"
    "  --node K         use only devices of node K, where the OpenCL implementation spans several\n"
    "  --help           print this help\n"
    "\n"
    "Exit status: 0 if the product is right, 1 if it is wrong or an OpenCL call failed, 2 for wrong "
    "arguments.\n"
    "\n"
    "Example: matmul 1024 256\n";

static void refuse(const char *what, const char *value, const char *why) {
    fprintf(stderr, "matmul: %s '%s': %s (see matmul --help)\n", what, value, why);
    exit(2);
}

static int number(const char *what, const char *text, long min, long max) {
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end) refuse(what, text, "not a whole number");
    char why[80];
    snprintf(why, sizeof why, "must lie in %ld..%ld", min, max);
    if (errno || v < min || v > max) refuse(what, text, why);
    return (int)v;
}

void options_parse(int argc, char **argv, struct options *o) {
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},           {"devices", required_argument, NULL, 'd'},
        {"platform", required_argument, NULL, 'p'}, {"node", required_argument, NULL, 'n'},
        {"prefetch", no_argument, NULL, 'f'},       {"tail-aware", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},           {0},
    };
    *o = (struct options){.filter.node = -1};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'j': o->json = true; break;
        case 'f': o->prefetch = true; break;
        case 't': o->tail_aware = true; break;
        case 'd': o->filter.device = optarg; break;
        case 'p': o->filter.platform = optarg; break;
        case 'n': o->filter.node = number("--node", optarg, 0, 65535); break;
        case 'h': fputs(help, stdout); exit(0);
        default: fputs("see matmul --help\n", stderr); exit(2);
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "matmul: wants two arguments, N and SLICE, got %d\n\n%s", argc - optind, help);
        exit(2);
    }
    o->n = number("N", argv[optind], 1, MATRIX_MAX_ORDER);
    o->slice = number("SLICE", argv[optind + 1], 1, INT_MAX);
    if (o->slice > o->n) o->slice = o->n;
    /* The kernel computes indices in an int. */
    if ((long)o->slice * o->n > INT_MAX) refuse("SLICE", argv[optind + 1], "SLICE x N must stay below 2^31");
}
