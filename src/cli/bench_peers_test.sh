#!/bin/sh
# weft bench --peers and weft bench claims, with stand-ins for the tools of the others: nothing is measured but weft and
# the floors, and how fast those were is not looked at.
. "${0%/*}/test_lib.sh" "$1"
. "${0%/*}/bench_fakes.sh"

state='"state":"\(near\|far\|mixed\)"'
number='[0-9][0-9.e+-]*'
bench() { expect 0 "$weft" bench "$@"; }
lines() { [ "$(wc -l <"$WORK/out")" -eq "$1" ] || { fail "not $1 lines:"; cat "$WORK/out" >&2; }; }
no_sockets() { [ -z "$(ls -A "$WORK/weft")" ]; }

# The state of a pair is what it is; with one CPU it is always "mixed", and all are in the same.
one_cpu="taskset -c $(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')"
contest() { expect "$1" env PATH="$2" "$weft" bench latency --peers --size 8 --count 20 --rounds 3 --json; }
# figure CONTENDER US: the median over the turns, whatever the state was
figure() { says "\"contender\":\"$1\",\"role\":\"peer\",\"median_us\":$2,"; }
contest 0 "$fakes:$PATH"
figure 'UCX shm' 2.5
figure 'Open MPI vader' 1.25
figure 'Open MPI vader, huge pages' 1.25
figure 'libfabric shm' 5.0
says "\"contender\":\"weft\",\"role\":\"weft\",\"median_us\":$number,"
says "\"contender\":\"floor: a cache line\",\"role\":\"floor\",\"median_us\":$number,"
says "\"ratio_to_best_peer\":$number,\"ratio_to_floor\":\($number\|null\),$state,\"data\":\"static\",\"turns\":[1-3],"
called() { grep -q -e "$2" "$fakes/$1" || { fail "no \"$2\" in:"; cat "$fakes/$1" >&2; }; }
called ucx_calls '^shm 127.0.0.1 -p [0-9]* -t tag_lat -s 8 -n 20 '
called fi_calls  '^-p shm -e rdm -I 20 -S 8 -P [0-9]* 127.0.0.1$'
called mpi_calls '--mca btl vader,self .*/mpi_pingpong latency 8 20 256 static huge [0-9]* [0-9]*$'
expect 0 env PATH="$fakes:$PATH" "$weft" bench bandwidth --peers --adapter udp --size 1M --count 4 --rounds 1 --csv
says '^bench,adapter,size_B,contender,role,median_GBps,ratio_to_best_peer,'
says "^bandwidth,udp,1048576,libfabric udp;ofi_rxd,peer,209\\.7152,"
called ucx_calls '^tcp 127.0.0.1 -p [0-9]* -t tag_bw -s 1048576 '
called fi_calls  '^-p udp;ofi_rxd -e rdm '
called fi_calls  '^-p tcp -e msg '
expect 0 env PATH="$fakes:$PATH" "$weft" bench bandwidth --peers --size 64K --count 4 --rounds 1 --data written --json
says '"contender":"Open MPI vader",.*"data":"written"'
says '"contender":"UCX shm",.*"data":"static"'
called mpi_calls 'mpi_pingpong bandwidth 65536 4 64 written plain'
printf 'seconds_each sender_cpu_s receiver_cpu_s\n1.25e-06 2e-06 4e-06\n' >"$fakes/mpi_out"
contest_of() { expect 0 env PATH="$fakes:$PATH" $one_cpu "$weft" bench "$@" --peers --count 4 --rounds 1 --json; }
contest_of put --size 64K
called ucx_calls ' -t ucp_put_lat -s 65536 '
called ucx_calls ' -t ucp_put_bw -s 65536 '
called mpi_calls 'mpi_pingpong put 65536 4 64 static plain'
called mpi_calls 'mpi_pingpong puts 65536 4 64 static huge'
says '"contender":"Open MPI vader",.*"figure":"latency","median_us":1.25,"median_GBps":null,'
says '"contender":"Open MPI vader",.*"figure":"bandwidth","median_us":null,"median_GBps":52.4288,'
says "\"contender\":\"weft\",.*\"figure\":\"bandwidth\",\"median_us\":null,\"median_GBps\":$number,\"ratio_to_best_peer\":$number,\"ratio_to_floor\":$number,"
says '"contender":"libfabric shm",.*"median_us":null,.*"note":"no peer tool"'
contest_of get --size 8
called ucx_calls ' -t ucp_get -s 8 .* -O 16'
called mpi_calls 'mpi_pingpong gets 8 4 256 static plain'
contest_of bidirectional --size 64K
called mpi_calls 'mpi_pingpong bidirectional 65536 4 64 static plain'
says '"contender":"Open MPI vader",.*"median_GBps":104.8576,'
says '"contender":"UCX shm",.*"note":"no peer tool"'
contest_of cpu --size 1000000
says '"contender":"Open MPI vader",.*"figure":"sender","median_GBps":null,"median_cpu_s_per_GB":0.002,'
says '"contender":"Open MPI vader",.*"figure":"receiver","median_GBps":null,"median_cpu_s_per_GB":0.004,'
says "\"contender\":\"weft\",.*\"figure\":\"receiver\",\"median_GBps\":null,\"median_cpu_s_per_GB\":$number,"

