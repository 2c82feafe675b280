#!/bin/sh
# An application in a model: predicted and explained, offloaded or not, placed; recorded by weft run; policies on a trace; how
# each refuses.
. "${0%/*}/test_lib.sh" "$1"
unset WEFT_MODEL WEFT_MODEL_FOLDER
share=$(cd "${0%/*}/../../share/model" && pwd)
cluster=$share/example-cluster.json application=$share/example-application.json
cd "$WORK" || exit 1

# predicted, with what it rests on
expect 0 "$weft" model predict "$cluster" "$application"
says '^fill  *n0.core0  *0 s  *42.02 s  *42.02 s  *memory: computing 1.053 s, memory 42.02 s'
says '^hints  *n0.shm  .*one message takes 709.5 ns$'
says '^the whole takes 45.45 s; what ends last is look;'
expect 0 "$weft" model predict --json -m "$cluster" "$application"
says '^{"task":"look","on":"n0.core1","seconds":45.4'
says '^{"makespan_s":45.4[0-9]*,"last":"look","observations":[1-9]'
expect 0 "$weft" model explain -m "$cluster" -m "$application" --predicted look
says '^look: 45.45 s, which rests on$'
says '^  rate 38 Gop/s of n0.core1 (fma, float64): assumed$'
says '^  bandwidth 6.6 GB/s of n0.nvm.dimm0.dimm (read, .*): literature, max; J. Izraelevitz et al.: '
expect 0 "$weft" model explain -m "$cluster" -m "$application" --predicted --json
says '^{"predicted":"makespan","seconds":45.4'
says '"of":"makespan","entity":"n0.shm","attribute":"latency","source":"assumed"'
expect 1 "$weft" model explain -m "$cluster" -m "$application" --predicted n0.gpu
warns 'n0.gpu is neither a task nor a flow'

# offload or not, with the reason
expect 0 "$weft" model predict --offload fill --on n1.core0 "$cluster" "$application"
says '^fill: not worth it: .* on n1.core0 against 42 s on n0.core0'
expect 0 "$weft" model predict --offload look --json "$cluster" "$application"
says '^{"task":"look","here":"n0.core1","there":"n0.gpu","worth_it":[a-z]*,.*"reason":"'
expect 1 "$weft" model predict --offload look --on n0.ib.hca "$cluster" "$application"
warns 'n0.ib.hca has no rate, which the task look needs'
expect 2 "$weft" model predict --on n0.gpu "$cluster"; warns '--on is for --offload'

# what is missing is named
expect 1 "$weft" model predict "$cluster"; warns 'there is no task in the model: .*weft run --record'
cat >lacking.json <<'EOF'
{"weft_model": 1, "defaults": {"source": "measured"}, "entities": [
 {"id": "t", "kind": "task", "values": {"work": {"value": 1, "unit": "Gop"}}},
 {"id": "u", "kind": "task"},
 {"id": "f", "kind": "flow", "ends": ["t", "u"], "properties": {"sync": true}, "values": {"size": {"value": 1, "unit": "MB"}}},
 {"id": "g", "kind": "flow", "ends": ["u", "t"], "properties": {"sync": true}, "values": {"size": {"value": 1, "unit": "MB"}}}],
 "relations": [{"from": "n0.core0", "relation": "runs", "to": "u"}]}
EOF
expect 1 "$weft" model predict "$cluster" lacking.json
warns 'nothing runs the task t: a relation UNIT runs t says it'
warns 'the task u has neither work, duration on n0.core0, nor accesses'
cat >circle.json <<'EOF'
{"weft_model": 1, "observations": [{"entity": "u", "attribute": "duration", "value": 1, "unit": "s", "source": "measured"}],
 "relations": [{"from": "n1.core0", "relation": "runs", "to": "t"}]}
EOF
sed -i 's/"unit": "Gop"}}/"unit": "Gop"}, "duration": {"value": 2, "unit": "s"}}/' lacking.json
expect 1 "$weft" model predict "$cluster" lacking.json circle.json
warns 'synchronous flows go in a circle: t waits for itself'
printf '{"weft_model": 1, "entities": [\n{"id": "t", "kind": "task", "values": {"work": {"value": -1, "unit": "Gop"}}}]}' >wrong.json
expect 1 "$weft" model predict wrong.json; warns 'wrong.json:2: $.entities\[0\].values.work'

