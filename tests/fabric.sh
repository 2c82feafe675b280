#!/bin/sh
# The C API between processes. usage: fabric.sh BUILD cluster|examples shm|udp|sim
#   cluster   cluster_test: directory, data both ways, a peer that is killed
#   examples  each example alone, on one node, and over two
. "$(dirname "$0")/lib.sh"
what=$2 adapter=$3
need "$weft"

# The examples' own words may not be trusted: one that got damaged data must say so.
examples() {
    for words in "pingpong 20" "halo 512 40" "halo 4200 3" "fetch" "fetch $scratch/file $scratch/copy" \
        "notify 40"; do
        name=fabric-${words%% *}
        need "$build/bin/$name"
        section "$words"
        # shellcheck disable=SC2086  # words
        set -- "$build/bin/$name" $(printf '%s' "$words" | cut -s -d ' ' -f 2-)
        [ "$adapter" = udp ] || runs "alone" "$@"
        runs "one node" "$weft" run --nodes 1 --adapter "$adapter" -- "$@"
        runs "two nodes" "$weft" run --nodes 2 --adapter "$adapter" -- "$@"
        check "over $adapter" grep -q ", over $adapter\$" "$scratch/out"
        check "on nodes 0 and 1" grep -q '^processes (0, [0-9]*) and (1, ' "$scratch/out"
    done
    check "the copy is the file" cmp "$scratch/file" "$scratch/copy"
    for name in pingpong halo fetch notify; do
        check "$name --help" sh -c "'$build/bin/fabric-$name' --help | grep -q ^Usage"
        check "$name refuses what it does not know" sh -c "! '$build/bin/fabric-$name' --nonsense 2>/dev/null"
    done
}

case $what in
cluster)
    section "cluster_test over $adapter"
    need "$build/bin/test/cluster_test"
    "$weft" run --nodes 2 --adapter "$adapter" -- "$build/bin/test/cluster_test" >"$scratch/out" 2>&1
    same "exit status" "$?" 0
    sed 's/^/      /' "$scratch/out"
    check "over $adapter" grep -q "^over $adapter\$" "$scratch/out"
    ;;
examples)
    head -c 5000001 /dev/urandom >"$scratch/file"
    examples
    ;;
esac
nothing_left
finish
