#!/bin/sh
# weft up --hosts: daemons on other hosts over ssh, all or none, and nothing left in any case. ssh is a stand-in that enters
# a network namespace; then the real one, where an sshd is installed.
if [ -z "${IN_TEST_NAMESPACES-}" ]; then
    export IN_TEST_NAMESPACES=1
    exec "$(dirname "$0")/lab/netns.sh" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/bin/matmul" "$build/bin/test/secrets"

export FAKE_SSH_DIR="$XDG_RUNTIME_DIR/ssh"
mkdir -m 700 "$FAKE_SSH_DIR"
export WEFT_SSH="$tests/lab/fake-ssh"
# left COMMAND...: on the host where the user sits; the exit status is in $status
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
online() { "$weft" nodes --json | grep -c '"online":true'; }
all_gone() {
    nothing_left
    rm -f "$FAKE_SSH_DIR/calls"
}
# Files that stay by intention: none of them is a daemon's.
files_left() { find "$XDG_RUNTIME_DIR" ! -type d ! -name calls; }

section "two more hosts"
left env WEFT_KEEPALIVE_MS=1234 "$weft" up --hosts "10.77.0.2,ada@10.77.0.2:2222"
same "exit status" "$status" 0
says '^weft: 10.77.0.2: node [12] is ready' err
says '^weft: ada@10.77.0.2:2222: node [12] is ready' err
says 'The cluster is up: 3 nodes' out
says 'listens on 10.77.0.1\.' out
join=$(sed -n 's/.*--join \([^ ]*\).*/\1/p' "$scratch/out")
check "ssh is not to ask, nor to wait for long" grep -q '^-o BatchMode=yes -o ConnectTimeout=[0-9]* -p 2222 ada@10.77.0.2 ' "$FAKE_SSH_DIR/calls"
check "the same directory as here" grep -q "'$build/bin/weftd'" "$FAKE_SSH_DIR/calls"
check "options go along" grep -q "'WEFT_KEEPALIVE_MS=1234'" "$FAKE_SSH_DIR/calls"
check "the user's key is not there" [ ! -e "$FAKE_SSH_DIR/rundir-22/weft/key" ]
left "$weft" run --adapter udp -- "$build/bin/matmul" 256 16 --json
same "a program" "$status" 0
same "nodes that took blocks" "$(json_nodes "$scratch/out")" "0 1 2"
# shellcheck disable=SC2046
set -- $(for p in $(marked_processes); do say "/proc/$p/cmdline /proc/$p/environ"; done) "$FAKE_SSH_DIR/calls" \
    "$scratch/out" "$scratch/err" $(find "$XDG_RUNTIME_DIR" -name '*.log')
check "no secret in $# command lines, environments and logs" \
    "$build/bin/test/secrets" "$XDG_CONFIG_HOME/weft/key" "$join" "$@"
left "$weft" down
same "weft down" "$status" 0
all_gone

section "a host that is down"
left "$weft" up --hosts 10.77.0.2,10.77.0.2:1
same "exit status" "$status" 1
says '^weft: 10.77.0.2:1: exit status 255: ssh: connect to host 10.77.0.2 port 1: Connection refused' err
says 'nothing of it is left running' err
all_gone
left "$weft" up --hosts 10.77.0.2,10.77.0.2:1,10.77.0.2:3 --partial
same "with --partial: exit status" "$status" 0
says '^weft: 10.77.0.2:3: ssh was killed by signal 9' err
says '2 of 3 hosts failed' err
says 'The cluster is up: 2 nodes' out
left "$weft" down
all_gone
left "$weft" up --hosts 10.77.0.2:1 --partial
same "with --partial, and none comes: exit status" "$status" 1
all_gone

section "no weft there"
left "$weft" up --hosts 10.77.0.2 --remote-path /nowhere/bin
same "exit status" "$status" 1
says '^weft: 10.77.0.2: exit status 127: .*/nowhere/bin/weftd' err
all_gone

section "another daemon there already"
left "$weft" up --hosts 10.77.0.2
left env XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR/other" sh -c "mkdir -p -m 700 \$XDG_RUNTIME_DIR; exec $weft up --hosts 10.77.0.2"
same "exit status" "$status" 1
says '^weft: 10.77.0.2: .*a daemon lives there already' err
left "$weft" down
all_gone

# waiting SIGNAL: while one host keeps silent, weft up gets that signal.
waiting() {
    ip netns exec left "$weft" up --hosts 10.77.0.2,10.77.0.2:2 >"$scratch/out" 2>"$scratch/err" &
    runner=$!
    wait_until 20 grep -q '^weft: 10.77.0.2: node 1 is ready' "$scratch/err" || fail "the first host does not come up"
    kill -"$1" $runner
    wait_for "$runner" 10
}
section "interrupted"
waiting TERM
same "exit status" "$status" 143
all_gone
section "killed"
waiting KILL
same "exit status" "$status" 137
all_gone

section "names"
left "$weft" up --hosts "localhost,$(hostname)"
same "exit status" "$status" 0
says "$(hostname) is this host: node 0" err
says 'The cluster is up: 1 node' out
left "$weft" down
left "$weft" up --hosts no.such.host.invalid
same "exit status" "$status" 1
says 'the address of no.such.host.invalid is not known' err
says 'bind ADDRESS says it' err
printf '10.77.0.2 # the other one\n' >"$scratch/hosts"
left "$weft" up --bind 10.77.0.1 --hosts-file "$scratch/hosts"
same "a hosts file: exit status" "$status" 0
same "nodes" "$(online)" 2
left "$weft" down
all_gone

section "the real ssh"
real_sshd() {
    [ "$(id -u)" -eq 0 ] && [ -x /usr/sbin/sshd ] && command -v ssh-keygen >/dev/null || return 1
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$scratch/id" && ssh-keygen -q -t ed25519 -N '' -f "$scratch/host_key" || return 1
    cp "$scratch/id.pub" "$scratch/authorized"
    mkdir -m 700 "$XDG_RUNTIME_DIR/sshd"
    cat >"$scratch/sshd_config" <<END
ListenAddress 10.77.0.2
HostKey $scratch/host_key
AuthorizedKeysFile $scratch/authorized
StrictModes no
UsePAM no
PidFile $scratch/sshd.pid
SetEnv XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR/sshd
END
    printf 'IdentityFile %s\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' "$scratch/id" \
        >"$scratch/ssh_config"
    ip netns exec right /usr/sbin/sshd -f "$scratch/sshd_config"
}
if real_sshd; then
    export WEFT_SSH="ssh -F $scratch/ssh_config"
    left "$weft" up --hosts 10.77.0.2
    same "exit status" "$status" 0
    says '^weft: 10.77.0.2: node 1 is ready' err
    left "$weft" run --adapter udp -- "$build/bin/matmul" 256 32 --json
    same "nodes that took blocks" "$(json_nodes "$scratch/out")" "0 1"
    for p in $(marked ssh); do kill -9 "$p"; done
    no_ssh() { [ -z "$(marked ssh)" ]; }
    check "ssh is killed" wait_until 20 no_ssh
    left "$weft" ping --count 10 --json 1
    same "the daemon goes on without it: exit status" "$status" 0
    left "$weft" down
    same "weft down" "$status" 0
    kill "$(cat "$scratch/sshd.pid")"
    left "$weft" up --hosts 10.77.0.2
    same "without the sshd: exit status" "$status" 1
    says '^weft: 10.77.0.2: exit status 255: ssh: connect to host 10.77.0.2 port 22: Connection refused' err
else
    say "      not tried: it takes root and an installed sshd"
fi
all_gone
finish
