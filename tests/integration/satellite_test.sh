#!/usr/bin/env bash
# Two boxes with a satellite between them: which leg is which, Fast Open from its first byte to its last fallback, and
# that it never leaves the satellite. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip curl nginx ncat socat tcpdump ss

readonly lab=pst$$
# shellcheck source=tests/support/two_boxes.sh
source "$(dirname "$0")/../support/two_boxes.sh"

fetch() { # FILE: prints nothing, fails when what comes is not the file
  in_role user curl -fsS --max-time 30 -o "$work/got" "http://$server/$1" && cmp -s "$work/got" "$work/www/$1"
}

capture() { # ROLE INTERFACE: into $work/ROLE.INTERFACE.pcap
  rm -f "$work/tcpdump"
  ip netns exec "$lab-$1" tcpdump -Z root --immediate-mode -U -ni "$2" -w "$work/$1.$2.pcap" tcp 2>"$work/tcpdump" &
  capture_pid=$!
  eventually grep -qs "listening on" "$work/tcpdump" || wrong "tcpdump does not start"
}

end_capture() {
  sleep 0.3 # for what is still in the capture's buffer
  kill -TERM $capture_pid
  wait $capture_pid || true
}

syns() { tcpdump -nr "$work/$1.$2.pcap" 2>/dev/null | grep -F 'Flags [S],'; } # ROLE INTERFACE
count_syns() { syns "$@" | wc -l; }
count_syns_with_data() { syns "$@" | grep -vcE 'length 0$' || true; }

set_up() {
  printf '%s\n' DESCRIPTION=test DOWN_MBIT=20 UP_MBIT=5 RTT_MS=200 QUEUE_BDP=1 >"$work/link.conf"
  satlab up link >/dev/null
  mkdir "$work/www"
  head -c 1000 /dev/urandom >"$work/www/small"
  head -c 3000000 /dev/urandom >"$work/www/large"
  in_role server "$root/scripts/lab/webserver" "$work" "$server"
  # Asked from the server's side. Also answers a client that ends at once, which ncat does not.
  serve_beside user 7001 socat -t 10 TCP-LISTEN:7001,reuseaddr,fork SYSTEM:'head -c 6; echo answer'
  serve_beside server 7002 ncat -lk -p 7002 --sh-exec "echo banner; cat"     # speaks first
  case=control
  eventually fetch small || wrong "no way to the server without the boxes"
  satbox start gw --terrestrial-congestion reno
  satbox start term --terrestrial-congestion reno
}

# The first dial to a server fetches a cookie; a program delayed between connecting and asking makes a dial go without
# data. Tries until one carries some.
carried_data() { # COMMAND...
  local before try
  before=$(counter term fastopen_dials)
  for ((try = 0; try < 10; try++)); do
    "$@" || wrong "'$*' fails"
    (($(counter term fastopen_dials) == before)) || return 0
  done
  return 1
}

# The request crosses the satellite with the SYN, and only there.
request_in_syn() {
  case=request_in_syn
  carried_data fetch large || wrong "no dial of the terminal carries data"
  [[ $(counter term fastopen_dials) == $(counter term fastopen_dials_accepted) ]] || wrong "data in a SYN was refused"
  [[ $(counter gw fastopen_accepts) == $(counter term fastopen_dials) ]] || wrong "the gateway took no data from the SYN"
  [[ $(counter gw fastopen_dials) == 0 ]] || wrong "the gateway dialled the server with data in the SYN"
  capture gw wan0
  fetch small || wrong "the small file does not arrive whole"
  end_capture
  (($(count_syns gw wan0) == 1)) || wrong "$(count_syns gw wan0) SYNs towards the server instead of one"
  (($(count_syns_with_data gw wan0) == 0)) || wrong "a SYN towards the server carries data"
  capture term sat0
  carried_data fetch small || wrong "no dial across the satellite carries data"
  end_capture
  (($(count_syns_with_data term sat0) >= 1)) || wrong "no SYN with data on the satellite"
}

# From the other side: the gateway dials across the satellite, the terminal towards its users.
request_from_the_server() {
  local answer before try
  case=request_from_the_server
  before=$(counter gw fastopen_dials_accepted)
  capture term lan0
  for ((try = 0; try < 10 && $(counter gw fastopen_dials_accepted) == before; try++)); do
    answer=$(in_role server sh -c "printf hello- | timeout 10 ncat $user 7001" || true)
    [[ $answer == hello-answer ]] || wrong "answer '$answer'"
  done
  end_capture
  (($(counter gw fastopen_dials_accepted) == before + 1)) || wrong "no dial of the gateway carries data"
  (($(count_syns_with_data term lan0) == 0)) || wrong "a SYN towards the users carries data"
}

both_legs() { (($(in_role "$1" ss -tnH state established '( sport = :80 or dport = :80 )' | wc -l) == 2)); } # ROLE

