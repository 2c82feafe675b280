#!/bin/sh
# Random calls of eight SCIF processes against a model, on one node and on two. usage: scif-stress.sh BUILD
# For the record: weft run --nodes 2 -- build/bin/test/scif_stress --seconds 3600
. "$(dirname "$0")/lib.sh"
stress=$build/bin/test/scif_stress
need "$weft" "$stress"
rounds=$((80 / slowdown))

section "alone"
runs "stress" "$stress" --rounds $rounds --seed 1
section "two nodes"
for seed in 2 3; do
    runs "stress" "$weft" run --nodes 2 -- "$stress" --rounds $rounds --seed $seed
    check "some were killed" grep -q ', [1-9][0-9]* killed' "$scratch/out"
done
check "refuses what it does not know" sh -c "! '$stress' --nonsense 2>/dev/null"
check "the services have ended" wait_until 10 no_processes
nothing_left
finish
