#!/bin/sh
# scif_event_register(): nodes that come and go are told of. usage: scif-events.sh BUILD
. "$(dirname "$0")/lib.sh"
events=$build/bin/test/scif_events
need "$weft" "$events"
address=$(hostname -I 2>/dev/null | cut -d ' ' -f 1)
[ -n "$address" ] || skip "this host has no address that another one could join by"

says() { grep -q "$1" "$scratch/told"; }
daemon_of_node_1() {
    for pid in $(marked weftd); do
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -e ' --join ' && say "$pid"
    done
}

section "a node comes, and is lost"
"$weft" up --bind "$address" >"$scratch/up" 2>&1
same "weft up: exit status" $? 0
join=$(sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up")
mkfifo "$scratch/input"
"$events" <"$scratch/input" >"$scratch/told" 2>"$scratch/err" &
listener=$!
exec 4>"$scratch/input"
check "it listens" wait_until 10 says listening
"$weft" up --join "$join" >"$scratch/up" 2>&1
same "another joins: exit status" $? 0
check "node 1 is there" wait_until 30 says 'node 1 is there'
kill -9 "$(daemon_of_node_1)"
check "node 1 is lost" wait_until 30 says 'node 1 is lost'
same "nothing else was told" "$(wc -l <"$scratch/told")" 3
exec 4>&-
wait_for $listener 10
same "it ends" "$status" 0
"$weft" down >/dev/null 2>&1
nothing_left
finish
