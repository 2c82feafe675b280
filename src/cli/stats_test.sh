#!/bin/sh
# weft stats and weft trace: daemons, a program that runs, one that hangs, one that is killed.
. "${0%/*}/test_lib.sh" "$1"

number='[0-9][0-9.e+-]*'
for command in stats trace; do
    expect 0 "$weft" $command --help;                   says "^Usage: weft $command"
    expect 0 "$weft" help $command;                     says "^Usage: weft $command"
    expect 2 "$weft" $command --no-such-thing;          warns "weft $command --help"
    expect 2 "$weft" $command 0;                        warns 'PID 0: a number from 1'
    expect 2 "$weft" $command 12x;                      warns 'PID 12x'
    expect 2 "$weft" $command 1 2;                      warns 'unexpected argument 2'
    expect 2 "$weft" $command --node x;                 warns '--node x'
    expect 2 "$weft" $command --node 0 $$;              warns 'one of them'
    expect 1 "$weft" $command $$;                       warns "process $$ does not use weft"
    expect 1 "$weft" $command 999999999;                warns 'there is no process 999999999'
    expect 1 "$weft" $command --node 0;                 warns 'no cluster is up'
done
expect 2 "$weft" trace;                                 warns 'is wanted'
expect 2 "$weft" stats --all;                           warns 'is wanted'
expect 2 "$weft" trace --last 0 $$;                     warns 'from 1 to'
for seconds in 0 x 1s -1 nan 1e9; do
    expect 2 "$weft" stats --watch=$seconds $$;         warns '0.01 to 3600'
done

# daemons
expect 0 "$weft" up --nodes 2
daemon=$("$weft" nodes --json | sed -n 's/.*"node":1,.*"pid":\([0-9]*\).*/\1/p')
expect 0 "$weft" stats;                                 says '^PID *PROGRAM *UP s *THREADS'; says "^$daemon *weftd "
expect 0 "$weft" stats --json;                          says "^{\"pid\":$daemon,\"program\":\"weftd\",\"up_s\":$number,\"threads\":[1-9]"
expect 0 "$weft" stats --node 1;                        says "^weftd, process $daemon\$"; says '^NAME *VALUE *UNIT *HELP'
says '^transport_messages_sent *[1-9][0-9]* *messages *Messages queued'
expect 0 "$weft" stats $daemon --json
says "^{\"pid\":$daemon,\"program\":\"weftd\",\"name\":\"transport_messages_sent\",\"value\":[1-9][0-9]*,\"unit\":\"messages\",\"help\":\"Messages queued"
says '"name":"transport_resets_sent","value":0,'
expect 0 "$weft" trace --node 1;                        says '^[0-9]*\.[0-9]\{9\} thread [1-9][0-9]* PEER_UP conn [0-9a-f]*'
expect 1 "$weft" stats --node 7;                        warns 'node 7 is not in the cluster'
expect 0 "$weft" down
expect 1 "$weft" stats $daemon;                         warns "there is no process $daemon"

# a daemon that nobody has talked to
expect 0 "$weft" up
expect 0 "$weft" stats --node 0;                        says '^weftd, process [1-9]'
expect 0 "$weft" trace --node 0
expect 0 "$weft" down

# a program that counts while it is looked at
"$weft" bench latency --size 64 --time 60 >/dev/null 2>&1 &
program=$!
sent() { "$weft" stats --json $program 2>/dev/null | sed -n 's/.*"transport_messages_sent","value":\([0-9]*\).*/\1/p'; }
counts_on() { [ "$(sent)" -gt "${1:-0}" ] 2>/dev/null; }
await counts_on 1000
first=$(sent)
await counts_on "$first"
"$weft" stats | grep -q "^$program  *weft  *[0-9]" || fail "weft stats does not list $program"
has_events() { [ "$("$weft" trace --last $1 $program | wc -l)" -eq $1 ]; }
await has_events 300
expect 0 "$weft" trace --last 5 $program
[ "$(wc -l <"$WORK/out")" -eq 5 ] || fail 'not 5 events'
sort -n "$WORK/out" | cmp -s - "$WORK/out" || { fail 'not in the order of time:'; cat "$WORK/out" >&2; }
expect 0 "$weft" trace --last 300 --json $program
[ "$(wc -l <"$WORK/out")" -eq 300 ] || fail 'not 300 events'
says "^{\"time_s\":$number,\"thread\":[1-9][0-9]*,\"event\":\"MESSAGE_[A-Z]*\",\"conn\":\"[0-9a-f]*\",\"id\":[0-9]*,\"handler\":[0-9]*,\"len\":64}"

# one that hangs
kill -STOP $program
stopped=$(sent)
[ "$stopped" -ge "$first" ] || fail "a stopped program's counters cannot be read"
[ "$(sent)" -eq "$stopped" ] || fail "a stopped program counts"
kill -CONT $program

# watched until it is killed, of which nothing is left
"$weft" stats --watch=0.05 --json $program >"$WORK/watched" 2>"$WORK/watched.err" &
watcher=$!
await grep -q '"transport_messages_sent",.*"per_s":[1-9]' "$WORK/watched"
kill -9 $program
wait $program 2>/dev/null
wait $watcher || fail 'weft stats --watch failed'
grep -q "process $program has ended" "$WORK/watched.err" || { fail 'no word of the end:'; cat "$WORK/watched.err" >&2; }
"$weft" stats | grep -q "^$program " && fail "$program is still listed"
await none_of_ours
expect_nothing_left
finish
