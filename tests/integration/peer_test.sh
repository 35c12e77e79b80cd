#!/usr/bin/env bash
# Two boxes that are each other's peers: warm connections with real programs, and what happens when the peer is killed,
# restarted, silent, a stranger or has another key. Needs root. PEPSAL_BIN_DIR names the folder of the programs. Names of
# cases run these alone.
set -euo pipefail

# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip ip6tables iptables curl nginx ncat openssl tcpdump iperf3

readonly lab=ppe$$ server6=fd00:81:3::2
# shellcheck source=tests/support/two_boxes.sh
source "$(dirname "$0")/../support/two_boxes.sh"

is_up() { # ROLE READY: the peer is up, with as many warm connections or more
  satbox status "$1" | awk -v "least=$2" '/^peer .* up / { match($0, /ready=[0-9]+/); ready = substr($0, RSTART + 6, RLENGTH - 6) }
    END { exit !(ready + 0 >= least + 0) }'
}
is_down() { satbox status "$1" | grep "^peer .* down .*$2" >/dev/null; }               # ROLE REASON

url() { # FAMILY SCHEME FILE
  if [[ $1 == 4 ]]; then echo "$2://$server/$3"; else echo "$2://[$server6]/$3"; fi
}

fetch() { # FAMILY SCHEME FILE: prints nothing, fails when what comes is not the file
  local got
  got=$(mktemp -p "$work")
  in_role user curl -gfksS --max-time 30 -o "$got" "$(url "$@")" && cmp -s "$got" "$work/www/$3"
}

upload() { # FAMILY SCHEME: what arrives is what was sent
  rm -f "$work/www/sent"
  in_role user curl -gfksS --max-time 30 -T "$work/www/large" "$(url "$1" "$2" sent)" &&
    cmp -s "$work/www/sent" "$work/www/large"
}

start_boxes() { # PEPSAL-OPTION...
  satbox --peers start gw --warm-connections 4 "$@"
  satbox --peers start term --warm-connections 4 "$@"
}

stop_boxes() {
  satbox stop gw
  satbox stop term
}

both_up() { is_up term 4 && is_up gw 4; }

start_up_boxes() { # PEPSAL-OPTION...
  start_boxes "$@"
  eventually both_up || wrong "the peers do not come up: $(satbox status term | grep '^peer')"
}

processes_of() { # ROLE TITLE: pids of the daemon's processes in that namespace
  local pid
  for pid in $(ip netns pids "$lab-$1"); do
    ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep "^pepsal: $2" >/dev/null || echo "$pid"
  done
}

kill_gateway() { # as a crash does
  local pid
  for pid in $(processes_of gw ''); do kill -KILL "$pid" 2>/dev/null || true; done
}

set_up() {
  printf '%s\n' DESCRIPTION=test DOWN_MBIT=20 UP_MBIT=10 RTT_MS=100 QUEUE_BDP=2 >"$work/link.conf"
  satlab up link >/dev/null
  mkdir "$work/www"
  chmod 755 "$work"
  chmod 777 "$work/www"
  head -c 1000 /dev/urandom >"$work/www/small"
  head -c 1500000 /dev/urandom >"$work/www/large"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=test 2>/dev/null
  head -c 48 /dev/urandom | base64 -w 0 >"$work/secret"
  head -c 48 /dev/urandom | base64 -w 0 >"$work/other"
  chmod 600 "$work/secret" "$work/other"
  cat >"$work/nginx.conf" <<END
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log; events {}
http { access_log $work/access.log;
       server { listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2; root $work/www;
                ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem; ssl_protocols TLSv1.3;
                dav_methods PUT; client_max_body_size 100m; }
       client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u;
       scgi_temp_path $work/s; }
END
  serve_beside server 80 nginx -c "$work/nginx.conf"
  serve_beside user 7001 ncat -lk -p 7001 --sh-exec "head -c 6; echo answer" # asked from the server's side
  serve_beside server 7002 ncat -lk -p 7002 --sh-exec "echo banner; cat"     # speaks first
  # Answers once the client's stream has ended; urgent bytes are read in their place.
  serve_beside server 7003 python3 -c '
import socket
listener = socket.create_server(("", 7003))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
while True:
    client = listener.accept()[0]
    said = b""
    while piece := client.recv(4096):
        said += piece
    client.sendall(said + b"-end-seen")
    client.close()'
  # Sends as much as is taken within a second, notes how much that was, and sends the rest.
  serve_beside server 7004 python3 -c '
import pathlib, select, socket, sys
content = memoryview((bytes(range(256)) * 62501)[:16_000_000])
listener = socket.create_server(("", 7004))
while True:
    client = listener.accept()[0]
    client.setblocking(False)
    sent = 0
    while sent < len(content) and select.select([], [client], [], 1)[1]:
        sent += client.send(content[sent:sent + 65536])
    pathlib.Path(sys.argv[1]).write_text(str(sent))
    client.setblocking(True)
    client.sendall(content[sent:])
    client.close()' "$work/taken"
  serve_beside server 5201 iperf3 -s
  case=control
  eventually fetch 4 http small || wrong "no way to the server without the boxes"
}

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

