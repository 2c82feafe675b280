#!/bin/sh
# The SCIF conformance suite. usage: scif.sh BUILD loopback|nodes|unprivileged
#   loopback      both sides on one node, without a cluster
#   nodes         the right sides on another node of the same host
#   unprivileged  as loopback, by a user who may pin no more than 8 MiB and has no say in the system's own page faults
# scif/missing.txt lists the cases that do not hold yet: those, and no others, have to fail.
. "$(dirname "$0")/lib.sh"
suite=$build/bin/test/scif_conformance
need "$weft" "$suite"

section "SCIF conformance, $2"
export SCIFTEST_TIMEOUT="${SCIFTEST_TIMEOUT-$((20 * slowdown))}"
case $2 in
loopback) "$suite" >"$scratch/out" 2>"$scratch/err" ;;
unprivileged)
    [ "$(id -u)" -eq 0 ] || skip "the other runs are unprivileged already"
    command -v setpriv >/dev/null || skip "no setpriv"
    # What the user can read: not all of the way to the build need be open.
    mkdir "$scratch/bin" "$scratch/lib"
    cp "$suite" "$build/bin/weft-scif" "$scratch/bin"
    cp "$build/lib/libscif.so.0" "$build/lib/libweft.so.0" "$scratch/lib"
    chmod 711 "$scratch"
    chown 65534:65534 "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME"
    (
        ulimit -l 8192
        LD_LIBRARY_PATH="$scratch/lib" setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
            "$scratch/bin/${suite##*/}" >"$scratch/out" 2>"$scratch/err"
    )
    ;;
*) "$weft" run --nodes 2 -- "$suite" --right "$weft run --node 1 --" >"$scratch/out" 2>"$scratch/err" ;;
esac
[ $? -eq 77 ] && skip "no SCIF here"
tail -n 1 "$scratch/out"
sed -n 's/^FAIL \([^ ]*\) .*/\1/p' "$scratch/out" | sort >"$scratch/failed"
sort "$tests/scif/missing.txt" >"$scratch/missing"
for case in $(comm -23 "$scratch/failed" "$scratch/missing"); do
    fail "$case"
    grep -B 4 "^FAIL $case " "$scratch/out" | sed 's/^/      /'
done
for case in $(comm -13 "$scratch/failed" "$scratch/missing"); do
    fail "$case holds: take it out of missing.txt"
done
check "cases ran" grep -q '^SCIF conformance: [1-9][0-9][0-9]* run' "$scratch/out"
check "the service has ended" wait_until 10 no_processes
nothing_left
finish
