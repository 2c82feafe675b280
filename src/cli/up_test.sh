#!/bin/sh
# A cluster that is up: nodes, devices, ping, run on it, what a killed daemon leaves, and down.
. "${0%/*}/test_lib.sh" "$1"

# --- one node ---
expect 0 "$weft" up;                says '1 node'; says 'this machine only'
expect 1 "$weft" up;                warns 'a cluster is up here already'
expect 0 "$weft" nodes --json;      says '"node":0'; says '"online":true'
expect 0 "$weft" ping --count 20;   says '^0 '
expect 0 "$weft" ping --count 5 --size 200000 --adapter udp --json 0;   says '"adapter":"udp"'; says '"size_B":200000'
expect 1 "$weft" ping 7;            warns 'node 7 is not in the cluster'
expect 0 "$weft" devices --json
expect 0 "$weft" run -- sh -c 'echo "$WEFT_NODE_SOCKET"';   says 'default/node0/socket'
expect 125 "$weft" run --node 3 -- true;                    warns 'node 3 is not up'
expect 0 "$weft" down;              says 'is down'
expect_nothing_left

# --- three nodes, one of them killed ---
expect 0 "$weft" up --nodes 3;      says '3 nodes'
expect 0 "$weft" nodes --json
victim=$(sed -n 's/.*"node":2,.*"pid":\([0-9]*\).*/\1/p' "$WORK/out")
kill -9 "$victim"
lost() { "$weft" nodes --json | grep '"node":2,' | grep -q '"online":false'; }
await lost
expect 0 "$weft" run --node 1 -- sh -c 'echo "$WEFT_NODE_SOCKET"';   says 'default/node1/socket'
expect 0 "$weft" ping --count 5;    says '^1 '
expect 0 "$weft" down
expect_nothing_left

# --- all killed: the next one starts afresh ---
expect 0 "$weft" up --nodes 2
for p in $(ours); do kill -9 "$p"; done
expect 0 "$weft" up;                says '1 node'
expect 0 "$weft" nodes --json
[ "$(wc -l <"$WORK/out")" -eq 1 ] || fail "more than one node after a fresh start"

# --- weft run killed: its directory goes with it ---
"$weft" run -- sleep 100 & run=$!
has_run() { ls "$WORK/weft" | grep -q '^run-'; }
await has_run
kill -9 $run
wait $run 2>/dev/null
no_run() { ! has_run; }
await no_run

# --- a daemon that does not end ---
expect 0 "$weft" nodes --json
kill -STOP "$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$WORK/out")"
expect 0 "$weft" down --force;      says 'is down'
expect_nothing_left

# --- other addresses ---
expect 1 "$weft" up --bind 192.0.2.1;               warns 'add --insecure'
expect 1 "$weft" up --bind 0.0.0.0 --insecure;      warns 'numeric address'
expect 1 "$weft" up --join nonsense;                warns 'not a join text'
expect_nothing_left
finish
