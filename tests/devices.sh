#!/bin/sh
# An unmodified clinfo sees the devices of all nodes, each with its host, under `weft run --nodes 2` and `--nodes 8`.
. "$(dirname "$0")/lib.sh"
need "$weft"
command -v clinfo >/dev/null || skip "no clinfo here"

per_node=$(clinfo -l | grep -c 'Device #')
[ "$per_node" -gt 0 ] || skip "no OpenCL device here"
host=$(hostname)
# A sanitizer's run-time may be more than clinfo and its drivers bear, without weft (thread sanitizer and PoCL 3.1).
full=true
if [ -n "$foreign" ] && ! timeout 30 $foreign clinfo >"$scratch/full" 2>&1; then
    full=false
    say "note  '$foreign clinfo' fails without weft: only 'clinfo -l' is tested"
fi
# shellcheck disable=SC2086  # $foreign is words
list() { "$weft" run "$@" -- $foreign clinfo -l >"$scratch/list" 2>"$scratch/err"; }

for nodes in 1 2 8; do
    section "weft run --nodes $nodes -- clinfo"
    list --nodes "$nodes"
    same "clinfo -l: exit status" "$?" 0
    sed 's/^/      /' "$scratch/list" "$scratch/err"
    same "devices" "$(grep -c 'Device #' "$scratch/list")" $((nodes * per_node))
    same "platforms" "$(grep -c 'Platform #' "$scratch/list")" 1
    for node in $(seq 0 $((nodes - 1))); do
        check "a device names host $host, node $node" grep -q "@$host:$node\$" "$scratch/list"
    done
    $full || continue
    # shellcheck disable=SC2086
    "$weft" run --nodes "$nodes" -- $foreign clinfo >"$scratch/full" 2>"$scratch/err"
    same "clinfo in full: exit status" "$?" 0
    [ ! -s "$scratch/err" ] || sed 's/^/      /' "$scratch/err"
    same "devices in full" "$(grep -c 'Device Type ' "$scratch/full")" $((nodes * per_node))
done

section "a platform for each node"
list --nodes 2 --platforms per-node
same "exit status" "$?" 0
same "platforms" "$(grep -c 'Platform #' "$scratch/list")" 2
same "devices" "$(grep -c 'Device #' "$scratch/list")" $((2 * per_node))
nothing_left
finish
