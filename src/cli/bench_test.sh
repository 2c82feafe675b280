#!/bin/sh
# weft bench and weft info: every benchmark over shm and udp with few messages, what they print, how they fail, and
# that nothing is left. How fast anything was is not looked at.
. "${0%/*}/test_lib.sh" "$1"

state='"state":"\(near\|far\|mixed\)"'
number='[0-9][0-9.e+-]*'
bench() { expect 0 "$weft" bench "$@"; }
lines() { [ "$(wc -l <"$WORK/out")" -eq "$1" ] || { fail "not $1 lines:"; cat "$WORK/out" >&2; }; }

# what each benchmark tells: KIND SIZES LINES FIELD...
each_kind() {
    kind=$1 sizes=$2 count=$3; shift 3
    for adapter in shm udp; do
        bench "$kind" --adapter $adapter --size "$sizes" --count 20 --json
        lines "$count"
        says "^{\"bench\":\"$kind\",\"adapter\":\"$adapter\",\"size_B\":"
        says "\"count\":20,$state"
        for field; do says "\"$field\":$number[,}]"; done
        bench "$kind" --adapter $adapter --size "$sizes" --count 20 --csv --static
        lines $((count + 1))
        says '^bench,adapter,size_B,.*,count,state,'
        says "^$kind,$adapter,[0-9]*,$number,.*,static,"
        bench "$kind" --adapter $adapter --size "$sizes" --count 20
        lines $((count + 1))
        says '^BENCH *ADAPTER *SIZE B .*COUNT *STATE'
    done
}
each_kind latency       0,8,3K,64K,1M 5 median_us p99_us min_us
each_kind bandwidth     1,8,4K,1M     4 median_GBps
each_kind rate          8             1 median_messages_per_s
each_kind bidirectional 100,64K       2 median_GBps
each_kind cpu           64K,1M        2 sender_cpu_s_per_GB receiver_cpu_s_per_GB

bench latency --adapter self --size 8,1M --count 20 --json;   lines 2; says '"adapter":"self"'
bench bandwidth --adapter self --size 8,1M --count 20 --json; lines 2
bench latency --size 1 --count 20 --state each --no-pin --json
says "$state"
bench bandwidth --size 1K --count 20 --window 3 --time 9 --json; says '"window":3'

for adapter in shm udp; do
    bench peers --adapter $adapter --connected 1,3 --size 8 --count 20 --rounds 2 --state all --json;   lines 2
    says "^{\"bench\":\"peers\",\"adapter\":\"$adapter\",\"connected\":1,\"size_B\":8,\"median_us\":$number,\"p99_us\":$number,"
    says "\"connected\":3,.*\"ratio_to_first\":\($number\|null\),\"count\":40,$state"
    bench small-under-bulk --adapter $adapter --bulk 1M --count 20 --rounds 2 --time 0.5 --state all --json;   lines 1
    says "^{\"bench\":\"small-under-bulk\",\"adapter\":\"$adapter\",\"size_B\":64,\"bulk_B\":1048576,"
    for field in idle_median_us idle_p99_us busy_median_us busy_p99_us bulk_GBps; do says "\"$field\":$number,"; done
    says '"idle_count":[1-9][0-9]*,"busy_count":[1-9]' # as many as the time allows
done
for kind in put get; do
    for adapter in shm udp; do
        bench $kind --adapter $adapter --size 8,3K,64K --count 20 --time 0.5 --json;   lines 3
        says "^{\"bench\":\"$kind\",\"adapter\":\"$adapter\",\"size_B\":65536,\"median_us\":$number,\"p99_us\":$number,"
        says "\"median_GBps\":$number,\"count\":[12][0-9],$state"
    done
done
bench put --size 8 --count 20 --csv;                   says '^bench,adapter,size_B,median_us,p99_us,median_GBps,count,state,data,window'
expect 2 "$weft" bench put --size 4;                   warns 'at least 8 B'
bench latency --adapter udp --size 64 --count 20 --security crc --json;   says '"security":"crc"'
bench bandwidth --adapter udp --size 64K --count 20 --security aes --json; says '"security":"aes"'
expect 2 "$weft" bench latency --security rot13;       warns 'auto, crc or aes'
expect 2 "$weft" bench latency --hosts 10.0.0.1;        warns 'two addresses'
bench latency --adapter udp --size 64 --count 20 --hosts 127.0.0.1,127.0.0.2 --json; says '"adapter":"udp"'

bench peers --connected 2 --count 20 --rounds 1 --csv
says '^bench,adapter,connected,size_B,median_us,p99_us,ratio_to_first,count,state,'

