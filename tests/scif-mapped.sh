#!/bin/sh
# Memory of one host that a program on another has mapped: additions of both are exact, and when the owner's service is
# killed, or its link goes down, the other side gets SIGBUS.
#
#   usage: scif-mapped.sh BUILD [inside]
#   ADDS, PAGES: how many additions, and pages whose faults are timed
DEAD_MS=6000
. "$(dirname "$0")/lib.sh"
mapped=$build/bin/test/scif_mapped
need "$weft" "$mapped"

. "$(dirname "$0")/left-and-right.sh"

serve() {
    : >"$scratch/address"
    right "$mapped" serve "${1-1}" >"$scratch/address" 2>"$scratch/right-err" &
    server=$!
    check "the right side listens" wait_until 20 serves
}
# with WHAT N: a client on the left.
with() { "$mapped" "$1" "$(cat "$scratch/address")" "$2" >"$scratch/out" 2>&1; }
is_mapped() { grep -q mapped "$scratch/out"; }
lose() {
    serve
    : >"$scratch/out"
    with lost 4 &
    client=$!
    check "it is mapped" wait_until 20 is_mapped
}
client_gets_sigbus() {
    wait_for "$client" 20
    check "the client gets SIGBUS" grep -q SIGBUS "$scratch/out"
    kill -9 "$server" 2>/dev/null
    wait "$server" 2>/dev/null
}

"$weft" up --bind 10.77.0.1 --insecure >"$scratch/up-left" 2>&1 || fail "weft up: $(cat "$scratch/up-left")"
sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up-left" | head -n 1 >"$scratch/join"
right "$weft" up --bind 10.77.0.2 --insecure --join - <"$scratch/join" >"$scratch/up-right" 2>&1 ||
    fail "weft up on the right: $(cat "$scratch/up-right")"
check "two nodes" wait_until 20 two_nodes

section "both add"
serve 2
check "all additions are there" with adds "${ADDS:-20000000}"
sed 's/^/      /' "$scratch/out"
right "$mapped" sees "$(cat "$scratch/address")" "${ADDS:-20000000}" >"$scratch/out" 2>&1
same "another program of the owner's host sees" "$(cat "$scratch/out")" all
wait_for "$server" 20
same "the server ends well" "$status" 0

section "faults"
serve
check "each side reads what the other has written" with faults "${PAGES:-200}"
sed 's/^/      /' "$scratch/out"
wait_for "$server" 20
same "the server ends well" "$status" 0

section "the owner holds a lock for which its library waits"
serve
check "it gets its page all the same" timeout $((20 * slowdown)) "$mapped" held "$(cat "$scratch/address")" 2
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null

section "the owner's service is killed"
lose
kill -9 "$(right_marked weft-scif)"
client_gets_sigbus

section "the owner's host is lost"
lose
ip -n right link set veth0 down
client_gets_sigbus

for side in "" right; do $side "$weft" down >"$scratch/down" 2>&1; done
check "the right side is gone" wait_until 20 right_is_empty
nothing_left
finish
