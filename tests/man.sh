#!/bin/sh
# The manual pages of SCIF against include/scif.h and include/weft/scif_ext.h. usage: man.sh REPOSITORY
# Each function of the header has a page in section 3, whose SYNOPSIS shows its prototype and whose ERRORS lists the errnos that
# the header names for it: in its own comment, in that of its group, and, where it takes an endpoint, in that of the file. No page
# makes groff warn; without groff the rest is checked, and a script that found nothing wrong exits with 77.
set -u
repository=$(cd "${1:?usage: $0 REPOSITORY}" && pwd) || exit 2
header=$repository/include/scif.h more=$repository/include/weft/scif_ext.h
pages=$repository/docs/man
if ! [ -r "$header" ] || ! [ -d "$pages" ]; then
    echo "$repository: no include/scif.h or docs/man" >&2
    exit 2
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/wt.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() {
    failures=$((failures + 1))
    printf 'FAIL  %s\n' "$*"
}

# One line a function: NAME|prototype without blanks|its errnos.
cat >"$scratch/functions.awk" <<'END'
# The errnos that a comment names; "errors as scif_x()" adds those of scif_x.
function errnos(text, n, i, word, list) {
    if (match(text, /errors as scif_[a-zA-Z_]+/)) list = known[substr(text, RSTART + 10, RLENGTH - 10)]
    n = split(text, word, /[^A-Za-z0-9_]+/)
    for (i = 1; i <= n; i++)
        if (word[i] ~ /^E[A-Z][A-Z][A-Z0-9]+$/) list = list " " word[i]
    if (text ~ /to be connected/) list = list " ENOTCONN ECONNRESET ENODEV"
    return list
}
function comment_ended() {
    if (comment ~ /^\/\* ----/) {
        group = errnos(comment)
        own = ""
    } else
        own = errnos(comment)
    comment = ""
}
function function_ended(name, blankless, list) {
    blankless = code
    sub(/[ \t]*\{.*/, ";", blankless)
    sub(/^static inline /, "", blankless)
    gsub(/[ \t]/, "", blankless)
    match(code, /scif_[a-zA-Z_]+\(/)
    name = substr(code, RSTART, RLENGTH - 1)
    list = group " " own
    if (code ~ /scif_epd_t epd[,)]/ && code !~ /^static inline /) list = list " EBADF ENOTTY"
    known[name] = list
    print name "|" blankless "|" list
    own = code = ""
}
comment != "" || /^\/\*/ {
    comment = comment " " $0
    sub(/^ /, "", comment)
    if (/\*\//) comment_ended()
    next
}
/^[a-z].*scif_[a-zA-Z_]+\(/ || code != "" {
    code = code " " $0
    sub(/^ /, "", code)
    if (/[;{]/) function_ended()
}
END
awk -f "$scratch/functions.awk" "$header" "$more" >"$scratch/functions"

# section NAME PAGE
section() { awk -v name=".SH $1" '/^\.SH /{ on = $0 == name; next } on' "$2"; }

functions=0
while IFS='|' read -r name prototype errnos; do
    functions=$((functions + 1))
    page=$pages/$name.3
    [ -r "$page" ] || { fail "$name: no page" && continue; }
    other=$(sed -n '1s/^\.so man3\///p' "$page")
    [ -z "$other" ] || page=$pages/$other
    [ -r "$page" ] || { fail "$name: its page refers to $other, which is not there" && continue; }
    section NAME "$page" | sed 's/ \\- .*//' | tr -d ' ' | tr , '\n' | grep -qx "$name" || fail "$name: not in NAME"
    section SYNOPSIS "$page" | sed 's/^\.BI* //' | tr -d ' "\n' | tr ';' '\n' | sed 's/.*<[a-z_/]*scif[a-z_]*\.h>\.PP//; s/$/;/' |
        grep -Fqx "$prototype" || fail "$name: another prototype in SYNOPSIS, or none; the header has $prototype"
    section SYNOPSIS "$page" | grep -q 'Link with .*lscif' || fail "$name: SYNOPSIS does not say what to link with"
    for errno in $errnos; do
        section ERRORS "$page" | grep -qx "\.B $errno" || fail "$name: $errno is not in ERRORS"
    done
done <"$scratch/functions"
[ "$functions" -gt 0 ] || fail "no function found in $header"

for page in "$pages"/scif_*.3; do
    name=$(basename "$page" .3)
    grep -q "^$name|" "$scratch/functions" || fail "$name: has a page, but is not in the header"
done

warned=yes
if command -v groff >/dev/null; then
    mkdir "$scratch/man3" && cp "$pages"/*.3 "$scratch/man3" || exit 2
    cd "$scratch" || exit 2 # where the pages find the others that they name
    for page in "$pages"/*.[1-9]; do
        groff -s -man -Tutf8 -ww "$page" 2>&1 >/dev/null | sed 's/^/      /' >"$scratch/warnings"
        [ ! -s "$scratch/warnings" ] || fail "$(basename "$page"): groff warns"
        cat "$scratch/warnings"
    done
else
    warned=no
fi

printf '%s functions, %s failed checks\n' "$functions" "$failures"
[ "$failures" -eq 0 ] || exit 1
if [ "$warned" = no ]; then
    echo "SKIP  no groff: warnings were not looked for"
    exit 77
fi
