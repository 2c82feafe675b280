/* weft bench: what messages cost over an adapter, between two processes of this host. */
#include "cli/bench/bench.h"
#include "cli/command.h"

#include <signal.h>

const struct bench_kind_info bench_kinds[BENCH_KINDS] = {
    [BENCH_LATENCY] = {.name = "latency", .sizes = "8,4K,64K,1M,16M", .run = bench_run_messages},
    [BENCH_BANDWIDTH] = {.name = "bandwidth",
                         .sizes = "8,4K,64K,1M,16M",
                         .least_size = 1,
                         .run = bench_run_messages},
    [BENCH_RATE] = {.name = "rate", .sizes = "8", .run = bench_run_messages},
    [BENCH_BIDIRECTIONAL] = {.name = "bidirectional",
                             .sizes = "4K,64K,1M,16M",
                             .least_size = 1,
                             .two_ends = true,
                             .run = bench_run_messages},
    [BENCH_CPU] =
        {.name = "cpu", .sizes = "4K,64K,1M", .least_size = 1, .two_ends = true, .run = bench_run_messages},
    [BENCH_PUT] = {.name = "put",
                   .sizes = "8,4K,64K,1M,16M",
                   .least_size = 8,
                   .two_ends = true,
                   .run = bench_run_window},
    [BENCH_GET] = {.name = "get",
                   .sizes = "8,4K,64K,1M,16M",
                   .least_size = 1,
                   .two_ends = true,
                   .reads = true,
                   .run = bench_run_window},
    [BENCH_PEERS] =
        {.name = "peers", .sizes = "8", .two_ends = true, .compares = true, .run = bench_run_peers},
    [BENCH_UNDER_BULK] = {.name = "small-under-bulk",
                          .sizes = "64",
                          .two_ends = true,
                          .compares = true,
                          .run = bench_run_under_bulk},
    [BENCH_FLOOR] = {.name = "floor", .sizes = "8,64,4K,64K,1M,16M", .least_size = 1, .run = bench_run_floor},
    [BENCH_MEMORY] = {.name = "memory", .two_ends = true, .run = bench_run_memory},
    [BENCH_SCIF] = {.name = "scif",
                    .sizes = "8,4K,64K,1M,16M",
                    .least_size = 8,
                    .two_ends = true,
                    .compares = true,
                    .run = bench_run_scif},
    [BENCH_NOTIFY] = {.name = "notify", .compares = true, .run = bench_run_notify},
    [BENCH_CLAIMS] = {.name = "claims", .compares = true, .run = bench_run_claims},
    [BENCH_PAPER] = {.name = "paper002", .run = bench_run_paper},
    [BENCH_MODEL] = {.name = "model", .run = bench_run_model},
};

atomic_bool bench_interrupted;

static void on_signal(int number) { atomic_store(&bench_interrupted, true); }

void bench_catch_signals(void) {
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
}

static int run(int argc, char **argv) {
    struct bench_options o;
    int status = bench_options_parse(&o, argc, argv);
    if (status) return status;
    if (!bench_cpu_pair(o.cpu)) o.pin = false;
    bench_catch_signals();
    return o.peers ? bench_run_contest(&o) : bench_kinds[o.kind].run(&o);
}

const struct command command_bench = {
    .name = "bench",
    .summary = "measure what messages cost over an adapter, on this host",
    .usage =
        "Usage: weft bench KIND [OPTION]...\n"
        "Measures messages between two processes of this host, each with an endpoint of the adapter.\n\n"
        "  latency          one way, half of a round trip: median, 99th percentile, smallest\n"
        "  bandwidth        messages one after another, a window of them in flight, in GB (10^9 bytes) a "
        "second\n"
        "  rate             small messages a second\n"
        "  bidirectional    bandwidth of both directions together\n"
        "  cpu              CPU seconds for each GB, at each end\n"
        "  put              writing into the other's window: one way until its CPU sees it, and GB a second\n"
        "  get              reading from it: until the data is here, and GB a second\n"
        "  peers            latency beside 1, 8 and 64 connected processes\n"
        "  small-under-bulk latency while 1 GiB moves to the same process, beside what it is otherwise\n"
        "  floor            what this machine can do at best, without weft: a cache line from CPU to CPU, a "
        "bare UDP\n"
        "                   socket, memcpy, process_vm_readv\n"
        "  memory           heap that a connected process takes to which nobody talks\n"
        "  scif             SCIF's calls between two processes of this node: messages, mappings, RMA, "
        "registering,\n"
        "                   each beside what it is compared with, and the goal; some half a minute\n"
        "  notify           how a thread hears of an arrival, by each of weft's mechanisms and by what the "
        "system has:\n"
        "                   latency, the sender's cost, what is taken from who computes, by place, load and "
        "rate; a\n"
        "                   minute or two\n"
        "  claims           every figure that the documents promise of the fabric: what was wanted, what "
        "was\n"
        "                   measured, met or not; some minutes\n"
        "  paper002         matmul on the device combinations of the paper on clOpenCL, in network "
        "namespaces\n"
        "                   with paced devices and scaled links: times and speed-ups beside the paper's, "
        "the\n"
        "                   model's and the ideal ones; a quarter of an hour, and only where weft was "
        "built\n"
        "  model            how long the model's predictions, placements, questions and loading take, beside what was "
        "wanted\n\n"
        "  --adapter NAME   one that `weft info` lists (default: shm); with self, a process and itself\n"
        "  --size S[,S...]  bytes of data in a message; K, M and G are 2^10, 2^20 and 2^30\n"
        "  --peers          let the tools of other message layers that are installed take turns with weft: "
        "UCX,\n"
        "                   libfabric, Open MPI (latency, bandwidth, rate, bidirectional, cpu, put, get)\n"
        "  --rounds N       how many turns each has where several are compared (default: 5)\n"
        "  --connected N,.. for peers and memory: how many processes (default: 1,8,64; memory: 64)\n"
        "  --bulk SIZE      for small-under-bulk: how much moves (default: 1G)\n"
        "  --time SECONDS   how long to measure each size (default: 1)\n"
        "  --count N        round trips or messages of each size, in ten times that time at most\n"
        "  --window N       messages in flight (default: 4 MiB of them, at least 4 and at most 256)\n"
        "  --data written   write the data anew before it is sent (default)\n"
        "  --data static    send the same bytes again and again (default with --peers: so do their tools)\n"
        "  --security S     crc or aes: how packets are protected, where the adapter needs it (default: "
        "what\n"
        "                   WEFT_SECURITY says); not for put and get\n"
        "  --state STATE    near or far: keep only samples during which the CPU pair was in that state;\n"
        "                   each: a row for each state; all: one row of all (default, unless several are "
        "compared)\n"
        "  --hosts A,B      listen on these addresses; B@NAME: the other process runs in the network\n"
        "                   namespace of that name (ip netns)\n"
        "  --no-pin         let the processes run on any CPU\n"
        "  --quick          for claims: shorter and fewer turns; for paper002: three combinations; for "
        "notify: one rate,\n"
        "                   the other CPU\n"
        "  --only NAME      for claims: only those whose names begin so; a name that there is not lists "
        "them;\n"
        "                   for paper002: only that order of the matrices, 8K, 16K or 24K; for notify: "
        "mechanisms\n"
        "  --row DEVICES    for paper002: only that combination of devices, as GGC,GC\n"
        "  --stress N       for notify: post N times at random to every mechanism and count what is told\n"
        "  --json           one object a line\n"
        "  --csv            comma-separated values, with a heading\n",
    .run = run,
};
