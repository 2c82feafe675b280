#!/bin/sh
# How `weft run` ends: with the command's exit status, and with nothing left behind, whatever ended it.
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul"

# status_of NAME WANTED COMMAND...
status_of() {
    name=$1 wanted=$2
    shift 2
    "$weft" run --nodes 2 -- "$@" >"$scratch/out" 2>"$scratch/err"
    same "$name" "$?" "$wanted"
}
section "exit status of the command"
status_of "true" 0 true
status_of "exit 3" 3 sh -c 'exit 3'
status_of "exit 255" 255 sh -c 'exit 255'
# shellcheck disable=SC2016
{
    status_of "killed by TERM" 143 sh -c 'kill -TERM $$'
    status_of "killed by KILL" 137 sh -c 'kill -KILL $$'
    status_of "killed by SEGV" 139 sh -c 'ulimit -c 0; kill -SEGV $$'
}
status_of "no such command" 127 no-such-command-anywhere
status_of "not executable" 126 /etc/passwd
status_of "the product is right" 0 "$build/bin/matmul" 64 32
status_of "the program's own wrong usage" 2 "$build/bin/matmul"
nothing_left

section "arguments, input and output pass through"
same "arguments" "$("$weft" run --nodes 1 -- printf '<%s>' 'a b' '' '*' --help)" '<a b><><*><--help>'
same "input" "$(echo through | "$weft" run --nodes 1 -- cat)" through
# shellcheck disable=SC2016
same "directory and variables" "$(cd / && MARK=7 "$weft" run --nodes 1 -- sh -c 'echo "$PWD $MARK"')" "/ 7"

# begin COMMAND...: starts it under weft run in the background, in a process group of its own and with the signals of
# a program that was started from a terminal (the shell would have it ignore SIGINT); $runner is that weft.
begin() {
    setsid env --default-signal=INT,QUIT "$weft" run --nodes 2 -- "$@" >"$scratch/out" 2>"$scratch/err" &
    runner=$!
}
# shellcheck disable=SC2317
is_running() { [ -n "$(marked "$1")" ]; }
# The program runs and an executor works for it: not only one that collects its node's devices.
# shellcheck disable=SC2317,SC3043
computes() {
    local executor
    for executor in $(marked weft-exec); do
        has_computed "$executor" && is_running matmul && return 0
    done
    return 1
}

section "Ctrl-C"
begin sleep 1000
check "the command runs" wait_until 20 is_running sleep
kill -INT "-$runner"
wait_for "$runner" 5
same "exit status" "$status" 130
nothing_left

section "Ctrl-C while a program computes on both nodes"
begin "$build/bin/matmul" 4096 64
check "the executor computes" wait_until 20 computes
kill -INT "-$runner"
wait_for "$runner" 5
same "exit status" "$status" 130
nothing_left

section "Ctrl-C while the cluster starts"
begin sleep 1000
check "a daemon runs" wait_until 20 is_running weftd
kill -INT "-$runner"
wait_for "$runner" 5
same "exit status" "$status" 130
nothing_left

section "Ctrl-C that the command catches"
begin sh -c 'trap "exit 9" INT; : >'"$scratch"'/ready; while :; do sleep 0.05; done'
check "the command is ready" wait_until 20 [ -e "$scratch/ready" ]
kill -INT "-$runner"
wait_for "$runner" 5
same "exit status" "$status" 9
nothing_left

section "SIGTERM to weft run"
begin sleep 1000
check "the command runs" wait_until 20 is_running sleep
kill -TERM "$runner"
wait_for "$runner" 5
same "exit status" "$status" 143
nothing_left

section "the program killed with -9 while it computes"
begin "$build/bin/matmul" 4096 64
check "the executor computes" wait_until 20 computes
# shellcheck disable=SC2046
kill -9 $(marked matmul)
wait_for "$runner" 5
same "exit status" "$status" 137
nothing_left

section "weft run killed with -9 while a program computes"
begin "$build/bin/matmul" 4096 64
check "the executor computes" wait_until 20 computes
kill -9 "$runner"
wait_for "$runner" 5
nothing_left
finish
