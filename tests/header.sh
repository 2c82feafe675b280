# A public header and its library as a program's author meets them; read by the header tests with
# `. header.sh SOURCE_DIR BUILD_DIR CC`.
# shellcheck shell=bash
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

# $scratch/a.c, which uses the header, without a warning in C and C++.
header_in_all_languages() {
    local std strict=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only "-I$source/include")
    cp "$scratch/a.c" "$scratch/a.cc"
    for std in c99 c11 c17; do check "header in $std" "$cc" -std=$std "${strict[@]}" "$scratch/a.c"; done
    if ! command -v c++ >/dev/null; then
        echo "no C++ compiler here: the header is not tried in C++"
        return
    fi
    for std in c++11 c++17 c++20; do check "header in $std" c++ -std=$std "${strict[@]}" "$scratch/a.cc"; done
}

# exports_what_is_declared LIBRARY PREFIX HEADER…: functions that begin so, with the comments and the inline functions
# taken out, and nothing else.
exports_what_is_declared() {
    local library=$build/lib/$1 prefix=$2 header
    shift 2
    for header in "$@"; do "$cc" -fpreprocessed -dD -E -P "$source/include/$header"; done | grep -v '^#' | tr '\n' ' ' |
        sed 's/static inline[^}]*}//g' | grep -o "\\b${prefix}[a-z_]*(" | tr -d '(' | grep -v '_fn$' | sort -u >"$scratch/declared"
    nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$scratch/exported"
    check "the library exports what is declared" diff "$scratch/declared" "$scratch/exported"
    check "there are such functions" test -s "$scratch/exported"
    check "no other symbol is exported" test -z "$(nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A" { print }')"
    check "it has a soname" grep -qF "[${library##*/}.0]" <(readelf -d "$library" | grep SONAME)
}
