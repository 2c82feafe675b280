#!/bin/bash
# weft as installed: into a directory that is then moved, so that nothing can lead back to where it was built or first
# put. usage: install.sh BUILD
# shellcheck source=tests/lib.sh disable=SC2317 # functions are called by check
. "$(dirname "$0")/lib.sh"
need "$weft" "$build/lib/libweft.so"
command -v cmake >/dev/null || skip "no cmake here"

cmake --install "$build" --prefix "$scratch/first" >"$scratch/out" 2>&1 || {
    tail -n 5 "$scratch/out"
    fail "cmake --install"
}
root=$scratch/moved
mv "$scratch/first" "$root"
installed=$root/bin/weft

section "what is there"
for file in bin/weft bin/weftd bin/weft-exec bin/weft-scif lib/libweft.so.0 lib/libscif.so.0 lib/libweft_opencl.so \
    lib/libweft_opencl.a lib/weft_opencl.rsp include/weft.h include/scif.h include/weft/notify.h include/weft/scif_ext.h \
    include/weft/model.h include/CL/cl_weft.h share/weft/model/schema.json share/doc/weft/README.md \
    share/doc/weft/examples/fabric/pingpong.c; do
    check "$file" test -e "$root/$file"
done
for command in $("$installed" help | sed -n 's/^  \([a-z]\+\)  .*/\1/p'); do
    check "a man page for weft $command" test -s "$root/share/man/man1/weft-$command.1"
done
for file in "$root"/bin/* "$root"/lib/*.so.0 "$root/lib/libweft_opencl.so"; do
    same "where $(basename "$file") looks for libraries" \
        "$(readelf -d "$file" | sed -n 's/.*RUNPATH.*\[\(.*\)\]/\1/p')" "\$ORIGIN/../lib"
done
same "nothing is beside what should be" "$(cd "$root" && echo *)" "bin include lib share"

section "it works where it is now"
check "the version" sh -c "'$installed' --version | grep -q '^weft '"
check "the devices of two nodes" sh -c "'$installed' run --nodes 2 -- clinfo -l | grep -q '@.*:1'"
check "the descriptions of the model" sh -c "'$installed' model show -m optane-dimm | grep -q dimm"

section "programs are built with pkg-config"
export PKG_CONFIG_PATH=$root/lib/pkgconfig
compile() { # compile MODULE PROGRAM SOURCE…
    local module=$1 out=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    cc ${sanitizer:+$(sanitizer_option)} "$@" -o "$scratch/$out" $(pkg-config --cflags --libs "$module")
}
sanitizer_option() { case $sanitizer in *tsan*) echo -fsanitize=thread ;; *) echo -fsanitize=address,undefined ;; esac }
examples=$root/share/doc/weft/examples
check "a program of the fabric" compile weft pingpong "$examples/fabric/pingpong.c" "$examples/fabric/pair.c"
check "a program of SCIF" compile scif scif-pingpong "$examples/scif/pingpong.c"
for program in pingpong scif-pingpong; do
    same "$program uses what is installed" "$(ldd "$scratch/$program" | sed -n 's/.*=> \(.*\)\/lib\(weft\|scif\)\.so.*/\1/p' | xargs realpath)" "$root/lib"
done
check "the fabric's runs on two nodes" "$installed" run --nodes 2 --adapter udp -- "$scratch/pingpong"
runs "SCIF's runs, and finds its service" "$scratch/scif-pingpong" 200
same "the service is the installed one" "$(for pid in $(marked weft-scif); do readlink "/proc/$pid/exe"; done | sort -u)" \
    "$(realpath "$root/bin/weft-scif")"

section "completion"
completed() { # completed WORD… : what bash offers for the last of them
    bash -c 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _weft; echo "${COMPREPLY[*]}"' \
        sh "$root/share/bash-completion/completions/weft" "$installed" "$@"
}
same "commands" "$(completed de)" devices
same "options" "$(completed run --nod)" "--node --nodes"
same "kinds of a command" "$(completed bench lat)" latency
same "commands of the model" "$(completed model expl)" explain
same "the program's name" "$(completed run --nodes 2 -- clinf | tr ' ' '\n' | sort -u)" clinfo
same "behind weft help" "$(completed help nis)" nisim

check "the services have ended" wait_until 10 no_processes
nothing_left
finish
