#!/bin/sh
# A weft cluster of paced devices, inside switch.sh: node 0 on host0, node 1 on host1, …, each with a run directory of its
# own. Runs a command as a program of node 0 and ends the cluster.
#
#   usage: switch.sh HOSTS paced.sh WEFT LIBRARY DEVICES COMMAND [ARGUMENT...]
#
# LIBRARY: that of the paced devices (tests/paced), whose rates the environment has. DEVICES: those of each node, by letter, as
# in the paper on clOpenCL: GGC,GC,G. Exit status: the command's.
set -eu
[ $# -ge 4 ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
weft=$1 library=$2 devices=$3
dir=/run/paced # in the namespace of switch.sh, and gone with it
shift 3
export WEFT_OPENCL_VENDORS="$library" XDG_CONFIG_HOME="$dir"
all=$(echo "$devices" | tr ',' ' ')

# on NODE LETTERS COMMAND...: on that node's host, which sees its own run directory only.
on() {
    node=$1 letters=$2
    shift 2
    # shellcheck disable=SC2016
    OCL_PACED_DEVICES=$letters XDG_RUNTIME_DIR=$dir/run ip netns exec "host$node" sh -c \
        'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$dir/run$node" "$dir/run" "$@"
}
# shellcheck disable=SC2329,SC2317
down() {
    node=0
    for letters in $all; do
        on "$node" "$letters" "$weft" down >"$dir/down" 2>&1 || :
        node=$((node + 1))
    done
}
mkdir -p "$dir/run"
trap down EXIT
node=0
for letters in $all; do
    mkdir -p -m 700 "$dir/run$node"
    [ "$node" -gt 0 ] || first=$letters
    printf '%s\n' "${join-}" | on "$node" "$letters" "$weft" up --bind "10.78.0.$((node + 1))" ${join:+--join -} \
        >"$dir/up$node" 2>&1 || { cat "$dir/up$node" >&2; exit 1; }
    [ "$node" -gt 0 ] || join=$(sed -n 's/.*--join \([^ ]*\).*/\1/p' "$dir/up0" | head -n 1)
    node=$((node + 1))
done
status=0
on 0 "$first" "$weft" run --adapter udp -- "$@" || status=$?
exit "$status"
