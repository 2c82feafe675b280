#!/bin/sh
# weft nisim: each subcommand's output in both forms, drawings, the same seed twice, and how it refuses. What the numbers are is
# the matter of the unit tests in model/nisim/.
. "${0%/*}/test_lib.sh" "$1"

small="--set l2.capacity=1048576 --set compute.working_set=1048576 --set messages.count=100 --set messages.rate=1e6"

expect 0 "$weft" nisim journey --warm --svg "$WORK/j.svg"
says '^lock, 64 B by DMA: 25 cycles (8.3 ns) from the message'
says '^kernel, 64 B by system call: '
says 'flush the computing thread$'
grep -q '</svg>' "$WORK/j.svg" || fail "no drawing of the journey"
expect 0 "$weft" nisim journey --mechanism spawn --pio --json
says '^{"mechanism":"spawn","where":"sending thread","step":"compose, tell the NI","at":0,"cycles":[0-9]*}$'
says '"arrival_to_handler_cycles":'

# shellcheck disable=SC2086  # a list of options
expect 0 "$weft" nisim run $small
says '^mechanism *handled'
says '^branch *100/100 '
# shellcheck disable=SC2086
expect 0 "$weft" nisim run $small --json --seed 4
cp "$WORK/out" "$WORK/first"
# shellcheck disable=SC2086
expect 0 "$weft" nisim run $small --json --seed 4
cmp -s "$WORK/out" "$WORK/first" || fail "one seed, two runs"

expect 0 "$weft" nisim sweep pio --samples 1 --jobs 2 --svg "$WORK/s"
says '^Where DMA overtakes PIO (65 configurations'
says 'holds'
grep -q '</svg>' "$WORK/s-pio.svg" || fail "no plot of the sweep"

expect 0 "$weft" nisim --show-config
cp "$WORK/out" "$WORK/config.json"
expect 0 "$weft" nisim --config "$WORK/config.json" --set core.clock=2e9 --show-config
says '"clock": {"value": 2e+09, "unit": "Hz"'
sed 's/"Hz"/"KHz"/' "$WORK/config.json" >"$WORK/wrong.json"
expect 2 "$weft" nisim run --config "$WORK/wrong.json"
warns 'wrong.json:[0-9]*: $.entities\[0\].values.clock.unit: '
expect 0 "$weft" model check "$WORK/config.json"

: >"$WORK/rows"
for mechanism in futex branch; do
    for load in idle busy; do
        for rate in 1000 2000 3000 4000 5000 6000; do
            echo "{\"bench\":\"notify\",\"mechanism\":\"$mechanism\",\"place\":\"same-cpu\",\"load\":\"$load\",\"rate_per_s\":$rate,\"median_us\":12.5}" >>"$WORK/rows"
        done
    done
done
expect 0 "$weft" nisim calibrate "$WORK/rows"
says '^24 rows, 11 parameters'
says '^error, held-out half: *median 0\.[0-9] %'
echo '{"bench":"notify"}' >>"$WORK/rows"
expect 1 "$weft" nisim calibrate "$WORK/rows"
warns 'rows:25: mechanism is missing'
expect 1 "$weft" nisim calibrate /dev/null;            warns 'has 0 rows that can be used'
expect 1 "$weft" nisim calibrate "$WORK/none";         warns 'No such file'

expect 2 "$weft" nisim;                                warns 'journey, run, sweep, check or calibrate is wanted'
expect 2 "$weft" nisim fly;                            warns 'fly: journey'
expect 2 "$weft" nisim run fast;                       warns 'unexpected argument fast'
expect 2 "$weft" nisim run --mechanism irq;            warns 'lock, branch, spawn, poll or kernel'
expect 2 "$weft" nisim run --set core.clock=0;         warns 'from 1e+07 to 1e+11 Hz'
expect 2 "$weft" nisim sweep all;                      warns 'mechanisms, buffer or pio'
expect 2 "$weft" nisim calibrate;                      warns 'wants a file'
expect 1 "$weft" nisim journey --svg /nowhere/x.svg;   warns '/nowhere/x.svg: No such file'
finish
