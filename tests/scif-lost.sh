#!/bin/sh
# SCIF between two hosts when one side goes: its program, its service, its link. The other side's calls end with the error
# that tells which, and what can be had again is had again.
DEAD_MS=6000
. "$(dirname "$0")/lib.sh"
pingpong=$build/bin/scif-pingpong
need "$weft" "$pingpong"

. "$(dirname "$0")/left-and-right.sh"
play() { "$pingpong" --to "$1" 100 >"$scratch/out" 2>&1; }
says() {
    if grep -q "$1" "$scratch/out"; then pass "$1"; else
        fail "$1, but:"
        sed 's/^/      /' "$scratch/out"
    fi
}

# serve: a server on the right, which takes one client.
serve() {
    : >"$scratch/address"
    right "$pingpong" --serve >"$scratch/address" 2>"$scratch/right-err" &
    server=$!
    check "the right side listens" wait_until 20 serves
}
# begin: a client on the left that goes on for long.
begin() {
    serve
    : >"$scratch/out"
    "$pingpong" --to "$(cat "$scratch/address")" 100000000 >"$scratch/out" 2>&1 &
    client=$!
    sleep 0.5
}
client_ends() {
    wait_for "$client" 20
    same "the client's exit status" "$status" 1
    says "$1"
}

"$weft" up --bind 10.77.0.1 --insecure >"$scratch/up-left" 2>&1 || fail "weft up: $(cat "$scratch/up-left")"
sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up-left" | head -n 1 >"$scratch/join"
right "$weft" up --bind 10.77.0.2 --insecure --join - <"$scratch/join" >"$scratch/up-right" 2>&1 ||
    fail "weft up on the right: $(cat "$scratch/up-right")"
check "two nodes" wait_until 20 two_nodes

section "nobody there"
play 1:2000
says "Connection refused" # no service
play 5:2000
says "No such device"
serve
play 1:2000
says "Connection refused" # a service, but no listener
play "$(cat "$scratch/address")"
says verified
wait_for "$server" 20
same "the server ends well" "$status" 0

section "the client is killed"
begin
kill -9 "$client"
wait "$client" 2>/dev/null
wait_for "$server" 20
case $status in
0) pass "the server has received the end" ;;
1) check "the server has sent into it" grep -q "scif_send: Connection reset" "$scratch/right-err" ;;
*) fail "the server's end: $status" ;;
esac

section "the other side's service is killed"
begin
kill -9 "$(right_marked weft-scif)"
client_ends "Connection reset"
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null
serve
play "$(cat "$scratch/address")"
says verified
wait_for "$server" 20
same "the server ends well" "$status" 0

section "the other host's link goes down"
begin
ip -n right link set veth0 down
client_ends "No such device"
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null

for side in "" right; do $side "$weft" down >"$scratch/down" 2>&1; done
check "the right side is gone" wait_until 20 right_is_empty
nothing_left
finish
