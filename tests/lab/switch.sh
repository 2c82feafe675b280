#!/bin/sh
# Some hosts at one switch, on one machine and without root: network namespaces host0 (10.78.0.1), host1 (10.78.0.2), …,
# each with one network interface of a given rate in either direction. Runs a command in which
#     ip netns exec host1 PROGRAM
# starts a program on a host.
#
#   usage: switch.sh HOSTS COMMAND [ARGUMENT...]
#
# environment: RATE (bytes a second; 0: no limit), MTU (9000), SHARED (1: what host0 sends to several hosts shares its rate
# equally, whatever the senders do; 0: what comes first leaves first).
#
# Exit status: the command's; 77 where the system does not allow it. As with netns.sh nothing is left on the machine.
set -eu

if [ $# -lt 2 ]; then
    sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"
    exit 2
fi

. "$(dirname "$0")/enter.sh"

hosts=$1 rate=${RATE:-0} mtu=${MTU:-9000} shared=${SHARED:-0}
shift

# limit COMMAND...: the interface that the command (tc, in some namespace, up to the device) names sends no faster than RATE.
# 20 ms of it may wait, as before a network card; what comes then is dropped.
limit() {
    [ "$rate" -gt 0 ] || return 0
    queue=$((rate / 50))
    [ "$queue" -ge 131072 ] || queue=131072
    "$@" root tbf rate "${rate}bps" burst 65536 limit "$queue" ||
        { echo "switch.sh: this system has no token bucket (sch_tbf): skipped" >&2; exit 77; }
}
# share INTERFACE: of host0; instead of the limit above. A class for each of the others.
share() {
    tc -n host0 qdisc add dev "$1" root handle 1: htb &&
        tc -n host0 class add dev "$1" parent 1: classid 1:1 htb rate "${rate}bps" burst 65536 cburst 65536
    other=1
    while [ "$other" -lt "$hosts" ]; do
        tc -n host0 class add dev "$1" parent 1:1 classid "1:1$other" htb rate "$((rate / (hosts - 1)))bps" \
            ceil "${rate}bps" burst 16384 cburst 16384 quantum "$mtu" &&
            tc -n host0 qdisc add dev "$1" parent "1:1$other" bfifo limit 131072 &&
            tc -n host0 filter add dev "$1" parent 1: protocol ip u32 match ip dst "10.78.0.$((other + 1))/32" \
                flowid "1:1$other" || { echo "switch.sh: this system has no classes (sch_htb, cls_u32): skipped" >&2; exit 77; }
        other=$((other + 1))
    done
}
ip link add switch mtu "$mtu" type bridge 2>/dev/null ||
    { echo "switch.sh: this system has no bridges: skipped" >&2; exit 77; }
ip link set switch up
i=0
while [ "$i" -lt "$hosts" ]; do
    ip netns add "host$i"
    ip link add eth0 netns "host$i" mtu "$mtu" type veth peer name "port$i" mtu "$mtu"
    ip link set "port$i" master switch up
    ip -n "host$i" addr add "10.78.0.$((i + 1))/24" dev eth0
    ip -n "host$i" link set lo up
    ip -n "host$i" link set eth0 up
    if [ "$i$shared" = 01 ] && [ "$hosts" -gt 1 ] && [ "$rate" -gt 0 ]; then
        share eth0
    else
        limit tc -n "host$i" qdisc add dev eth0
    fi
    limit tc qdisc add dev "port$i"
    i=$((i + 1))
done
status=0
"$@" || status=$?
exit "$status"
