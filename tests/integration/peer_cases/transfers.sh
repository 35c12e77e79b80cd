# Cases of peer_test.sh, which sources this: everything that programs do crosses over warm connections, with the right
# result.
# shellcheck shell=bash disable=SC2034,SC2154

# Everything that curl does, over both families: twelve connections.
transfers() { # READY: warm connections to wait for before each of the four
  local family scheme
  for family in 4 6; do
    for scheme in http https; do
      (($1 == 0)) || eventually is_up term "$1" || wrong "the pool is not filled again"
      fetch $family $scheme small || wrong "IPv$family, $scheme: the small file does not arrive whole"
      fetch $family $scheme large || wrong "IPv$family, $scheme: the large file does not arrive whole"
      upload $family $scheme || wrong "IPv$family, $scheme: the upload does not arrive whole"
    done
  done
}

# No SYN of a client crosses the satellite, and all results are right.
carries() {
  local capture used
  case=carries
  used=$(counter term warm_connections_used)
  rm -f "$work/tcpdump"
  ip netns exec "$lab-term" tcpdump -Z root --immediate-mode -U -ni sat0 -w "$work/sat0.pcap" tcp 2>"$work/tcpdump" &
  capture=$!
  eventually grep -qs "listening on" "$work/tcpdump" || wrong "tcpdump does not start"
  transfers 4
  sleep 0.3
  kill -TERM $capture
  wait $capture || true
  (($(counter term warm_connections_used) == used + 12)) || wrong "$(counter term warm_connections_used) instead of 12 more by the peer"
  (($(counter gw warm_connections_served) == $(counter term warm_connections_used))) || wrong "the gateway served others"
  ! tcpdump -nr "$work/sat0.pcap" 2>/dev/null | grep -F 'Flags [S],' | grep -vF .5001: | grep . >/dev/null ||
    wrong "a client's SYN crossed the satellite"
  grep -q "^$user " "$work/access.log" || wrong "the server does not see the client's address"
  grep -q "^fd00:81:1::2 " "$work/access.log" || wrong "the server does not see the client's IPv6 address"
  log_has term "client=$user:" || wrong "the terminal's closing lines do not name the client"
  log_has gw "client=$user:" || wrong "the gateway's closing lines do not name the client"
}

# The client's DSCP reaches the server, and the server's crosses the satellite, whatever the families of both.
keeps_dscp() {
  local tables family
  case=keeps_dscp
  for tables in iptables ip6tables; do
    in_role user $tables -t mangle -A OUTPUT -p tcp --dport 80 -j DSCP --set-dscp 46
    in_role server $tables -t mangle -A OUTPUT -p tcp --sport 80 -j DSCP --set-dscp 34
    in_role server $tables -A INPUT -p tcp --dport 80 -m dscp --dscp 46
  done
  in_role term iptables -A INPUT -p tcp --sport 5001 -m dscp --dscp 34 -m length --length 1000:
  for family in 4 6; do
    tables=iptables
    [[ $family == 4 ]] || tables=ip6tables
    in_role term iptables -Z INPUT
    eventually is_up term 4 || wrong "the pool is not filled"
    fetch $family http large || wrong "IPv$family: the large file does not arrive whole"
    (($(packets server $tables) > 0)) || wrong "IPv$family: the client's DSCP does not reach the server"
    (($(packets term iptables) > 0)) || wrong "IPv$family: the server's DSCP does not cross the satellite"
  done
  for tables in iptables ip6tables; do
    in_role user $tables -t mangle -F OUTPUT
    in_role server $tables -t mangle -F OUTPUT
    in_role server $tables -F INPUT
  done
  in_role term iptables -F INPUT
}
packets() { in_role "$1" "$2" -nvxL INPUT | awk 'NR > 2 { n += $1 } END { print n + 0 }'; } # ROLE PROGRAM: that met its rules

table_shows_it() { "$PEPSAL_BIN_DIR/pepsalctl" --instance "$lab-$1" list --peer 0.0.0.0/0 | grep -E " open +$user:[0-9]+ +$server:7002 " >/dev/null; }

# Servers that speak first, half-closes both ways, and the table meanwhile.
speaks_and_half_closes() {
  case=speaks_and_half_closes
  in_role user sh -c "{ sleep 2; echo mine; sleep 0.5; } | timeout 10 ncat $server 7002" >"$work/said" &
  local client=$!
  eventually table_shows_it term || wrong "the terminal's table does not show the connection"
  eventually table_shows_it gw || wrong "the gateway's table does not show the connection"
  wait $client || true
  [[ $(<"$work/said") == $'banner\nmine' ]] || wrong "answer '$(<"$work/said")'"
  half_close
}

half_close() {
  local answer
  answer=$(in_role user sh -c "printf hello | timeout 10 ncat $server 7003" || true)
  [[ $answer == hello-end-seen ]] || wrong "the server does not see the client's end: '$answer'"
}

