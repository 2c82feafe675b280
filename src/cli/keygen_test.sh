#!/bin/sh
# weft keygen: what it makes, that it leaves alone what is there, and that nothing shows the key.
. "${0%/*}/test_lib.sh" "$1"

key="$WORK/config/weft/key"
mode() { stat -c %a "$1"; }
secret() { cut -d ' ' -f 2 "$1"; }

expect 0 "$weft" keygen;                            says "$key (mode 0600)"
[ "$(mode "$key")" = 600 ] || fail "the key's mode is $(mode "$key")"
[ "$(mode "$WORK/config/weft")" = 700 ] || fail "its directory's mode is $(mode "$WORK/config/weft")"
grep -qxE 'weft-key-1 [0-9a-f]{64}' "$key" || fail "the key is not what it should be"
grep -q "$(secret "$key")" "$WORK/out" "$WORK/err" && fail "the key is shown"
cp "$key" "$WORK/first"
expect 1 "$weft" keygen;                            warns "$key is there already"
cmp -s "$key" "$WORK/first" || fail "the key was touched"
expect 0 "$weft" keygen --force;                    says 'keep what they have'
cmp -s "$key" "$WORK/first" && fail "--force has not replaced the key"

expect 0 "$weft" keygen --file "$WORK/elsewhere";   says "$WORK/elsewhere"
expect 0 env WEFT_KEY_FILE="$WORK/third" "$weft" keygen;    says "$WORK/third"
expect 1 "$weft" keygen --file "$WORK/third";       warns 'is there already'
expect 1 "$weft" keygen --file /proc/nowhere/key;   warns 'cannot make the key file /proc/nowhere/key'
expect 1 env -u XDG_CONFIG_HOME -u HOME "$weft" keygen;     warns 'no place for the key'
expect 2 "$weft" keygen --file '';                  warns 'a name is wanted'
expect 2 "$weft" keygen extra;                      warns 'unexpected argument'
[ -z "$(find "$WORK" -name '*.??????')" ] || fail "a file under another name is left"
expect_nothing_left
finish
