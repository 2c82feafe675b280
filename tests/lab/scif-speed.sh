#!/bin/sh
# What SCIF takes between two hosts, network namespaces over a veth link, beside what our own transport takes there with the same
# protection, before and after it: figures, and which of the goals are met; no test. Some half a minute.
#
#   usage: scif-speed.sh BUILD [N]          N times each, 1000 by default; N pages
#   environment: ONLY=scif: nothing of the transport's; ONLY=pages: only pages that are mapped
set -eu
tests=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/ws.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export XDG_RUNTIME_DIR="$dir" XDG_CONFIG_HOME="$dir"

# transport OPTION...: between the two, appended to what is judged.
transport() {
    "$tests/lab/netns.sh" ip netns exec left "$build/bin/weft" bench "$@" --time 0.5 --adapter udp --security aes \
        --hosts 10.77.0.1,10.77.0.2@right | tee -a "$dir/figures"
}
[ -n "${ONLY-}" ] || transport latency --size 8
[ -n "${ONLY-}" ] || transport bandwidth --size 64K,512K,4M

# Each prints its address, and ends with its client.
speed='"$2/scif_speed" run "$address" "$3"' serve="'$build/bin/test/scif_speed' serve &&"
[ "${ONLY-}" = pages ] && speed=: serve=
echo "$serve exec '$build/bin/test/scif_mapped' serve" >"$dir/serve"
next='read -r address <&4'
[ "${ONLY-}" = pages ] && next=:
# shellcheck disable=SC2016
RIGHT="sh $dir/serve" "$tests/lab/netns.sh" "$tests/lab/two-hosts.sh" "$build/bin/weft" "$dir" \
    sh -c 'exec 3>"$1/to-right" 4<"$1/from-right" && read -r address <&4 && '"$speed"' && '"$next"' &&
        exec "$2/scif_mapped" faults "$address" "$3"' sh "$dir" "$build/bin/test" "${2:-1000}" | tee -a "$dir/figures"

[ -n "${ONLY-}" ] || transport bandwidth --size 64K,512K,4M
echo
awk '
    function verdict(what, is, good, wanted) {
        printf "%-36s %8.2f %s, wanted %s: %s\n", what, is, wanted == 50 ? "us" : "of the transport", wanted, good ? "met" : "not met"
    }
    $1 == "bandwidth" { sum[$3] += $4; runs[$3]++ }
    /^page/ && / us / && !/a store/ { split($0, part, /  +/); split(part[2], us, " "); page[++pages] = part[1]; took[pages] = us[1] }
    /^(write|read) of [0-9]* B/ { for (i = 1; i < NF; i++) if ($(i + 1) == "GB/s") rate = $i
        what = $1 " of " $3 " B, " $5 " at once"; if ($3 >= 65536) { rma[++rmas] = what; size[rmas] = $3; got[rmas] = rate } }
    END {
        for (i = 1; i <= rmas; i++)
            if (runs[size[i]]) { ratio = got[i] / (sum[size[i]] / runs[size[i]]); verdict(rma[i], ratio, ratio >= 0.9, 0.9) }
        for (i = 1; i <= pages; i++) verdict(page[i], took[i], took[i] <= 50, 50)
    }' "$dir/figures"