bench floor --size 8,4K --count 20 --json;             lines 9
for floor in line udp memcpy-static memcpy-close copy-close memcpy-written readv-static readv-written; do
    says "^{\"bench\":\"floor\",\"floor\":\"$floor\",\"size_B\":[0-9]*,\"median_us\":$number,\"p99_us\":$number,"
done
says "\"floor\":\"readv-written\",.*\"median_GBps\":$number,\"count\":[0-9]*,$state"
says '"floor":"line",.*"median_GBps":null,'
bench floor --size 64 --count 20 --csv;                says '^bench,floor,size_B,median_us,p99_us,median_GBps,count,state'
bench floor --size 64 --count 20;                      says '^BENCH *FLOOR *SIZE B .*COUNT *STATE'

# Each call of SCIF, with its floors; a call that fails is named.
expect 0 "$weft" bench scif --size 8,64K --count 20 --rounds 1 --time 0.2 --state all --json
lines 20
for call in scif_send scif_mmap scif_writeto scif_readfrom scif_vwriteto scif_vreadfrom 'scif_register, a MiB' \
    'first scif_mmap, a MiB'; do
    says "^{\"bench\":\"scif\",\"test\":\"$call\",\"memory\":\"[a-z-]*\",\"size_B\":[0-9]*,\"median_us\":$number,"
done
says '"test":"scif_send",.*"against":"weft messages","against_us":[0-9]'
says '"test":"scif_writeto","memory":"private","size_B":65536,.*"against":"process_vm_writev","against_us":[0-9].*">= 0.9x"'
says '"test":"scif_readfrom","memory":"shared","size_B":65536,.*"against":"memcpy","against_us":[0-9]'
says '"test":"scif_register, a MiB",.*"wanted":"<= 20 us","verdict":"\(met\|not met\)"'
await none_of_ours # the service of SCIF ends when it has been idle

# Each way to tell a thread; and that none of them loses anything.
expect 0 "$weft" bench notify --quick --rounds 1 --time 0.002 --state all --json
for way in lock-polling lock-asleep lock branch branch-kernel dispatch dispatch-spin descriptor auto auto-handler; do
    says "^{\"bench\":\"notify\",\"mechanism\":\"$way\",\"by\":\"weft\",\"place\":\"other-cpu\",\"load\":\"busy\",\"rate_per_s\":10000,"
done
for way in spin futex signal sigio receive epoll-receive condvar thread-create; do
    says "\"mechanism\":\"$way\",\"by\":\"system\",.*\"median_us\":$number,.*\"sender_ns\":$number,\"stolen_ns\":-*$number,\"cache_misses\":.*,\"count\":[1-9][0-9]*,$state"
done
says '"goal":"the choice, handlers","place":"other-cpu","load":"idle","rate_per_s":10000,"cost_us":'"$number"',"best":"[a-z-]*","best_us":'"$number"',"ratio":-*'"$number"',"wanted":1.1'
expect 0 "$weft" bench notify --only receive --rounds 1 --time 0.02 --state all --json # a million a second: no socket overflows
expect 0 "$weft" bench notify --only lock-as --rounds 1 --time 0.002 --state all --json
lines 16 # four rates, two loads, two places
expect 0 "$weft" bench notify --stress 20000 --json
lines 6
for way in direct lock branch dispatch descriptor auto; do
    says "^{\"bench\":\"notify-stress\",\"mechanism\":\"$way\",\"posted\":\([0-9]*\),\"told\":\1,.*\"in_masked\":0,\"wrong_values\":0"
done
expect 0 "$weft" bench notify --stress 20000;       says '^None lost, none doubled, none inside of a masked section'
expect 2 "$weft" bench latency --stress 5;          warns 'stress is for notify'
expect 2 "$weft" bench notify --stress 0;           warns 'from 1 to'
expect 2 "$weft" bench notify --size 8;             warns 'notify has'

for command in bench info; do
    expect 0 "$weft" $command --help;               says "^Usage: weft $command"
    expect 0 "$weft" help $command;                 says "^Usage: weft $command"
    expect 2 "$weft" $command --no-such-thing;      warns "weft $command --help"
done
expect 2 "$weft" bench;                             warns 'which one'
expect 2 "$weft" bench latncy;                      warns 'did you mean "latency"'
expect 2 "$weft" bench xyzzy;                       warns 'there is no benchmark "xyzzy"'
expect 2 "$weft" bench latency extra;               warns 'unexpected argument extra'
expect 2 "$weft" bench latency --adapter smh;       warns 'did you mean "shm"'
expect 2 "$weft" bench cpu --adapter self;          warns 'one end only'
expect 2 "$weft" bench bandwidth --size 0;          warns 'needs data'
expect 2 "$weft" bench latency --state nearby;      warns 'near, far'
for size in '' x 8x 8, ,8 -1 2G 1.5K 99999999999999999999; do
    expect 2 "$weft" bench latency --size "$size";  warns 'from 0 to 1G'
