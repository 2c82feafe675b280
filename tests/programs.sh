#!/bin/sh
# Real OpenCL programs, as Debian has them, on a device called directly and on the same device as another node's, over
# shared memory and udp: what they say or write must not differ. usage: programs.sh BUILD [NAME...]
# Without names all of them; one whose package is not installed is skipped. docs/OPENCL.md lists them.
# PIGLIT_ALL=1: all 665 files of kernels that piglit has, which take hours to compile, not every twentieth of those that are short.
# shellcheck disable=SC2317,SC3043  # the functions run_… are called by name
. "$(dirname "$0")/lib.sh"
need "$weft"
shift
all="clinfo clfft clblast wlangenpmk ufo pyopencl hashcat ffmpeg opencv piglit"
examples=/usr/share/doc/python-pyopencl-doc/examples
piglit=$(dirname "$(ls /usr/lib/*/piglit/bin/cl-program-tester 2>/dev/null)")/..

# One device, the same everywhere; the programs' own caches and settings are left alone.
export POCL_DEVICES=pthread HOME="$scratch" UFO_DEVICE_TYPE=cpu PYOPENCL_CTX=0 PYTHONDONTWRITEBYTECODE=1
unset XDG_CACHE_HOME XDG_DATA_HOME
vendor=$(grep -ls pocl /etc/OpenCL/vendors/*.icd | head -n 1)
[ -n "$vendor" ] || skip "no PoCL here"
export OCL_ICD_VENDORS="$vendor"
[ -z "$sanitizer" ] || skip "not under a sanitizer: what it finds in programs of others (clinfo --raw, for one) ends them"

# there NAME: what it needs is installed.
there() {
    case $1 in
    clinfo) command -v clinfo ;;
    clfft) command -v clFFT-client ;;
    clblast) command -v clblast_test_xdot && command -v clblast_test_xgemv ;;
    wlangenpmk) command -v wlangenpmkocl ;;
    ufo) command -v ufo-launch && ufo-query -l | grep -qx gradient ;;
    pyopencl) /usr/bin/python3 -c 'import pyopencl, mako' && [ -r $examples/demo.py ] ;;
    hashcat) command -v hashcat ;;
    ffmpeg) ffmpeg -filters | grep -q avgblur_opencl ;;
    opencv) /usr/bin/python3 -c 'import cv2; cv2.ocl' ;;
    piglit) [ -x "$piglit/bin/cl-program-tester" ] ;;
    esac >/dev/null 2>&1
}

# How each is started; the words after the name come before its command. Its output goes to stdout.
run_clinfo() { "$@" clinfo --raw; }
run_clfft() {
    "$@" clFFT-client -x 64 -y 64 -b 4 &&
        "$@" clFFT-client -x 1000 --inLayout 2 --outLayout 2 -o
}
run_clblast() { "$@" clblast_test_xdot && "$@" clblast_test_xgemv; }
run_wlangenpmk() {
    printf '%s\n' swordfish1 correcthorse trombone | "$@" wlangenpmkocl -e weft
    "$@" wlangenpmkocl -e weft -p password1
}
run_ufo() {
    rm -f "$scratch/ufo.raw"
    "$@" ufo-launch -q dummy-data width=96 height=64 number=4 init=2 ! calculate "expression='v+sin(0.1f*x)'" ! \
        fft dimensions=2 ! ifft dimensions=2 ! gradient ! write filename="$scratch/ufo.raw" &&
        od -An -v -tx4 "$scratch/ufo.raw"
}
run_pyopencl() {
    local example
    for example in demo demo_array demo_elementwise demo-struct-reduce; do
        "$@" /usr/bin/python3 "$examples/$example.py" || return
    done
}
run_hashcat() {
    "$@" hashcat --quiet --force --potfile-disable -D 1 -m 0 -a 3 "$(printf weft | md5sum | cut -c 1-32)" '?l?l?l?l'
}
# The sums of each frame of four.
run_ffmpeg() {
    local filter one="[0]format=yuv420p,hwupload" two="[1]format=yuv420p,hwupload"
    for filter in "$one,avgblur_opencl=3" "$one,convolution_opencl=0m='0 -1 0 -1 5 -1 0 -1 0'" "$one,erosion_opencl" \
        "$one,nlmeans_opencl=s=3:p=3:r=5" "$one,transpose_opencl=clock" "$one,unsharp_opencl=lx=5:ly=5" \
        "$one,deshake_opencl" "${one}[a];${two}[b];[a][b]overlay_opencl=8:8"; do
        say "# $filter"
        "$@" ffmpeg -nostdin -loglevel error -init_hw_device opencl=o:0.0 -filter_hw_device o \
            -f lavfi -i testsrc=size=96x64:rate=4:duration=1 -f lavfi -i testsrc2=size=96x64:rate=4:duration=1 \
            -filter_complex "$filter,hwdownload,format=yuv420p" -f framemd5 - || return
    done
}
run_opencv() {
    "$@" /usr/bin/env OPENCV_OPENCL_DEVICE=:CPU: OPENCV_OPENCL_CACHE_ENABLE=0 /usr/bin/python3 "$(dirname "$0")/opencv.py"
}
# All tests of the API, but for one that PoCL itself ends ("Device side queue is unimplemented").
piglit_tests() {
    local where=tests every=20
    find "$piglit/bin" -name 'cl-api-*' ! -name cl-api-create-command-queue -o -name 'cl-custom-*' | sort
    [ -z "${PIGLIT_ALL:-}" ] || where=. every=1
    find "$piglit/$where" -path '*/cl/*' \( -name '*.cl' -o -name '*.program_test' \) | sort |
        awk -v every="$every" -v tester="$piglit/bin/cl-program-tester" 'NR % every == 0 { print tester, $0 }'
}
run_piglit() {
    # shellcheck disable=SC2016  # the variable is the inner shell's
    piglit_tests | "$@" sh -c 'while read -r test; do
        echo "# $test"
        timeout 120 $test </dev/null 2>/dev/null
        echo "# exit status $?"
    done'
}

# What must be in the output of the device alone, else there is nothing to compare.
expected() {
    case $1 in
    clinfo) echo '^CL_DEVICE_TYPE  *CL_DEVICE_TYPE_CPU' ;;
    clfft) echo '\*PASS\*' ;;
    clblast) echo '36 test(s) passed' ;;
    wlangenpmk) echo '73a32b52032f0b85dc0672bb7439a7b751f335baff14d8c4b304d89279325475' ;;
    ufo) echo '^ [0-9a-f]\{8\} [0-9a-f]\{8\} ' ;;
    pyopencl) echo '^\[0. 0. 0.' ;;
    hashcat) echo ':weft$' ;;
    ffmpeg) echo '^0, .*, [0-9a-f]\{32\}$' ;;
    opencv) echo '^OpenCL True$' ;;
    piglit) echo 'PIGLIT: {"result": "pass" }' ;;
    esac
}

# What differs by right: where a device is, and which platform shows it. Of clinfo's answers those stay that
# describe the hardware (docs/OPENCL.md says what weft answers itself).
comparable() {
    sed 's/ @[^ :]*:[0-9]*//g' |
        case $1 in
        clinfo)
            sed -n 's/^\[[^]]*\/0\] *//p' | grep -E '_(NAME|VENDOR|TYPE|DRIVER_VERSION|ADDRESS_BITS|FP_CONFIG|SIZE|SIZES|UNITS) ' |
                grep -vE 'IMAGE|PIPE|QUEUE|SVM|PRINTF|PLATFORM'
            ;;
        piglit)
            sed '/^# *Platform: /d; /^CL_PLATFORM_/d; /^CL_DEVICE_EXTENSIONS/d; /^CL_DEVICE_EXECUTION_CAPABILITIES/d
                /^CL_DEVICE_GLOBAL_MEM_SIZE/d; /^CL_DEVICE_PLATFORM/d; /^CL_DEVICE_HOST_UNIFIED_MEMORY/d; /^extensions list: /d; s/tempfile_[A-Za-z0-9]*/tempfile/'
            ;;
        *) cat ;;
        esac
}

