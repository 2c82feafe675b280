#!/bin/sh
# The product on two hosts: two network namespaces over a veth link; then with the relay between them, which loses,
# duplicates and reorders datagrams. Always the identical verified result.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul" "$build/bin/weft-relay"
need_namespaces
N=512 SLICE=32

"$build/bin/matmul" "$N" "$SLICE" --json >"$scratch/plain.json" || fail "plain OpenCL"
reference=$(json_checksum "$scratch/plain.json")

# run NAME NODES COMMAND...: the command starts the two hosts with what lies between them. NODES: those that shall compute,
# "0 1" or "1"; with the relay it is the far one alone, so that there is much for the relay to spoil.
run() {
    section "$1"
    nodes=$2
    only=
    [ "$nodes" = 1 ] && only="--node 1"
    shift 2
    rm -rf "$scratch/hosts"
    mkdir -m 700 "$scratch/hosts"
    # shellcheck disable=SC2086
    "$@" "$tests/lab/two-hosts.sh" "$weft" "$scratch/hosts" "$build/bin/matmul" "$N" "$SLICE" $only --json \
        >"$scratch/out.json" 2>"$scratch/err"
    same "exit status" "$?" 0
    sed 's/^/      /' "$scratch/err"
    check "verified" json_verified "$scratch/out.json"
    same "checksum" "$(json_checksum "$scratch/out.json")" "$reference"
    same "nodes that took blocks" "$(json_nodes "$scratch/out.json")" "$nodes"
}
# The relay did what it should: field N of its line is above 0.
did() { check "the relay $1 some" sh -c "! grep -q ' 0 $1' '$scratch/err' && grep -q ' $1' '$scratch/err'"; }

net=$tests/lab/netns.sh relay="$tests/lab/relay.sh $build/bin/weft-relay"
run "veth" "0 1" "$net"
# shellcheck disable=SC2086
{
    run "1 % loss" 1 "$net" $relay --seed 1 --loss 1 --
    did lost
    run "duplication" 1 "$net" $relay --seed 2 --duplicate 5 --
    did duplicated
    run "reordering" 1 "$net" $relay --seed 3 --reorder 5 --
    did reordered
    run "corruption" 1 "$net" $relay --seed 4 --corrupt 1 --
    did corrupted
    run "all of it, delayed" 1 "$net" $relay --seed 5 --loss 1 --duplicate 1 --reorder 1 --corrupt 0.5 --delay 200 \
        --jitter 200 --
    did lost
}

section "weft top sees what the other host's executor does"
rm -rf "$scratch/hosts"
mkdir -m 700 "$scratch/hosts"
# shellcheck disable=SC2016 # that shell's own
"$net" "$tests/lab/two-hosts.sh" "$weft" "$scratch/hosts" sh -c '
    "$1" 2048 128 >/dev/null 2>&1 &
    looks=0
    until "$2" top --json --interval 0.3 | grep -E "\"executor\",\"node\":1,.*\"kernels_per_s\":[0-9.]*[1-9]"; do
        looks=$((looks + 1))
        [ "$looks" -lt 60 ] || break
    done
    kill -9 $!' sh "$build/bin/matmul" "$weft" >"$scratch/top" 2>"$scratch/err"
check "kernels and bytes" grep -q '"received_Bps":[0-9.]*[1-9].*"in_Bps":[0-9.]*[1-9]' "$scratch/top"
finish
