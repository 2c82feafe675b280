#!/bin/bash
# weft.h and libweft.so as a program's author meets them: the header alone, in C and C++, without a warning; the library
# exports the header's functions and nothing else; pkg-config finds both; error codes are those of the library.
#
#   header_test.sh SOURCE_DIR BUILD_DIR CC
# shellcheck source=tests/header.sh
. "${0%/*}/../../tests/header.sh" "$@"

echo '#include <weft.h>
#include <weft/notify.h>
int main(void) { struct weft_config c; weft_config_init(&c); return weft_buf_ptr(&c, 1).bytes != 1; }' >"$scratch/a.c"
header_in_all_languages
exports_what_is_declared libweft.so weft_ weft.h weft/notify.h

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
