#!/bin/sh
# What SCIF takes between two hosts, network namespaces over a veth link, beside what our own transport takes there with the same
# protection: figures, no test.
#
#   usage: scif-speed.sh BUILD [N]          N times each, 2000 by default; N pages
#   environment: ONLY=scif: nothing of the transport's; ONLY=pages: only pages that are mapped
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ws.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir"

if [ -z "${ONLY-}" ]; then
    for what in "latency --size 8" "bandwidth --size 64K,1M,4M"; do
        # shellcheck disable=SC2086
        "$tests/lab/netns.sh" ip netns exec left "$build/bin/weft" bench $what --adapter udp --security aes \
            --hosts 10.77.0.1,10.77.0.2@right
    done
fi
# Each prints its address, and ends with its client.
cat >"$dir/serve" <<EOF
"$build/bin/test/scif_speed" serve && exec "$build/bin/test/scif_mapped" serve
EOF
# shellcheck disable=SC2016
RIGHT="sh $dir/serve" "$tests/lab/netns.sh" "$tests/lab/two-hosts.sh" "$build/bin/weft" "$dir" \
    sh -c 'exec 3>"$1/to-right" 4<"$1/from-right" && read -r address <&4 && "$2/scif_speed" run "$address" "$3" &&
        read -r address <&4 && exec "$2/scif_mapped" faults "$address" "$3"' sh "$dir" "$build/bin/test" "${2:-2000}"
