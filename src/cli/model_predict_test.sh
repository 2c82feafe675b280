#!/bin/sh
# weft model predict: the published cluster comes out as is promised, in both forms of output, and how it refuses.
. "${0%/*}/test_lib.sh" "$1"

expect 0 "$weft" model predict --example clopencl
says '^8K  *GGC,GC,GC,GC  *21.8  *21.9  *+0.5 %'
says '^24K  *GGC,GC,GC,GC  *489.0  *482.1  *-1.4 %'
says '^nothing fitted (link 125 MB/s): 7 times, mean 1.6 %, median 1.5 %, p95 3.6 %, max 3.6 %; .*: met$'
says '^fitted to 8K alone, 16K and 24K (link 126 MB/s): 5 times, mean 1.5 %, .*: met$'
says '^nine devices at 24K: 482 s, eight of them: 461 s (published: 489 s, 469 s): found$'
says '^as published  *22.5  *160.4  *487.0$'
says '^+ operands sent once a node  *14.9  *124.0  *400.5$'

expect 0 "$weft" model predict --example clopencl --json
says '^{"example":"clopencl","fitted":"8K","link_Bps":126[0-9.]*,"times":5,"mean_error":0.01[0-9]*,.*"met":true}$'
says '^{"example":"clopencl","policy":"as published","order":"8K","predicted_s":22.5[0-9]*}$'

# How fast it is depends on what else runs here: either verdict is an answer.
"$weft" bench model --json >"$WORK/out" 2>"$WORK/err" || [ $? -eq 1 ] || fail "weft bench model fails: $(cat "$WORK/err")"
for what in transfer application processes closest paths shares disagreements load; do
    says '^{"bench":"model","what":"'$what'","name":".*","us":[0-9.e-]*,"wanted_us":[0-9.]*,"verdict":"\(not \)*met"}'
done

# What runs beside it decides here, too.
"$weft" model predict --check co-location --quick --json >"$WORK/out" 2>"$WORK/err" || [ $? -eq 1 ] || fail "--check co-location fails"
says '^{"check":"co-location","workload":"stream","beside":"cache","slowdown":[0-9.e-]*,"predicted":[0-9.e-]*}$'
says '^{"check":"co-location","workload":"cache","beside":"cache","slowdown":[0-9.e-]*}$'
says '^{"check":"co-location","held_out":24,"median_error":[0-9.e-]*,'
if [ -x "$BIN/matmul" ] && [ "$slowdown" = 1 ]; then
    "$weft" model predict --check matmul --quick -o "$WORK/product.json" >"$WORK/out" 2>"$WORK/err" || [ $? -eq 1 ] || fail "--check matmul fails"
    says '^896  *both  *held out  *[0-9.]*  *[0-9.]*  *[-+][0-9.]* %$'
    predicted=$(awk '$1 == 896 { print $6 }' "$WORK/out")
    expect 0 "$weft" model predict --json "$WORK/product.json"
    # One and the same prediction, by the model that is left.
    sed -n 's/^{"makespan_s":\([0-9.e-]*\),.*/\1/p' "$WORK/out" | awk -v p="$predicted" '{ d = $1 - p; exit !(d < 0.001 && d > -0.001) }' ||
        fail "the model that is left predicts something else than $predicted"
fi
expect 2 "$weft" model predict --check pie;         warns '--check pie: matmul or co-location is wanted'
expect 2 "$weft" model predict --quick --example clopencl; warns '--quick and -o are for --check'
expect 2 "$weft" model predict;                     warns 'a file, --record, --check or --example is wanted'
expect 2 "$weft" model predict --example other;     warns 'there is no example "other"; there is: clopencl'
expect 0 "$weft" model predict --help;              says '^Usage: weft model predict'
finish
