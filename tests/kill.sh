#!/bin/sh
# Parts of a cluster are killed with -9 in the middle of a long run: the program ends with an OpenCL error, it does not hang,
# and nothing is left behind. LIMIT_S=3 checks how soon, on a machine that is not busy.
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"
LIMIT_S=${LIMIT_S-20}

# begin ADAPTER [matmul option...]: a product that would take long, and waits until its executor has computed for a while.
begin() {
    adapter=$1
    shift
    "$weft" run --nodes 2 --adapter "$adapter" -- "$build/bin/matmul" 4096 64 "$@" >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    check "the executor computes" wait_until 30 computes
}
# shellcheck disable=SC2317
computes() {
    for executor in $(marked weft-exec); do
        has_computed "$executor" && [ -n "$(marked matmul)" ] && return 0
    done
    return 1
}
ends_with_error() {
    fails_with_cl_error "$runner" "$LIMIT_S"
    nothing_left
}

for adapter in udp shm; do
    section "an executor is killed, $adapter"
    begin "$adapter"
    kill -9 "$executor"
    ends_with_error

    section "an executor is killed, $adapter, and all work is there"
    begin "$adapter" --node 1
    kill -9 "$executor"
    ends_with_error

    section "the other node's daemon is killed, $adapter"
    begin "$adapter"
    kill -9 "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$executor/status")"
    ends_with_error

done

section "all daemons are killed"
begin udp
# shellcheck disable=SC2046
kill -9 $(marked weftd)
ends_with_error
finish
