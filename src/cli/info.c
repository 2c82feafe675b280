/* weft info: what this build can do on this machine: its adapters, the CPU pair, versions, the run directory.
 */
#include "adapter/adapter.h"
#include "base/error.h"
#include "base/path.h"
#include "cli/bench/mark.h"
#include "cli/command.h"
#include "cli/output.h"
#include "node/protocol.h"
#include "transport/wire.h"
#include "weft/notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static const double rates[] = {1e3, 1e4, 1e5, 1e6}; /* of arrivals */
#define RATES (sizeof rates / sizeof *rates)

static const struct {
    unsigned cap;
    const char *name;
} cap_names[] = {{ADAPTER_CAP_RELIABLE, "reliable"},       {ADAPTER_CAP_ORDERED, "ordered"},
                 {ADAPTER_CAP_REMOTE_READ, "remote-read"}, {ADAPTER_CAP_BURST, "burst"},
                 {ADAPTER_CAP_SAME_HOST, "same-host"},     {ADAPTER_CAP_PEER_DEATH, "peer-death"},
                 {ADAPTER_CAP_METHOD1, "method1"},         {ADAPTER_CAP_MESSAGES, "messages"},
                 {ADAPTER_CAP_METHOD2, "method2"},         {ADAPTER_CAP_ALLOC, "alloc"}};

struct adapter_info {
    const char *name;
    bool named; /* used only when it is named */
    int opened; /* 0, or why not */
    struct adapter_attr attr;
    char address[2 * ADAPTER_ADDRESS_MAX + 1]; /* hexadecimal: each adapter's own encoding */
};

static void ignore_packet(void *ctx, struct adapter *a, const struct adapter_packet_in *p) {}
static void ignore_lost(void *ctx, struct adapter *a, struct adapter_peer *peer, bool hint) {}

static void look_at(const struct adapter_ops *ops, bool named, const char *run_dir,
                    struct adapter_info *info) {
    struct adapter_config cfg = {.callbacks = {.on_packet = ignore_packet, .on_peer_lost = ignore_lost},
                                 .run_dir = run_dir};
    struct adapter *a;
    uint8_t address[ADAPTER_ADDRESS_MAX];
    size_t len = sizeof address;
    *info = (struct adapter_info){.name = ops->name, .named = named, .opened = ops->open(&a, &cfg)};
    if (info->opened) return;
    info->attr = a->attr;
    if (!ops->address(a, address, &len))
        for (size_t i = 0; i < len; i++) snprintf(info->address + 2 * i, 3, "%02x", address[i]);
    ops->close(a);
}

static void print_adapter(const struct adapter_info *i) {
    const struct adapter_attr *t = &i->attr;
    const char *use = i->named ? ", used only when it is named" : "";
    if (i->opened) {
        printf("%s: does not open here: %s%s\n\n", i->name, weft_error_text(i->opened), use);
        return;
    }
    printf("%s: opens here%s\n  capabilities ", i->name, use);
    for (size_t c = 0; c < sizeof cap_names / sizeof *cap_names; c++)
        if (t->caps & cap_names[c].cap) printf(" %s", cap_names[c].name);
    printf("\n  packet        at most %zu B, %zu in a burst\n", t->packet_max_bytes, t->burst_max_packets);
    if (t->receive_window_bytes)
        printf("  window        %zu B to this endpoint, %zu B charged for each packet beside its length\n",
               t->receive_window_bytes, t->packet_charge_bytes);
    else
        printf("  window        no limit\n");
    if (t->message_max_bytes) printf("  message       at most %zu B\n", t->message_max_bytes);
    if (t->tag_entries) printf("  tag entries   %zu, for all peers\n", t->tag_entries);
    printf("  first costs   overhead %.3g us, latency %.3g us, bandwidth %.3g GB/s\n", t->overhead_s * 1e6,
           t->latency_s * 1e6, t->bandwidth_Bps / 1e9);
    printf("  address       %s\n\n", i->address);
}

static void json_adapter(const struct adapter_info *i) {
    const struct adapter_attr *t = &i->attr;
    if (i->opened) {
        json_line(json_pack("{s:s, s:b, s:s, s:s, s:b}", "adapter", i->name, "opens", 0, "error",
                            weft_error_name(i->opened), "reason", weft_error_text(i->opened), "by_name_only",
                            i->named));
        return;
    }
    json_t *caps = json_array();
    for (size_t c = 0; c < sizeof cap_names / sizeof *cap_names; c++)
        if (t->caps & cap_names[c].cap) json_array_append_new(caps, json_string(cap_names[c].name));
    json_line(
        json_pack("{s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:s, s:b}", "adapter",
                  i->name, "opens", 1, "capabilities", caps, "packet_max_B", (json_int_t)t->packet_max_bytes,
                  "burst_max_packets", (json_int_t)t->burst_max_packets, "receive_window_B",
                  (json_int_t)t->receive_window_bytes, "packet_charge_B", (json_int_t)t->packet_charge_bytes,
                  "message_max_B", (json_int_t)t->message_max_bytes, "tag_entries",
                  (json_int_t)t->tag_entries, "overhead_s", t->overhead_s, "latency_s", t->latency_s,
                  "bandwidth_Bps", t->bandwidth_Bps, "address", i->address, "by_name_only", i->named));
}

