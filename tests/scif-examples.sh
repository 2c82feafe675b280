#!/bin/sh
# The SCIF examples, alone, in a cluster, and between two nodes. usage: scif-examples.sh BUILD
. "$(dirname "$0")/lib.sh"
pingpong=$build/bin/scif-pingpong transpose=$build/bin/scif-transpose
mmap_ring=$build/bin/scif-mmap_ring fence_pipeline=$build/bin/scif-fence_pipeline
need "$weft" "$pingpong" "$transpose" "$mmap_ring" "$fence_pipeline"

runs "pingpong" "$pingpong" 200
runs "transpose" "$transpose" 96
runs "mmap_ring" "$mmap_ring" 20000
runs "fence_pipeline" "$fence_pipeline" 200
runs "pingpong in a cluster" "$weft" run --nodes 1 -- "$pingpong" 200
runs "transpose in a cluster" "$weft" run --nodes 1 -- "$transpose" 64

section "two nodes"
cat >"$scratch/both" <<END
'$weft' run --node 1 -- '$pingpong' --serve >'$scratch/address' &
until [ -s '$scratch/address' ]; do sleep 0.02; done
'$pingpong' --to "\$(cat '$scratch/address')" 200
status=\$?
wait
exit \$status
END
runs "pingpong" "$weft" run --nodes 2 -- sh "$scratch/both"
check "with node 1" grep -q 'with node 1, port' "$scratch/out"

for program in "$pingpong" "$transpose" "$mmap_ring" "$fence_pipeline"; do
    check "$(basename "$program") --help" sh -c "'$program' --help | grep -q ^Usage"
    check "$(basename "$program") refuses what it does not know" sh -c "! '$program' --nonsense 2>/dev/null"
done
check "nobody listens: says so" sh -c "'$pingpong' --to 0:9 2>&1 | grep -q 'scif_connect: Connection refused'"
check "the services have ended" wait_until 10 no_processes
nothing_left
finish
