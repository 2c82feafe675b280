#!/bin/sh
# A kernel crashes its device, and so its executor, while contents move from it and to it. usage: lost-move.sh BUILD ADAPTER [shared|gpu]
#   shared   buffers of executors of one machine are in one place, so that nothing moves: what ends is the same
#   gpu      devices that look like GPUs: what moves passes through staging memory, over shm that of both executors
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/cllost
need "$weft" "$program"
[ -z "$sanitizer" ] || skip "a sanitizer would report the crash"

[ -n "${3-}" ] || export WEFT_OPENCL_SHARED_BUFFERS=off
[ "${3-}" != gpu ] || export WEFT_OPENCL_VENDORS="$build/bin/test/libgpu_driver.so"
section "moves, $2${3:+, $3}"
CLTEST_PLATFORM=weft CLTEST_NODE=1 prlimit --core=0 "$weft" run --nodes 3 --adapter "$2" -- "$program" move \
    >"$scratch/out" 2>"$scratch/err"
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/out"
check "executors were lost" grep -q 'node 1 .* is lost: ' "$scratch/err"
nothing_left
finish
