#!/bin/sh
# Programs that have an OpenCL library linked in statically (cl/static_loader.c), linked with weft's list of --wrap options.
. "$(dirname "$0")/lib.sh"
clfunc=$build/bin/test/clfunc_wrapped
need "$weft" "$clfunc"
sources=$tests/..

# used TEXT WANTED: how many calls went to the library that is linked in: none or some.
used() {
    calls=$(sed -n 's/^static loader: \([0-9]*\) calls$/\1/p' "$scratch/err")
    case $calls in 0 | '') ;; *) calls=some ;; esac
    same "calls of the library linked in, $1" "$calls" "$2"
}

section "the list"
sed -n 's/^ENTRY(\(cl[A-Za-z0-9]*\), \(FULL\|REFUSED\),.*/--wrap=\1/p' "$sources/src/opencl/front/entries.def" |
    sort >"$scratch/wanted"
sort "$build/lib/weft_opencl.rsp" >"$scratch/got"
check "it has all calls of weft's, and no others" diff "$scratch/wanted" "$scratch/got"

section "the function test, its calls redirected"
export CLTEST_STRICT=risky
for node in 0 1; do
    CLTEST_PLATFORM=weft CLTEST_NODE=$node "$weft" run --nodes 2 -- "$clfunc" >"$scratch/out" 2>"$scratch/err"
    same "on node $node: exit status" "$?" 0
    tail -n 3 "$scratch/out" | sed 's/^/      /'
    used "on node $node" 0
done

section "without weft"
export POCL_DEVICES="pthread pthread"
if clinfo -l 2>/dev/null | grep -q Portable; then
    WEFT_OPENCL_LIBRARY=off CLTEST_PLATFORM=Portable "$clfunc" >"$scratch/out" 2>"$scratch/err"
    same "off: exit status" "$?" 0
    used "off" some
fi
WEFT_OPENCL_LIBRARY=/no/such.so CLTEST_PLATFORM=Portable "$clfunc" >"$scratch/out" 2>"$scratch/err"
used "a library that is not there" some
check "says so" grep -q '^weft: /no/such.so cannot be used, so this program runs without weft' "$scratch/err"

# As docs/OPENCL.md has it.
if [ -z "$sanitizer" ] && command -v cc >/dev/null && command -v pkg-config >/dev/null; then
    section "matmul, linked by hand"
    export PKG_CONFIG_PATH="$build/lib/pkgconfig"
    set --
    for file in "$sources"/examples/matmul/*.c "$sources"/examples/common/*.c; do
        case $file in *_test.c) ;; *) set -- "$@" "$file" ;; esac
    done
    # shellcheck disable=SC2046 # options
    cc -O2 -D_GNU_SOURCE -DCL_TARGET_OPENCL_VERSION=120 -I"$sources/examples/common" -o "$scratch/matmul" "$@" \
        $(pkg-config --libs weft_opencl) "$build/bin/test/libstatic_loader.a" -lm 2>"$scratch/err"
    same "cc: exit status" "$?" 0
    sed 's/^/      /' "$scratch/err"
    "$weft" run --nodes 2 -- "$scratch/matmul" 256 64 --json >"$scratch/out" 2>"$scratch/err"
    same "matmul: exit status" "$?" 0
    check "verified" json_verified "$scratch/out"
    same "nodes that computed" "$(json_nodes "$scratch/out")" "0 1"
    used "by matmul" 0
    "$scratch/matmul" 256 64 --json >"$scratch/out" 2>"$scratch/err"
    same "without weft run: exit status" "$?" 0
    used "without weft run, weft's library where it was linked" 0
fi
nothing_left
finish
