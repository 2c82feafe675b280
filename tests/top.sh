#!/bin/sh
# weft top: what it says of a program on two nodes, of one on local devices, of a node that does not answer and of one that is
# lost; a name with control characters; and the terminal.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul" "$build/bin/test/clgraphs" "$build/bin/test/terminal"
export POCL_DEVICES=pthread
"$build/bin/matmul" 64 32 >/dev/null 2>&1 || skip "no OpenCL device here"

"$weft" up --nodes 2 >"$scratch/out" 2>&1
same "weft up: exit status" "$?" 0
"$weft" devices >/dev/null # so that they are known

# start OPTION...: a program that takes long, in $program.
start() {
    # shellcheck disable=SC2016 # that shell's own
    "$weft" run "$@" -- sh -c 'echo $$ >"$1.pid"; exec "$2" $3' sh "$scratch/program" "${binary:-$build/bin/matmul}" \
        "${arguments:-3072 128}" \
        >"$scratch/program.out" 2>&1 &
    runner=$!
    wait_until 20 test -s "$scratch/program.pid"
    program=$(cat "$scratch/program.pid")
    rm "$scratch/program.pid"
}
end_program() {
    kill -9 "$program" 2>/dev/null || { say "the program has ended before:"; tail -n 5 "$scratch/program.out"; }
    wait "$runner" 2>/dev/null
}
look() { "$weft" top --json --interval 0.5 >"$scratch/top" 2>"$scratch/err"; }
# field KIND WHICH NAME: of the object of that kind in which WHICH stands.
field() { grep "\"kind\":\"$1\"" "$scratch/top" | grep -F -e "$2" | sed -n "s/.*\"$3\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }
# shows KIND WHICH NAME WANTED: looks, and whether it says so. `+`: more than nothing.
shows() {
    look || return 1
    case $4 in
    +) case $(field "$1" "$2" "$3") in '' | 0 | 0.0) return 1 ;; esac ;;
    *) [ "$(field "$1" "$2" "$3")" = "$4" ] ;;
    esac
}
becomes() { check "the $1 with $2 has $3 $4" wait_until 30 shows "$1" "$2" "$3" "$4"; }

section "nothing runs"
becomes node '"node":1' state up
becomes node '"node":1' executors 0
becomes device '"number":1' programs 0
same "programs" "$(grep -c '"kind":"program"' "$scratch/top")" 0

section "a program on both nodes"
start
becomes program "\"pid\":$program," kernels_per_s +
becomes program "\"pid\":$program," queues 2
becomes device '"number":0' kernels_per_s +
becomes device '"number":1' kernels_per_s +
becomes device '"number":1' in_Bps +
becomes device '"number":1' out_B +
becomes device '"number":1' used_B +
becomes device '"number":1' queues 1
becomes executor '"node":1' client_pid "$program"
becomes executor '"node":1' kernels_per_s +
becomes executor '"node":1' received_Bps +
becomes node '"node":1' executors 1
# batch_threads N: whether the executors have so many threads that do not take the CPU from those that wake them (3 is
# SCHED_BATCH): the drivers', not their own.
batch_threads() {
    count=0 own=0
    for pid in $(marked weft-exec); do
        for thread in "/proc/$pid/task/"*; do
            # shellcheck disable=SC2046 # the fields behind the name
            set -- "$1" $(sed 's/.*) //' "$thread/stat" 2>/dev/null)
            [ "${40-}" = 3 ] || continue
            count=$((count + 1))
            [ "${thread##*/}" = "$pid" ] && own=1
        done
    done
    [ "$count" -ge "$1" ] && [ "$own" = 0 ]
}
check "the drivers' threads give way, the executors' own do not" batch_threads 1
"$weft" top --once --interval 0.5 >"$scratch/out"
check "the table has it" grep -q "^0 *$program *matmul  *program " "$scratch/out"
check "the table has its executor" grep -q "^1 .* weft-exec  *for 0:$program " "$scratch/out"

section "on a terminal"
"$build/bin/test/terminal" 30 100 q "$weft" top --interval 0.1 >"$scratch/screen"
same "q: exit status" "$?" 0
"$build/bin/test/terminal" 30 100 ^C "$weft" top --interval 0.1 >"$scratch/screen"
same "Ctrl-C: exit status" "$?" 0
# One line a line of the screen, without what moves the cursor.
sed 's/\x1b\[H/\n/g; s/\x1b\[[?0-9]*[a-zA-Z]//g; s/\r//g' "$scratch/screen" >"$scratch/lines"
same "the screen before comes back" "$(tail -c 8 "$scratch/screen" | od -An -c | tr -d ' \n')" '033[?1049l'
check "it shows the program" grep -q matmul "$scratch/lines"
same "its widest line" "$(awk '{ if (length($0) > most) most = length($0) } END { print (most <= 100) }' "$scratch/lines")" 1
same "and when the terminal is narrower" \
    "$(tail -n 12 "$scratch/lines" | awk '{ if (length($0) > most) most = length($0) } END { print (most <= 80) }')" 1
end_program

section "its end"
becomes device '"number":1' programs 0
becomes node '"node":1' executors 0

section "a program on devices of its own node, with an odd name"
binary="$scratch/$(printf 'ma\033[2Jmul')"
cp "$build/bin/matmul" "$binary"
start --devices @0
becomes program "\"pid\":$program," kernels_per_s +
becomes device '"number":0' programs 1
becomes device '"number":1' programs 0
"$weft" top --once --interval 0.1 >"$scratch/out"
check "no control character is printed" sh -c "! LC_ALL=C grep -q '[[:cntrl:]]' '$scratch/out'"
check "its name is" grep -q 'ma?\[2Jmul  *program' "$scratch/out"
end_program

section "a node that does not answer"
daemon=$("$weft" nodes --json | sed -n 's/.*"node":1,.*"pid":\([0-9]*\).*/\1/p')
kill -STOP "$daemon"
becomes node '"node":1' state silent
becomes node '"node":0' state up
kill -CONT "$daemon"
becomes node '"node":1' state up
kill -9 "$daemon"
becomes node '"node":1' state lost
"$weft" down >/dev/null

section "a program that moves contents between executors"
"$weft" up --nodes 3 >"$scratch/out" 2>&1
same "weft up: exit status" "$?" 0
"$weft" devices >/dev/null
binary=$build/bin/test/clgraphs arguments='--seeds 1000000'
start
becomes device '"number":1' direct_B +
becomes device '"number":2' direct_B +
becomes executor '"node":1' direct_Bps +
becomes program "\"pid\":$program," direct_Bps +
"$weft" top --once --interval 0.5 >"$scratch/out"
same "the column" "$(awk '$1 == "DEVICE" { for (i = 1; i <= NF; i++) if ($i == "DIRECT") print "there" }' "$scratch/out")" there
end_program
"$weft" down >/dev/null

section "without a cluster"
"$weft" top --once >"$scratch/out" 2>"$scratch/err"
same "exit status" "$?" 1
nothing_left
finish