# No SYN of a client crosses the satellite, and all is what it should be.
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

# The client's DSCP goes on to the server, and the server's crosses the satellite, whatever the families of both.
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

# Who does not read stops who sends, across both boxes: of 16 MB no more is taken than the sockets on the way hold. Then all
# arrives.
back_pressure() {
  case=back_pressure
  stops_who_sends
}

stops_who_sends() {
  rm -f "$work/taken"
  in_role user timeout 60 python3 - $server "$work/taken" <<'END' || wrong "who does not read does not stop who sends, or not all arrives"
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
  ! in_role user timeout 10 ncat $server 7999 </dev/null 2>/dev/null || wrong "a connection to a closed port ends well"
  eventually log_has term "reason=dial-refused-at-peer" || wrong "the terminal's log has not the gateway's reason"
}

# The gateway dials nobody but other hosts; the terminal reaches its addresses without its help.
box_itself() {
  local answer refused
  case=box_itself
  serve_beside gw 7010 ncat -lk -p 7010 --sh-exec "echo gateway"
  refused=$(counter gw warm_connections_refused)
  answer=$(in_role user timeout 10 ncat --recv-only 10.81.3.1 7010 || true)
  [[ $answer == gateway ]] || wrong "the gateway's own service says '$answer'"
  (($(counter gw warm_connections_refused) == refused + 1)) || wrong "the refusal is not counted"
}

# More at once than are ready: what finds none is dialled, and nothing is mixed up.
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
  for ((i = 0; i < 500; i++)); do printf 'url = "http://%s/small?%d"\noutput = "%s/many/%d"\n' $server $i "$work" $i; done >"$list"
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
  in_role user timeout 20 iperf3 -c $server -t 2 "$@" >"$work/iperf" 2>&1 || wrong "iperf3 $*: $(tail -n 1 "$work/iperf")"
}

gateway_accepted() { (($(counter gw connections_accepted) > $1)); }
gateway_opened() { (($(counter gw connections_opened) > $1)); }

# A SYN whose source may be anybody's: the gateway dials before the handshake only if it comes from behind its peer.
forged_syns() {
  local opened accepted kind
  case=forged_syns
  stop_boxes
  satbox start gw --peer 10.81.2.1,10.81.9.0/24 --warm-connections 4
  satbox --peers start term --warm-connections 4
  eventually both_up || wrong "the peers do not come up"
  opened=$(counter gw connections_opened)
  for kind in data:4001 wish:4003; do # a port each: the first is half-open for long
    accepted=$(counter gw connections_accepted)
    forged_syn 10.81.1.77 "${kind#*:}" "${kind%:*}"
    eventually gateway_accepted "$accepted" || wrong "the gateway did not get the stranger's SYN ($kind)"
    sleep 1
    (($(counter gw connections_opened) == opened)) || wrong "the gateway dialled for a source that is behind no peer ($kind)"
  done
  stop_boxes
  start_up_boxes
  opened=$(counter gw connections_opened)
  forged_syn 10.81.1.77 4002 data
  eventually gateway_opened "$opened" || wrong "the gateway does not dial for what comes from behind its peer"
}

# And that connection, whose handshake never ends, does not stay.
half_open_ends() {
  case=half_open_ends
  eventually log_has gw "closed client=10.81.1.77:4002" || eventually log_has gw "closed client=10.81.1.77:4002" ||
    wrong "a connection without a handshake stays"
  # Or for want of a host with that address, if the terminal says so first.
  log_has gw "reason=timeout-of-client" || log_has gw "reason=error-113-of-client" || wrong "it did not end for want of its handshake: $(satbox log gw | grep -F 10.81.1.77)"
}

