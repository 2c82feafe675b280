#!/bin/sh
# weft model: this machine comes in, the examples and descriptions answer, wrong files are refused, hwloc's own file is
# written.
. "${0%/*}/test_lib.sh" "$1"
export XDG_DATA_HOME="$WORK/data" HOME="$WORK"
unset WEFT_MODEL WEFT_MODEL_FOLDER
[ $slowdown -eq 1 ] || export HWLOC_COMPONENTS=-pci # it leaves memory, which is none of ours
share=$(cd "${0%/*}/../../share/model" && pwd)
cd "$WORK" || exit 1

# Nothing there yet: it says what to do.
expect 1 "$weft" model show;              warns 'there is no model yet .*weft model import --save'
expect 0 "$weft" model import --save --as here
warns '/data/weft/model.json: [0-9]* entities'
expect 1 "$weft" model import --save --as here; warns 'is there already; with -m '
expect 0 "$weft" model show;              says '^here  *host'; says '  here.numa0  *dram '
expect 0 "$weft" model show --json here.core0
says '^{"id":"here.core0","kind":"compute","class":"core","in":"here'
expect 0 "$weft" model explain here.numa0 capacity
says '^\* capacity .* of here.numa0: os, by hwloc$'
expect 1 "$weft" model show here.nume0;   warns 'no entity "here.nume0"; did you mean "here.numa0"'
expect 0 "$weft" model query closest here.core0
says '^here.numa0 '
WEFT_MODEL="$WORK/other.json" expect 1 "$weft" model show; warns "there is no model yet ($WORK/other.json)"

# Each description that comes with weft is right by itself, and so is the schema beside them.
for file in "$share"/*.json; do
    case $file in
    */schema.json) continue ;;
    */example-application.json) expect 0 "$weft" model check --together "$share/example-cluster.json" "$file" ;;
    *) expect 0 "$weft" model check "$file" ;;
    esac
    says "^$file is right: [1-9]"
done
# Each number of a technology has its source, or a reason why there is none.
for name in a64fx-hbm cxl-expander infiniband-hca knl-mcdram optane-set upmem-dpu; do
    expect 0 "$weft" model query -m $name --json "SELECT count(*) AS n FROM observation
        WHERE source IN ('literature', 'datasheet') AND reference IS NULL OR source = 'assumed' AND note IS NULL"
    says '^{"n":0.0}$'
done
expect 0 "$weft" model query -m cxl-expander paths slot memory
says '^240 ns  *31.5 GB/s  *link '
expect 0 "$weft" model check --schema
cmp -s "$WORK/out" "$share/schema.json" || fail "share/model/schema.json is not what weft model check --schema prints"

# The four questions, on machines that are not here.
expect 0 "$weft" model query -m example-cluster closest n0.gpu
says '^n0.gpu-memory  *gpu  *400 ns  *1.4 TB/s '
expect 0 "$weft" model query -m example-cluster paths n0.gpu n1.dram
says '^2.061 us  *12.5 GB/s  *n0.ib.hca .* n0.gpu > n0.p0 > n0.ib.slot > n0.ib.hca > n0.ib.port > switch > n1.ib.port > n1.ib.hca > n1.ib.slot > n1.p0 > n1.dram$'
[ "$(wc -l <"$WORK/out")" -eq 2 ] || fail "there is one way, not: $(cat "$WORK/out")"
expect 0 "$weft" model query -m knl-mcdram --json shares core0
says '^{"entity":"core1","resources":"[^"]*l2[^"]*",'
expect 0 "$weft" model query -m knl-mcdram disagreements
says '^mcdram  *bandwidth  *-  *500 GB/s  *datasheet  *350 GB/s  *literature '
expect 0 "$weft" model query -m example-cluster -m example-application "SELECT resource FROM no_share WHERE a = 'fill' AND b = 'look'"
says '^n0.nvm.dimm0.dimm$'
expect 0 "$weft" model explain -m optane-dimm dimm latency
says '305 ns of dimm (read, random): literature; J. Izraelevitz et al.: .*<https://arxiv.org/abs/1903.05714>$'
expect 0 "$weft" model query;             says '^closest DEVICE'
expect 1 "$weft" model query -m knl-mcdram closest nobody; warns 'there is no entity "nobody"'
expect 1 "$weft" model query -m knl-mcdram "DROP TABLE entity"; warns 'only SELECT is allowed'
expect 1 "$weft" model query -m knl-mcdram --work 1 \
    "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT sum(x) FROM t"
warns 'it takes too much work or memory: ask for less'

