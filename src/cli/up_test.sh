#!/bin/sh
# A cluster that is up: nodes, devices, ping, run on it, what a killed daemon leaves, and down.
. "${0%/*}/test_lib.sh" "$1"

# --- one node ---
expect 0 "$weft" up;                says '1 node'; says 'this machine only'; warns "made one, $WORK/config/weft/key"
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

# --- the key: used again, refused when others can read it, not needed with --insecure ---
cp "$WORK/config/weft/key" "$WORK/key"
expect 0 "$weft" up --nodes 2
cmp -s "$WORK/config/weft/key" "$WORK/key" || fail "the key was replaced"
expect 0 "$weft" ping --count 5 --adapter udp
expect 0 "$weft" down
chmod 644 "$WORK/config/weft/key"
expect 1 "$weft" up;                warns 'mode is 0644, wanted is 0600'
expect 0 "$weft" up --insecure;     says 'NO KEY'
expect 0 "$weft" ping --count 5
expect 0 "$weft" down
chmod 600 "$WORK/config/weft/key"
expect_nothing_left

# --- killed while it starts: it takes its daemons along, unless all were ready ---
gone_or_whole() { none_of_ours || "$weft" nodes --json 2>/dev/null | grep -c '"online":true' | grep -qx 4; }
for delay in 0 0.005 0.01 0.02 0.03; do
    "$weft" up --nodes 4 >/dev/null 2>&1 & up=$!
    sleep $delay
    kill -9 $up
    wait $up 2>/dev/null
    await gone_or_whole
    expect 0 "$weft" down
    expect_nothing_left
done

# --- in the foreground ---
"$weft" up --foreground >"$WORK/foreground" 2>&1 & up=$!
is_ready() { grep -q '^ready 0 ' "$WORK/foreground"; }
await is_ready
expect 0 "$weft" ping --count 5
expect 0 "$weft" down
wait $up || fail "weft up --foreground gave $?"
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

# --- node 0 killed: another one joins by a node that is left, and a program runs on it ---
expect 0 "$weft" up --nodes 2
expect 0 "$weft" nodes --json
victim=$(sed -n 's/.*"node":0,.*"pid":\([0-9]*\).*/\1/p' "$WORK/out")
kill -9 "$victim"
lost() { "$weft" nodes --json | grep '"node":0,' | grep -q '"online":false'; }
await lost
# What it left behind may be there still: the socket's directory, with or without the socket.
mkdir -p "$XDG_RUNTIME_DIR/weft/default/node0"
expect 0 "$weft" nodes;             says '^1 '
expect 0 "$weft" nodes --join;      says '^weft2-'
join=$(cat "$WORK/out")
expect 0 "$weft" up --join "$join" --nodes 2;               says '3 nodes'
expect 0 "$weft" run --node 3 -- sh -c 'echo "$WEFT_NODE_SOCKET"';   says 'default/node3/socket'
expect 0 "$weft" ping --count 5 2;  says '^2 '
expect 2 "$weft" nodes --json --join;                       warns 'not both'
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
expect 1 "$weft" up --bind 0.0.0.0;                 warns 'numeric address'
expect 1 "$weft" up --bind 192.0.2.1;               warns 'is 192.0.2.1 an address of this host'
expect 1 "$BIN/weftd" --bind 192.0.2.1;             warns 'add --insecure'
expect 1 "$BIN/weftd" --key </dev/null;             warns 'no credentials'
echo rubbish | expect 1 "$BIN/weftd" --key;         warns 'no credentials'
expect 1 "$weft" up --join nonsense;                warns 'not a join text'
expect_nothing_left
finish
