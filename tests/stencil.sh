#!/bin/sh
# A recorded stencil of 8 processes, placed over two hosts (network namespaces) by the model: the link carries at most half of
# what it does when the processes take turns. Bytes are counted by the link itself.
. "$(dirname "$0")/lib.sh"
stencil=$build/bin/fabric-stencil
need "$weft" "$stencil"
need_namespaces
GRID="2 4 200"

section "recorded on one host"
# shellcheck disable=SC2016,SC2086 # that shell's own
"$weft" run --nodes 1 --record "$scratch/app.json" -- sh -c '
    program=$1; shift
    for rank in 0 1 2 3 4 5 6 7; do PMI_RANK=$rank "$program" $rank "$@" & done; wait' sh "$stencil" $GRID >"$scratch/out" 2>"$scratch/err"
same "exit status" "$?" 0
check "verified" grep -qx verified "$scratch/out"
check "8 processes and 20 flows" grep -q ': 8 processes, 20 flows$' "$scratch/err"

section "placed"
"$weft" model place --nodes 2 --as weft "$scratch/app.json" >"$scratch/placed" 2>"$scratch/err"
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/err"
seq 0 7 | awk '{ print $1, $1 % 2 }' >"$scratch/turns"

# crosses PLACEMENT: sets $bytes
crosses() {
    section "run as $1"
    rm -rf "$scratch/hosts"
    mkdir -m 700 "$scratch/hosts"
    # shellcheck disable=SC2086
    bytes=$(RIGHT="$tests/lab/ranks.sh $weft $scratch/$1 1 $scratch/hosts $stencil $GRID" \
        "$tests/lab/netns.sh" "$tests/lab/two-hosts.sh" "$weft" "$scratch/hosts" \
        "$tests/lab/ranks.sh" "$weft" "$scratch/$1" 0 "$scratch/hosts" "$stencil" $GRID 2>"$scratch/err")
    same "exit status" "$?" 0
    sed 's/^/      /' "$scratch/err"
    check "verified" grep -q verified "$scratch/err"
    say "      $bytes bytes over the link"
}
crosses turns
turns=${bytes:-0}
crosses placed
check "at most half of it: $bytes of $turns" test "$((2 * ${bytes:-1}))" -le "$turns"
finish
