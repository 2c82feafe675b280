#!/bin/sh
# An OpenCL test program through weft.
# usage: opencl.sh BUILD PROGRAM local|shm|udp|bare|sim|counting|pipes|pipes-local|gpu|gpu-sim [ARGUMENT...]
#   local  the device under test is node 0's, called directly; the other one is remote
#   shm    the device under test is node 1's, over shared memory
#   udp    the same over udp
#   bare   the same over shared memory, with a driver that tells nothing of kernel arguments
#   sim    three nodes' devices, and the network between them loses one packet in a hundred
#   pipes, pipes-local  as shm and local, with a driver that has pipes and queues of devices
#   counting  three nodes' devices over udp, with a driver that counts holds on events, and whose threads dawdle
#   gpu    three nodes' devices over shared memory, which look like GPUs: nothing maps or shares their memory
#   gpu-sim  the same over the network of sim
. "$(dirname "$0")/lib.sh"
name=$2 path=$3
program=$build/bin/test/$name
shift 3
nodes=2
need "$weft" "$program"

case $path in
local) adapter=shm CLTEST_NODE=0 ;;
bare)
    adapter=shm CLTEST_NODE=1
    need "$build/bin/test/libbare_driver.so"
    export WEFT_OPENCL_VENDORS="$build/bin/test/libbare_driver.so"
    ;;
pipes | pipes-local)
    adapter=shm CLTEST_NODE=1
    [ "$path" = pipes ] || CLTEST_NODE=0
    need "$build/bin/test/libdevice_side_driver.so"
    export WEFT_OPENCL_VENDORS="$build/bin/test/libdevice_side_driver.so"
    ;;
gpu | gpu-sim)
    nodes=3 adapter=shm CLTEST_NODE=
    if [ "$path" = gpu-sim ]; then
        adapter=sim
        export WEFT_SIM="seed=4,loss=0.01"
    fi
    need "$build/bin/test/libgpu_driver.so"
    export WEFT_OPENCL_VENDORS="$build/bin/test/libgpu_driver.so"
    ;;
sim)
    nodes=3 adapter=sim CLTEST_NODE=
    export WEFT_SIM="seed=3,loss=0.01"
    ;;
counting)
    nodes=3 adapter=udp CLTEST_NODE=
    need "$build/bin/test/libcounting_driver.so"
    export WEFT_OPENCL_VENDORS="$build/bin/test/libcounting_driver.so" POCL_COUNT_REPORT="$scratch/count" POCL_COUNT_JITTER_US=300
    mkdir "$POCL_COUNT_REPORT"
    ;;
*) adapter=$path CLTEST_NODE=1 ;;
esac
# A call that crashes a driver must not crash weft.
export CLTEST_NODE CLTEST_STRICT=risky CLTEST_PLATFORM=weft
section "$name, $path"
"$weft" run --nodes "$nodes" --adapter "$adapter" -- "$program" "$@"
same "exit status" "$?" 0
nothing_left
if [ "$path" = counting ]; then
    # The program and two executors, each of which was killed some time after its last command.
    for file in "$POCL_COUNT_REPORT"/*; do
        read -r made held <"$file"
        check "process ${file##*/}: $made events, $held held at the end" [ "$held" -le $((made / 20)) ]
        same "what it did wrong" "$(sed 1d "$file" | tr -d '\n')" ""
    done
    same "processes" "$(find "$POCL_COUNT_REPORT" -type f | wc -l)" 3
fi
finish
