#!/bin/sh
# Two hosts on one machine, without root: network namespaces `left` (10.77.0.1) and `right` (10.77.0.2) joined by a
# veth link. Runs a command in which
#     ip netns exec left PROGRAM        ip netns exec right PROGRAM
# start programs on either host.
#
#   usage: netns.sh COMMAND [ARGUMENT...]          environment: MTU (1500)
#
# Exit status: the command's; 77 where the system does not allow namespaces. All of it is in a private mount and
# network namespace, so nothing is left on the machine, whatever ends the command.
set -eu

if [ $# -eq 0 ] || [ "$1" = --help ]; then
    sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"
    exit 2
fi

if [ "${WEFT_LAB_INSIDE-}" != netns ]; then
    # -p and --kill-child: when this script goes, however it goes, everything in the namespaces goes with it.
    flags='-n -m -p -f --mount-proc --kill-child --propagation private'
    [ "$(id -u)" -eq 0 ] || flags="-U -r $flags"
    # shellcheck disable=SC2086
    if ! unshare $flags true 2>/dev/null; then
        echo "netns.sh: this system does not let $(id -un) make namespaces (unshare $flags): skipped" >&2
        exit 77
    fi
    command -v ip >/dev/null || { echo "netns.sh: no 'ip' command (package iproute2): skipped" >&2; exit 77; }
    # shellcheck disable=SC2086
    WEFT_LAB_INSIDE=netns exec unshare $flags -- "$0" "$@"
fi
unset WEFT_LAB_INSIDE

mount -t tmpfs tmpfs /run # for `ip netns`, which keeps names in /run/netns
mkdir /run/netns
ip netns add left
ip netns add right
ip link add veth0 netns left mtu "${MTU:-1500}" type veth peer name veth0 netns right mtu "${MTU:-1500}"
ip -n left addr add 10.77.0.1/24 dev veth0
ip -n right addr add 10.77.0.2/24 dev veth0
for host in left right; do
    ip -n "$host" link set lo up
    ip -n "$host" link set veth0 up
done
status=0
"$@" || status=$?
exit "$status"