# What is wrong, and where.
printf '{"weft_model": 1, "entities": [\n {"id": "a", "kind": "memory",\n  "values": {"latency": {"value": 3, "unit": "nsec"}}}]}' >wrong.json
expect 1 "$weft" model check wrong.json
warns '^weft model check: wrong.json:3: $.entities\[0\].values.latency.unit: unknown unit "nsec"'
expect 1 "$weft" model check --json wrong.json
says '^{"file":"wrong.json","right":false,"line":3,"path":"$.entities\[0\].values.latency.unit","reason":"unknown unit'
expect 1 "$weft" model show -m wrong.json; warns '^weft model show: wrong.json:3: '
expect 1 "$weft" model check nowhere.json; warns 'nowhere.json: no such thing'

# Written whole, it is read the same.
expect 0 "$weft" model export -m example-cluster -o whole.json
expect 0 "$weft" model export -m whole.json -o again.json
cmp -s whole.json again.json || fail "what was written and read differs"

# A measurement beside the description goes out to hwloc, which reads it.
cat >measured.json <<'EOF'
{"weft_model": 1, "observations": [{"entity": "here.numa0", "attribute": "latency", "value": 97, "unit": "ns", "source": "measured"}]}
EOF
expect 0 "$weft" model export -m data/weft/model.json -m measured.json --hwloc out.xml
warns '^out.xml: 1 latencies and bandwidths of here$'
grep -q 'memattr.*value="97"' out.xml || grep -q '"97"' out.xml || fail "hwloc's file does not have the latency"
expect 0 "$weft" model import --hwloc out.xml --as copy -o copy.json
expect 0 "$weft" model explain -m copy.json copy.numa0 latency
says '^\* latency 97 ns of copy.numa0 (from local): os, by hwloc$'
expect 1 "$weft" model import --hwloc wrong.json --as x; warns 'does not take it for a topology'

# Machines of several NUMA nodes, which are not here: taken in, asked, and placed on.
for nodes in 2 4 8; do
    HWLOC_SYNTHETIC="pack:$nodes [numa(memory=8589934592)] l3:1(size=8388608) core:2 pu:2" \
        expect 0 "$weft" model import --as big -o "numa$nodes.json"
    expect 0 "$weft" model query -m "numa$nodes.json" "SELECT count(*) AS memories FROM entity WHERE kind = 'memory'"
    says "^$nodes"
    expect 0 "$weft" model query -m "numa$nodes.json" closest big.core3 1; says '^big.numa1 '
    expect 0 "$weft" model query -m "numa$nodes.json" paths big.core0 "big.numa$((nodes - 1))"; says ' > big > '
    { # what each node does, and an application whose objects fit in one only together with nothing else
        echo '{"weft_model": 1, "defaults": {"source": "assumed"}, "entities": ['
        echo '{"id": "t", "kind": "task"}'
        for i in $(seq "$nodes"); do
            echo ", {\"id\": \"o$i\", \"kind\": \"object\", \"values\": {\"size\": {\"value\": 5, \"unit\": \"GiB\"}}}"
            echo ", {\"id\": \"a$i\", \"kind\": \"access\", \"ends\": [\"t\", \"o$i\"], \"values\": {\"reads\": {\"value\": 5, \"unit\": \"GiB\"}}}"
        done
        echo '], "observations": ['
        for i in $(seq "$nodes"); do
            [ "$i" -eq 1 ] || echo ,
            echo "{\"entity\": \"big.numa$((i - 1))\", \"attribute\": \"latency\", \"value\": 90, \"unit\": \"ns\"},"
            echo "{\"entity\": \"big.numa$((i - 1))\", \"attribute\": \"bandwidth\", \"value\": 20, \"unit\": \"GB/s\"}"
        done
        echo ']}'
    } >application.json
    expect 0 "$weft" model place --what objects --in big "numa$nodes.json" application.json
    for i in $(seq "$nodes"); do says "^o$i  *big.numa[0-7]  *5 GiB"; done
    [ "$(sed -n 's/^o[0-9]  *\(big.numa[0-7]\) .*/\1/p' "$WORK/out" | sort -u | wc -l)" -eq "$nodes" ] ||
        fail "two objects of 5 GiB share a node of 8 GiB"
done

expect 2 "$weft" model;                   says '^  query '
expect 2 "$weft" model shw;               warns 'did you mean "show"'
expect 2 "$weft" model explain;           warns 'which entity'
expect 0 "$weft" model import --help;     says '^Usage: weft model import'
rm -rf "$WORK/data"
finish
