# What the process tests share; read by each with `. lib.sh BUILD_DIRECTORY`. POSIX shell.
#
# A test gets a private run directory, so that it meets no other cluster, and so that every process that belongs to it
# can be found: XDG_RUNTIME_DIR in its environment is the mark. The test ends with finish().
# shellcheck shell=sh
# shellcheck disable=SC2034  # variables are used by the tests
# shellcheck disable=SC3043  # `local` is no part of POSIX, but of every shell that is /bin/sh on Linux

set -u
tests=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?usage: $0 BUILD_DIRECTORY}" && pwd) || exit 2
weft=$build/bin/weft
SKIPPED=77
failures=0
checks=0

# Short: socket names have room for 108 bytes.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/wt.XXXXXX") || exit 2
export XDG_RUNTIME_DIR="$scratch/run" XDG_CONFIG_HOME="$scratch/config"
mkdir -m 700 "$XDG_RUNTIME_DIR" "$XDG_CONFIG_HOME"
# On a busy machine a process may not run for seconds, and that is no death. Tests of how soon a silent peer counts as lost
# set DEAD_MS to the default before they read this file.
export WEFT_DEAD_MS="${DEAD_MS-20000}"
unset SLURM_JOB_ID # else weft up means the allocation that the tests run in

# A build with a sanitizer: whatever process of the test it reports about, the report is a failure (finish), but for what
# lsan.supp lists. A program that was not built here gets the run-time that libweft_opencl.so needs, which must be loaded
# first, by the words $foreign before it.
sanitizer=$(ldd "$weft" 2>/dev/null | sed -n 's/.*=> \(.*\/lib[at]san\.so[^ ]*\) .*/\1/p')
foreign=
slowdown=1 # how many times as long things may take
if [ -n "$sanitizer" ]; then
    slowdown=4
    foreign="env LD_PRELOAD=$sanitizer"
    export LSAN_OPTIONS="suppressions=$tests/lsan.supp:print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}"
    # Without TSan's second of sleep at every end: some tests look at how soon a program ends. A child of a process with
    # threads may start some too.
    # Of variables of threads in libraries that are loaded late, ASan guesses where their memory begins, from what lies
    # before it, and where it guesses wrong its search for leaks crashes; it finds that memory without, too.
    export ASAN_OPTIONS="log_path=$scratch/report:intercept_tls_get_addr=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
    export TSAN_OPTIONS="suppressions=$tests/tsan.supp:log_path=$scratch/report:atexit_sleep_ms=0:die_after_fork=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
fi

say() { printf '%s\n' "$*"; }
section() { printf '\n== %s\n' "$*"; }
pass() {
    checks=$((checks + 1))
    say "ok    $*"
}
fail() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    say "FAIL  $*"
}
skip() {
    say "SKIP  $*"
    exit "$SKIPPED"
}
# check TEXT COMMAND...: one check, right if the command succeeds.
check() {
    local text="$1"
    shift
    if "$@"; then pass "$text"; else fail "$text"; fi
}
# same TEXT GOT WANTED
same() {
    if [ "$2" = "$3" ]; then pass "$1: $2"; else fail "$1: got '$2', wanted '$3'"; fi
}

# runs TEXT COMMAND...: the command succeeds and says that it has verified its result. What it said is in $scratch/out.
runs() {
    local text="$1" status=0
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    sed 's/^/      /' "$scratch/out"
    [ "$status" -eq 0 ] || sed 's/^/      /' "$scratch/err"
    same "$text: exit status" "$status" 0
    same "$text: last line" "$(tail -n 1 "$scratch/out")" verified
}

# The processes that carry this test's mark, by number. The search itself does not carry it.
marked_processes() {
    # shellcheck disable=SC2016
    env -i PATH="$PATH" sh -c 'grep -alz "^XDG_RUNTIME_DIR=$1" /proc/[0-9]*/environ 2>/dev/null | tr -dc "0-9\n"' \
        sh "$XDG_RUNTIME_DIR"
}
# marked NAME: those whose program has this name.
marked() {
    local pid name
    for pid in $(marked_processes); do
        read -r name 2>/dev/null <"/proc/$pid/comm" || continue
        [ "$name" = "$1" ] && say "$pid"
    done
    return 0
}
describe_processes() {
    local pid
    for pid in $(marked_processes); do
        say "      process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
    done
}