reset_passes() {
  case=reset_passes
  resets
}

resets() {
  in_role user timeout 10 python3 - "$server" <<'END' || wrong "the client cannot reset"
import socket, struct, sys, time
s = socket.create_connection((sys.argv[1], 7002))
assert s.recv(7) == b"banner\n"
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
END
  eventually log_has gw "reason=reset-by-client" || wrong "the gateway does not see the client's reset"
}

have_ended() { # PID...
  local pid
  for pid; do ! kill -0 "$pid" 2>/dev/null || return 1; done
}

# Waiting proxies killed one and all: the end of their streams proves that nothing was passed on, and what follows goes
# by another way, once. They have ended first: what reaches one that is dying makes its end a reset, which proves nothing.
far_proxies_killed() {
  local waiting before
  case=far_proxies_killed
  eventually is_up term 4 || wrong "the pool is not full"
  mapfile -t waiting < <(processes_of gw "proxy waiting")
  kill -KILL "${waiting[@]}"
  eventually have_ended "${waiting[@]}" || wrong "processes outlive SIGKILL"
  before=$(wc -l <"$work/access.log")
  fetch 4 http small || wrong "the file does not arrive whole"
  sleep 0.3
  (($(wc -l <"$work/access.log") == before + 1)) || wrong "the server got $(($(wc -l <"$work/access.log") - before)) requests instead of one"
  eventually is_up term 4 || wrong "the pool is not filled again"
}

# The keeper's end costs nothing: what it had ready is taken over.
keeper_killed() {
  local made
  case=keeper_killed
  eventually is_up term 4 || wrong "the pool is not full"
  made=$(counter term warm_connections_made)
  kill -KILL "$(processes_of term keeper)"
  fetch 4 http small || wrong "the file does not arrive whole"
  eventually log_has term "keeper of peer" || wrong "the loss is not logged"
  eventually is_up term 4 || wrong "the pool is not full again"
  (($(counter term warm_connections_made) <= made + 2)) || wrong "what was ready was made again"
}

# Ended, killed and started again: connections go on by dialling, then by the peer again.
peer_goes_and_comes() {
  local used
  case=peer_goes_and_comes
  satbox stop gw
  eventually is_down term "" || wrong "the terminal does not notice that its peer has ended"
  fetch 4 http large || wrong "the file does not arrive whole without the peer"
  (($(satbox log term | grep -c "peer .* is down") >= 1)) || wrong "the log does not say so"
  satbox --peers start gw --warm-connections 4
  eventually is_up term 4 || wrong "the peer does not come up again"
  used=$(counter term warm_connections_used)
  fetch 4 http large || wrong "the file does not arrive whole after the peer's return"
  (($(counter term warm_connections_used) == used + 1)) || wrong "the peer is not used after its return"
  kill_gateway
  fetch 4 http small || wrong "the file does not arrive whole after the peer was killed"
  eventually is_down term "" || wrong "the terminal does not notice that its peer was killed"
  satbox stop gw >/dev/null 2>&1 || true
  satbox --peers start gw --warm-connections 4
  eventually is_up term 4 || wrong "the peer does not come up after it was killed"
}

# The box is gone without a word and comes back under its address with no memory of any connection: a client that has sent
# something is reset at most once, as nobody can know whether it arrived; then all is as before.
box_restarted() {
  local try
  case=box_restarted
  eventually is_up term 4 || wrong "the pool is not full"
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -I OUTPUT -o sat0 -p tcp -j DROP
  kill_gateway
  satbox stop gw >/dev/null 2>&1 || true
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -D OUTPUT -o sat0 -p tcp -j DROP
  satbox --peers start gw --warm-connections 4
  fetch 4 http small || sleep 0.5
  for ((try = 0; try < 5; try++)); do
    fetch 4 http small || wrong "more than one client meets the restarted box's reset"
  done
  eventually is_up term 4 || wrong "the peer does not come up again"
}

