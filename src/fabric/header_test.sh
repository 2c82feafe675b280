#!/bin/bash
# weft.h and libweft.so as a program's author meets them: the header alone, in C and C++, without a warning; the library
# exports the header's functions and nothing else; pkg-config finds both; error codes are those of the library.
#
#   header_test.sh SOURCE_DIR BUILD_DIR CC
set -u
source=$1 build=$2 cc=$3
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
failures=0
check() { # check WHAT COMMAND…
    local what=$1
    shift
    if "$@" >"$scratch/out" 2>&1; then
        echo "ok: $what"
    else
        echo "FAILED: $what"
        sed 's/^/    /' "$scratch/out"
        failures=$((failures + 1))
    fi
}

strict="-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only -I$source/include"
echo '#include <weft.h>
#include <weft/notify.h>
int main(void) { struct weft_config c; weft_config_init(&c); return weft_buf_ptr(&c, 1).bytes != 1; }' >"$scratch/a.c"
cp "$scratch/a.c" "$scratch/a.cc"
# shellcheck disable=SC2086  # options
for std in c99 c11 c17; do check "header in $std" "$cc" -std=$std $strict "$scratch/a.c"; done
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2086
    for std in c++11 c++17 c++20; do check "header in $std" c++ -std=$std $strict "$scratch/a.cc"; done
else
    echo "no C++ compiler here: the header is not tried in C++"
fi

# What the headers declare, with the comments and the inline functions taken out.
for header in weft.h weft/notify.h; do "$cc" -fpreprocessed -dD -E -P "$source/include/$header"; done | grep -v '^#' | tr '\n' ' ' | sed 's/static inline[^}]*}//g' |
    grep -o '\bweft_[a-z_]*(' | tr -d '(' | sort -u >"$scratch/declared"
nm -D --defined-only "$build/lib/libweft.so" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$scratch/exported"
check "the library exports what the headers declare" diff "$scratch/declared" "$scratch/exported"
check "there are such functions" test -s "$scratch/exported"
check "no other symbol is exported" \
    test -z "$(nm -D --defined-only "$build/lib/libweft.so" | awk '$2 != "T" && $2 != "A" { print }')"
check "it has a soname" grep -q 'libweft\.so\.0' <(readelf -d "$build/lib/libweft.so")

echo '#include <weft.h>
#include <stdio.h>
int main(void) {
    struct weft *w; struct weft_config c; weft_config_init(&c); c.flags = WEFT_ALONE; c.adapters = "self";
    int rc = weft_open(&w, &c);
    if (rc) { fprintf(stderr, "%s\n", weft_strerror(rc)); return 1; }
    weft_close(w, 0);
    return 0;
}' >"$scratch/b.c"
export PKG_CONFIG_PATH=$build/lib/pkgconfig
# shellcheck disable=SC2046
check "a program is built by pkg-config" "$cc" "$scratch/b.c" -o "$scratch/b" ${CFLAGS-} $(pkg-config --cflags --libs weft)
check "and runs" "$scratch/b"

# Codes: the header's list against the library's own.
codes() { grep -oE 'WEFT_(OK|E_[A-Z_]+)( = |, )-?[0-9]+' "$1" | sed 's/ = /, /' | sort; }
check "the header's error codes are the library's" diff <(codes "$source/include/weft.h") <(codes "$source/src/base/error.h")
exit $((failures > 0))