# evidence PID...: what these, and the test's executors and daemons, are at: threads, with their stacks where there is gdb, and
# what each has counted. For who looks for why one of them does not end.
evidence() {
    local pid task
    for pid in "$@" $(marked weft-exec) $(marked weftd); do
        gone "$pid" && say "process $pid has ended" && continue
        say "process $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
        if command -v gdb >/dev/null; then
            timeout 120 gdb -p "$pid" -batch -ex 'set pagination off' -ex 'thread apply all backtrace 40' 2>&1 |
                grep '^Thread\|^#\|ptrace'
        else
            for task in "/proc/$pid/task"/*; do
                say "$(cat "$task/comm") $(sed -n 's/^State:[[:space:]]*//p' "$task/status") $(cat "$task/wchan")"
            done
        fi
        timeout 20 "$weft" stats "$pid" 2>&1
    done
}

# wait_until SECONDS COMMAND...: tries until it succeeds. There is nothing to wait for in these conditions but time.
wait_until() {
    local deadline
    deadline=$(($(date +%s%N) + $1 * slowdown * 1000000000))
    shift
    until "$@"; do
        [ "$(date +%s%N)" -lt "$deadline" ] || return 1
        sleep 0.02
    done
}
no_processes() { [ -z "$(marked_processes)" ]; }
files_left() {
    find "$XDG_RUNTIME_DIR" ! -type d 2>/dev/null
    find /dev/shm -user "$(id -un)" -name '*weft*' 2>/dev/null
    grep -F "$scratch" /proc/net/unix 2>/dev/null
}
no_files() { [ -z "$(files_left)" ]; }
# Nothing of the test's clusters is there any more: processes, sockets, files, shared memory.
nothing_left() {
    if wait_until 20 no_processes; then
        pass "no process is left behind"
    else
        fail "processes are left behind:"
        describe_processes
    fi
    if wait_until 20 no_files; then
        pass "no file, socket or shared memory is left behind"
    else
        fail "left behind:"
        files_left | sed 's/^/      /'
    fi
}

# Waits for a child for at most SECONDS; its exit status is in $status, "hung" if it does not end (it is killed then).
wait_for() {
    local pid="$1"
    if wait_until "$2" gone "$pid"; then
        wait "$pid"
        status=$?
    else
        status=hung
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    fi
}
gone() {
    local state=
    # A child that has ended stays until it is waited for, as a zombie.
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
    [ -z "$state" ] || [ "$state" = Z ]
}

# Half a second of processor time (utime and stime, in ticks of 10 ms, after the name) makes an executor one that
# computes; others come and go while a cluster starts.
has_computed() {
    local ticks
    ticks=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 12,13 | tr ' ' '+')
    [ $((${ticks:-0})) -ge 50 ]
}
# There is one that computes: $executor.
an_executor_computes() {
    for executor in $(marked weft-exec); do
        has_computed "$executor" && return 0
    done
    return 1
}
# fails_with_cl_error PID SECONDS: this matmul, whose errors go to $scratch/err, ends in time with an OpenCL error that it
# names.
fails_with_cl_error() {
    wait_for "$1" "$2"
    same "exit status" "$status" 1
    sed 's/^/      /' "$scratch/err"
    check "names an OpenCL error" grep -q 'matmul: cl[A-Za-z]*: CL_[A-Z_]* (-[0-9]*) on ' "$scratch/err"
}

# Fields of the object that `matmul --json` prints.
json_checksum() { sed -n 's/.*"checksum":"\([0-9a-f]*\)".*/\1/p' "$1"; }
json_verified() { grep -q '"verified":true' "$1"; }
# The nodes that computed something, in order: "0 1".
json_nodes() {
    grep -o '"node":[0-9]*,"name":"[^"]*","blocks":[0-9]*' "$1" | grep -v '"blocks":0$' |
        sed 's/"node":\([0-9]*\).*/\1/' | sort -nu | tr '\n' ' ' | sed 's/ $//'
}

need() {
    local file
    for file; do
        [ -x "$file" ] || { say "FAIL  $file is not there: build it first"; exit 1; }
    done
}
need_namespaces() {
    local status=0
    "$tests/lab/netns.sh" true >"$scratch/namespaces" 2>&1 || status=$?
    [ "$status" -eq 0 ] || skip "no network namespaces here: $(tail -n 1 "$scratch/namespaces")"
}

cleanup() {
    local pid
    trap - EXIT INT TERM
    for pid in $(marked_processes); do kill -9 "$pid" 2>/dev/null; done
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

finish() {
    for report in "$scratch"/report.*; do
        [ -e "$report" ] || continue
        fail "a sanitizer reports:"
        sed 's/^/      /' "$report"
    done
    say ""
    say "$checks checks, $failures failed"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
    exit
}
