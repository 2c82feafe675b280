#!/bin/sh
# Many endpoints and windows, much memory, and programs that write, move and unmap it while windows come and go.
# usage: scif-limits.sh BUILD
# For the record: scif_limits memory 4096, scif_lost_writes 1000000000, scif_shifting 100000 1 all
. "$(dirname "$0")/lib.sh"
limits=$build/bin/test/scif_limits lost_writes=$build/bin/test/scif_lost_writes shifting=$build/bin/test/scif_shifting
between=$build/bin/test/scif_between
need "$weft" "$limits" "$lost_writes" "$shifting" "$between"

# within TEXT COMMAND...: as runs; a limit of this system may be too low, and then it says which.
within() {
    local text="$1"
    shift
    "$@" >"$scratch/out" 2>"$scratch/err"
    if [ $? -eq 77 ]; then say "skip  $text: $(cat "$scratch/out")"; else runs "$text" "$@"; fi
}
within "1,000 endpoints of a process" "$limits" endpoints
within "1,000 endpoints of five processes" "$limits" processes
within "10,000 windows" "$limits" windows $((10000 / slowdown))
within "64 MiB" "$limits" memory 64
runs "pages that are written" "$lost_writes" $((10000000 / slowdown))
runs "pages that are moved, unmapped and dropped" "$shifting" $((40 / slowdown))
runs "and that just while they are being mapped" "$shifting" $((40 / slowdown)) 1 all
if [ "$slowdown" = 1 ]; then
    runs "or between any two system calls of the library" "$between"
else
    runs "or mapped over between any two system calls of the library" "$between" "map over and write"
fi
check "refuses what it does not know" sh -c "! '$limits' nonsense 2>/dev/null"
check "the services have ended" wait_until 10 no_processes
nothing_left
finish
