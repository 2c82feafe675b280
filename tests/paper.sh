#!/bin/sh
# The cluster of the paper on clOpenCL, shortened: matmul on paced devices of four hosts at a switch. Facts, not times: what took
# part, what was moved, that the product is right and that the devices took no less time than they should.
. "$(dirname "$0")/lib.sh"
library=$build/lib/test/libweft_paced.so
need "$weft" "$build/bin/matmul"
status=0
RATE=1000000 "$tests/lab/switch.sh" 1 true >"$scratch/namespaces" 2>&1 || status=$?
[ "$status" -eq 0 ] || skip "no switch here: $(tail -n 1 "$scratch/namespaces")"

# fields NAME: of each device in $scratch/out.json, a line each.
fields() { grep -o "\"$1\":\"\\{0,1\\}[^,\"}]*" "$scratch/out.json" | sed "s/\"$1\":\"\\{0,1\\}//"; }
total() { awk '{ sum += $1 } END { print sum }'; }

# lab DEVICES COMMAND...: RATE and the devices' rates come from the environment.
lab() {
    devices=$1
    shift
    "$tests/lab/switch.sh" "$(echo "$devices" | tr ',' '\n' | wc -l)" "$tests/lab/paced.sh" "$weft" "$library" \
        "$devices" "$@" >"$scratch/out.json" 2>"$scratch/err"
}

section "nine devices of four nodes"
# A block of 32 takes a C 20 ms and a G 10 ms.
export OCL_PACED_CPU_FLOPS=26214400 OCL_PACED_GPU_FLOPS=52428800 RATE=20000000
lab GGC,GC,GC,GC "$build/bin/matmul" 256 32 --json
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/err"
check "verified" json_verified "$scratch/out.json"
# What the elements are is fixed, so the product is too.
OCL_PACED_DEVICES=C OCL_ICD_VENDORS=$library $foreign "$build/bin/matmul" 256 32 --json >"$scratch/alone.json"
same "checksum" "$(json_checksum "$scratch/out.json")" "$(json_checksum "$scratch/alone.json")"
same "nodes that took blocks" "$(json_nodes "$scratch/out.json")" "0 1 2 3"
same "devices" "$(fields name | sed 's/ @.*:/ /' | tr '\n' ';')" \
    "paced GPU 0 0;paced GPU 1 0;paced CPU 2 0;paced GPU 0 1;paced CPU 1 1;paced GPU 0 2;paced CPU 1 2;paced GPU 0 3;paced CPU 1 3;"
same "blocks" "$(fields blocks | total)" 64
fields name >"$scratch/names"
fields blocks >"$scratch/blocks"
fields kernel_s | paste "$scratch/names" "$scratch/blocks" - >"$scratch/pace"
check "no device is faster than its rate" \
    awk -F '\t' '{ if ($3 < 0.999 * $2 * ($1 ~ /GPU/ ? 0.010 : 0.020)) exit 1 }' "$scratch/pace"

section "the data"
# Another node's device alone: both operands pass the card of host0 at least once, and the product comes back.
# shellcheck disable=SC2016
lab C,G sh -c '"$1" 256 32 --node 1 --json && sed -n "s/.*eth0: *//p" /proc/net/dev' sh "$build/bin/matmul"
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/err"
same "nodes that took blocks" "$(json_nodes "$scratch/out.json")" 1
matrix=$((256 * 256 * 4))
moved() { [ "$(tail -n 1 "$scratch/out.json" | awk "{ print \$$1 }")" -ge "$2" ]; }
check "both operands were sent" moved 9 $((2 * matrix))
check "the product was received" moved 1 "$matrix"

section "weft bench paper002 --quick"
"$weft" bench paper002 --quick --json >"$scratch/rows" 2>"$scratch/err"
same "exit status" "$?" 0
sed 's/^/      /' "$scratch/rows" "$scratch/err"
same "combinations" "$(sed -n 's/.*"devices": *"\([^"]*\)".*"way": *"\([^"]*\)".*/\1: \2;/p' "$scratch/rows" | tr '\n' ' ')" \
    "GGC: weft; GGC,G: weft; GGC,GC,GC,GC: as published; GGC,GC,GC,GC: weft; GGC,GC,GC,GC: weft, tuned; "
for blocks in $(sed -n 's/.*"blocks": *"\([0-9+,]*\)".*/\1/p' "$scratch/rows"); do
    same "blocks of $blocks" "$(echo "$blocks" | tr '+,' '\n\n' | total)" 64
done
check "none is faster than its pace" sh -c "! grep -q '\"pace\": *0\.[0-8]' '$scratch/rows' && grep -q '\"pace\"' '$scratch/rows'"
"$weft" bench paper002 --only 9K >/dev/null 2>&1
same "an order that there is not" "$?" 2
"$weft" bench paper002 --quick --row GGC --json >"$scratch/rows" 2>"$scratch/err"
same "one row: exit status" "$?" 0
same "rows" "$(sed -n 's/.*"devices": *"\([^"]*\)".*/\1;/p' "$scratch/rows" | tr '\n' ' ')" "GGC; "
"$weft" bench paper002 --only 8K --row CC >/dev/null 2>&1
same "a combination that there is not" "$?" 2
finish