# The profile of a leg is that of its interface, whichever side dialled.
profile_of_each_leg() {
  local role algorithms
  case=profile_of_each_leg
  in_role user curl -sS --max-time 30 --limit-rate 1M -o /dev/null "http://$server/large" &
  local curl=$!
  eventually both_legs term || wrong "no connection on the terminal"
  eventually both_legs gw || wrong "no connection on the gateway"
  for role in term gw; do
    algorithms=$(in_role $role ss -tinH state established '( sport = :80 or dport = :80 )' | grep -oE '(bbr|reno|cubic) wscale' |
      cut -d ' ' -f 1 | sort | paste -sd ' ')
    [[ $algorithms == "bbr reno" ]] || wrong "the legs of $role have '$algorithms' instead of one of bbr and one of reno"
    in_role $role ss -tnH state established state syn-recv '( sport = :80 or dport = :80 )' | grep . >/dev/null ||
      wrong "no connection on $role"
  done
  wait $curl || wrong "the download breaks off"
}

# Servers that speak first: the dial does not wait for data that does not come.
server_speaks_first() {
  local before answer
  case=server_speaks_first
  before=$(counter term fastopen_dials)
  answer=$(in_role user sh -c "{ sleep 3; echo mine; sleep 1; } | timeout 10 ncat $server 7002" || true)
  [[ $answer == $'banner\nmine' ]] || wrong "answer '$answer'"
  (($(counter term fastopen_dials) == before)) || wrong "the dial carried data of a client that had sent none"
}

# Without peers, a SYN's source proves nothing: without a cookie it gets SYN-ACKs, and no byte of an answer.
forged_syns() {
  local packets bytes opened
  case=forged_syns
  opened=$(counter gw connections_opened)
  capture gw sat0
  forged_syn 10.81.1.77 4001 data
  sleep 4
  end_capture
  packets=$(tcpdump -nr "$work/gw.sat0.pcap" 'dst host 10.81.1.77' 2>/dev/null)
  [[ $packets == *'Flags [S.]'* ]] || wrong "the gateway does not answer: '$packets'"
  [[ $(grep -vcF 'Flags [S.]' <<<"$packets") == 0 ]] || wrong "more than SYN-ACKs goes to a forged address: $packets"
  bytes=$(tcpdump -vnr "$work/gw.sat0.pcap" 'dst host 10.81.1.77' 2>/dev/null |
    awk 'match($0, /length [0-9]+\)/) { sum += substr($0, RSTART + 7, RLENGTH - 8) } END { print sum }')
  ((bytes <= 3 * 63)) || wrong "$bytes bytes answer a SYN of 63 within four seconds"
  (($(counter gw connections_opened) == opened)) || wrong "the gateway dialled for a forged SYN"
}

# SYNs that carry data get lost on the way: one fallback, and the connection works.
syn_data_dropped() {
  case=syn_data_dropped
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp --syn -m length --length 61:1500 -j DROP
  fetch small || wrong "the file does not arrive whole"
  in_role gw iptables -t raw -C PREROUTING -i sat0 -p tcp --syn -m length --length 61:1500 -j DROP
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp --syn -m length --length 61:1500 -j DROP
}

# No peer: the real server acknowledges the SYN without its data, which are then sent again.
peer_absent() {
  local accepted
  case=peer_absent
  satbox stop gw
  accepted=$(counter term fastopen_dials_accepted)
  fetch large || wrong "the file does not arrive whole"
  (($(counter term fastopen_dials_accepted) == accepted)) || wrong "somebody took data from the SYN"
}

# Only one side: a client without a box of its own is served at the gateway, without Fast Open.
gateway_alone() {
  case=gateway_alone
  satbox stop term
  satbox start gw
  fetch large || wrong "the file does not arrive whole"
  [[ $(counter gw connections_opened) == 1 && $(counter gw fastopen_accepts) == 0 ]] ||
    wrong "the gateway did not split the connection, or took data that nobody sent"
}

start_fails() { # STATUS TEXT PEPSAL-OPTION...
  local status=0 lines
  in_role term "$PEPSAL_BIN_DIR/pepsal" --instance $lab-bad "${@:3}" 2>"$work/error" || status=$?
  lines=$(wc -l <"$work/error")
  [[ $status == "$1" && $lines == 1 ]] || wrong "'${*:3}' ends with $status and $lines lines instead of $1 and one"
  grep -qF -- "$2" "$work/error" || wrong "'${*:3}' says '$(cat "$work/error")' instead of '$2'"
}

bad_input() {
  case=bad_input
  start_fails 2 "--fastopen" --fastopen
  start_fails 1 "tcp_fastopen=3" --fastopen --link sat0
  start_fails 1 "sat9" --link sat9
  start_fails 2 "rtt=MS" --link "sat0 rate=20/5 side=gateway"
  start_fails 2 "'rtt=20000'" --link "sat0 rate=20/5 rtt=20000 side=gateway"
  start_fails 2 "'rate=much'" --link "sat0 rate=much rtt=600 side=gateway"
}

set_up
request_in_syn
request_from_the_server
profile_of_each_leg
server_speaks_first
forged_syns
syn_data_dropped
peer_absent
gateway_alone
bad_input

end_test
