#!/bin/sh
# weft model measure: a busy machine is refused, a quiet one measured into a right model, options come from it below the
# user's own. Nothing here depends on what the figures are.
. "${0%/*}/test_lib.sh" "$1"
export XDG_DATA_HOME="$WORK/data" HOME="$WORK" WEFT_MODEL_LOADAVG="$WORK/loadavg"
unset WEFT_MODEL WEFT_MODEL_FOLDER
[ $slowdown -eq 1 ] || export HWLOC_COMPONENTS=-pci WEFT_OPENCL_VENDORS="$WORK/none" # they leave memory, which is none of ours
model="$WORK/data/weft/model.json" conf="$WORK/config/weft/model.conf"

# Busy: refused, with the load and the way out, and nothing written.
echo "77.50 60.00 50.00 999/2000 1" >"$WORK/loadavg"
expect 1 "$weft" model measure --quick;   warns 'busy: 999 threads run .* (load 77.50)'; warns '\-\-anyway'
[ ! -e "$model" ] && [ ! -e "$conf" ] || fail "a refused measurement has written something"
echo "nothing of the kind" >"$WORK/loadavg"
expect 1 "$weft" model measure --quick;   warns 'does not tell the load'
expect 2 "$weft" model measure this;      warns 'unexpected argument this'
expect 0 "$weft" model measure --help;    says '^Usage: weft model measure'

# Quiet, as far as it is told: a right model with figures of each kind, and a file of options.
echo "0.00 0.00 0.00 1/2000 1" >"$WORK/loadavg"
expect 0 "$weft" model measure --quick;   says 'model.json: .* measured in .* figures new, 0 renewed'
expect 0 "$weft" model check "$model";    says 'is right: '
expect 0 "$weft" model query "SELECT count(*) > 20 AS enough FROM observation WHERE tool = 'weft model measure'"
says '^1'
grep -q "^machine = [0-9a-f]\{16\} " "$conf" || fail "no machine in $conf"
expect 0 "$weft" model measure --options
expect 0 "$weft" config;                  [ ! -s "$WORK/err" ] || fail "weft config complains: $(cat "$WORK/err")"

# A machine whose other NUMA nodes are not here: said, and the rest is measured.
HWLOC_SYNTHETIC="pack:4 [numa(memory=1073741824)] l3:1(size=8388608) core:2 pu:2" \
    expect 0 "$weft" model measure --quick -o "$WORK/numa.json"
says 'numa.json: .* figures new'; warns 'NUMA nodes that are not here.* left out: 1 2 3$'
expect 0 "$weft" model check "$WORK/numa.json"

# Again, beside other work: nothing of the quiet machine's goes, the options stay.
echo "77.50 60.00 50.00 999/2000 1" >"$WORK/loadavg"
cp "$conf" "$WORK/conf.before"
expect 0 "$weft" model measure --quick --anyway --json; says '"busy":true'; says '"replaced":0,'
cmp -s "$conf" "$WORK/conf.before" || fail "a busy machine's options were written"
expect 0 "$weft" model check "$model"

# Options: the user's own first, then the model's, then the default; of another machine, or wrong: none, once told.
machine=$(sed -n 's/^machine = \([0-9a-f]*\).*/\1/p' "$conf")
printf 'machine = %s\neager_bytes = 4K\nmethod2_bytes = 64K\nspin_us = 7\n' "$machine" >"$conf"
echo 'method2_bytes = 128K' >"$WORK/config/weft/config"
WEFT_SPIN_US=9 expect 0 "$weft" config
says '^eager_bytes  *4K  *model '; says '^method2_bytes  *128K  *file '; says '^spin_us  *9  *environment '
says '^staging_bytes  *16M  *default '
expect 0 "$weft" config --json eager_bytes; says '"source":"model"'
printf 'machine = 0123456789abcdef\neager_bytes = 4K\n' >"$conf"
expect 0 "$weft" config;                  says '^eager_bytes  *16K  *default '; warns 'does not count: it was measured on a machine'
printf 'machine = %s\neager_bytes = 4K\nspin_us = soon\n' "$machine" >"$conf"
expect 0 "$weft" config eager_bytes;      says 'from default'
[ "$(grep -c 'model.conf:3: spin_us = soon' "$WORK/err")" -eq 1 ] || fail "not one warning: $(cat "$WORK/err")"
finish