# The same programs without peers, as control.
without_peers() {
  case=without_peers
  stop_boxes
  satbox start gw
  satbox start term
  ! listens "$lab-term" 5001 || wrong "a box without --peer has a warm port"
  transfers 0
  half_close
  sends_urgent
  stops_who_sends
  resets
  server_asks
  ! in_role user timeout 10 ncat $server 7999 </dev/null 2>/dev/null || wrong "a connection to a closed port ends well"
  five_hundred
  iperf --bidir
  (($(counter term warm_connections_used) + $(counter gw warm_connections_used) == 0)) || wrong "warm connections without --peer"
  (($(counter term connections_opened) >= 500)) || wrong "only $(counter term connections_opened) by the boxes"
  kill_gateway
  fetch 4 http small || wrong "the file does not arrive whole after the gateway's daemon was killed"
  satbox stop gw >/dev/null 2>&1 || true
  satbox start gw
  fetch 4 http large || wrong "the file does not arrive whole after its return"
}

# Over a peer of the one family, clients of both.
mixed_families() {
  local family used
  case=mixed_families
  stop_boxes
  satbox start gw --peer fd00:81:2::1 --warm-connections 4
  satbox start term --peer fd00:81:2::2 --warm-connections 4
  eventually both_up || wrong "the peers do not come up over IPv6"
  used=$(counter term warm_connections_used)
  for family in 4 6; do
    fetch $family http large || wrong "IPv$family over an IPv6 peer: the file does not arrive whole"
  done
  (($(counter term warm_connections_used) == used + 2)) || wrong "the peer was not used"
}

# A box that keeps no warm connections says so, is served without them, and serves its peer's.
none_kept() {
  local missing
  case=none_kept
  stop_boxes
  satbox --peers start gw --warm-connections 4
  satbox --peers start term --warm-connections 0
  eventually is_up gw 4 || wrong "the gateway's peer does not come up"
  eventually is_down term "--warm-connections is 0" || wrong "$(satbox status term | grep '^peer')"
  (($(satbox log term | grep -c "is down: this box keeps no warm connections") == 1)) || wrong "the log does not say so once"
  missing=$(counter term warm_connections_missing)
  fetch 4 http large || wrong "the file does not arrive whole"
  (($(counter term fastopen_dials) >= 1 && $(counter gw fastopen_accepts) >= 1)) || wrong "what is dialled instead has no data in its SYN"
  (($(counter term warm_connections_missing) == missing + 1)) || wrong "what is dialled instead is not counted"
  server_asks
  (($(counter term warm_connections_served) == 1)) || wrong "it does not serve its peer's connections"
}

# Who waits less long for servers than its peer gives one client up, and none of the connections that are ready.
less_patient() {
  local made
  case=less_patient
  stop_boxes
  satbox --peers start gw --warm-connections 4
  satbox --peers start term --warm-connections 4 --connect-timeout 1
  eventually both_up || wrong "the peers do not come up"
  in_role server iptables -A INPUT -p tcp --dport 7998 -j DROP
  made=$(counter term warm_connections_made)
  in_role user timeout 20 ncat $server 7998 </dev/null 2>/dev/null || true
  eventually log_has term "reason=peer-silent" || wrong "the terminal does not give up: $(satbox log term | tail -n 1)"
  eventually is_up term 4 || wrong "the pool is not filled again"
  (($(counter term warm_connections_made) == made + 1)) || wrong "$(($(counter term warm_connections_made) - made)) warm connections were made instead of one"
  in_role server iptables -F INPUT
}

keys() {
  case=keys
  stop_boxes
  start_up_boxes --peer-key "$work/secret"
  fetch 4 https large || wrong "the file does not arrive whole with a key"
  (($(counter term warm_connections_used) == 1)) || wrong "the peer with the same key was not used"
  stop_boxes
  satbox --peers start gw --peer-key "$work/other"
  satbox --peers start term --peer-key "$work/secret"
  eventually is_down term "its --peer-key is another one" || wrong "another key: $(satbox status term | grep '^peer')"
  fetch 4 http small || wrong "the file does not arrive whole beside a peer with another key"
  stop_boxes
  satbox --peers start gw
  satbox --peers start term --peer-key "$work/secret"
  eventually is_down term "it has no --peer-key and this box has one" || wrong "no key there: $(satbox status term | grep '^peer')"
  eventually is_down gw "it has a --peer-key and this box has none" || wrong "no key here: $(satbox status gw | grep '^peer')"
  eventually log_has gw "at the warm port" || wrong "the refusal is not logged"
  (($(counter gw warm_connections_refused) >= 1)) || wrong "the refusal is not counted"
  fetch 4 http small || wrong "the file does not arrive whole beside a peer without a key"
}

