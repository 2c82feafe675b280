#!/bin/sh
# weft down on a cluster of two hosts, in two network namespaces: wherever it is called it ends the cluster; with --here only
# the host that calls it leaves, and the other goes on.
. "$(dirname "$0")/lib.sh"
need "$weft"
. "$(dirname "$0")/left-and-right.sh"

one_node() { [ "$("$weft" nodes --json 2>/dev/null | grep -c '"online":true')" -eq 1 ]; }
says() { check "says: $1" grep -q -e "$1" "$scratch/out"; }
join() {
    sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up-left" | head -n 1 >"$scratch/join"
    right "$weft" up --bind 10.77.0.2 --insecure --join - <"$scratch/join" >"$scratch/up-right" 2>&1 ||
        fail "the other host does not join: $(cat "$scratch/up-right")"
    check "two nodes" wait_until 10 two_nodes
}

"$weft" up --bind 10.77.0.1 --insecure >"$scratch/up-left" 2>&1 || fail "no cluster: $(cat "$scratch/up-left")"

section "the joined host leaves"
join
right "$weft" down --here >"$scratch/out" 2>&1
same "exit status" "$?" 0
says '^this host has left the cluster (1 daemon); what is on other hosts goes on: 1 node$'
check "nothing of it is left there" wait_until 10 right_is_empty
check "the other host goes on, alone" wait_until 10 one_node

section "it joins again, and ends the cluster from there"
join
right "$weft" down >"$scratch/out" 2>&1
same "exit status" "$?" 0
says '^the cluster is down: 2 nodes, 1 of them on this host$'
check "nothing is left there" wait_until 10 right_is_empty
check "nor here" wait_until 10 no_processes

section "the only host"
"$weft" up --bind 10.77.0.1 --insecure >/dev/null 2>&1
"$weft" down --here >"$scratch/out" 2>&1
same "exit status" "$?" 0
says '^the cluster is down (1 daemon on this host)$'

nothing_left
finish
