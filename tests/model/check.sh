#!/bin/sh
# Checks the model of put, cancel and restart (put.pml) with SPIN: as the protocol is, no state breaks a promise; with
# each of its rules taken away, the checker finds the corruption. Both are wanted: a model that cannot fail shows
# nothing. Searches all states, in less than 1 GiB.
#
#   check.sh [CC]
set -u

cc=${1-cc}
command -v spin >/dev/null || {
    echo "spin is not installed: not checked"
    exit 77
}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# search DEFINES...: prints the checker's report
search() {
    rm -f pan pan.*
    cp "$here/put.pml" . && spin -a "$@" put.pml >spin.out 2>&1 || {
        cat spin.out >&2
        return 1
    }
    $cc -O2 -DSAFETY -DCOLLAPSE -DMEMLIM=1000 -w -o pan pan.c && ./pan -m100000 -E >report 2>&1
    cat report
}

# wants ERRORS WHAT DEFINES...
wants() {
    errors=$1 what=$2
    shift 2
    report=$(search "$@")
    states=$(printf '%s\n' "$report" | sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p')
    if printf '%s\n' "$report" | grep -q "errors: $errors\$" &&
        ! printf '%s\n' "$report" | grep -qE 'max search depth too small|reached -DMEMLIM|out of memory'; then
        echo "$what: $([ "$errors" -eq 0 ] && echo 'no error' || echo "the error is found"), $states states"
    else
        echo "FAIL: $what: $errors errors were wanted:" >&2
        printf '%s\n' "$report" >&2
        failures=$((failures + 1))
    fi
}

wants 0 "the protocol"
wants 1 "tags used again at once" -DUSES=1
wants 1 "tags used again after two" -DUSES=2
wants 1 "packets of a former incarnation taken" -DSTALE
wants 1 "a run with completions, a cancel and a crash" -DREACHES
[ $failures -eq 0 ]
