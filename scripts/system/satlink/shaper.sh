# A part of pepsal-satlink, which sources it: the shaper of the interface, and the copies sent when the link is idle.
# shellcheck shell=bash disable=SC2034,SC2154

# By total length (IPv4) or payload length (IPv6) below 64 bytes, protocol TCP, no FIN, RST or PSH: those would overtake
# the data before them, and a reset that does is not accepted (RFC 5961 section 3).
small_first() {
  local filter="tc filter add dev $interface parent 1:"
  $filter protocol ip prio 1 u32 match u16 0 0xffc0 at 2 match u8 6 0xff at 9 match u8 0 0x0d at 33 flowid 1:10 &&
    $filter protocol ipv6 prio 2 u32 match u16 0 0xffc0 at 4 match u8 6 0xff at 6 match u8 0 0x0d at 53 flowid 1:10
} 2>/dev/null

# With a single tc, because every moment at the old rate fills the satellite's queue.
set_classes() { # add|change
  local frame limits whole=${link[shaped_bit]}
  frame=$(($(<"/sys/class/net/$interface/mtu") + 14))
  limits="ceil ${whole}bit quantum $frame burst $((2 * frame)) cburst $((2 * frame))"
  tc -batch - <<END
class $1 dev $interface parent 1: classid 1:1 htb rate ${whole}bit $limits
class $1 dev $interface parent 1:1 classid 1:10 htb prio 0 rate $((whole / 2))bit $limits
class $1 dev $interface parent 1:1 classid 1:20 htb prio 1 rate $((whole / 2))bit $limits
END
}

is_repeating() { # whether copies have their rules and their class
  nft list table netdev "pepsal_repeats_$(cat "/sys/class/net/$interface/ifindex")" >/dev/null 2>&1 &&
    [[ $(tc class show dev "$interface" classid "$copies") == "class htb $copies "* ]]
}

# Whether it is complete: a start that was killed records no queue.
is_shaped() { [[ -n $(noted queue) && $(tc qdisc show dev "$interface" root) == "qdisc htb 1: root "* ]]; }

# Changes the rate in place, which loses no packet: shortening a queue would.
reshape() {
  set_classes change 2>/dev/null || broken "cannot change the shaper of $interface"
  ((link[queue_bytes] > $(noted queue))) || return 0
  tc qdisc change dev "$interface" parent 1:20 handle 2: bfifo limit "${link[queue_bytes]}" 2>/dev/null || true # fq needs none
  note queue "${link[queue_bytes]}"
}

# Queues the box's own packets, where TCP's small queues see them: HTB at the rate, and under it the fairest queue
# available. Handshakes and acknowledgements go first, so that neither waits behind a burst.
shape() {
  local leaf
  remember_attribute tx_queue_len # a queueing discipline on a device without a queue sets it
  remember qdisc root htb
  { tc qdisc add dev "$interface" root handle 1: htb default 20 && set_classes add; } 2>/dev/null ||
    broken "cannot shape $interface with HTB ('$program check --interface $interface' names what is missing)"
  # By total length (IPv4) or payload length (IPv6) below 64 bytes, protocol TCP, flags.
  small_first || true # a kernel without u32: first come, first served
  for leaf in "fq limit 100000 flow_limit 100000" "fq_codel limit 100000 target 50ms interval 1s" \
    "bfifo limit ${link[queue_bytes]}"; do
    # shellcheck disable=SC2086 # a queueing discipline with its parameters
    if tc qdisc add dev "$interface" parent 1:20 handle 2: $leaf 2>/dev/null; then
      note queue "${link[queue_bytes]}"
      return
    fi
  done
  broken "there is no queue for HTB on $interface ('$program check --interface $interface' names what is missing)"
}

# What only one of TCP's timers would repair, such as the end of a burst, is repeated as soon as the link is idle: the
# lowest class contains copies of the last packets sent, and drops the oldest when it is full. Its own rate also refills
# what it may send while the link is busy: a little, after a quiet time. Only the box's own packets have a socket, so
# packets that it forwards and the copies themselves are not copied. Nor are acknowledgements: the next one says the
# same. A copy has no timestamp, because repairs made meanwhile would make the timestamp too old for the receiver (PAWS,
# RFC 7323, section 5). If nft cannot make copies, there are none.
repeat_last_packets() {
  local table frame
  table=pepsal_repeats_$(cat "/sys/class/net/$interface/ifindex")
  if ((link[repeat_packets] == 0)); then
    [[ -z $(noted "repeats $table") ]] || nft delete table netdev "$table" 2>/dev/null || true
    tc class del dev "$interface" classid "$copies" 2>/dev/null || true
    return 0
  fi
  frame=$(($(cat "/sys/class/net/$interface/mtu") + 14))
  { tc class replace dev "$interface" parent 1:1 classid "$copies" htb prio 7 rate "${link[repeat_bit]}bit" ceil "${link[shaped_bit]}bit" \
    quantum $frame burst "${link[repeat_burst]}" cburst $((2 * frame)) &&
    tc qdisc replace dev "$interface" parent "$copies" handle 3: pfifo_head_drop limit "${link[repeat_packets]}"; } 2>/dev/null ||
    broken "cannot add a class for repeated packets to the shaper of $interface"
  remember repeats "$table" -
  nft -f - 2>/dev/null <<END || echo "$program: packets are not repeated on $interface: this needs nftables and kernel 5.18 or newer" >&2
add table netdev $table
delete table netdev $table
table netdev $table {
  chain once_more {
    meta priority set $copies
    dup to "$interface"
    meta priority set 0
  }
  chain leaving {
    type filter hook egress device "$interface" priority 0;
    meta priority $copies tcp flags & syn == 0 tcp option timestamp exists reset tcp option timestamp accept
    meta priority $copies accept
    meta l4proto tcp meta length > 100 meta skuid >= 0 goto once_more
    meta l4proto tcp tcp flags & (fin | syn | psh) != 0 meta skuid >= 0 goto once_more
  }
}
END
}
