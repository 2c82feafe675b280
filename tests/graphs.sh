#!/bin/sh
# Random graphs of OpenCL commands over one to three nodes with one to four devices, through shm, udp and a network that loses
# packets, without and with images and shared virtual memory. Each graph is compared with what the same commands give on the host.
#
#   usage: graphs.sh BUILD [--graphs N] [--from SEED]
#
# A seed decides the graph and where it runs: SEED is repeated by `graphs.sh BUILD --graphs 1 --from SEED`.
# shellcheck disable=SC3043  # no part of POSIX, but of every shell that is /bin/sh on Linux
. "$(dirname "$0")/lib.sh"
shift
graphs=100 seed=1
while [ $# -gt 1 ]; do
    case $1 in
    --graphs) graphs=$2 ;;
    --from) seed=$2 ;;
    *) break ;;
    esac
    shift 2
done
case "$#$graphs$seed" in 0*[!0-9]* | [!0]*) say "usage: graphs.sh BUILD [--graphs N] [--from SEED]"; exit 2 ;; esac
clgraphs=$build/bin/test/clgraphs
need "$weft" "$clgraphs"
TOGETHER=20 # seeds that run in one cluster
STUCK_S=$((300 * slowdown)) # no such run takes so long
export POCL_DEVICES="pthread pthread pthread pthread" CLTEST_PLATFORM=weft CLTEST_TIMEOUT=$((2 * STUCK_S)) WEFT_SIM

# place SEED: $nodes, $devices (four a node), $adapter and $with of the seeds that run together with this one. The numbers of
# places, adapters and kinds have no divisor in common, so that each comes together with each.
place() {
    local block=$((($1 - 1) / TOGETHER))
    case $((block % 8)) in
    0) nodes=3 devices=8,0,4,5 ;;
    1) nodes=2 devices=4 ;;
    2) nodes=3 devices=0,4,8 ;;
    3) nodes=1 devices=0-3 ;;
    4) nodes=2 devices=0,1,4,5 ;;
    5) nodes=3 devices=4,8 ;;
    6) nodes=2 devices=0,4 ;;
    7) nodes=1 devices=0 ;;
    esac
    case $((block % 9)) in
    0 | 1 | 2) with="--images" ;;
    3 | 4 | 5) with="" ;;
    6 | 7 | 8) with="--images --svm" ;;
    esac
    case $((block % 3)) in
    0) adapter=udp ;;
    1) adapter=sim ;;
    2) adapter=shm ;;
    esac
    WEFT_SIM="seed=$block,loss=0.01"
}

# run FIRST COUNT: how many were right before one failed, or all, is in $right.
run() {
    local pid
    # shellcheck disable=SC2086
    "$weft" run --nodes $nodes --adapter $adapter --devices $devices -- "$clgraphs" --seeds "$2" --from "$1" $with \
        >"$scratch/out" 2>&1 &
    pid=$!
    if ! wait_until "$STUCK_S" gone "$pid"; then
        # shellcheck disable=SC2046
        evidence $(marked clgraphs) >"$scratch/evidence" 2>&1
        # It says at which seed it is.
        for stuck in $(marked clgraphs); do kill -ALRM "$stuck"; done
    fi
    wait_for "$pid" "$STUCK_S"
    right=$(sed -n 's/^FAIL seed \([0-9]*\)$/\1/p' "$scratch/out" | head -n 1)
    right=$((${right:-$1} - $1))
    [ "$status" != 0 ] || right=$2
}

begin=$(date +%s) done=0 failed=""
while [ $done -lt "$graphs" ]; do
    place "$seed"
    count=$((TOGETHER - (seed - 1) % TOGETHER))
    [ $count -le $((graphs - done)) ] || count=$((graphs - done))
    run "$seed" $count
    seed=$((seed + right)) done=$((done + right))
    if [ "$status" != 0 ]; then
        failed="$failed $seed"
        say "seed $seed failed: weft run --nodes $nodes --adapter $adapter --devices $devices, clgraphs $with: $status"
        cat "$scratch/out" "$scratch/evidence" 2>/dev/null | sed 's/^/      /'
        rm -f "$scratch/evidence"
        seed=$((seed + 1)) done=$((done + 1))
    fi
    say "$done of $graphs graphs, $(echo "$failed" | wc -w) failed, $(($(date +%s) - begin)) s" \
        "(to seed $((seed - 1)): nodes $nodes, devices $devices, $adapter${with:+, $with})"
done
same "random graphs that failed, of $graphs" "$(echo "$failed" | wc -w)" 0
[ -z "$failed" ] || say "to repeat one: $0 BUILD --graphs 1 --from SEED, where SEED is one of:$failed"
nothing_left
finish
