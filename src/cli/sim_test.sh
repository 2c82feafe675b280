#!/bin/sh
# weft sim: many seeds, one seed with its transcript, the same seed twice, and how it refuses. Whether all seeds pass
# is sim_test's matter; these are few.
. "${0%/*}/test_lib.sh" "$1"

expect 0 "$weft" sim --seeds 20 --from 7 --jobs 2
says '^20 seeds from 7 passed, 0 failed, in '
says '^[0-9]* events, [0-9]* packets, '
expect 0 "$weft" sim --seeds 20 --from 7 --json
says '^{"from":7,"passed":20,"failed":0,"seconds":[0-9.e-]*,"events":[0-9]*,"packets":[0-9]*,'
expect 0 "$weft" sim --seed 7
says '^seed 7 passed$'
expect 0 "$weft" sim --seed 7 --trace
says ' > .* INIT '
cp "$WORK/out" "$WORK/first"
expect 0 "$weft" sim --seed 7 --trace
cmp -s "$WORK/out" "$WORK/first" || fail "one seed, two transcripts"

expect 2 "$weft" sim --seeds 0;      warns 'a number from 1'
expect 2 "$weft" sim --trace;        warns 'wants --seed'
expect 2 "$weft" sim 5;              warns 'unexpected argument 5'
finish
