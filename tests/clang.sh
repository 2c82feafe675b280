#!/bin/sh
# All sources as clang reads them: no error, and no warning that the build asks for. usage: clang.sh BUILD
# What is built by gcc every day would else break for the fuzz targets, which take clang, unnoticed. Nothing is generated or linked.
. "$(dirname "$0")/lib.sh"
command -v clang >/dev/null || skip "no clang"
commands=$build/compile_commands.json
[ -s "$commands" ] || skip "the generator of this build writes no compile_commands.json"

# One line a source: its flags, a tab, its name. Ninja's generator writes one member a line.
sed -n 's/\\\(.\)/\1/g; s/^ *"command": "[^ ]* \(.*\) -o [^ ]* -c \(.*\)",$/\1\t\2/p' "$commands" |
    grep -v "	$build/" | sort -t '	' -k 2,2 -u | sort >"$scratch/sources"
number=$(wc -l <"$scratch/sources")

# One call of the compiler for at most 32 with the same flags.
awk -F '\t' '
    $1 != flags || n == 32 { if (n) print line; flags = $1; line = $1; n = 0 }
    { line = line " " $2; n++ }
    END { if (n) print line }' "$scratch/sources" >"$scratch/calls"

section "$(clang --version | head -n 1)"
# shellcheck disable=SC2016  # each line is expanded by its own shell
(cd "$build" && tr '\n' '\0' <"$scratch/calls" |
    xargs -0 -P "$(nproc)" -I CALL sh -c 'clang -Werror -fsyntax-only CALL') >"$scratch/out" 2>&1
status=$?
head -n 60 "$scratch/out"
check "there are sources" [ "$number" -gt 100 ]
check "$number sources" [ "$status" -eq 0 ]
finish