# placed
expect 0 "$weft" model place "$cluster" "$application"
says '^39.06 MiB of 39.06 MiB cross between nodes; 39.06 MiB if the processes took turns$' # they must not share
says '^constraints that are kept: 1$'
sed 's/"no_share"/"together"/' "$application" >together.json
expect 0 "$weft" model place "$cluster" together.json
says '^0 B of 39.06 MiB cross between nodes; 39.06 MiB if the processes took turns$'
expect 0 "$weft" model place --nodes alpha:1,beta:3 --as rankfile "$application" -m "$cluster"
says '^rank 1=\(alpha\|beta\) slot=[01]$'
expect 0 "$weft" model place --nodes 2 --as slurm "$cluster" "$application"; says '^node[01]$'
expect 1 "$weft" model place --nodes 1 --as weft "$cluster" "$application"
warns 'no placement was found that keeps all 1 constraints'
expect 0 "$weft" model place --nodes 1 --as weft "$cluster" together.json; says '^1 0$'
expect 0 "$weft" model check --together "$cluster" "$application"
warns 'the placement breaks no_share of fill and look: n0.nvm.dimm0.dimm'
expect 0 "$weft" model query -m "$cluster" -m "$application" broken; says '^secret  no_share  fill  look  n0.nvm.dimm0.dimm$'
expect 0 "$weft" model query -m "$cluster" -m together.json --json broken
[ ! -s "$WORK/out" ] || fail 'a rule that is kept is told of'
expect 1 "$weft" model place --nodes alpha:1 "$cluster" "$application"; warns '2 processes on 1 places'
expect 2 "$weft" model place --nodes alpha:x "$cluster" "$application"; warns '--nodes alpha:x: a number'
expect 2 "$weft" model place --as pbs "$cluster" "$application"; warns '--as pbs: rankfile, slurm or weft'
expect 2 "$weft" model place --what pages "$cluster"; warns '--what pages: processes, objects or blocks'
expect 1 "$weft" model place "$cluster"; warns 'no flow joins two tasks'
expect 0 "$weft" model place --what objects --in n0.p0 "$share/example-cluster.json" "$application"
says '^table  *n0.dram  *90 GiB '
expect 1 "$weft" model place --what objects "$cluster" "$application"; warns 'more than 8 memories: say with --in'
expect 1 "$weft" model place --what objects --in n0.nvm.dimm0.dimm "$cluster" "$share/example-host.json"
expect 2 "$weft" model place --what blocks "$cluster"; warns '--task is wanted'
cat >blocks.json <<'EOF'
{"weft_model": 1, "defaults": {"source": "measured"}, "entities": [
 {"id": "m", "kind": "task", "values": {"work": {"value": 380, "unit": "Gop"}, "blocks": {"value": 20, "unit": "1"}}}],
 "relations": [{"from": "n0.core0", "relation": "runs", "to": "m"}, {"from": "n0.core1", "relation": "runs", "to": "m"}]}
EOF
expect 0 "$weft" model place --what blocks --task m "$cluster" blocks.json; says '^n0.core1  *10  *10$'
expect 0 "$weft" model predict "$cluster" blocks.json; says '^m .*5 s .*blocks shared out among 2 units$'

# recorded
expect 0 "$weft" run --nodes 2 --record halo.json -- "$BIN/fabric-halo" 128 10
warns '^halo.json: 2 processes, 4 flows$'
expect 0 "$weft" model check halo.json
expect 0 "$weft" model explain -m halo.json fabric-halo.0:fabric-halo.1:puts
says '^\* count 20 of .*: measured, total, by weft run --record'         # a row and a flag a step
says '^\* size 516 B of '                                                # 128 doubles, and 8 bytes
expect 0 "$weft" model place --nodes 1 halo.json; says '^0 B of '
expect 0 "$weft" run --nodes 2 --record fetch.json -- "$BIN/fabric-fetch"
expect 0 "$weft" model explain -m fetch.json fabric-fetch.1:fabric-fetch.0:gets
says '^\* count 64 of '; says '^\* size 1 MiB of '
expect 3 "$weft" run --nodes 1 --record none.json -- sh -c 'exit 3'; warns 'no process used weft'
expect 125 "$weft" run --nodes 1 --record /nowhere/x.json -- true; warns 'cannot write /nowhere/x.json'