# claims, of the tools and with one CPU: each has its row, and the verdict is what the figures say.
claims() { expect "$1" env PATH="$fakes:$PATH" $one_cpu "$weft" bench claims --count 4 --rounds 1 "$2" "$3" --json; }
claim='"size_B":8,"figure":"latency","wanted":"<= 0.8 x best peer","measured"'
claims 0 --only shm-latency;  lines 3
says "^{\"claim\":\"shm-latency\",$claim:$number,\"unit\":\"us\",\"against\":1.25,\"against_name\":\"Open MPI vader\",\"ratio\":$number,\"state\":\"mixed\",\"verdict\":\"not met\","
says '"wanted":"<= 1.6 x floor",.*"against_name":"floor: a cache line",'
says '"size_B":4096,.*"wanted":"<= 1 x best peer",'
warns '^weft: shm-latency: small messages'
printf 'seconds_each\n1000\n' >"$fakes/mpi_out"
sed -i 's/2\.5,/1e9,/' "$fakes/ucx_out"
sed -i 's/5\.00 /1e9 /' "$fakes/fi_out"
claims 0 --only shm-latency
says "$claim:$number,\"unit\":\"us\",\"against\":1000000000.0,.*\"verdict\":\"met\",\"note\":\"\""
claims 0 --only udp-latency;    lines 8
says '"claim":"udp-latency-aes",.*"wanted":"<= 0.4 x libfabric udp;ofi_rxd",.*"verdict":"met"'
claims 0 --only shm-put;  lines 3;  says '"wanted":">= 0.9 x floor",.*"against_name":"floor: memcpy"'
claims 0 --only udp-cpu-1500;  lines 4;  says "\"figure\":\"receiver\",\"wanted\":\"<= 0.25 CPU s/GB\",\"measured\":$number,.*\"against\":null,"
expect 0 "$weft" bench claims --only shm-under --bulk 1M --count 20 --rounds 1 --time 0.05 --csv;  lines 2
says '^shm-under-bulk,64,99th percentile,<= 5 x idle,'
bench memory --adapter udp --connected 2 --json;  lines 1
says "^{\"bench\":\"memory\",\"adapter\":\"udp\",\"peers\":2,\"heap_B_per_peer\":\($number\|null\),"
expect 2 "$weft" bench claims --only fast;          warns 'no claim begins so'; warns '^  udp-latency-aes '
expect 2 "$weft" bench claims --size 8;             warns 'sizes, data, security and peers of its own'
expect 2 "$weft" bench latency --quick;             warns 'are for claims, notify and paper002, not for latency'
sed -i 's/1e9 /5.00 /' "$fakes/fi_out"
sed -i 's/1e9,/2.5,/' "$fakes/ucx_out"

# Of what is not installed the package is named; what fails or cannot be understood is told, and is no figure.
empty=$WORK/empty
mkdir "$empty"
expect 0 env PATH="$empty" "$weft" bench claims --only shm-latency --count 4 --rounds 1 --csv
says '^shm-latency,8,latency,<= 0.8 x best peer,,us,,,,-,not measured,"not installed: ucx-utils, openmpi-bin, libfabric-bin"$'
contest 0 "$empty"
for package in ucx-utils openmpi-bin libfabric-bin; do says "\"median_us\":null,.*\"note\":\"not installed: $package\""; done
ln -s "$fakes/mpirun" "$empty"
contest 0 "$empty"
says '"contender":"Open MPI vader",.*"note":"not installed: libopenmpi-dev"'
sed -i 's/overall_lat/some_lat/' "$fakes/ucx_out"
sed -i 's/5.00 /five /' "$fakes/fi_out"
echo 'seconds_each -1' >"$fakes/mpi_out"
contest 1 "$fakes:$PATH"
warns 'UCX shm at 8 B: the peer broke the protocol: its output has no column overall_lat'
warns 'libfabric shm at 8 B: .*no column usec/xfer with a number'
warns 'Open MPI vader at 8 B: .*no line below seconds_each'
says '"contender":"UCX shm",.*"median_us":null,.*"note":"failed"'
touch "$fakes/ucx_out.fails"
echo 'ERROR: no such transport' >"$fakes/ucx_out"
contest 1 "$fakes:$PATH"
warns 'UCX shm at 8 B: .*: ERROR: no such transport'
expect 1 env PATH="$fakes:$PATH" "$weft" bench claims --only shm-bandwidth-w --count 4 --rounds 2 --json
says '"note":"failed: libfabric shm"'
expect 2 "$weft" bench peers --peers;                  warns 'no tool of theirs measures peers'
expect 2 "$weft" bench latency --peers --adapter ofi;  warns 'shm or udp'

# A tool that hangs ends with weft, and so does its directory.
touch "$fakes/mpi_hangs"
hangs() {
    (PATH="$fakes:$PATH" exec "$weft" bench "$@" --count 20 >"$WORK/out" 2>"$WORK/err") &
    bench_pid=$!
    await eval '[ -n "$(pgrep -P $bench_pid sleep)" ]'
    sleeper=$(pgrep -P $bench_pid sleep)
    kill -TERM $bench_pid
    wait $bench_pid
    got=$?
    [ $got -eq 130 ] || fail "bench $* gave $got after SIGTERM"
    [ ! -e "/proc/$sleeper" ] || fail "the tool goes on"
    await none_of_ours
    await no_sockets || ls -A "$WORK/weft" >&2
}
hangs latency --peers --size 8
hangs claims --only shm-latency

expect_nothing_left
finish