static void show_pair(bool json) {
    int cpu[2];
    double ns;
    if (!bench_cpu_pair(cpu)) {
        if (json)
            json_line(json_pack("{s:n}", "cpu_pair"));
        else
            puts("CPU pair        none: this process may use one CPU only");
        return;
    }
    const char *state = bench_state_name(bench_mark(cpu, &ns));
    if (json)
        json_line(json_pack("{s:[i,i], s:s, s:o}", "cpu_pair", cpu[0], cpu[1], "state", state,
                            "line_one_way_ns", ns > 0 ? json_real(ns) : json_null()));
    else if (ns <= 0)
        printf("CPU pair        %d and %d: not measured, they are busy\n", cpu[0], cpu[1]);
    else
        printf("CPU pair        %d and %d: %s, a cache line takes %.0f ns one way\n", cpu[0], cpu[1], state,
               ns);
}

/* What WEFT_AUTO chooses here for a thread that computes, with handlers that are short. */
static const char *chosen(double busy, double rate) {
    struct weft_notify_load l = {.busy = busy, .computes = 1, .has_handler = 1, .rate_per_s = rate};
    return weft_mechanism_name(weft_notify_choose(&l));
}

static void show_choice(const char *key, const char *when, double busy) {
    printf("%-16s%s: %s", key, when, chosen(busy, rates[0]));
    for (size_t i = 1; i < RATES; i++) {
        const char *last = chosen(busy, rates[i - 1]), *next = chosen(busy, rates[i]);
        if (strcmp(last, next) != 0) printf(", from %g arrivals a second on %s", rates[i], next);
    }
    putchar('\n');
}

static void show_choices(void) {
    show_choice("WEFT_AUTO", "while the thread computes and a CPU is free", 0);
    show_choice("", "while it computes and none is free", 1);
    printf("%-16swhile it waits: thread dispatch with a handler, else lock release\n", "");
}

static json_t *choices_json(void) {
    json_t *all = json_array();
    for (size_t i = 0; i < RATES; i++)
        json_array_append_new(all, json_pack("{s:f, s:s, s:s}", "rate_per_s", rates[i], "cpu_free",
                                             chosen(0, rates[i]), "none_free", chosen(1, rates[i])));
    return all;
}

static void show_notification(bool json) {
    struct weft_notify_machine m;
    weft_notify_query(&m);
    if (json) {
        json_line(json_pack("{s:{s:I, s:s, s:b, s:b, s:o}}", "notification", "spin_ns", (json_int_t)m.spin_ns,
                            "user_wait", m.user_wait, "user_interrupts", m.user_interrupts,
                            "user_interrupts_used", m.user_interrupts_used, "choice", choices_json()));
        return;
    }
    printf("notification    a waiter spins %.3g us, then sleeps; user-level wait: %s; user interrupts: %s\n",
           (double)m.spin_ns * 1e-3, m.user_wait,
           m.user_interrupts ? "the CPU has them, but Linux has no interface for them" : "not in this CPU");
    show_choices();
}

static void show_versions(bool json, const char *run_dir) {
    struct utsname u = {0};
    uname(&u);
    if (json) {
        json_line(json_pack("{s:s, s:i, s:i, s:s, s:s, s:s?}", "version", WEFT_VERSION, "wire_version",
                            WIRE_VERSION, "node_protocol_version", (int)NODE_PROTOCOL_VERSION, "kernel",
                            u.release, "machine", u.machine, "run_dir", run_dir));
        return;
    }
    printf("versions        weft %s, wire protocol %d, node protocol %d, kernel %s on %s\n", WEFT_VERSION,
           WIRE_VERSION, (int)NODE_PROTOCOL_VERSION, u.release, u.machine);
    printf("run directory   %s\n", run_dir ? run_dir : "none that is safe to use");
}

static void show_adapters(const struct adapter_ops *const *ops, bool named, const char *run_dir, bool json) {
    for (; *ops; ops++) {
        struct adapter_info info;
        look_at(*ops, named, run_dir, &info);
        if (json)
            json_adapter(&info);
        else
            print_adapter(&info);
    }
}

static int run(int argc, char **argv) {
    bool json = false;
    int status = command_options(&command_info, argc, argv, &json, NULL);
    if (status >= 0) return status;
    char path[WEFT_PATH_MAX];
    const char *run_dir = weft_run_dir(path, sizeof path) ? NULL : path;
    show_adapters(adapter_list(), false, run_dir, json);
    show_adapters(adapter_list_named(), true, run_dir, json);
    show_pair(json);
    show_notification(json);
    show_versions(json, run_dir);
    return 0;
}

const struct command command_info = {
    .name = "info",
    .summary = "show what this build can do on this machine",
    .usage =
        "Usage: weft info [--json]\n"
        "Shows each adapter of this build (whether it opens here, capabilities, limits, first costs, its\n"
        "address), the state of the CPU pair, what notifications can use, versions, and the run "
        "directory.\n\n"
        "  --json   one object a line: one for each adapter, one for the CPU pair, one for notification, one "
        "for the\n"
        "           rest\n",
    .run = run,
};
