# Cases of pepsal_satlink_test.sh, which sources this: what goes first in the shaper, and what is repeated.
# shellcheck shell=bash disable=SC2154

sent_by() { box tc -s class show dev sat0 classid "$1" | sed -n 's/^ Sent [0-9]* bytes \([0-9]*\) pkt.*/\1/p'; } # CLASS

# Sends three segments without data, through a raw socket.
send_segments() { # SOURCE DESTINATION FLAGS
  box python3 - "$@" <<'END'
import socket, struct, sys
source, destination, flags = sys.argv[1], sys.argv[2], int(sys.argv[3], 16)
family = socket.AF_INET6 if ":" in source else socket.AF_INET
with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
    raw.bind((source, 0))
    for _ in range(3):
        raw.sendto(struct.pack("!HHIIBBHHH", 1000, 2000, 1, 1, 5 << 4, flags, 1000, 0, 0), (destination, 0))
END
}

# Handshakes and acknowledgements go first. Segments that end or push a stream would overtake it; a reset that did would
# not be accepted.
case_ends_do_not_overtake() {
  local addresses flags small others
  set_up
  box ip address add fd00:1::1/64 dev sat0 nodad
  for addresses in 10.1.0.2 fd00:1::2; do box ip neigh replace "$addresses" lladdr 02:00:00:00:00:02 dev sat0 nud permanent; done
  satlink_start
  for addresses in "10.1.0.1 10.1.0.2" "fd00:1::1 fd00:1::2"; do
    for flags in 10:3 02:3 12:3 14:0 04:0 11:0 18:0; do
      small=$(sent_by 1:10) others=$(sent_by 1:20)
      # shellcheck disable=SC2086 # two addresses
      send_segments $addresses "${flags%:*}"
      (($(sent_by 1:10) == small + ${flags#*:} && $(sent_by 1:20) >= others + 3 - ${flags#*:})) ||
        wrong "$addresses: of three segments with flags ${flags%:*} $(($(sent_by 1:10) - small)) go first instead of ${flags#*:}"
    done
  done
}

retransmissions() { box sed -n '/^Tcp: [0-9]/p' /proc/net/snmp | cut -d ' ' -f 13; } # RetransSegs

# Sends one packet to the other side, which loses the first of every two with data; what arrived is in `received`.
send_one_packet() {
  local try listener
  rm -f "$work/received"
  ip netns exec peer nft -f - <<END
add table netdev loss
delete table netdev loss
table netdev loss {
  chain arriving {
    type filter hook ingress device "sat1" priority 0;
    meta l4proto tcp meta length > 100 numgen inc mod 2 0 drop
  }
}
END
  ip netns exec peer ncat -l --recv-only 10.1.0.2 7 >"$work/received" 2>/dev/null </dev/null &
  listener=$!
  for ((try = 0; try < 300; try++)); do
    [[ -z $(ip netns exec peer ss -Hltn 'sport = 7') ]] || break
    sleep 0.1
  done
  timeout 30 ip netns exec box ncat --send-only 10.1.0.2 7 <<<"$(printf '%0500d' 0)" || true
  for ((try = 0; try < 300; try++)); do
    [[ ! -s $work/received ]] || break
    sleep 0.1
  done
  kill $listener 2>/dev/null || true
  wait $listener || true
}

# On a link that loses packets, the last ones are repeated, which saves a retransmission; without loss, and after --loss
# 0, they are not.
case_last_packets_are_sent_once_more() {
  local before
  set_up
  [[ $(satlink check) != *"copy outgoing packets"* ]] || { echo "this kernel makes no copies of outgoing packets"; return 0; }
  ip -n peer addr add 10.1.0.2/24 dev sat1
  note
  satlink_start
  expect "copies without loss" "" "$(box nft list ruleset)$(tc -n box class show dev sat0 classid 1:30)"
  before=$(retransmissions)
  send_one_packet
  expect "bytes that came without copies" 501 "$(wc -c <"$work/received")"
  (($(retransmissions) > before)) || wrong "a lost packet was not sent again: the case does not show what it should"

  satlink_start --loss 1
  [[ $(satlink status) == *"loss 1 %"*"of these repeated: "* ]] || wrong "status says: $(satlink status)"
  ip -n box route change 10.1.0.0/24 dev sat0 src 10.1.0.1 rto_min 25s # timers fire too late
  before=$(retransmissions)
  send_one_packet
  expect "bytes that came with copies" 501 "$(wc -c <"$work/received")"
  expect "retransmissions with copies" "$before" "$(retransmissions)"
  expect "dropped" 0 "$(satlink status | sed -n 's/.*dropped \([0-9]*\).*/\1/p')"

  box nft delete table netdev "$(box nft list tables netdev | sed -n 's/.* \(pepsal_repeats_[0-9]*\)$/\1/p')"
  [[ $(missing) == *"the repetition of the last packets"* ]] || wrong "missing copies are not named: $(satlink status)"
  satlink_start --loss 2
  satlink change --rate 40/10
  [[ $(satlink status) == *"40/10"*"loss 2 %"* ]] || wrong "status after a change says: $(satlink status)"
  satlink_start
  expect "copies after a start without loss" "" "$(box nft list ruleset)$(tc -n box class show dev sat0 classid 1:30)"
  satlink_start --loss 1
  ip -n box route change 10.1.0.0/24 dev sat0 proto kernel scope link src 10.1.0.1
  satlink stop
  expect_as_noted "after a stop"
}
