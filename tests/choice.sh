#!/bin/sh
# weft run --devices and --cap: which devices an unmodified clinfo sees, in which order, from which node; and what is said
# when none fits. The node's devices are two of PoCL's, whose names differ.
. "$(dirname "$0")/lib.sh"
need "$weft"
command -v clinfo >/dev/null || skip "no clinfo here"
export POCL_DEVICES="basic pthread"
[ "$(clinfo -l | grep -c 'Device #.*\(basic\|pthread\)')" -eq 2 ] || skip "no PoCL with these two devices here"
host=$(hostname)

# seen OPTION...: what clinfo lists, as "basic:0 pthread:0".
seen() {
    # shellcheck disable=SC2086  # $foreign is words
    "$weft" run --nodes 2 "$@" -- $foreign clinfo -l >"$scratch/list" 2>"$scratch/err"
    sed -n 's/.*Device #[0-9]*: \([a-z]*\)-.* @.*\(:[0-9]*\)$/\1\2/p' "$scratch/list" | tr '\n' ' ' | sed 's/ $//'
}
all="basic:0 pthread:0 basic:1 pthread:1"

section "the choice and its order"
same "all" "$(seen)" "$all"
same "by type" "$(seen --devices cpu)" "$all"
same "by a part of the name" "$(seen --devices PThread)" "pthread:0 pthread:1"
same "by number, in the list's order" "$(seen --devices 3,0)" "pthread:1 basic:0"
same "by node" "$(seen --devices node:1)" "basic:1 pthread:1"
same "by host" "$(seen --devices "@$host")" "$all"
same "by both" "$(seen --devices 1@node:1)" "pthread:1"
same "left out" "$(seen --devices '!basic,-@1')" "pthread:0"
same "a cap" "$(seen --cap 3)" "basic:0 pthread:0 basic:1"
same "a cap on a list" "$(seen --devices pthread,basic --cap 2)" "pthread:0 pthread:1"
same "from node 1" "$(seen --node 1)" "basic:1 pthread:1 basic:0 pthread:0"
same "from node 1, by number" "$(seen --node 1 --devices 0,2)" "basic:0 basic:1"
same "a platform for each node" "$(seen --platforms per-node --devices 2,0)" "basic:1 basic:0"
same "platforms" "$(grep -c 'Platform #' "$scratch/list")" 2
same "those that come first" "$(WEFT_OPENCL_FIRST='name:none such,3' seen)" "pthread:1 basic:0 pthread:0 basic:1"
check "of which the missing are passed over" [ ! -s "$scratch/err" ]
same "and not where a list is given" "$(WEFT_OPENCL_FIRST=3 seen --devices 0-1)" "basic:0 pthread:0"
same "the variable" "$(WEFT_OPENCL_DEVICES=2 seen)" "basic:1"
same "the option before the variable" "$(WEFT_OPENCL_DEVICES=2 WEFT_OPENCL_CAP=1 seen --devices 1-2 --cap 2)" "pthread:0 basic:1"
mkdir -p "$XDG_CONFIG_HOME/weft"
echo "opencl_devices = 1" >"$XDG_CONFIG_HOME/weft/config"
same "the file" "$(seen)" "pthread:0"
same "the option before the file" "$(seen --devices 2)" "basic:1"
rm "$XDG_CONFIG_HOME/weft/config"

section "what does not fit"
"$weft" run --nodes 2 --devices gpu -- touch "$scratch/ran" 2>"$scratch/err"
same "nothing fits: exit status" "$?" 125
check "says so" grep -q '^weft: no device fits gpu; there are:$' "$scratch/err"
same "names what there is" "$(grep -c "^  [0-3] [bp].* (cpu) @$host:[01]\$" "$scratch/err")" 4
check "CMD was not run" [ ! -e "$scratch/ran" ]
same "one term does not fit" "$(seen --devices gpu,0)" "basic:0"
check "says which" grep -q 'no device fits gpu$' "$scratch/err"
same "a list that cannot be read shows nothing" "$(WEFT_OPENCL_DEVICES=0,,1 seen)" ""
check "says why" grep -q 'WEFT_OPENCL_DEVICES=0,,1: a term is empty' "$scratch/err"
"$weft" run --devices 0@ -- true 2>"$scratch/err"
same "misused: exit status" "$?" 2

section "weft devices LIST"
"$weft" run --nodes 2 -- "$weft" devices --json pthread,0 >"$scratch/list"
same "numbers" "$(sed 's/.*"number":\([0-9]*\).*/\1/' "$scratch/list" | tr '\n' ' ')" "1 3 0 "
"$weft" run --nodes 2 -- "$weft" devices gpu >"$scratch/list" 2>"$scratch/err"
same "nothing fits: exit status" "$?" 1

section "a program on chosen devices"
"$weft" run --nodes 2 --devices 1@1,0@0 -- "$build/bin/matmul" 256 64 --json >"$scratch/matmul" 2>"$scratch/err"
same "exit status" "$?" 0
check "verified" json_verified "$scratch/matmul"
nothing_left
finish
