# A test of two hosts, network namespaces `left` and `right`, read with `.` after lib.sh. Outside of them it runs the test again
# inside of `left`, with the word `inside` after the build directory, and ends.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables are the tests' and of lib.sh
if [ "${2-}" != inside ]; then
    need_namespaces
    "$tests/lab/netns.sh" ip netns exec left "$tests/${0##*/}" "$build" inside
    exit
fi
# From here on this is host `left`; everything of `right` carries another mark.
export WEFT_ADAPTER=udp
right_dir=$scratch/right
mkdir -m 700 "$right_dir"
# shellcheck disable=SC2317,SC2329
{
    right() { XDG_RUNTIME_DIR=$right_dir ip netns exec right "$@"; }
    right_marked() { (XDG_RUNTIME_DIR=$right_dir && marked "$1"); }
    right_is_empty() { [ -z "$(XDG_RUNTIME_DIR=$right_dir && marked_processes)" ]; }
    two_nodes() { [ "$("$weft" nodes --json 2>/dev/null | grep -c '"online":true')" -eq 2 ]; }
    serves() { [ -s "$scratch/address" ]; }
}
