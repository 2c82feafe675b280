# For the command's tests: a private run directory, and checks that say what differs. Sourced with bin/ as $1.
BIN=$1
WORK=$(mktemp -d /tmp/weft-cli-test-XXXXXX) || exit 1
chmod 700 "$WORK"
export XDG_RUNTIME_DIR="$WORK" XDG_CONFIG_HOME="$WORK/config"
unset WEFT_NODE_SOCKET WEFT_ADAPTER WEFT_LOG SLURM_JOB_ID
weft="$BIN/weft"
failures=0

# A build with a sanitizer: whatever process of the test it reports about, the report is a failure (finish), but for what
# lsan.supp lists. Without TSan's second of sleep at every end: these are many short commands.
slowdown=1
if ldd "$weft" | grep -q 'lib[at]san\.so'; then
    slowdown=4
    export LSAN_OPTIONS="suppressions=${0%/*}/../../tests/lsan.supp:print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}"
    export ASAN_OPTIONS="log_path=$WORK/report${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
    export TSAN_OPTIONS="log_path=$WORK/report:atexit_sleep_ms=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
fi

fail() { echo "FAIL: $*" >&2; failures=$((failures + 1)); }
# expect STATUS COMMAND...: runs it, keeps its output in $WORK/out and $WORK/err
expect() {
    wanted=$1; shift
    "$@" >"$WORK/out" 2>"$WORK/err"
    got=$?
    [ $got -eq "$wanted" ] || { fail "$* gave $got instead of $wanted"; cat "$WORK/out" "$WORK/err" >&2; }
}
says() { grep -q -e "$1" "$WORK/out" || { fail "no \"$1\" in:"; cat "$WORK/out" >&2; }; }
warns() { grep -q -e "$1" "$WORK/err" || { fail "no \"$1\" in the errors:"; cat "$WORK/err" >&2; }; }
# ours: processes of this test's run directory, by their environment
ours() {
    for p in /proc/[0-9]*; do
        [ "${p#/proc/}" != $$ ] || continue
        case $(readlink "$p/exe" 2>/dev/null) in "$BIN"/*) ;; *) continue ;; esac
        tr '\0' '\n' <"$p/environ" 2>/dev/null | grep -qx "XDG_RUNTIME_DIR=$WORK" && echo "${p#/proc/}"
    done
    return 0
}
none_of_ours() { [ -z "$(ours)" ]; }
daemons() { for p in $(ours); do [ "$(readlink "/proc/$p/exe")" = "$BIN/weftd" ] && echo "$p"; done; }
left() { ours; ls -A "$WORK/weft" 2>/dev/null; }
# await COMMAND...: polls until it succeeds, 30 s at most, or $slowdown times as long
await() {
    n=0
    until "$@"; do
        n=$((n + 1))
        [ $n -lt $((1500 * slowdown)) ] || { fail "never: $*"; return 1; }
        sleep 0.02
    done
}
nothing_left() { [ -z "$(left)" ]; }
expect_nothing_left() { await nothing_left || left >&2; }
finish() {
    for p in $(ours); do kill -9 "$p"; done
    for report in "$WORK"/report.*; do
        [ ! -e "$report" ] || { fail "a sanitizer reports:"; cat "$report" >&2; }
    done
    rm -rf "$WORK"
    [ $failures -eq 0 ] || { echo "$failures failures" >&2; exit 1; }
    exit 0
}
