#!/bin/sh
# The ranks of one node of a placement, for two-hosts.sh: on node 0 (left), which also starts the other node's and prints how
# many bytes the link carried meanwhile, both ways; on node 1 (right) as RIGHT, waiting for word.
#
#   usage: ranks.sh WEFT PLACEMENT 0 DIRECTORY PROGRAM ARGUMENT...     ranks.sh WEFT PLACEMENT 1 DIRECTORY PROGRAM ARGUMENT...
#
# PLACEMENT has a line "RANK NODE" for each process (weft model place --as weft); the program gets its rank before its arguments.
set -eu
[ $# -ge 5 ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
weft=$1 placement=$2 node=$3 dir=$4 program=$5
shift 5

ranks() {
    pids=
    while read -r rank where; do
        [ "$where" = "$node" ] || continue
        PMI_RANK=$rank "$@" "$program" "$rank" $arguments >&2 &
        pids="$pids $!"
    done <"$placement"
    status=0
    for pid in $pids; do wait "$pid" || status=1; done
    return $status
}
carried() { awk '/veth0:/ { sub(/.*veth0:/, ""); print $1 + $9 }' /proc/net/dev; }

arguments=$*
if [ "$node" = 1 ]; then
    read -r go
    [ "$go" = go ]
    if ranks "$weft" run --; then echo done; else echo failed; fi
    exit 0
fi
exec 3>"$dir/to-right" 4<"$dir/from-right"
before=$(carried)
echo go >&3
ranks env
read -r said <&4
[ "$said" = done ]
echo $(($(carried) - before))
