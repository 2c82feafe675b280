#!/bin/sh
# The SCIF conformance suite between two hosts, network namespaces over a veth link; or with the relay between them, which
# loses and reorders packets. usage: scif-hosts.sh BUILD plain|loss [part of a case's name]...
# scif/missing-hosts.txt lists the cases that do not hold yet: those, and no others, have to fail.
# environment: SEED, of the relay (6)
. "$(dirname "$0")/lib.sh"
suite=$build/bin/test/scif_conformance
need "$weft" "$suite" "$build/bin/weft-relay"
need_namespaces
way=$2
shift 2

section "SCIF conformance, two hosts, $way"
relay=
[ "$way" = loss ] && relay="$tests/lab/relay.sh $build/bin/weft-relay --seed ${SEED-6} --loss 2 --reorder 5 --"
export SCIFTEST_TIMEOUT="${SCIFTEST_TIMEOUT-$((20 * slowdown))}"
dir=$scratch/hosts
mkdir -m 700 "$dir"
# shellcheck disable=SC2086
RIGHT="$suite --serve" "$tests/lab/netns.sh" $relay "$tests/lab/two-hosts.sh" "$weft" "$dir" \
    "$suite" --right "sh -c 'cat $dir/from-right & exec cat >$dir/to-right' sh" "$@" >"$scratch/out" 2>"$scratch/err"
[ $? -eq 77 ] && skip "no SCIF here"
sed 's/^/      /' "$scratch/err"
tail -n 1 "$scratch/out"
sed -n 's/^FAIL \([^ ]*\) .*/\1/p' "$scratch/out" | sort >"$scratch/failed"
sed -n 's/^ok   //p' "$scratch/out" | sort >"$scratch/held"
# The system lets only the privileged handle the faults of system calls (docs/SCIF.md).
{
    cat "$tests/scif/missing-hosts.txt"
    [ "$(id -u)" -eq 0 ] || echo scif_mmap__gives_memory_for_system_calls_and_RMAs
} | sort >"$scratch/missing"
for case in $(comm -23 "$scratch/failed" "$scratch/missing"); do
    fail "$case"
    grep -B 4 "^FAIL $case " "$scratch/out" | sed 's/^/      /'
done
for case in $(comm -12 "$scratch/held" "$scratch/missing"); do
    fail "$case holds: take it out of missing-hosts.txt"
done
check "cases ran" grep -q '^SCIF conformance: [1-9][0-9]* run' "$scratch/out"
nothing_left
finish
