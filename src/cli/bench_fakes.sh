# For the command's tests: stand-ins for the tools of other message layers, which print what theirs print. Sourced after
# test_lib.sh; they are in $fakes, and the files that they print beside them.
fakes=$WORK/fakes
mkdir "$fakes"
# A server listens on its port until somebody comes; a client comes, then prints what is in the file.
cat >"$fakes/pair" <<'END'
#!/usr/bin/perl
use strict;
use Socket;
my ($role, $port, $file) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
my $at = sockaddr_in($port, INADDR_LOOPBACK);
if ($role eq 'server') {
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($s, $at) && listen($s, 1) && accept(my $c, $s) or die "no listening: $!";
    exit 0;
}
connect($s, $at) or die "no server: $!";
open(my $f, '<', $file) or die;
print while <$f>;
exit((-e "$file.fails") ? 1 : 0);
END
cat >"$fakes/ucx_perftest" <<'END'
#!/bin/sh
here=${0%/*}
echo "$UCX_TLS $*" >>"$here/ucx_calls"
[ "$1" = -p ] && exec perl "$here/pair" server "$2"
exec perl "$here/pair" client "$3" "$here/ucx_out"
END
cat >"$fakes/fi_pingpong" <<'END'
#!/bin/sh
here=${0%/*}
echo "$*" >>"$here/fi_calls"
for word; do [ "$last" = -B ] && server=$word; [ "$last" = -P ] && client=$word; last=$word; done
[ -z "$server" ] || exec perl "$here/pair" server "$server"
exec perl "$here/pair" client "$client" "$here/fi_out"
END
cat >"$fakes/mpicc" <<'END'
#!/bin/sh
grep -q MPI_Init || exit 1   # the source comes on standard input
while [ "$1" != -o ]; do shift; done
: >"$2"
END
cat >"$fakes/mpirun" <<'END'
#!/bin/sh
here=${0%/*}
echo "$*" >>"$here/mpi_calls"
for word; do case $word in */mpi_pingpong) [ -f "$word" ] || exit 1 ;; esac; done
cat "$here/mpi_out"
[ ! -e "$here/mpi_hangs" ] || exec sleep 60
END
chmod +x "$fakes"/*
echo 'iterations,50.0_percentile_lat,avg_lat,overall_lat,avg_bw,overall_bw,avg_mr,overall_mr
20,9.0,9.0,2.5,9.0,9.0,9,9' >"$fakes/ucx_out"
echo 'bytes   #sent   #ack     total       time     MB/sec    usec/xfer   Mxfers/sec
8       20      =20      320         0.00s      9.99       5.00       9.99' >"$fakes/fi_out"
printf 'a warning of mpirun\nseconds_each\n1.25e-06\n' >"$fakes/mpi_out"

