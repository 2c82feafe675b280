#!/bin/sh
# Parts of a cluster are killed with -9 in the middle of a long run: the program ends with an OpenCL error within three
# seconds, it does not hang, and nothing is left behind.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"
LIMIT_S=3

# begin ADAPTER [matmul option...]: a product that would take long, and waits until its executor has computed for a while.
begin() {
    adapter=$1
    shift
    "$weft" run --nodes 2 --adapter "$adapter" -- "$build/bin/matmul" 4096 64 "$@" >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    check "the executor computes" wait_until 30 computes
}
# Half a second of processor time (utime and stime, in ticks of 10 ms, after the name) makes an executor one
# that computes; others come and go while the cluster starts.
# shellcheck disable=SC2317
computes() {
    local ticks
    for executor in $(marked weft-exec); do
        ticks=$(sed "s/.*) //" "/proc/$executor/stat" 2>/dev/null | cut -d " " -f 12,13 | tr " " "+")
        [ $((${ticks:-0})) -ge 50 ] && [ -n "$(marked matmul)" ] && return 0
    done
    return 1
}
# ends_with_error: the program has failed in time, with an OpenCL error that it names.
ends_with_error() {
    wait_for "$runner" "$LIMIT_S"
    same "exit status" "$status" 1
    sed 's/^/      /' "$scratch/err"
    check "names an OpenCL error" grep -q 'matmul: cl[A-Za-z]*: CL_[A-Z_]* (-[0-9]*) on ' "$scratch/err"
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
