#!/bin/sh
# Another user of the machine reaches nothing of SCIF programs: not their service, even where the way to its socket is
# open (that it turns strangers away itself is in scif_service_test), nor what they and it have open. It takes root to be
# two users. usage: scif-users.sh BUILD
# shellcheck disable=SC2317,SC2329  # called by name
. "$(dirname "$0")/lib.sh"
pingpong=$build/bin/scif-pingpong
need "$weft" "$pingpong"
OTHER=65534
[ "$(id -u)" -eq 0 ] || skip "only root can be two users"
command -v setpriv >/dev/null || skip "no setpriv"

# What the other user can read: not all of the way to the build need be open.
mkdir "$scratch/bin" "$scratch/lib"
cp "$pingpong" "$scratch/bin"
cp "$build/lib/libscif.so.0" "$scratch/lib"
chmod 711 "$scratch"
theirs() {
    setpriv --reuid "$OTHER" --regid "$OTHER" --clear-groups --inh-caps=-all \
        env LD_LIBRARY_PATH="$scratch/lib" WEFT_NODE_SOCKET="$XDG_RUNTIME_DIR/weft/socket" "$@"
}
closed_to_them() { "$@" >/dev/null 2>&1 && ! theirs "$@" >/dev/null 2>&1; }
listens() { [ -s "$scratch/address" ]; }
they_try() { ! theirs "$scratch/bin/scif-pingpong" --to "$(cat "$scratch/address")" 10 >"$scratch/out" 2>&1; }

"$pingpong" --serve >"$scratch/address" 2>"$scratch/err" &
server=$!
check "a program listens" wait_until 20 listens
service=$(marked weft-scif)
check "its service is there" [ -n "$service" ]

section "the way is closed"
check "they do not get to the socket" they_try
for dir in "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/weft"; do
    check "$dir is ours alone" [ "$(stat -c %a "$dir")" = 700 ]
done

section "the way is open"
chmod 711 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/weft"
chmod 666 "$XDG_RUNTIME_DIR/weft/scif"
: >"$XDG_RUNTIME_DIR/weft/socket" # as of a daemon: so they look for the service here
chmod 666 "$XDG_RUNTIME_DIR/weft/socket"
check "they do not get in" they_try
for pid in "$service" "$server"; do
    for what in fd map_files; do
        check "/proc/$pid/$what is closed to them" closed_to_them ls "/proc/$pid/$what/"
    done
    check "/proc/$pid/mem is closed to them" closed_to_them sh -c ": <'/proc/$pid/mem'"
done

section "we are served all the same"
rm "$XDG_RUNTIME_DIR/weft/socket"
chmod 700 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/weft"
runs "pingpong" "$pingpong" --to "$(cat "$scratch/address")" 100
wait_for "$server" 20
same "the server ends well" "$status" 0
nothing_left
finish
