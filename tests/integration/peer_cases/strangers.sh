# Cases of peer_test.sh, which sources this: what is not a peer, or not yet: no peers, other keys, garbage, wrong
# options.
# shellcheck shell=bash disable=SC2034,SC2154

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
  ! in_role user timeout 10 ncat "$server" 7999 </dev/null 2>/dev/null || wrong "a connection to a closed port ends well"
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

# Clients of both families over a peer of one.
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

# A box that keeps no warm connections says so, works without them, and serves its peer's.
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

# A box that waits less long for servers than its peer only gives up the one client, and none of the ready connections.
less_patient() {
  local made
  case=less_patient
  stop_boxes
  satbox --peers start gw --warm-connections 4
  satbox --peers start term --warm-connections 4 --connect-timeout 1
  eventually both_up || wrong "the peers do not come up"
  in_role server iptables -A INPUT -p tcp --dport 7998 -j DROP
  made=$(counter term warm_connections_made)
  in_role user timeout 20 ncat "$server" 7998 </dev/null 2>/dev/null || true
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
  eventually is_down term "its --peer-key differs" || wrong "another key: $(satbox status term | grep '^peer')"
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

# What is not a peer, sends garbage, or stops half-way gets nothing and harms nobody.
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

# A host with the peer's address that sends nothing and keeps connecting gets no more processes than a peer is allowed,
# half of --max-connections, and users' connections continue.
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
  in_role term "$PEPSAL_BIN_DIR/pepsal" --instance "$lab-bad" --link "sat0" "${@:3}" 2>"$work/error" || status=$?
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
  start_fails 1 "not a regular file; it takes" --peer 10.81.2.2 --peer-key "$work"
  start_fails 1 "chmod 600" --peer 10.81.2.2 --peer-key "$work/readable"
  start_fails 1 "is not reached through a link's interface" --peer "$user"
}
