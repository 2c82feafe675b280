#!/bin/sh
# Devices that share buffers, each with a slice to write: the same program on plain OpenCL, and on the devices of two and
# three nodes of which none is the program's, over shm, udp and a network that loses packets. It checks itself.
. "$(dirname "$0")/lib.sh"
nbody=$build/bin/nbody
need "$weft" "$nbody"

# run NAME DEVICES COMMAND...
run() {
    name=$1 devices=$2
    shift 2
    section "$name"
    "$@" "$nbody" 1500 8 >"$scratch/out" 2>"$scratch/err"
    same "exit status" "$?" 0
    [ ! -s "$scratch/err" ] || sed 's/^/      /' "$scratch/err"
    same "devices that moved bodies" "$(sed -n '2,$p' "$scratch/out" | grep -c '%')" "$devices"
}
run "plain OpenCL" 1 env
run "two nodes over shm" 2 "$weft" run --nodes 2 --adapter shm --
run "two other nodes over udp" 2 "$weft" run --nodes 3 --adapter udp --devices node:1,node:2 --
run "three nodes over a bad network" 3 "$weft" run --nodes 3 --adapter sim --
run "buffers of the executors' own" 3 env WEFT_OPENCL_SHARED_BUFFERS=off "$weft" run --nodes 4 --adapter shm --devices '!node:0' --

section "what it refuses"
for wrong in "" "5" "0 5" "5 x" "5 5 5" "--wrong 5 5"; do
    # shellcheck disable=SC2086
    "$nbody" $wrong >"$scratch/out" 2>"$scratch/err"
    same "exit status of nbody $wrong" "$?" 2
    check "says why" test -s "$scratch/err"
done
"$nbody" 5 5 --devices nosuch >"$scratch/out" 2>"$scratch/err"
same "exit status without a device" "$?" 1
same "bodies fewer than devices would have" "$("$nbody" 1 1 | grep -c '1 bodies')" 1
nothing_left
finish
