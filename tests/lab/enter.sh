# Read by the scripts that make hosts of network namespaces, with `. enter.sh "$@"`: the script is executed again, with these
# arguments, in namespaces of its own, without root. Only there what follows in it is done; /run is empty then, so that
# `ip netns` can keep names there. Exits with 77 where the system does not allow it.
# shellcheck shell=sh
if [ "${WEFT_LAB_INSIDE-}" != "$0" ]; then
    # -p and --kill-child: when this script goes, however it goes, everything in the namespaces goes with it.
    flags='-n -m -p -f --mount-proc --kill-child --propagation private'
    [ "$(id -u)" -eq 0 ] || flags="-U -r $flags"
    # shellcheck disable=SC2086
    if ! unshare $flags true 2>/dev/null; then
        echo "${0##*/}: this system does not let $(id -un) make namespaces (unshare $flags): skipped" >&2
        exit 77
    fi
    command -v ip >/dev/null || { echo "${0##*/}: no 'ip' command (package iproute2): skipped" >&2; exit 77; }
    # shellcheck disable=SC2086
    WEFT_LAB_INSIDE=$0 exec unshare $flags -- "$0" "$@"
fi
unset WEFT_LAB_INSIDE
mount -t tmpfs tmpfs /run
mkdir /run/netns
