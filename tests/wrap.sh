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

# Nothing that it loads could have thread-local variables. Its library here is two lines.
if [ -z "$sanitizer" ] && command -v cc >/dev/null; then
    section "a program linked with -static"
    cat >"$scratch/library.c" <<'END'
#include <stdio.h>
int clGetPlatformIDs(unsigned n, void *out, unsigned *count) { return puts("the library linked in"), *count = 0; }
END
    cat >"$scratch/program.c" <<'END'
int clGetPlatformIDs(unsigned n, void *out, unsigned *count);
int main(void) { unsigned count = 1; return clGetPlatformIDs(0, 0, &count) || count; }
END
    for how in -static -static-pie; do
        cc "$how" -o "$scratch/program" "$scratch/program.c" "-Wl,@$build/lib/weft_opencl.rsp" "$build/lib/libweft_opencl.a" \
            -x c "$scratch/library.c" -x none 2>"$scratch/err"
        same "cc $how: exit status" "$?" 0
        "$weft" run --nodes 1 -- "$scratch/program" >"$scratch/out" 2>"$scratch/err"
        same "it runs: exit status" "$?" 0
        same "with" "$(cat "$scratch/out")" "the library linked in"
        check "says so" grep -q '^weft: this program was linked with -static, so it runs without weft' "$scratch/err"
        same "by itself it says" "$("$scratch/program" 2>&1)" "the library linked in"
    done
fi
nothing_left
finish
