#!/bin/bash
# weft/model.h and libweft_model.so as a program's author meets them: the header alone, in C and C++, without a warning;
# the library exports the header's functions and nothing else, and links nothing under the GPL; a program outside the tree
# is built by pkg-config against what is installed, after that was moved, and finds the descriptions of parts there.
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
cat >"$scratch/a.c" <<'END'
#include <weft/model.h>
int main(void) {
    struct weft_model *m;
    struct weft_model_fault fault;
    char folder[4096];
    if (weft_model_create(&m) || weft_model_default_folder(folder, sizeof folder) || weft_model_set_folder(m, folder)) return 1;
    static const char text[] = "{\"weft_model\": 1, \"use\": [{\"model\": \"optane-dimm\", \"as\": \"o\"}]}";
    if (weft_model_parse(m, text, sizeof text - 1, "text", &fault)) {
        puts(fault.reason);
        return 1;
    }
    weft_model_ref dimm = weft_model_find(m, "o.dimm");
    if (dimm == WEFT_MODEL_NONE) return 1;
    printf("%s: %s %g\n", folder, weft_model_id(m, dimm), weft_model_value(m, dimm, WEFT_MODEL_LATENCY, -1));
    weft_model_destroy(m);
    return 0;
}
END
cp "$scratch/a.c" "$scratch/a.cc"
# shellcheck disable=SC2086  # options
for std in c99 c11 c17; do check "header in $std" "$cc" -std=$std $strict "$scratch/a.c"; done
if command -v c++ >/dev/null; then
    # shellcheck disable=SC2086
    for std in c++11 c++17 c++20; do check "header in $std" c++ -std=$std $strict "$scratch/a.cc"; done
else
    echo "no C++ compiler here: the header is not tried in C++"
fi

# What the header declares, with the comments and the inline functions taken out.
library=$build/lib/libweft_model.so
"$cc" -fpreprocessed -dD -E -P "$source/include/weft/model.h" | grep -v '^#' | tr '\n' ' ' | sed 's/static inline[^}]*}//g' |
    grep -o '\bweft_model_[a-z_]*(' | tr -d '(' | grep -v '_fn$' | sort -u >"$scratch/declared"
nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$scratch/exported"
check "the library exports what the header declares" diff "$scratch/declared" "$scratch/exported"
check "there are such functions" test -s "$scratch/exported"
check "no other symbol is exported" test -z "$(nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A" { print }')"
check "it has a soname" grep -q 'libweft_model\.so\.0' <(readelf -d "$library")
check "it links neither GLPK nor SCOTCH" test -z "$(ldd "$library" | grep -i 'glpk\|scotch')"

check "it is installed" cmake --install "$build" --prefix "$scratch/first"
mv "$scratch/first" "$scratch/moved" && export PKG_CONFIG_PATH=$scratch/moved/lib/pkgconfig
# shellcheck disable=SC2046
check "a program is built by pkg-config" "$cc" "$scratch/a.c" -o "$scratch/a" ${CFLAGS-} $(pkg-config --cflags --libs weft_model)
check "and runs" "$scratch/a"
check "with the installed descriptions" grep -q "^$(realpath "$scratch/moved")/.*share/weft/model: o.dimm [0-9]" <(cd / && "$scratch/a")
check "and the installed library" grep -q "$(realpath "$scratch/moved")/" <(ldd "$scratch/a" | grep libweft_model)
exit $((failures > 0))
