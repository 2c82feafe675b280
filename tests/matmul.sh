#!/bin/sh
# The same program, byte for byte, gives the identical verified product on plain OpenCL and through weft: with local
# devices, and with those of two nodes over udp and over shm.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"
N=768 SLICE=48

# run NAME NODES COMMAND...: runs it, compares with the first run, and checks which nodes worked.
run() {
    name=$1 nodes=$2
    shift 2
    section "$name"
    out=$scratch/out.json
    # shellcheck disable=SC2086
    "$@" "$build/bin/matmul" "$N" "$SLICE" --json ${AHEAD-} >"$out" 2>"$scratch/err"
    same "exit status" "$?" 0
    [ ! -s "$scratch/err" ] || sed 's/^/      /' "$scratch/err"
    check "verified" json_verified "$out"
    : "${reference:=$(json_checksum "$out")}"
    same "checksum" "$(json_checksum "$out")" "$reference"
    same "nodes that took blocks" "$(json_nodes "$out")" "$nodes"
}

digest=$(sha256sum "$build/bin/matmul")
run "plain OpenCL" 0 env
run "one node" 0 "$weft" run --nodes 1 --
run "two nodes over udp" "0 1" "$weft" run --nodes 2 --adapter udp --
run "two nodes over shm" "0 1" "$weft" run --nodes 2 --adapter shm --
run "two nodes, a platform a node" "0 1" "$weft" run --nodes 2 --platforms per-node --
AHEAD="--prefetch --tail-aware" run "two nodes, each block's data sent ahead" "0 1" "$weft" run --nodes 2 --
run "three nodes" "0 1 2" "$weft" run --nodes 3 --

section "the program"
same "is the same file as before" "$(sha256sum "$build/bin/matmul")" "$digest"
check "links nothing of weft" sh -c "! ldd '$build/bin/matmul' | grep -qi weft"
nothing_left
finish
