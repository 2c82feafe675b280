#!/bin/sh
# Programs that share another node's device: one that works in small steps goes on while others take all they can get, and
# one that wants all memory gets what the quota allows. usage: share.sh BUILD [shm|udp]
# shellcheck disable=SC2317,SC3043  # called by name; no part of POSIX, but of every shell that is /bin/sh on Linux
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/clshare
need "$weft" "$program"
export WEFT_ADAPTER="${2-udp}" CLTEST_PLATFORM=weft CLTEST_NODE=1
STEPS=5000
LONGEST_MS=$((2000 * slowdown)) # of one step, on a machine that others use, too
QUOTA_MIB=512

is_ready() { grep -qs '^ready' "$scratch/flood.$1"; }
# steps_beside FLOOD...: steps while these run
steps_beside() {
    local flood pids="" longest
    section "steps beside: ${*:-nothing}"
    for flood; do
        "$weft" run -- "$program" "$flood" >"$scratch/flood.$flood" 2>&1 &
        pids="$pids $!"
        check "$flood run" wait_until 30 is_ready "$flood"
    done
    "$weft" run -- "$program" steps $STEPS >"$scratch/out" 2>"$scratch/err" &
    wait_for "$!" 100
    same "exit status" "$status" 0
    longest=$(sed -n 's/^steps: .* longest \([0-9]*\) ms$/\1/p' "$scratch/out")
    check "$(grep '^steps' "$scratch/out"); $LONGEST_MS ms at most" [ "${longest:-999999}" -le $LONGEST_MS ]
    for flood in $pids; do
        check "what floods still runs" kill -0 "$flood"
        kill -9 "$flood"
        wait "$flood" 2>/dev/null
    done
}

WEFT_EXEC_BUFFER_BYTES=${QUOTA_MIB}M "$weft" up --nodes 2 >"$scratch/up" 2>&1
same "weft up" "$?" 0
steps_beside
steps_beside kernels
steps_beside writes
steps_beside kernels writes

section "a program that wants all memory"
"$weft" run -- "$program" buffers >"$scratch/out" 2>&1
same "it ends" "$?" 0
same "it got" "$(grep '^full\|^never' "$scratch/out")" "full after $QUOTA_MIB MiB: CL_MEM_OBJECT_ALLOCATION_FAILURE"
steps_beside
"$weft" down >"$scratch/down" 2>&1
same "weft down" "$?" 0
nothing_left
finish
