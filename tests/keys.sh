#!/bin/sh
# Keys between two hosts (network namespaces): a cluster that listens on the network without --insecure, who is let in, what
# those who are not are told, what can be read on the wire, and that no secret shows on a command line, in an environment or
# in a log.
if [ -z "${IN_TEST_NAMESPACES-}" ]; then
    export IN_TEST_NAMESPACES=1
    exec "$(dirname "$0")/lab/netns.sh" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul" "$build/bin/test/secrets" "$build/bin/test/capture"

# on HOST COMMAND...: as that host's user, whose run directory it has and whose key is that of $config. It does not see the
# other host's run directory: otherwise the two would be one host, and shared memory their way.
config=$XDG_CONFIG_HOME
mkdir -m 700 "$XDG_RUNTIME_DIR/left" "$XDG_RUNTIME_DIR/right"
on() {
    host=$1 other=left
    [ "$host" = right ] || other=right
    shift
    # shellcheck disable=SC2016
    XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR/$host XDG_CONFIG_HOME=$config ip netns exec "$host" \
        sh -c 'mount -t tmpfs -o mode=700 tmpfs "$1" && shift && exec "$@"' sh "$XDG_RUNTIME_DIR/$other" "$@" \
        >"$scratch/out" 2>"$scratch/err"
}
# succeeds TEXT HOST COMMAND..., fails TEXT HOST COMMAND...
succeeds() {
    local text="$1"
    shift
    if on "$@"; then pass "$text"; else fail "$text: $(cat "$scratch/err")"; fi
}
fails() {
    local text="$1"
    shift
    if on "$@"; then fail "$text: it did not fail"; else pass "$text"; fi
}
says() { check "$2: \"$1\"" grep -q -e "$1" "$scratch/$2"; }
# logged REGEX: by the daemon of node 0.
logged() { grep -q -e "$1" "$XDG_RUNTIME_DIR"/left/weft/default/weftd-*.log; }
node_count() { on left "$weft" nodes --json && [ "$(grep -c '"online":true' "$scratch/out")" -eq "$1" ]; }
join_text() { sed -n 's/.*--join \([^ ]*\).*/\1/p' "$1" | head -n 1; }

section "a cluster on the network"
succeeds "weft up --bind, without --insecure" left env WEFT_LOG=trace "$weft" up --bind 10.77.0.1
says 'made one' err
check "mode of the key" [ "$(stat -c %a "$config/weft/key")" = 600 ]
join=$(join_text "$scratch/out")
same "its join text" "${join%%-*}" weft2

section "who is not let in"
config=$scratch/none
fails "a host without a key" right "$weft" up --bind 10.77.0.2 --join "$join"
says 'this host has none' err
check "no key was made there" [ ! -e "$scratch/none/weft/key" ]
config=$scratch/other
on right "$weft" keygen
fails "a host with another key" right "$weft" up --bind 10.77.0.2 --join "$join"
says 'the cluster has another key' err
check "node 0 says so, too" logged 'a connection from udp 10.77.0.2:[0-9]* is refused: .*key'
fails "a host with --insecure" right "$weft" up --bind 10.77.0.2 --insecure --join "$join"
says 'without --insecure' err
config=$XDG_CONFIG_HOME
chmod 640 "$config/weft/key"
fails "a key that its group can read" right "$weft" up --bind 10.77.0.2 --join "$join"
says 'mode is 0640, wanted is 0600' err
chmod 600 "$config/weft/key"
check "one node is up" node_count 1

# begin_capture FILE, end_capture: of what goes over the wire.
begin_capture() {
    ip netns exec left "$build/bin/test/capture" veth0 "$1" >"$scratch/capture" &
    capture=$!
    wait_until 10 grep -q ready "$scratch/capture" || fail "the capture does not begin"
}
end_capture() {
    kill "$capture"
    wait "$capture"
}
# Daemons tell each other where their hosts' sockets are: the name of the right host's run directory is on the wire when it
# joins, for whoever can read it.
on_the_wire() { grep -aqF "$XDG_RUNTIME_DIR/right" "$1"; }

section "the same key"
begin_capture "$scratch/encrypted"
succeeds "weft up --join" right env WEFT_LOG=trace "$weft" up --bind 10.77.0.2 --join "$join"
check "two nodes are up" wait_until 20 node_count 2
succeeds "weft ping" left "$weft" ping --count 10 --size 100000 1
end_capture
check "something is captured" [ "$(stat -c %s "$scratch/encrypted")" -gt 200000 ]
check "daemons cannot be overheard" [ "$(on_the_wire "$scratch/encrypted" && echo heard)" = "" ]
succeeds "a program" left "$weft" run --adapter udp -- "$build/bin/matmul" 256 32 --json
check "verified" json_verified "$scratch/out"
same "nodes that took blocks" "$(json_nodes "$scratch/out")" "0 1"

section "where the secrets are not"
(on left env WEFT_LOG=trace "$weft" run --adapter udp -- "$build/bin/matmul" 4096 64) &
runner=$!
# shellcheck disable=SC2317
executors_compute() { for e in $(marked weft-exec); do has_computed "$e" && return 0; done; return 1; }
check "an executor computes" wait_until 30 executors_compute
# shellcheck disable=SC2046
set -- $(for p in $(marked_processes); do say "/proc/$p/cmdline /proc/$p/environ"; done) \
    $(find "$XDG_RUNTIME_DIR" -name '*.log') "$scratch/out" "$scratch/err"
say "      $(marked weftd | wc -l) daemons, $(marked weft-exec | wc -l) executors, $(marked matmul | wc -l) program"
check "there is something to look at" [ $# -ge 14 ]
check "no secret in it" "$build/bin/test/secrets" "$config/weft/key" "$join" "$@"
if "$build/bin/test/secrets" "$config/weft/key" "$join" "$config/weft/key" >"$scratch/found"; then
    fail "the search finds a key that is there"
else
    check "the search finds a key that is there" grep -q 'the user key is in' "$scratch/found"
fi
for p in $(marked matmul); do kill -9 "$p"; done
wait "$runner"

section "the end"
succeeds "weft down" left "$weft" down
check "the other host's daemon ends too" wait_until 20 no_processes

section "without a key, for comparison"
begin_capture "$scratch/clear"
succeeds "weft up --insecure" left "$weft" up --bind 10.77.0.1 --insecure
succeeds "weft up --insecure --join" right "$weft" up --bind 10.77.0.2 --insecure --join "$(join_text "$scratch/out")"
end_capture
check "daemons can be overheard" on_the_wire "$scratch/clear"
succeeds "weft down" left "$weft" down
check "the other host's daemon ends too" wait_until 20 no_processes
nothing_left
finish
