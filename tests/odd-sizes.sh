#!/bin/sh
# Sizes that do not fit: slices that do not divide the order, are larger than it, or are one; orders of one.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"

for size in "1 1" "1 100" "7 3" "100 1000" "301 100" "64 63" "40 1" "600 251"; do
    section "matmul $size"
    # shellcheck disable=SC2086
    "$build/bin/matmul" $size --json >"$scratch/plain.json"
    same "plain: exit status" "$?" 0
    # shellcheck disable=SC2086
    "$weft" run --nodes 2 -- "$build/bin/matmul" $size --json >"$scratch/weft.json"
    same "two nodes: exit status" "$?" 0
    check "verified" json_verified "$scratch/weft.json"
    same "checksum" "$(json_checksum "$scratch/weft.json")" "$(json_checksum "$scratch/plain.json")"
done
nothing_left
finish
