#!/bin/sh
# An executor, or a node, is killed with -9 while a program waits for it in every way there is.
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/cllost
need "$weft" "$program"
export CLTEST_PLATFORM=weft CLTEST_NODE=1
END_S=60

# shellcheck disable=SC2317
is_ready() { grep -q '^ready' "$scratch/out"; }
# begin ADAPTER back|gone
begin() {
    "$weft" run --nodes 3 --adapter "$1" -- "$program" "$2" >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    check "the program waits" wait_until 30 is_ready
    check "an executor computes" wait_until 30 an_executor_computes
}
ends_well() {
    wait_for "$runner" $END_S
    sed 's/^/      /' "$scratch/out"
    same "exit status" "$status" 0
    [ "$status" = 0 ] || sed 's/^/      /' "$scratch/err"
    nothing_left
}

for adapter in udp shm; do
    section "an executor is killed, $adapter"
    begin "$adapter" back
    kill -9 "$executor"
    ends_well

    section "a node is killed, $adapter"
    begin "$adapter" gone
    kill -9 "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$executor/status")"
    ends_well
done

if [ -z "$sanitizer" ]; then # which would report it
    section "a kernel crashes its device"
    prlimit --core=0 "$weft" run --nodes 3 -- "$program" crash >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    ends_well
    check "its executor's end is told" grep -q 'node 1 .* is lost: ' "$scratch/err"
fi
finish
