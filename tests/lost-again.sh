#!/bin/sh
# What comes back under a running program, and what only seems to be lost: a node that is killed and started anew, an executor
# that is killed in a build, executors and nodes that stand still, for a while or for good. The cluster listens on an address of
# its own (host `left`), since nothing can join one that is on 127.0.0.1.
# shellcheck disable=SC2030,SC2031  # in a subshell by intention
DEAD_MS=2000
. "$(dirname "$0")/lib.sh"
program=$build/bin/test/cllost clgraphs=$build/bin/test/clgraphs
need "$weft" "$program" "$clgraphs"
. "$(dirname "$0")/left-and-right.sh"
unset WEFT_ADAPTER
export CLTEST_PLATFORM=weft CLTEST_NODE=1
END_S=180 # on a busy machine

# shellcheck disable=SC2317,SC2329
{
    says() { grep -q "^$1" "$scratch/out"; }
    three_nodes() { [ "$("$weft" nodes --json 2>/dev/null | grep -c '"online":true')" -eq 3 ]; }
    # The one of node 1: in this run directory.
    computes() { (XDG_RUNTIME_DIR=$where && an_executor_computes && say "$executor" >"$scratch/executor"); }
}
# begin MODE OPTION...: of weft run. Node 1 is $executor and $daemon.
begin() {
    mode=$1
    shift
    "$weft" run "$@" -- "$program" "$mode" >"$scratch/out" 2>"$scratch/err" <"$scratch/in" &
    runner=$!
    check "the program waits" wait_until 60 says ready
    check "an executor computes" wait_until 60 computes
    executor=$(cat "$scratch/executor")
    daemon=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$executor/status")
}
ends_well() {
    wait_for "$runner" $END_S
    sed 's/^/      /' "$scratch/out"
    same "exit status" "$status" 0
    [ "$status" = 0 ] || sed 's/^/      /' "$scratch/err"
}
up() {
    "$weft" up --bind 10.77.0.1 --insecure "$@" >"$scratch/up" 2>&1
    same "weft up" "$?" 0
    sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/up" | head -n 1 >"$scratch/join"
}
down() {
    "$weft" down >"$scratch/down" 2>&1
    same "weft down" "$?" 0
    nothing_left
}

mkfifo "$scratch/in"
exec 9<>"$scratch/in"
where=$XDG_RUNTIME_DIR
for adapter in shm udp; do
    section "a node is killed and started anew, $adapter"
    up --nodes 3
    begin again --adapter $adapter
    kill -9 "$daemon"
    check "the program has lost it" wait_until 30 says lost
    "$build/bin/weftd" --join - --node 1 --bind 10.77.0.1 --insecure <"$scratch/join" >"$scratch/weftd" 2>&1 &
    check "three nodes again" wait_until 20 three_nodes || cat "$scratch/weftd"
    say go >&9
    ends_well
    down

    section "an executor is killed in a build, $adapter"
    begin build --nodes 3 --adapter $adapter
    kill -9 "$executor"
    ends_well
    nothing_left
done

# Over shared memory a process that is stopped is not lost: it may go on at any time.
section "an executor stands still for good"
begin back --nodes 3 --adapter udp
kill -STOP "$executor"
ends_well
nothing_left

section "another host stands still for good"
up
# By udp only: two namespaces of one machine would have shared memory.
right "$build/bin/weftd" --join - --adapter udp --bind 10.77.0.2 --insecure <"$scratch/join" >"$scratch/weftd" 2>&1 &
check "two nodes" wait_until 20 two_nodes || cat "$scratch/weftd"
where=$right_dir
begin gone --adapter udp
where=$XDG_RUNTIME_DIR
kill -STOP "$daemon" "$executor"
ends_well
kill -KILL "$daemon" "$executor"
down
check "nothing is left of the other one" wait_until 20 right_is_empty

export WEFT_DEAD_MS=20000
for adapter in shm udp; do
    section "a node stands still for 5 s, $adapter"
    begin pause --nodes 3 --adapter $adapter
    kill -STOP "$daemon" "$executor"
    sleep 5
    kill -CONT "$daemon" "$executor"
    ends_well
    check "nothing was lost" sh -c "! grep -q 'is lost' '$scratch/err'"
    nothing_left

    section "one process after the other stands still for a moment under random graphs, $adapter"
    "$weft" run --nodes 3 --adapter $adapter -- "$clgraphs" --seeds 40 --images >"$scratch/out" 2>&1 &
    runner=$!
    until gone $runner; do
        for process in $(marked weft-exec) $(marked weftd); do
            kill -STOP "$process" 2>/dev/null && sleep 0.2
            kill -CONT "$process" 2>/dev/null && sleep 0.1
        done
    done
    ends_well
    nothing_left
done
finish
