#!/bin/sh
# A weft cluster of two hosts, inside netns.sh (and relay.sh): node 0 on `left`, node 1 on `right`, each with a run
# directory of its own, both with the same key. Runs a command as a program of node 0, with udp only, and ends the cluster.
#
#   usage: netns.sh two-hosts.sh WEFT DIRECTORY COMMAND [ARGUMENT...]
#
# DIRECTORY is for the run directories and the output of `weft up`. Exit status: the command's. environment: RIGHT, a command
# that runs on `right` meanwhile, with udp only too; its standard input and output are the fifos DIRECTORY/to-right and
# DIRECTORY/from-right.
set -eu
[ $# -ge 3 ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
weft=$1 dir=$2
shift 2

# on HOST COMMAND...: it does not see the other host's run directory, which would make one host of the two.
for host in left right; do [ -d "$dir/$host" ] || mkdir -m 700 "$dir/$host"; done
on() {
    host=$1 other=left
    [ "$host" = right ] || other=right
    shift
    # shellcheck disable=SC2016
    XDG_RUNTIME_DIR=$dir/$host ip netns exec "$host" \
        sh -c 'mount -t tmpfs -o mode=700 tmpfs "$1" && shift && exec "$@"' sh "$dir/$other" "$@"
}
# shellcheck disable=SC2329,SC2317
down() {
    for host in right left; do on "$host" "$weft" down >"$dir/down" 2>&1 || :; done
}
trap down EXIT

on left "$weft" up --bind 10.77.0.1 >"$dir/up-left" 2>&1 || { cat "$dir/up-left" >&2; exit 1; }
join=$(sed -n 's/.*--join \([^ ]*\).*/\1/p' "$dir/up-left" | head -n 1)
[ -n "$join" ] || { echo "two-hosts.sh: weft up printed no text to join with:" >&2; cat "$dir/up-left" >&2; exit 1; }
printf '%s\n' "$join" | on right "$weft" up --bind 10.77.0.2 --join - >"$dir/up-right" 2>&1 ||
    { cat "$dir/up-right" >&2; exit 1; }
if [ -n "${RIGHT-}" ]; then
    mkfifo "$dir/to-right" "$dir/from-right"
    # shellcheck disable=SC2086
    WEFT_ADAPTER=udp on right $RIGHT <"$dir/to-right" >"$dir/from-right" &
fi
status=0
on left "$weft" run --adapter udp -- "$@" || status=$?
exit "$status"
