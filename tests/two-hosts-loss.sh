#!/bin/sh
# One of two hosts is lost while it computes for a program of the other: its daemon is killed, its executor is killed, its
# link goes down. The program ends with an OpenCL error (LIMIT_S=3 checks how soon), and nothing of it is left behind. The
# hosts are network namespaces, and the lost one has process numbers of its own, so that they share no memory either.
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"
LIMIT_S=${LIMIT_S-20}

if [ "${2-}" != inside ]; then
    need_namespaces
    "$tests/lab/netns.sh" ip netns exec left "$tests/${0##*/}" "$build" inside
    exit
fi
# From here on this is host `left`; everything of `right` carries another mark. Other clusters of the machine are not ours.
mount -t tmpfs tmpfs /dev/shm
right_dir=$scratch/right
mkdir -m 700 "$right_dir"
right() { (XDG_RUNTIME_DIR=$right_dir && "$@"); }
# shellcheck disable=SC2317
{
    two_nodes() { [ "$("$weft" nodes --json 2>/dev/null | wc -l)" -ge 2 ]; }
    computes() {
        executor=$(right marked weft-exec | head -n 1)
        [ -n "$executor" ] && has_computed "$executor" && [ -n "$(marked matmul)" ]
    }
    right_is_idle() { [ -z "$(right marked weft-exec)" ]; }
}

# begin: both daemons, and on the left a product that would take long and is computed on the right alone. The first process
# of the right host outlives its daemon, so that an executor that is left alone has to end by itself.
begin() {
    "$weft" up --bind 10.77.0.1 --insecure >"$scratch/up-left" 2>&1 || fail "weft up: $(cat "$scratch/up-left")"
    sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up-left" | head -n 1 >"$scratch/join"
    # shellcheck disable=SC2016
    XDG_RUNTIME_DIR=$right_dir ip netns exec right unshare -p -f --kill-child --mount-proc \
        sh -c '"$0" up --foreground --bind 10.77.0.2 --insecure --join -; exec sleep 1000' "$weft" \
        <"$scratch/join" >"$scratch/up-right" 2>&1 &
    host=$!
    check "two nodes" wait_until 20 two_nodes
    "$weft" run -- "$build/bin/matmul" 4096 64 --node 1 >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    check "the executor computes" wait_until 30 computes
}
ends_with_error() {
    local from
    from=$(date +%s%N)
    fails_with_cl_error "$runner" "$LIMIT_S"
    say "      after $((($(date +%s%N) - from) / 1000000)) ms"
    "$weft" down >"$scratch/down" 2>&1
    same "status of weft down" "$?" 0
    nothing_left
}
end_right() {
    kill -9 "$host"
    wait "$host" 2>/dev/null
    rm -rf "$right_dir"
    mkdir -m 700 "$right_dir"
}

section "the other host's daemon is killed"
begin
kill -9 "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$executor/status")"
ends_with_error
check "its executor ends" wait_until 20 right_is_idle
end_right

section "the other host's executor is killed"
begin
kill -9 "$executor"
ends_with_error
end_right

section "the other host's link goes down"
begin
ip -n right link set veth0 down
ends_with_error
check "its executor ends" wait_until 10 right_is_idle
end_right
finish
