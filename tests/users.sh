#!/bin/sh
# Two users on one machine, each with a cluster: neither can reach what is the other's. It takes root to be two users.
# shellcheck disable=SC2317,SC3043  # called by name; no part of POSIX, but of every shell that is /bin/sh on Linux
. "$(dirname "$0")/lib.sh"
clgraphs=$build/bin/test/clgraphs clquit=$build/bin/test/clquit
need "$weft" "$clgraphs" "$clquit"
OTHER=65534
[ "$(id -u)" = 0 ] || skip "only root can be two users"
command -v setpriv >/dev/null || skip "no setpriv"

# theirs COMMAND...: as the other user, in a run directory of its own.
their_dir=$(mktemp -d "${TMPDIR:-/tmp}/wu.XXXXXX") || exit 2
chown $OTHER "$their_dir"
theirs() {
    setpriv --reuid $OTHER --regid $OTHER --clear-groups --no-new-privs env XDG_RUNTIME_DIR="$their_dir" \
        XDG_CONFIG_HOME="$their_dir/config" HOME="$their_dir" POCL_CACHE_DIR="$their_dir/cache" "$@"
}
clean_theirs() {
    theirs "$weft" down >/dev/null 2>&1
    rm -rf "$their_dir"
    cleanup
}
trap clean_theirs EXIT
theirs test -x "$clgraphs" 2>/dev/null || skip "another user cannot run the programs in $build"

# refused TEXT PATTERN COMMAND...: it fails and says why.
refused() {
    local text="$1" pattern="$2" status=0
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    if [ "$status" -ne 0 ] && grep -q -e "$pattern" "$scratch/err"; then
        pass "$text: $(grep -m 1 -e "$pattern" "$scratch/err")"
    else
        fail "$text: exit status $status"
        sed 's/^/      /' "$scratch/out" "$scratch/err"
    fi
}
# closed_to_them COMMAND...: the other user cannot, though we can.
closed_to_them() { "$@" >/dev/null 2>&1 && ! theirs "$@" >/dev/null 2>&1; }
online() { grep -c '"online":true' "$scratch/out"; }
nodes_are() {
    local text="$1" count="$2"
    shift 2
    "$@" nodes --json >"$scratch/out" 2>"$scratch/err"
    same "$text" "$(online)" "$count"
}

section "each has a cluster and sees that one"
"$weft" up --nodes 3 >"$scratch/up" 2>&1
same "weft up" "$?" 0
theirs "$weft" up --nodes 2 >"$scratch/up" 2>&1
same "the other user's weft up" "$?" 0
nodes_are "nodes here" 3 "$weft"
nodes_are "the other user's" 2 theirs "$weft"
ours_socket=$XDG_RUNTIME_DIR/weft/default/node0/socket
their_socket=$their_dir/weft/default/node0/socket

section "both use the devices at once"
CLTEST_PLATFORM=weft "$weft" run -- "$clgraphs" --seeds 10 >"$scratch/graphs" 2>&1 &
graphs=$!
theirs env CLTEST_PLATFORM=weft "$weft" run -- "$clgraphs" --seeds 10 --from 100 >"$scratch/graphs.theirs" 2>&1
same "the other user's program" "$?" 0
wait "$graphs"
same "the program here" "$?" 0

section "a program with executors on all nodes, to be looked for"
CLTEST_PLATFORM=weft "$weft" run -- "$clquit" migrate stay >"$scratch/stay" 2>&1 &
has_executors() { [ "$(marked weft-exec | wc -l)" -ge 2 ] && grep -q 'ok   migrate' "$scratch/stay"; }
check "it runs" wait_until 30 has_executors
theirs "$weft" top --json >"$scratch/out" 2>&1
check "the other user's weft top has no program" sh -c "! grep -q clquit '$scratch/out'"
# The memory of links and windows has no name but these.
for pid in $(marked weftd) $(marked weft-exec) $(marked clquit); do
    for what in fd map_files; do
        check "/proc/$pid/$what is closed to the other user" closed_to_them ls "/proc/$pid/$what/"
    done
    check "process $pid takes no signal of the other user's" closed_to_them kill -0 "$pid"
done
check "the run directory is closed to the other user" closed_to_them ls "$XDG_RUNTIME_DIR/weft/"
check "the key is closed to the other user" closed_to_them cat "$XDG_CONFIG_HOME/weft/key"
check "no socket has a name without a directory" sh -c '! grep -q "@.*weft" /proc/net/unix'

section "the other user's way to our cluster"
refused "weft nodes" 'ermission denied' theirs env WEFT_NODE_SOCKET="$ours_socket" "$weft" nodes
refused "weft run" 'ermission denied' theirs env WEFT_NODE_SOCKET="$ours_socket" "$weft" run --node 1 -- true
refused "an OpenCL program" 'ermission denied' theirs env WEFT_NODE_SOCKET="$ours_socket" WEFT_OPENCL_LOCAL=off \
    OCL_ICD_VENDORS="$build/lib/libweft_opencl.so" CLTEST_PLATFORM=weft "$clgraphs" --seeds 1

# Who may go anywhere in the file system is another user all the same, on either side of the socket.
section "with the way open: our way to the other user's cluster"
refused "weft nodes" 'runs as user 65534, this program as 0' env WEFT_NODE_SOCKET="$their_socket" "$weft" nodes
refused "an OpenCL program" 'runs as user 65534, this program as 0' env WEFT_NODE_SOCKET="$their_socket" \
    WEFT_OPENCL_LOCAL=off OCL_ICD_VENDORS="$build/lib/libweft_opencl.so" CLTEST_PLATFORM=weft "$clgraphs" --seeds 1

section "with the way open: the other user's way to ours"
chmod -R a+rwX "$XDG_RUNTIME_DIR" "$scratch"
refused "weft nodes" 'runs as user 0, this program as 65534' theirs env WEFT_NODE_SOCKET="$ours_socket" "$weft" nodes
check "the daemon has turned it away, too" \
    grep -q 'is turned away: it is another user.s' "$XDG_RUNTIME_DIR"/weft/default/weftd-0-*.log
chmod -R go-rwx "$XDG_RUNTIME_DIR"

section "all is as it was"
nodes_are "nodes here" 3 "$weft"
nodes_are "the other user's" 2 theirs "$weft"
check "our program still runs" kill -0 "$(marked clquit)"
kill -9 "$(marked clquit)"
theirs "$weft" down >"$scratch/down" 2>&1
same "the other user's weft down" "$?" 0
CLTEST_PLATFORM=weft "$weft" run -- "$clgraphs" --seeds 2 >"$scratch/out" 2>&1
same "a program here" "$?" 0
"$weft" down >"$scratch/down" 2>&1
same "weft down" "$?" 0
nothing_left
check "nothing of the other user's is left" [ -z "$(find "$their_dir/weft" ! -type d)" ]
finish