# recorded kernels, put on the device where they ran: the model of this machine is made up
if [ -x "$BIN/matmul" ]; then
    expect 0 "$weft" run --nodes 1 --record mm.json -- "$BIN/matmul" 128 64
    warns '^mm.json: 1 processes, 0 flows, 1 kernels$'
    device=$(sed -n 's/.*"x_device": *"\([^"]*\)".*/\1/p' mm.json | head -n 1)
    host=$(sed -n 's/.*"x_host": *"\([^"]*\)".*/\1/p' mm.json | head -n 1)
    cat >machine.json <<EOF
{"weft_model": 1, "defaults": {"source": "assumed"}, "entities": [
 {"id": "here", "kind": "node", "class": "host", "properties": {"host": "$host"}},
 {"id": "here.core0", "kind": "compute", "class": "core", "in": "here"},
 {"id": "here.ram", "kind": "memory", "class": "dram", "in": "here", "values": {"bandwidth": {"value": 10, "unit": "GB/s"}}},
 {"id": "here.device", "kind": "compute", "class": "accelerator", "in": "here", "properties": {"x_opencl": "$device"},
  "values": {"rate": {"value": 10, "unit": "Gop/s"}, "bandwidth": {"value": 10, "unit": "GB/s"}}}]}
EOF
    expect 0 "$weft" model predict machine.json --record mm.json
    says '^matmul.0.device0-0.sbmp  here.device  .*as it was seen to take$'
    says '^matmul.0  *here.core0 '
    expect 0 "$weft" model plot --what roofline machine.json --record mm.json
    says "title 'matmul.0.device0-0.sbmp (.*B/s, operations not known)'"
    # 64 x 64 work items of 2 x 128 operations, 4 times.
    expect 0 "$weft" model plot --what roofline machine.json --record mm.json --work sbmp=256
    says "title 'matmul.0.device0-0.sbmp (measured)'"
    expect 0 "$weft" model explain -m mm.json matmul.0.device0-0.sbmp; says '^\* blocks 4 of '
    expect 0 "$weft" model plot --what predicted machine.json --record mm.json --work sbmp=256
    says '^[0-9.e-]* 0.00041943[0-9]* "matmul.0.device0-0.sbmp"$'
    expect 1 "$weft" model plot --what roofline machine.json --record mm.json --work sbpm=1; warns 'did you mean "sbmp"?'
    expect 2 "$weft" model plot --record mm.json --work sbmp; warns 'KERNEL=N is wanted'
    expect 1 "$weft" model predict "$cluster" --record mm.json
    warns 'the model does not know where matmul.0 ran: a core of the host'
    if command -v gnuplot >/dev/null; then
        for what in roofline predicted; do
            expect 0 "$weft" model plot --what $what machine.json --record mm.json --work sbmp=256 -o kernels.svg
            grep -q 'matmul.0.device0-0.sbmp' kernels.svg || fail "the $what picture lacks the kernel"
            if grep -o 'rgb([^)]*)' kernels.svg | tr -d 'rgb() ' | awk -F, '$1 != $2 || $2 != $3' | grep -q .; then
                fail "the $what picture has colours"
            fi
        done
    fi
fi
expect_nothing_left

# policies
printf '0\n1\n2\n0 # again\n3\n0\n' >trace
expect 0 "$weft" model policies --capacity 2 trace; says '^2  *83.3 %  *83.3 %  *83.3 %  *66.7 %$'
expect 0 "$weft" model policies --json trace; says '^{"policy":"optimal","capacity":2,"hits":2,"misses":4,'
printf '0 1 0\n0.5 2 1 3\n0.6 1 2 9\n' >requests
expect 0 "$weft" model policies requests; says '^priority  *633.3 ms '
printf '0 1 0\n7\n' >mixed;      expect 1 "$weft" model policies mixed;   warns '^weft model policies: mixed:2: references .* do not go together'
printf '1 1 0\n0 1 0\n' >back;   expect 1 "$weft" model policies back;    warns 'back:2: it arrives before the one above it'
printf 'nan\n' >nan;             expect 1 "$weft" model policies nan;     warns 'nan:1: numbers are wanted'
: >empty;                        expect 1 "$weft" model policies empty;   warns 'there is nothing in it'
expect 1 "$weft" model policies nowhere; warns 'nowhere: No such file'
for command in place policies; do
    expect 0 "$weft" model $command --help; says "^Usage: weft model $command"
    expect 2 "$weft" model $command;        warns 'which '
