#!/bin/sh
# An OpenCL test program through weft. usage: opencl.sh BUILD PROGRAM local|shm|udp
#   local  the device under test is node 0's, called directly; the other one is remote
#   shm    the device under test is node 1's, over shared memory
#   udp    the same over udp
#   bare   the same over shared memory, with a driver that tells nothing of kernel arguments
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/$2 path=$3
need "$weft" "$program"

case $path in
local) adapter=shm CLTEST_NODE=0 ;;
bare)
    adapter=shm CLTEST_NODE=1
    need "$build/bin/test/libbare_driver.so"
    export WEFT_OPENCL_VENDORS="$build/bin/test/libbare_driver.so" POCL_BARE_ARG_INFO=1
    ;;
*) adapter=$path CLTEST_NODE=1 ;;
esac
# A call that crashes a driver must not crash weft.
export CLTEST_NODE CLTEST_STRICT=risky CLTEST_PLATFORM=weft
section "$2, $path"
"$weft" run --nodes 2 --adapter "$adapter" -- "$program"
same "exit status" "$?" 0
nothing_left
finish