urgent_byte() {
  case=urgent_byte
  sends_urgent
}

sends_urgent() {
  local answer
  answer=$(in_role user timeout 20 python3 -c '
import socket, sys
s = socket.create_connection((sys.argv[1], 7003), 10)
s.sendall(b"before-")
s.send(b"!", socket.MSG_OOB)
s.sendall(b"behind")
s.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: s.recv(100), b"")).decode())' "$server" || true)
  [[ $answer == "before-!behind-end-seen" ]] || wrong "the urgent byte comes as '$answer'"
}

# A receiver that does not read stops the sender, across both boxes: of 16 MB, no more is accepted than the sockets on
# the path can hold. Then everything arrives.
back_pressure() {
  case=back_pressure
  stops_who_sends
}

stops_who_sends() {
  rm -f "$work/taken"
  in_role user timeout 60 python3 - "$server" "$work/taken" <<'END' || wrong "who does not read does not stop who sends, or not all arrives"
import hashlib, pathlib, socket, sys, time
SIZE = 16_000_000
taken = pathlib.Path(sys.argv[2])
with socket.create_connection((sys.argv[1], 7004), 10) as client:
    client.settimeout(20)
    for _ in range(400):
        if taken.exists():
            break
        time.sleep(0.05)
    assert int(taken.read_text()) < SIZE, taken.read_text()
    said, size = hashlib.sha256(), 0
    while piece := client.recv(65536):
        said.update(piece)
        size += len(piece)
assert size == SIZE, size
assert said.digest() == hashlib.sha256((bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]).digest()
END
}

server_asks() {
  local answer
  answer=$(in_role server sh -c "{ printf hello-; sleep 2; } | timeout 10 ncat $user 7001" || true)
  [[ $answer == hello-answer ]] || wrong "answer '$answer'"
}

from_the_server() {
  local used
  case=from_the_server
  used=$(counter gw warm_connections_used)
  server_asks
  (($(counter gw warm_connections_used) == used + 1)) || wrong "the gateway did not use its peer"
}

# A refused dial resets the client, and the near log has the far side's reason.
refused_there() {
  case=refused_there
  ! in_role user timeout 10 ncat "$server" 7999 </dev/null 2>/dev/null || wrong "a connection to a closed port ends well"
  eventually log_has term "reason=dial-refused-at-peer" || wrong "the terminal's log has not the gateway's reason"
}

# The gateway dials only other hosts; the terminal reaches its addresses without its help.
box_itself() {
  local answer refused
  case=box_itself
  serve_beside gw 7010 ncat -lk -p 7010 --sh-exec "echo gateway"
  refused=$(counter gw warm_connections_refused)
  answer=$(in_role user timeout 10 ncat --recv-only 10.81.3.1 7010 || true)
  [[ $answer == gateway ]] || wrong "the gateway's own service says '$answer'"
  (($(counter gw warm_connections_refused) == refused + 1)) || wrong "the refusal is not counted"
}

# More at once than are ready: the rest are dialled, and nothing is mixed up.
burst() {
  local i clients=() missing
  case=burst
  missing=$(counter term warm_connections_missing)
  for ((i = 0; i < 60; i++)); do
    fetch 4 http small & clients+=($!)
  done
  for i in "${clients[@]}"; do
    wait "$i" || wrong "one of many does not arrive whole"
  done
  (($(counter term warm_connections_missing) > missing)) || wrong "60 at once never emptied a pool of 4"
  (($(satbox log term | grep -c "no warm connection") == 1)) || wrong "the log does not say once that none was left"
}

# 500 downloads at once, by one curl: each is whole.
many_at_once() {
  case=many_at_once
  five_hundred
}

five_hundred() {
  local i list=$work/list
  rm -rf "$work/many"
  mkdir "$work/many"
  for ((i = 0; i < 500; i++)); do printf 'url = "http://%s/small?%d"\noutput = "%s/many/%d"\n' "$server" $i "$work" $i; done >"$list"
  in_role user curl -fsS --no-progress-meter --max-time 60 -Z --parallel-immediate --parallel-max 300 --http1.1 -H "Connection: close" -K "$list" ||
    wrong "a download fails"
  (($(sha256sum "$work"/many/* | awk '{ print $1 }' | sort -u | wc -l) == 1)) || wrong "not all are the same"
  (($(find "$work/many" -type f | wc -l) == 500)) || wrong "not all have arrived"
  cmp -s "$work/many/0" "$work/www/small" || wrong "they are something else"
}

iperf_both_ways() {
  case=iperf_both_ways
  iperf
  iperf -R
  iperf --bidir
}

iperf() { # OPTION...
  in_role user timeout 20 iperf3 -c "$server" -t 2 "$@" >"$work/iperf" 2>&1 || wrong "iperf3 $*: $(tail -n 1 "$work/iperf")"
}