done

# pictures: the scripts always, the pictures where there are tools
expect 0 "$weft" model plot "$cluster"
says '^e[0-9]* -- e[0-9]* \[label="cable0\\nnetwork\\n25 ns?\\n12.5 GB/s?",penwidth=2\];$'
says 'label="n0.nvm.dimm0.dimm\\nnvm\\n238.4 GiB'
expect 0 "$weft" model plot --in n0.gpu "$cluster"; says 'n0.gpu-memory'
grep -q n1.gpu "$WORK/out" && fail '--in n0.gpu draws n1'
expect 0 "$weft" model plot --what ladder "$share/upmem-dpu.json";      says "title 'mram (curve)'"
expect 0 "$weft" model plot --what roofline "$cluster" "$application";  says "title 'fill (predicted)'"
says '^set title "Roofline of n0.core0 (38 Gop/s) with n0.dram (105 GB/s)"$'
cat >seen.json <<'EOF'
{"weft_model": 1, "observations": [{"entity": "fill", "attribute": "duration", "value": 40, "unit": "s", "source": "measured"}]}
EOF
expect 0 "$weft" model plot --what predicted "$cluster" "$application" seen.json; says '^40 42.0[0-9]* "fill"$'
expect 1 "$weft" model plot --what predicted "$cluster";        warns 'nothing is both predicted and measured'
expect 1 "$weft" model plot --what ladder "$cluster";           warns 'no latency over the size is known'
expect 1 "$weft" model plot --what roofline --on n0.ib.hca "$cluster"; warns 'n0.ib.hca has no rate'
expect 1 "$weft" model plot "$application" "$cluster";          warns 'there is no entity'
expect 2 "$weft" model plot -o x.pdf "$cluster";                warns '.svg or .png is wanted'
expect 2 "$weft" model plot --what pie "$cluster";              warns '--what pie: topology, ladder'
expect 1 "$weft" model plot -o /nowhere/x.svg "$cluster";       warns 'cannot write /nowhere/x.svg'
mkdir nothing
PATH="$WORK/nothing" expect 1 "$weft" model plot -o x.svg "$cluster"
warns 'dot, which draws this picture, is not installed (Debian: apt-get install graphviz)'
PATH="$WORK/nothing" expect 1 "$weft" model plot --what roofline -o x.svg "$cluster" "$application"
warns 'gnuplot, which draws this picture, is not installed'
[ -z "$(ls x.svg* 2>/dev/null)" ] || fail 'a picture that was not drawn leaves a file'
well_formed() { python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$1" || fail "$1 is no XML"; }
if command -v dot >/dev/null; then
    expect 0 "$weft" model plot -o topology.svg "$cluster"
    well_formed topology.svg
    grep -q '>cable0<' topology.svg && grep -q '>12.5 GB/s?<' topology.svg || fail 'the topology lacks its labels'
    expect 0 "$weft" model plot -o topology.png "$cluster"
    [ "$(head -c 4 topology.png | tail -c 3)" = PNG ] || fail 'topology.png is no PNG'
fi
if command -v gnuplot >/dev/null; then
    expect 0 "$weft" model plot --what roofline -o roofline.svg "$cluster" "$application"
    well_formed roofline.svg
    grep -q 'fill (predicted)' roofline.svg && grep -q 'operations a byte' roofline.svg || fail 'the roofline lacks its labels'
    expect 0 "$weft" model plot --what ladder -o ladder.svg "$share/upmem-dpu.json"
    well_formed ladder.svg
    grep -q 'mram (curve)' ladder.svg && grep -q 'size in bytes' ladder.svg || fail 'the ladder lacks its labels'
    expect 0 "$weft" model plot --what predicted -o predicted.svg "$cluster" "$application" seen.json
    well_formed predicted.svg
    grep -q '>fill<' predicted.svg || fail 'the comparison lacks its labels'
    expect 0 "$weft" model plot --what predicted -o predicted.png "$cluster" "$application" seen.json
    [ "$(head -c 4 predicted.png | tail -c 3)" = PNG ] || fail 'predicted.png is no PNG'
fi
finish