# What is no peer, says nothing sensible, or stops half-way, comes to nothing and harms nobody.
strangers() {
  local refused
  case=strangers
  stop_boxes
  satbox --peers start term --warm-connections 4
  in_role gw ip address add 10.81.2.9/32 dev sat0
  refused=$(counter term warm_connections_refused)
  in_role gw timeout 60 python3 - <<'END' || wrong "the terminal lets strangers or garbage in"
import socket, struct
def connect(source):
    s = socket.socket()
    s.settimeout(10)
    s.bind((source, 0))
    s.connect(("10.81.2.1", 5001))
    return s
def ends(s):
    try:
        while s.recv(4096):
            pass
    except ConnectionError:
        pass
    s.close()
    return True
GREETING = b"PEPw" + bytes([1, 0, 0, 0]) + bytes(32)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = socket.inet_aton("10.81.3.2") + socket.inet_aton("10.81.1.2") + struct.pack("!HH", 4000, 7001)
def warm():
    s = connect("10.81.2.2")
    s.sendall(GREETING)
    got = b""
    while len(got) < 72:
        got += s.recv(72 - len(got))
    assert got[:6] == b"PEPw\1\0", got
    s.sendall(bytes(32))
    return s
assert ends(connect("10.81.2.9"))                       # a stranger
s = connect("10.81.2.2"); s.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(60)); assert ends(s)
s = connect("10.81.2.2"); s.sendall(GREETING[:20]); s.shutdown(socket.SHUT_WR); assert ends(s)
s = warm(); s.sendall(bytes(range(256))); assert ends(s)
s = warm(); s.sendall(SIGNATURE + b"\x21\x11\xff\xff" + bytes(100)); assert ends(s)      # longer than any
s = warm(); s.sendall(SIGNATURE + b"\x21\x11\0\x0c" + ADDRESSES[:5]); s.shutdown(socket.SHUT_WR); assert ends(s)
s = warm(); s.sendall(SIGNATURE + b"\x20\0\0\0"); assert ends(s)                         # LOCAL
s = warm(); s.sendall(SIGNATURE + b"\x21\x11\0\x0f" + ADDRESSES + b"\xe0\xff\xff"); assert ends(s)  # TLV outside
for forbidden in "127.0.0.1", "10.81.2.1", "10.81.1.1", "169.254.1.1", "224.0.0.1", "0.0.0.0":
    s = warm()
    s.sendall(SIGNATURE + b"\x21\x11\0\x0c" + socket.inet_aton("10.81.3.2") + socket.inet_aton(forbidden) + struct.pack("!HH", 4000, 22))
    answer = s.recv(4)
    assert answer[:2] == b"\xa5\2", (forbidden, answer)
    assert ends(s)
def no_answer(s):
    try:
        return s.recv(4) == b""
    except ConnectionError:
        return True
def refused(header, what):
    s = warm()
    s.sendall(SIGNATURE + header)
    answer = s.recv(4)
    assert answer[:2] == b"\xa5\2", (what, answer)
    assert ends(s)
for forbidden in "127.0.0.1", "10.81.2.1", "224.0.0.1":                                  # as a client
    refused(b"\x21\x11\0\x0c" + socket.inet_aton(forbidden) + ADDRESSES[4:], forbidden)
for forbidden in "::1", "::", "fe80::1", "ff02::1", "fd00:81:2::1":
    refused(b"\x21\x21\0\x24" + socket.inet_pton(socket.AF_INET6, "fd00:81:3::2") +
            socket.inet_pton(socket.AF_INET6, forbidden) + struct.pack("!HH", 4000, 22), forbidden)
refused(b"\x21\x11\0\x10" + ADDRESSES + b"\xe1\0\1\5", "a fifth box")
s = warm()
s.sendall(SIGNATURE + b"\x21\x21\0\x24" + (bytes(10) + b"\xff\xff" + ADDRESSES[:4]) * 2 + struct.pack("!HH", 4000, 22))
assert no_answer(s)                                                                      # IPv4 in an IPv6 header
s = warm(); s.sendall(SIGNATURE + b"\x21\x11\0\x10" + ADDRESSES + b"\xe1\0\1\4" + b"hello-") # and what is right works
assert s.recv(4) == b"\xa5\0\0\0"
assert s.recv(6) == b"hello-"
END
  (($(counter term warm_connections_refused) >= refused + 23)) ||
    wrong "$(counter term warm_connections_refused) refusals are counted in all, which is less than 23 more"
  (($(satbox log term | grep -c refused) >= 1 && $(satbox log term | grep -c "^.*: refused") <= 2)) ||
    wrong "the log has $(satbox log term | grep -c refused) lines about refusals"
  ! in_role user timeout 5 python3 -c 'import socket; socket.create_connection(("10.81.1.1", 5001), 3)' 2>/dev/null ||
    wrong "the warm port is open on the users' side"
}

