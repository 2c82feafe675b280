#!/bin/sh
# A kernel crashes its device, and so its executor, while contents move from it and to it. usage: lost-move.sh BUILD ADAPTER
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/cllost
need "$weft" "$program"
[ -z "$sanitizer" ] || skip "a sanitizer would report the crash"

section "moves, $2"
CLTEST_PLATFORM=weft CLTEST_NODE=1 prlimit --core=0 "$weft" run --nodes 3 --adapter "$2" -- "$program" move \
    >"$scratch/out" 2>"$scratch/err"
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/out"
check "executors were lost" grep -q 'node 1 .* is lost: ' "$scratch/err"
nothing_left
finish
