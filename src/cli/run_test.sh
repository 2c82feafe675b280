#!/bin/sh
# weft run: exit statuses, signals, and that nothing is left whatever happens.
. "${0%/*}/test_lib.sh" "$1"

# --- exit statuses ---
expect 0 "$weft" run -- true
expect 7 "$weft" run --nodes 2 -- sh -c 'exit 7'
expect 137 "$weft" run -- sh -c 'kill -9 $$'
expect 139 "$weft" run -- sh -c 'kill -SEGV $$'
expect 127 "$weft" run -- /no/such/program;         warns 'cannot run /no/such/program: No such file'
expect 126 "$weft" run -- /etc/passwd;              warns 'Permission denied'
expect 2 "$weft" run;                               warns 'what is to be run'
expect 2 "$weft" run --nodes 2 --node 2 -- true;    warns 'the last is 1'
expect 2 "$weft" run --adapter pigeon -- true;      warns 'shm, udp'
mkdir -m 700 "$WORK/two words"
expect 0 env XDG_RUNTIME_DIR="$WORK/two words" "$weft" run --nodes 2 -- true
[ -z "$(ls -A "$WORK/two words/weft")" ] || fail "left in a directory with a space"
expect 0 sh -c '"$1" run -- sh -c "at=\$(readlink /proc/\$\$/fd/1); echo \$at >&2" >&-' sh "$weft";    warns '^/dev/null$'
expect_nothing_left

# --- the environment ---
expect 0 "$weft" run --nodes 2 --node 1 --adapter udp --platforms per-node -- env
says "^WEFT_NODE_SOCKET=$WORK/weft/run-.*/node1/socket"
says '^WEFT_ADAPTER=udp$'
says '^WEFT_OPENCL_PLATFORMS=per-node$'
says '^WEFT_OPENCL_VENDORS='
expect 0 env OCL_ICD_VENDORS=/some/where "$weft" run -- env;    says '^WEFT_OPENCL_VENDORS=/some/where$'
if [ -e "$BIN/../lib/libweft_opencl.so" ]; then
    expect 0 "$weft" run -- sh -c 'cat "$OCL_ICD_VENDORS"*';    says 'libweft_opencl.so$'
fi
expect 0 "$weft" run --nodes 12 -- "$weft" nodes --json # more than are started at once
[ "$(wc -l <"$WORK/out")" -eq 12 ] || fail "12 nodes give $(wc -l <"$WORK/out") lines"
expect 0 "$weft" run --nodes 2 -- "$weft" run --node 1 -- "$weft" ping --count 3;    says '^1 '
expect_nothing_left

# --- signals to weft run reach the program ---
for signal in TERM INT HUP; do
    : >"$WORK/ready"
    # A background job of a script ignores INT; env gives it back.
    env --default-signal=INT "$weft" run --nodes 2 -- sh -c "trap 'exit 9' $signal; echo > $WORK/ready; while :; do sleep 0.05; done" & run=$!
    await test -s "$WORK/ready"
    kill -$signal $run
    wait $run
    got=$?
    [ $got -eq 9 ] || fail "SIG$signal: $got instead of 9"
    expect_nothing_left
done

# --- killed with -9: weft run itself, a daemon, the program ---
: >"$WORK/ready"
"$weft" run --nodes 3 -- sh -c "echo \$\$ > $WORK/ready; exec sleep 100" & run=$!
await test -s "$WORK/ready"
kill -9 $run
wait $run 2>/dev/null
expect_nothing_left
program_gone() { ! kill -0 "$(cat "$WORK/ready")" 2>/dev/null; }
await program_gone

: >"$WORK/ready"
"$weft" run --nodes 3 -- sh -c "echo \$\$ > $WORK/ready; exec sleep 100" & run=$!
await test -s "$WORK/ready"
kill -9 "$(daemons | tail -n 1)"
kill -9 "$(cat "$WORK/ready")"
wait $run
got=$?
[ $got -eq 137 ] || fail "the program was killed: $got instead of 137"
expect_nothing_left

# --- bound to a core, where there are two at least; else not bound ---
cpus() { WEFT_RUN_BIND=core "$weft" run --nodes 2 --node "$1" -- sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status; }
here=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
[ "$(cat /sys/devices/system/cpu/cpu*/topology/thread_siblings_list 2>/dev/null | sort -u | wc -l)" -le 1 ] || [ "$(cpus 0)" != "$here" ] || fail "run_bind = core does not bind"
[ "$("$weft" run --nodes 2 -- sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)" = "$here" ] || fail "bound without being asked"

# --- killed while it starts ---
for delay in 0 0.005 0.01 0.02 0.03; do
    "$weft" run --nodes 4 -- sleep 100 & run=$!
    sleep $delay
    kill -9 $run
    wait $run 2>/dev/null
    await none_of_ours
done
"$weft" run -- true     # cleans what the killed ones could not
expect_nothing_left
finish
