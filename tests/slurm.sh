#!/bin/sh
# weft up and weft run in a Slurm allocation: one daemon a node. Slurm is a stand-in (lab/fake-slurm); what it stands in for
# was tried by hand with the real one (docs/ARCHITECTURE.md).
if [ -z "${IN_TEST_NAMESPACES-}" ]; then
    export IN_TEST_NAMESPACES=1
    exec "$(dirname "$0")/lab/netns.sh" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul" "$build/bin/test/secrets"
ip -n right addr add 10.77.0.3/24 dev veth0

export FAKE_SLURM_DIR="$scratch/slurm"
mkdir -m 700 "$FAKE_SLURM_DIR"
PATH=$tests/lab/fake-slurm:$PATH
export SLURM_JOB_ID=7 SLURMD_NODENAME=left FAKE_SLURM_NODES="left 10.77.0.2 10.77.0.3"
left() {
    ip netns exec left "$@" >"$scratch/out" 2>"$scratch/err"
    status=$?
}
says() {
    if grep -q -e "$1" "$scratch/$2"; then pass "$2: \"$1\""; else
        fail "$2: no \"$1\" in:"
        sed 's/^/      /' "$scratch/$2"
    fi
}
all_gone() {
    rm -f "$FAKE_SLURM_DIR/calls"
    nothing_left
}

section "weft up in an allocation of three nodes"
left "$weft" up
same "exit status" "$status" 0
says '^weft: srun: 2 nodes are ready: 10.77.0.2,10.77.0.3' err
says 'The cluster is up: 3 nodes' out
join=$(sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/out")
check "one step for the two other nodes" grep -q '^--nodes=2 --ntasks=2 .*--nodelist=10.77.0.2,10.77.0.3 ' "$FAKE_SLURM_DIR/calls"
# shellcheck disable=SC2046
set -- $(for p in $(marked_processes); do say "/proc/$p/cmdline /proc/$p/environ"; done) "$FAKE_SLURM_DIR/calls" \
    "$scratch/out" "$scratch/err" $(find "$XDG_RUNTIME_DIR" -name '*.log')
check "no secret in $# command lines, environments and logs" \
    "$build/bin/test/secrets" "$XDG_CONFIG_HOME/weft/key" "$join" "$@"
left "$weft" run --adapter udp -- "$build/bin/matmul" 256 16 --json
same "nodes that took blocks" "$(json_nodes "$scratch/out")" "0 1 2"
left "$weft" down
same "weft down" "$status" 0
all_gone

section "weft run in it"
left "$weft" run --adapter udp -- "$build/bin/matmul" 256 16 --json
same "exit status" "$status" 0
same "nodes that took blocks" "$(json_nodes "$scratch/out")" "0 1 2"
all_gone
left "$weft" run -- sh -c 'exit 9'
same "its exit status" "$status" 9
all_gone
ip netns exec left "$weft" run -- sh -c "echo >$scratch/started; exec sleep 1000" >"$scratch/out" 2>"$scratch/err" &
runner=$!
check "it runs" wait_until 30 [ -e "$scratch/started" ]
kill -9 "$runner"
wait_for "$runner" 5
all_gone
left "$weft" run --nodes 2 -- true
same "with --nodes: exit status" "$status" 0
check "without srun" [ ! -e "$FAKE_SLURM_DIR/calls" ]
all_gone

section "troubles"
left env FAKE_SLURM_BROKEN=10.77.0.3 "$weft" up
same "a node whose daemon does not start: exit status" "$status" 1
says '^weft: srun: [01] of 2 nodes are ready: .*open to other users' err
says 'nothing of it is left running' err
rm -rf "$XDG_RUNTIME_DIR/10.77.0.3"
all_gone
left env FAKE_SLURM_BROKEN=10.77.0.3 "$weft" run -- true
same "for weft run: exit status" "$status" 125
rm -rf "$XDG_RUNTIME_DIR/10.77.0.3"
all_gone
left env FAKE_SLURM_NODES= "$weft" up
same "no answer from scontrol: exit status" "$status" 1
says 'does not tell the nodes' err
left env FAKE_SLURM_NODES='left -oops' "$weft" up
same "a strange name: exit status" "$status" 1
says 'which is no name' err
left env -u SLURM_JOB_ID "$weft" up --slurm
same "--slurm outside: exit status" "$status" 2
all_gone

section "an allocation of this node alone, and --nodes"
left env FAKE_SLURM_NODES=left "$weft" up
says 'The cluster is up: 1 node' out
left "$weft" down
left "$weft" up --nodes 2
says 'The cluster is up: 2 nodes' out
check "without srun" [ ! -e "$FAKE_SLURM_DIR/calls" ]
left "$weft" down
all_gone
finish
