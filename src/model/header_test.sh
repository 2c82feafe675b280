#!/bin/bash
# weft/model.h and libweft_model.so as a program's author meets them: the header alone, in C and C++, without a warning;
# the library exports the header's functions and nothing else, and links nothing under the GPL; a program outside the tree
# is built by pkg-config against what is installed, after that was moved, and finds the descriptions of parts there.
#
#   header_test.sh SOURCE_DIR BUILD_DIR CC
# shellcheck source=tests/header.sh
. "${0%/*}/../../tests/header.sh" "$@"

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
header_in_all_languages
exports_what_is_declared libweft_model.so weft_model_ weft/model.h
check "it links neither GLPK nor SCOTCH" test -z "$(ldd "$build/lib/libweft_model.so" | grep -i 'glpk\|scotch')"

check "it is installed" cmake --install "$build" --prefix "$scratch/first"
mv "$scratch/first" "$scratch/moved" && export PKG_CONFIG_PATH=$scratch/moved/lib/pkgconfig
# shellcheck disable=SC2046
check "a program is built by pkg-config" "$cc" "$scratch/a.c" -o "$scratch/a" ${CFLAGS-} $(pkg-config --cflags --libs weft_model)
check "and runs" "$scratch/a"
check "with the installed descriptions" grep -q "^$(realpath "$scratch/moved")/.*share/weft/model: o.dimm [0-9]" <(cd / && "$scratch/a")
check "and the installed library" grep -q "$(realpath "$scratch/moved")/" <(ldd "$scratch/a" | grep libweft_model)
exit $((failures > 0))
