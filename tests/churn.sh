#!/bin/sh
# OpenCL programs that are started and killed at random, several at once, on a cluster that stays: it is as it was before,
# and works. usage: churn.sh BUILD [--programs N] [--seconds N] [--seed S] [--adapter shm|udp]
# shellcheck disable=SC2317,SC3043  # called by name; no part of POSIX, but of every shell that is /bin/sh on Linux
. "$(dirname "$0")/lib.sh"
shift
programs=100 seconds="" seed=1 adapter=udp
while [ $# -gt 1 ]; do
    case $1 in
    --programs) programs=$2 ;;
    --seconds) seconds=$2 programs=1000000000 ;;
    --seed) seed=$2 ;;
    --adapter) adapter=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# -eq 0 ] || { say "usage: churn.sh BUILD [--programs N] [--seconds N] [--seed S] [--adapter shm|udp]"; exit 2; }
clgraphs=$build/bin/test/clgraphs clquit=$build/bin/test/clquit matmul=$build/bin/matmul
need "$weft" "$clgraphs" "$clquit" "$matmul"
NODES=3
AT_ONCE=4
GROWTH_KIB=2048 # of all daemons together
SLOW_S=60   # after so long it is looked at what a program is at, and
STUCK_S=240 # one that has not ended by itself so long after that hangs: on a busy machine it may only be slow
export WEFT_ADAPTER="$adapter" CLTEST_PLATFORM=weft CLTEST_TIMEOUT=$((2 * (SLOW_S + STUCK_S) * slowdown))

# --- what the cluster holds ---
# The daemons' descriptors (a daemon and how many), and what is in the run directory.
holds() {
    local pid
    for pid in $(marked weftd); do
        # shellcheck disable=SC2012
        say "weftd $pid has $(ls "/proc/$pid/fd" | wc -l) descriptors"
    done
    find "$XDG_RUNTIME_DIR" | sort
    find /dev/shm -user "$(id -un)" -name '*weft*'
}
no_executor() { [ -z "$(marked weft-exec)" ]; }
# The daemons' own memory in KiB; what they share, counters and rings, has its size and comes into use page by page.
memory() {
    local pid total=0
    for pid in $(marked weftd); do
        total=$((total + $(sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$pid/status")))
    done
    say "$total"
}
is_as_before() { no_executor && [ "$(holds)" = "$before" ]; }
say_what_changed() {
    describe_processes
    holds >"$scratch/after"
    say "$before" | diff - "$scratch/after" | grep '^[<>]' | sed 's/^/      /'
}

# --- chance: the same numbers for the same seed ---
state=$seed
# below N: a number in $chance
below() {
    state=$(((state * 1103515245 + 12345) & 0x7fffffff))
    chance=$(((state >> 8) % $1))
}
# one_of WORD...: a word in $word
one_of() {
    below $#
    shift "$chance"
    word=$1
}

# --- one program ---
start_quit() {
    one_of build write read kernel map wait migrate
    local begin="$word"
    one_of exit _exit kill abort stay
    name="clquit $begin $word"
    CLTEST_NODE=$node "$clquit" "$begin" "$word" >"$out" 2>&1 &
}
start_graphs() {
    below 10000
    name="clgraphs --from $chance"
    CLTEST_NODE=$node "$clgraphs" --seeds 3 --from "$chance" >"$out" 2>&1 &
}
start_matmul() {
    name="matmul 256 64"
    "$matmul" 256 64 >"$out" 2>&1 &
}
start_run() {
    name="weft run matmul 256 64"
    "$weft" run -- "$matmul" 256 64 >"$out" 2>&1 &
}
# What is done to it, by chance, after a while.
hurt() {
    below 10
    case $chance in
    0 | 1 | 2) how=KILL ;;
    3 | 4) how=TERM ;;
    5) how=STOP ;;
    *) how=nothing ;;
    esac
    case "$name" in *stay) [ "$how" != nothing ] || how=KILL ;; esac
    [ "$how" != nothing ] || return 0
    below 1500
    sleep "$((chance / 1000)).$(printf %03d $((chance % 1000)))"
    kill -"$how" "$pid" 2>/dev/null
    [ "$how" = STOP ] || return 0
    sleep 0.3
    kill -KILL "$pid" 2>/dev/null
}
# Unharmed it has to be right; a clquit ends as it wants.
judge() {
    case "$how $status $name" in
    *" hung "*) say "FAIL $name hung after $how" ;;
    "nothing 0 "* | "nothing "*" clquit "*) say "whole $name" ;;
    nothing*) say "FAIL $name gave $status" && sed 's/^/      /' "$out" ;;
    *) say "hurt $name by $how: $status" ;;
    esac
}
# What all are at, twice: tells one that stands still from one that is slow.
look_at_late() {
    say "slow $name after $how: process $pid"
    evidence "$pid" | sed 's/^/      /'
    wait_until $STUCK_S gone "$pid" && return
    say "      again:"
    evidence "$pid" | sed 's/^/      /'
}
one_program() {
    below $NODES
    node=$chance
    export WEFT_NODE_SOCKET="$XDG_RUNTIME_DIR/weft/default/node$node/socket"
    below $NODES
    node=$chance
    one_of quit quit graphs graphs matmul run
    "start_$word"
    pid=$!
    hurt
    wait_until $SLOW_S gone "$pid" || look_at_late
    wait_for "$pid" 0
    judge
}
# worker NUMBER COUNT: programs one after the other, until there were COUNT, or the time is over.
worker() {
    out=$scratch/out.$1
    state=$((seed * 1000 + $1))
    local count="$2"
    while [ "$count" -gt 0 ] && { [ -z "$end" ] || [ "$(date +%s)" -lt "$end" ]; }; do
        one_program
        count=$((count - 1))
    done
}