done
for connected in '' 0 1,0 257 x 1,; do
    expect 2 "$weft" bench peers --connected "$connected"; warns 'from 1 to 256'
done
for bulk in '' 0 1K 1M,2M 2000G x; do
    expect 2 "$weft" bench small-under-bulk --bulk "$bulk"; warns 'from 1M to'
done
expect 2 "$weft" bench peers --adapter self;           warns 'one end only'
expect 2 "$weft" bench latency --data wet;             warns 'static or written'
for time in '' 0 -1 x 1s nan inf 1e9; do
    expect 2 "$weft" bench latency --time "$time";  warns 'above 0'
done
expect 2 "$weft" bench latency --count 0;           warns 'from 1 to'
expect 1 env XDG_RUNTIME_DIR=/proc "$weft" bench latency
warns 'adapter shm does not open here'

# Interrupted: ends soon, tells what it has, leaves nothing.
interrupted() {
    "$weft" bench "$1" --adapter "$2" --size "$3" --time 60 --json >"$WORK/out" 2>"$WORK/err" &
    bench_pid=$!
    await both_run "$2"
    kill -"$4" $bench_pid
    wait $bench_pid
    got=$?
    [ $got -eq "$5" ] || fail "bench $1 over $2 gave $got after SIG$4"
    await none_of_ours
    await no_sockets || ls -A "$WORK/weft" >&2
}
no_sockets() { [ -z "$(ls -A "$WORK/weft")" ]; }
both_run() { [ "$(ours | wc -l)" -ge 2 ] && { [ "$1" != shm ] || [ "$(ls "$WORK/weft" | wc -l)" -ge 2 ]; }; }
# a shell's background command ignores SIGINT until it asks for it
interrupted latency shm 8 INT 130
interrupted bidirectional udp 64K TERM 130
interrupted bandwidth shm 1M KILL 137
interrupted put shm 64K TERM 130
interrupted get udp 64K KILL 137
interrupted scif shm 8 TERM 130
interrupted scif shm 64K KILL 137

# Ended while it sets up many: the others are in the middle of making their buffers, and end without a crash.
killed_in_setup() {
    "$weft" bench peers --connected 16 --size 1M --time 60 >"$WORK/out" 2>"$WORK/err" &
    bench_pid=$!
    await eval '[ "$(ls "$WORK/weft" | wc -l)" -ge 17 ]'
    sleep "$2"
    kill -"$1" $bench_pid
    wait $bench_pid
    await none_of_ours
    await no_sockets || ls -A "$WORK/weft" >&2
    ! grep -q 'weft: crash' "$WORK/err" || { fail "a crash after SIG$1 in set-up:"; head -3 "$WORK/err" >&2; }
}
for pause in 0 0.01 0.02 0.03 0.04 0.06 0.08 0.1; do
    killed_in_setup TERM $pause
    killed_in_setup KILL $pause
done

# Killed while it starts: the other process, which may wait for a connection by then, ends too.
for pause in 0 0.003 0.006 0.01 0.02; do
    "$weft" bench put --time 60 >"$WORK/out" 2>"$WORK/err" &
    bench_pid=$!
    await eval '[ "$(ours | wc -l)" -ge 2 ]'
    sleep $pause
    kill -KILL $bench_pid
    wait $bench_pid
    await none_of_ours
done

expect 0 "$weft" info
for word in '^self: opens here' '^shm: opens here' '^udp: opens here' 'capabilities .*reliable' 'packet .* B' \
    '^notification *a waiter spins .*user-level wait: .*user interrupts: ' \
    '^sim: opens here, used only when it is named' '^CPU pair' "^versions *weft" "^run directory *$WORK/weft"; do
    says "$word"
done
expect 0 "$weft" info --json
says '^{"adapter":"shm","opens":true,"capabilities":\["reliable"'
says '^{"adapter":"sim",.*"by_name_only":true}'
says '^{"cpu_pair":'
says '^{"notification":{"spin_ns":[0-9]*,"user_wait":"[a-z]*","user_interrupts":[a-z]*,'
says '^{"version":"[0-9]'
says '"choice":\[.*{"rate_per_s":100000.0,"cpu_free":"thread dispatch","none_free":"branch"},'
expect 0 env WEFT_NOTIFY_BRANCH_TOLD_NS=90000 "$weft" info
says '^WEFT_AUTO  *while the thread computes and a CPU is free: thread dispatch$'
says '^  *while it computes and none is free: thread dispatch, from 100000 arrivals a second on branch$'
expect 0 env XDG_RUNTIME_DIR=/proc "$weft" info
says '^shm: does not open here: '

expect_nothing_left
finish
