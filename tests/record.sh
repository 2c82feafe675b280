#!/bin/sh
# weft run --record with real programs: kernels with their times, SCIF messages, RMA and mappings, and processes of two hosts
# (network namespaces) in one file. usage: record.sh BUILD
. "$(dirname "$0")/lib.sh"
matmul=$build/bin/matmul stencil=$build/bin/fabric-stencil pingpong=$build/bin/scif-pingpong
errors=$build/bin/test/clerrors
need "$weft" "$errors" "$matmul" "$stencil" "$pingpong" "$build/bin/scif-transpose" "$build/bin/scif-mmap_ring"
export OCL_ICD_VENDORS="${OCL_ICD_VENDORS-/etc/OpenCL/vendors}"

# records TEXT ARGUMENT...: weft run --record, whose program must succeed
records() {
    local text="$1" status=0
    shift
    rm -f "$scratch/app.json"
    timeout $((100 * slowdown)) "$weft" run --record "$scratch/app.json" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    sed 's/^/      /' "$scratch/err"
    same "$text" "$status" 0
    check "the file is right" "$weft" model check "$scratch/app.json"
}
# answers SQL WANTED: one value
answers() {
    "$weft" model query -m "$scratch/app.json" --json "$1" >"$scratch/answer" 2>&1
    same "$1" "$(sed -n 's/^{"x": *"\{0,1\}\([^"}]*\).*/\1/p' "$scratch/answer" | sed 's/\.0$//')" "$2"
}

for adapter in shm udp; do
    section "kernels, over $adapter"
    records "matmul" --nodes 2 --adapter $adapter -- "$matmul" 256 64 --json
    check "its kernels are told of" grep -q ': 1 processes, 0 flows, 2 kernels$' "$scratch/err"
    for node in 0 1; do
        told=$(sed 's/},{/}\n{/g' "$scratch/out" | grep "\"node\":$node,")
        blocks=$(echo "$told" | sed 's/.*"blocks":\([0-9]*\).*/\1/')
        seconds=$(echo "$told" | sed 's/.*"kernel_s":\([0-9.]*\).*/\1/')
        kernel=matmul.0.device$node-0.sbmp
        answers "SELECT CAST(value AS INTEGER) AS x FROM best WHERE entity = '$kernel' AND attribute = 'blocks'" "$blocks"
        answers "SELECT abs(value - $seconds) < 0.001 + 0.01 * $seconds AS x FROM best WHERE entity = '$kernel' AND attribute = 'duration'" 1
        # Rows and columns of 64 x 256 numbers in, a block of 64 x 64 out.
        answers "SELECT CAST(value AS INTEGER) AS x FROM best WHERE entity = '$kernel.data' AND attribute = 'reads'" $((blocks * 2 * 64 * 256 * 4))
        answers "SELECT CAST(value AS INTEGER) AS x FROM best WHERE entity = '$kernel.data' AND attribute = 'writes'" $((blocks * 64 * 64 * 4))
        answers "SELECT value AS x FROM property WHERE entity = '$kernel' AND name = 'x_global'" 64x64
    done
done

section "the summary"
status=0
timeout $((100 * slowdown)) "$weft" run --summary --nodes 2 -- "$matmul" 256 64 --json >"$scratch/out" 2>"$scratch/err" || status=$?
same "exit status" "$status" 0
check "says how long it took" grep -q '^weft: it took [0-9.]* s, in 1 process that used weft$' "$scratch/err"
for node in 0 1; do
    told=$(sed 's/},{/}\n{/g' "$scratch/out" | grep "\"node\":$node,")
    blocks=$(echo "$told" | sed 's/.*"blocks":\([0-9]*\).*/\1/')
    seconds=$(echo "$told" | sed 's/.*"kernel_s":\([0-9.]*\).*/\1/')
    check "node $node: kernels and their time, of the device and of the kernel" awk -v node="$node" -v blocks="$blocks" -v seconds="$seconds" '
        function near(t) { return t - seconds < 0.001 + 0.01 * seconds && seconds - t < 0.001 + 0.01 * seconds }
        { at = 0; for (i = 1; i <= NF; i++) if ($i ~ "^@.*:" node "$") at = i }
        at && $1 == node && $(at + 1) == blocks && near($(at + 2)) { device++ }
        at && $1 == "sbmp" && $2 == blocks && near($3) { kernel++ }
        END { exit !(device == 1 && kernel == 1) }' "$scratch/err"
done
check "the process" grep -q '^[0-9]* .* matmul  *[0-9.]*  *[0-9.]*  *[0-9]' "$scratch/err"
"$weft" run --nodes 2 --summary -- sh -c 'exit 7' >"$scratch/out" 2>"$scratch/err"
same "the exit status is the program's" "$?" 7
check "none used weft" grep -q 'in 0 processes that used weft' "$scratch/err"

section "queues that do not profile"
records "the program sees no difference" --nodes 2 -- "$errors"
answers "SELECT count(*) AS x FROM property WHERE name = 'x_kernel'" 2
answers "SELECT count(*) AS x FROM best b JOIN property p ON p.entity = b.entity WHERE name = 'x_kernel' AND attribute = 'duration'" 2

section "SCIF"
records "messages" --nodes 1 -- "$pingpong" 200
answers "SELECT CAST(sum(value) AS INTEGER) AS x FROM best JOIN entity ON id = entity WHERE kind = 'flow' AND attribute = 'count'" 400
answers "SELECT count(*) AS x FROM entity WHERE kind = 'task'" 2
records "RMA" --nodes 1 -- "$build/bin/scif-transpose" 96
answers "SELECT count(*) AS x FROM entity WHERE kind = 'flow' AND id LIKE '%:gets'" 2
records "mappings" --nodes 1 -- "$build/bin/scif-mmap_ring" 2000
answers "SELECT count(*) AS x FROM entity WHERE kind = 'object' AND id LIKE '%:mapped'" 1
check "the service is not one of them" sh -c "! grep -q weft-scif '$scratch/app.json'"

section "one at a time"
# shellcheck disable=SC2016
"$weft" run --nodes 1 -- sh -c '"$1" run --record "$2/a" -- "$1" run --record "$2/b" -- true' sh "$weft" "$scratch" 2>"$scratch/err"
same "a second recorder" "$?" 125
check "is told why" grep -q 'another weft run --record or --summary is under way' "$scratch/err"
# shellcheck disable=SC2016
"$weft" run --nodes 2 -- sh -c '
    "$1" run --record "$2/a" -- sleep 100 & pid=$!
    until [ -d "${WEFT_NODE_SOCKET%/*}/record" ]; do sleep 0.02; done
    kill -9 $pid
    until ! [ -d "${WEFT_NODE_SOCKET%/*}/record" ] && ! [ -d "${WEFT_NODE_SOCKET%/*}/../node1/record" ]; do sleep 0.02; done
    exec "$1" run --record "$2/b" -- true' sh "$weft" "$scratch" 2>"$scratch/err"
same "after one was killed" "$?" 0

need_namespaces
# two_hosts RIGHT COMMAND...: as programs of two hosts, of which RIGHT is told to go by the first line that it reads
two_hosts() {
    local right="$1"
    shift
    rm -rf "$scratch/hosts" "$scratch/app.json"
    mkdir -m 700 "$scratch/hosts"
    RIGHT=$right timeout $((120 * slowdown)) "$tests/lab/netns.sh" "$tests/lab/two-hosts.sh" "$weft" "$scratch/hosts" \
        "$weft" run --record "$scratch/app.json" -- "$@" >"$scratch/out" 2>"$scratch/err"
    same "exit status" "$?" 0
    sed 's/^/      /' "$scratch/err"
}

section "two hosts, fabric"
seq 0 7 | awk '{ print $1, $1 % 2 }' >"$scratch/turns"
two_hosts "$tests/lab/ranks.sh $weft $scratch/turns 1 $scratch/hosts $stencil 2 4 20" \
    "$tests/lab/ranks.sh" "$weft" "$scratch/turns" 0 "$scratch/hosts" "$stencil" 2 4 20
check "8 processes and 20 flows" grep -q ': 8 processes, 20 flows$' "$scratch/err"
answers "SELECT count(*) AS x FROM entity WHERE kind = 'task'" 8
for node in 0 1; do
    answers "SELECT count(*) AS x FROM property p JOIN best b ON b.entity = p.entity WHERE name = 'x_node' AND p.value = '$node' AND attribute = 'duration'" 4
done

section "two hosts, SCIF"
cat >"$scratch/serve" <<END
read -r go
exec '$weft' run -- '$pingpong' --serve
END
cat >"$scratch/play" <<END
exec 3>'$scratch/hosts/to-right'
echo go >&3
read -r address <'$scratch/hosts/from-right'
exec '$pingpong' --to "\$address" 200
END
two_hosts "sh $scratch/serve" sh "$scratch/play"
check "2 processes and 2 flows" grep -q ': 2 processes, 2 flows$' "$scratch/err"
answers "SELECT count(*) AS x FROM entity WHERE kind = 'task'" 2
answers "SELECT CAST(min(value) AS INTEGER) AS x FROM best JOIN entity ON id = entity WHERE kind = 'flow' AND attribute = 'count'" 200
nothing_left
finish
