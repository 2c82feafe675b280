#!/bin/sh
# Puts the impairing relay between the two hosts of netns.sh, and runs a command:
#     left (10.77.0.1) --- relay --- right (10.77.0.2)
#
#   usage: netns.sh relay.sh RELAY [relay option...] -- COMMAND [ARGUMENT...]
#
# RELAY is the program weft-relay; its statistics go to standard error at the end. Exit status: the command's.
set -eu

[ $# -ge 2 ] || { sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
relay=$1
shift
options=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options="$options $1"
    shift
done
[ $# -gt 1 ] || { echo "relay.sh: no command after --" >&2; exit 2; }
shift

mtu=${MTU:-1500}
ip -n left link del veth0
ip netns add middle
ip netns exec middle sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null || :
ip link add veth0 netns left mtu "$mtu" type veth peer name to-left netns middle mtu "$mtu"
ip link add veth0 netns right mtu "$mtu" type veth peer name to-right netns middle mtu "$mtu"
ip -n left addr add 10.77.0.1/24 dev veth0
ip -n right addr add 10.77.0.2/24 dev veth0
for at in left:veth0 right:veth0 middle:to-left middle:to-right; do
    ip -n "${at%:*}" link set "${at#*:}" up
done
# One frame a datagram: otherwise a lost frame is a lost bundle.
for host in left right; do ip netns exec "$host" "$relay" --offload-off veth0; done

mkfifo /run/relay-ready
# shellcheck disable=SC2086
ip netns exec middle "$relay" $options to-left to-right >/run/relay-ready &
relay_pid=$!
read -r ready </run/relay-ready || { echo "relay.sh: the relay did not start" >&2; exit 1; }
[ "$ready" = ready ]
status=0
"$@" || status=$?
kill "$relay_pid" 2>/dev/null || :
wait "$relay_pid" || :
exit "$status"