# observe NAME WAY WORD...: runs it by those words; what can be compared is in $scratch/NAME.WAY. Else shows what it said.
observe() {
    local name="$1" way="$2" status=0
    shift 2
    "run_$name" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    comparable "$name" <"$scratch/out" >"$scratch/$name.$way"
    [ "$status" -eq 0 ] || tail -n 20 "$scratch/out" "$scratch/err" | sed 's/^/      /'
    same "$name, $way: exit status" "$status" 0
}

ran=0
# shellcheck disable=SC2086  # $all is words
[ $# -gt 0 ] || set -- $all
for name; do
    case " $all " in
    *" $name "*) ;;
    *) say "no program $name; there are: $all" && exit 2 ;;
    esac
    if ! there "$name"; then
        say "SKIP  $name: not installed"
        continue
    fi
    section "$name"
    ran=$((ran + 1))
    observe "$name" alone
    check "$name, alone: $(expected "$name")" grep -q -- "$(expected "$name")" "$scratch/$name.alone"
    for adapter in shm udp; do
        observe "$name" $adapter "$weft" run --nodes 2 --adapter $adapter --devices node:1 --
        if cmp -s "$scratch/$name.alone" "$scratch/$name.$adapter"; then
            pass "$name, $adapter: the same $(wc -l <"$scratch/$name.$adapter") lines"
        else
            fail "$name, $adapter: what it says differs:"
            diff "$scratch/$name.alone" "$scratch/$name.$adapter" | head -n 20 | sed 's/^/      /'
        fi
    done
done
[ "$ran" -gt 0 ] || skip "none of the programs is installed"
nothing_left
finish