# Whoever has the peer's address, says nothing and goes on to connect gets no more processes than a peer is allowed, half of
# --max-connections, and users' connections go on.
silent_strangers() {
  local before connecting proxies
  case=silent_strangers
  satbox stop gw >/dev/null 2>&1 || true
  satbox stop term >/dev/null 2>&1 || true
  satbox --peers start term --warm-connections 4 --max-connections 40 --spare-proxies 2
  before=$(processes_of term "proxy" | wc -l)
  in_role gw timeout 10 python3 -c '
import socket, time
sockets = []
for _ in range(60):
    s = socket.socket()
    s.settimeout(5)
    s.connect(("10.81.2.1", 5001))
    sockets.append(s)
time.sleep(60)' & connecting=$!
  eventually has_proxies $((before + 15)) || wrong "the strangers are not let in"
  sleep 2
  proxies=$(processes_of term "proxy" | wc -l)
  ((proxies <= before + 25)) || wrong "$proxies proxies instead of $before and 20 more"
  fetch 4 http small || wrong "the file does not arrive whole beside them"
  wait $connecting || true
  satbox stop term
}
has_proxies() { (($(processes_of term "proxy" | wc -l) >= $1)); }

start_fails() { # STATUS TEXT PEPSAL-OPTION...
  local status=0 lines
  in_role term "$PEPSAL_BIN_DIR/pepsal" --instance $lab-bad --link "sat0" "${@:3}" 2>"$work/error" || status=$?
  lines=$(wc -l <"$work/error")
  [[ $status == "$1" && $lines == 1 ]] || wrong "'${*:3}' ends with $status and $lines lines instead of $1 and one: $(cat "$work/error")"
  [[ ! -e /dev/shm/pepsal.$lab-bad ]] || wrong "'${*:3}' leaves its table"
  grep -qF -- "$2" "$work/error" || wrong "'${*:3}' says '$(cat "$work/error")' instead of '$2'"
}

bad_input() {
  case=bad_input
  satbox stop term >/dev/null 2>&1 || true
  printf short >"$work/short"
  cp "$work/secret" "$work/readable"
  chmod 600 "$work/short"
  chmod 644 "$work/readable"
  start_fails 2 "ADDRESS[,PREFIX...]" --peer gateway
  start_fails 2 "is no prefix" --peer 10.81.2.2,10.81.0.0/40
  start_fails 2 "given twice" --peer 10.81.2.2 --peer 10.81.2.2,10.81.0.0/16
  start_fails 2 "0 to 1024" --peer 10.81.2.2 --warm-connections many
  start_fails 2 "--peer-port" --peer 10.81.2.2 --peer-port 5000
  start_fails 2 "without --peer" --peer-key "$work/secret"
  start_fails 1 "No such file or directory; it takes a file of 32 to 4096 bytes" --peer 10.81.2.2 --peer-key "$work/none"
  start_fails 1 "has 5 bytes; it takes a file of 32 to 4096 bytes" --peer 10.81.2.2 --peer-key "$work/short"
  start_fails 1 "no ordinary file; it takes" --peer 10.81.2.2 --peer-key "$work"
  start_fails 1 "chmod 600" --peer 10.81.2.2 --peer-key "$work/readable"
  start_fails 1 "is not reached by a link's interface" --peer $user
}

set_up
start_up_boxes
cases=("$@")
((${#cases[@]} > 0)) || cases=(carries keeps_dscp speaks_and_half_closes urgent_byte back_pressure from_the_server refused_there box_itself reset_passes burst many_at_once
  iperf_both_ways far_proxies_killed keeper_killed peer_goes_and_comes box_restarted forged_syns half_open_ends without_peers mixed_families none_kept less_patient keys strangers silent_strangers bad_input)
for name in "${cases[@]}"; do "$name"; done

end_test
