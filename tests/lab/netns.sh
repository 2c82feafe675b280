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

. "$(dirname "$0")/enter.sh"

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
