#!/bin/sh
# How another node's device is shared: what a program gets of it beside others, of what it gets alone. One has many small kernels,
# one a few large ones, one writes in bulk. usage: fair.sh BUILD [shm|udp] [--seconds N] [--least SHARE]
#   --seconds N    that each measurement takes (3)
#   --least SHARE  of what would be its equal share, which each has to get (0.8)
# It is for a machine at rest; what a kernel of another process takes is in the figures.
# shellcheck disable=SC2317,SC3043,SC2329  # called by name; no part of POSIX, but of every shell that is /bin/sh on Linux
. "$(dirname "$0")/lib.sh"
shift
adapter=udp seconds=3 least=0.8
case ${1-} in shm | udp) adapter=$1 && shift ;; esac
while [ $# -gt 1 ]; do
    case $1 in
    --seconds) seconds=$2 ;;
    --least) least=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -eq 0 ] || { say "usage: fair.sh BUILD [shm|udp] [--seconds N] [--least SHARE]"; exit 2; }
program=$build/bin/test/clshare
need "$weft" "$program"
export CLTEST_PLATFORM=weft CLTEST_NODE=1
mkfifo "$scratch/in"
exec 9<>"$scratch/in"

are_ready() { [ "$(cat "$scratch"/got.* | grep -c '^ready')" -eq "$1" ]; }
# beside NAME...: these at once; what each got is in $scratch/got.1 and so on.
beside() {
    local number=0 name pids="" pid
    rm -f "$scratch"/got.*
    for name; do
        number=$((number + 1))
        "$weft" run --adapter "$adapter" -- "$program" "$name" "$seconds" >"$scratch/got.$number" 2>&1 <"$scratch/in" &
        pids="$pids $!"
    done
    wait_until 60 are_ready $# || fail "$*: they do not begin"
    printf '%*s' $# '' >&9
    for pid in $pids; do wait_for "$pid" $((seconds + 60)); done
}
got() { sed -n 's/^got \([0-9]*\) a second$/\1/p' "$scratch/got.$1"; }
# share NAME...: beside each other each gets its share of what it gets alone.
share() {
    local number=0 name alone part
    section "$*"
    beside "$@"
    for name; do
        number=$((number + 1))
        alone=$(cat "$scratch/alone.$name")
        part=$(echo "$(got $number) $alone $#" | awk '{ printf "%.2f", $2 ? $1 / $2 * $3 : 0 }')
        check "$name: $(got $number) of $alone a second, $part of its equal share" \
            awk "BEGIN { exit !($part >= $least) }"
    done
}

"$weft" up --nodes 2 >"$scratch/up" 2>&1
same "weft up" "$?" 0
section "alone, $adapter"
for name in small large bulk; do
    beside $name
    got 1 >"$scratch/alone.$name"
    check "$name: $(got 1) a second" [ "$(got 1)" -gt 0 ]
done
share small small
share large large
share small large
share small bulk
share small large bulk
"$weft" down >"$scratch/down" 2>&1
same "weft down" "$?" 0
nothing_left
finish
