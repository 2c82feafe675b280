#!/bin/sh
# What SCIF takes between two hosts, network namespaces over a veth link: figures, no test.
#
#   usage: scif-speed.sh BUILD [N]          N times each, 2000 by default
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ws.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir"
# shellcheck disable=SC2016
RIGHT="$build/bin/test/scif_speed serve" "$tests/lab/netns.sh" "$tests/lab/two-hosts.sh" "$build/bin/weft" "$dir" \
    sh -c 'exec 3>"$1/to-right" && read -r address <"$1/from-right" && exec "$2" run "$address" "$3"' sh \
    "$dir" "$build/bin/test/scif_speed" "${2:-2000}"
