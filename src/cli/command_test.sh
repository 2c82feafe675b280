#!/bin/sh
# weft without a cluster: help, version, misuse, config.
. "${0%/*}/test_lib.sh" "$1"

expect 2 "$weft"
expect 0 "$weft" --help;            says 'weft COMMAND'
expect 0 "$weft" --version;         says '^weft [0-9]'
expect 0 "$BIN/weftd" --version;    says '^weftd [0-9]'
expect 0 "$BIN/weftd" --help;       says 'lifeline'
for command in $("$weft" help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    expect 0 "$weft" $command --help;       says "^Usage: weft $command"
    expect 0 "$weft" help $command;         says "^Usage: weft $command"
    expect 2 "$weft" $command --no-such-thing
    warns "weft $command --help"
done
expect 0 "$weft" help model predict; says '^Usage: weft model predict'
expect 2 "$weft" devcies;           warns 'did you mean "devices"'
expect 2 "$weft" help nodse;        warns 'did you mean "nodes"'
expect 2 "$weft" xyzzy-plugh;       warns 'there is no command'
expect 2 "$weft" up --nodes 0;      warns 'from 1 to'
expect 2 "$weft" up --nodes 3x;     warns 'from 1 to'
expect 2 "$weft" nodes extra;       warns 'unexpected argument'

for command in nodes devices ping; do
    expect 1 "$weft" $command;      warns 'no cluster is up'
done
expect 0 "$weft" down;              warns 'no cluster is up'

expect 0 "$weft" config;            says '^udp_gso '; says '^NAME '
expect 0 "$weft" config udp_gso;    says WEFT_UDP_GSO
expect 1 "$weft" config udp_gos;    warns 'did you mean udp_gso'
expect 0 "$weft" config --json;     says '"name":"udp_gso"'
expect 0 env WEFT_UDP_GSO=no "$weft" config udp_gso;   says 'from environment'
expect 0 env WEFT_UDP_GSA=no "$weft" config udp_gso;   warns WEFT_UDP_GSO
expect 2 "$weft" sim --from;   warns "^weft sim: option '--from' requires an argument"
expect_nothing_left
finish