section "a cluster of $NODES nodes, $adapter, seed $seed"
"$weft" up --nodes $NODES >"$scratch/up" 2>&1
same "weft up" "$?" 0
# As `weft run` would have it, but the programs themselves are children of this script, to be killed.
export WEFT_OPENCL_VENDORS="${WEFT_OPENCL_VENDORS:-${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}}" OCL_ICD_VENDORS="$scratch/vendors/"
mkdir "$OCL_ICD_VENDORS"
say "$build/lib/libweft_opencl.so" >"$OCL_ICD_VENDORS/weft.icd"
# The first programs of a cluster have it make what it keeps.
check "a first program" "$clgraphs" --seeds 2
check "no executor is left of it" wait_until 20 no_executor
before=$(holds)
memory_before=$(memory)
say "$before" | grep '^weftd'

section "programs, $AT_ONCE at once"
end=""
[ -z "$seconds" ] || end=$(($(date +%s) + seconds))
workers=""
for number in $(seq $AT_ONCE); do
    worker "$number" $((programs / AT_ONCE)) >"$scratch/log.$number" &
    workers="$workers $!"
done
# shellcheck disable=SC2086
wait $workers
cat "$scratch"/log.* >"$scratch/log"
grep -v '^whole\|^hurt' "$scratch/log"
say "$(grep -c '^whole' "$scratch/log") were left alone, $(grep -c '^hurt' "$scratch/log") were hurt," \
    "$(grep -c '^slow' "$scratch/log") took longer than $SLOW_S s"
check "each that was left alone was right, and none hung" sh -c "! grep -q '^FAIL' '$scratch/log'"
check "some of each" sh -c "grep -q '^whole' '$scratch/log' && grep -q '^hurt' '$scratch/log'"

section "afterwards"
if wait_until 20 is_as_before; then
    pass "no executor, descriptor, socket or memory is left"
else
    fail "left behind:"
    say_what_changed
fi
growth=$(($(memory) - memory_before))
[ -n "$sanitizer" ] || check "the daemons have grown by $growth KiB, $GROWTH_KIB at most" [ "$growth" -le $GROWTH_KIB ]
check "a last program" "$clgraphs" --seeds 5
"$weft" down >"$scratch/down" 2>&1
same "weft down" "$?" 0
nothing_left
finish
