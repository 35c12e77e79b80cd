# A part of pepsal-iptables, which sources it: the rules that start sets.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# What a table should contain, in the format of iptables-restore: our chains, their rules, and the jumps to them.
# Nothing for a table that the mode does not use.
wanted() { # family table
  case $2:$mode in
    raw:tproxy)
      chains PRE SOCK LEG HERE SYN TAKE LATE PASS ASK OUT INFO
      raw_tproxy "$1"
      raw_syn "$1"
      ;;
    raw:redirect)
      chains PRE SYN TAKE PASS ASK INFO
      echo "-A ${prefix}_PRE -p tcp --syn -g ${prefix}_SYN"
      raw_syn "$1"
      ;;
    mangle:tproxy)
      chains PRE IN OUT DSCP MSSP MSSO INFO
      mangle_tproxy "$1"
      guard_port "$routed" "$routed"
      [[ -z $follow_dscp ]] || show_dscp
      ;;
    mangle:redirect)
      chains PRE IN MSSP MSSO INFO
      mangle_mss "$1" "-m addrtype --dst-type LOCAL"
      guard_port "$intercepted" "$value_mask"
      ;;
    filter:tproxy)
      chains GONE ${quic:+QUIC} INFO
      reset_server
      [[ -z $quic ]] || reject_quic "$1"
      ;;
    filter:redirect)
      [[ -n $quic ]] || return 0
      chains QUIC INFO
      reject_quic "$1"
      ;;
    nat:redirect)
      chains PRE INFO
      echo "-A ${prefix}_PRE -p tcp -m mark --mark $intercepted/$value_mask -j REDIRECT --to-ports $port"
      ;;
    *) return ;;
  esac
  record "$1" "$2"
  jumps "$2" "$mode" "$quic"
}

# How the built-in chains of a table reach ours.
jumps() { # table mode quic
  case $1:$2 in
    raw:tproxy)
      echo "-A PREROUTING -j ${prefix}_PRE"
      echo "-A OUTPUT -p tcp -j ${prefix}_OUT"
      ;;
    mangle:tproxy)
      echo "-A PREROUTING -j ${prefix}_PRE"
      echo "-A INPUT -p tcp -j ${prefix}_IN"
      echo "-A OUTPUT -j ${prefix}_OUT"
      echo "-A POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j ${prefix}_MSSO"
      ;;
    mangle:redirect)
      echo "-A PREROUTING -j ${prefix}_PRE"
      echo "-A INPUT -p tcp -j ${prefix}_IN"
      echo "-A POSTROUTING -p tcp -m tcp --tcp-flags SYN,RST SYN -j ${prefix}_MSSO"
      ;;
    raw:redirect | nat:redirect) echo "-A PREROUTING -j ${prefix}_PRE" ;;
    filter:*)
      [[ $2 != tproxy ]] || echo "-A FORWARD -p tcp -j ${prefix}_GONE"
      [[ -z ${3#off} ]] || echo "-A FORWARD -p udp -j ${prefix}_QUIC"
      ;;
  esac
}

chains() { printf ":${prefix}_%s - [0:0]\n" "$@"; }

# Packets of the daemon's connections, found by their socket, are routed into the machine. Those of the client leg are
# kept out of connection tracking: the server leg has the same addresses and ports if it keeps the client's, and would
# share an entry with it, whereupon NAT ignores the server leg. A SYN is never looked up here: one that matches a socket
# in TIME_WAIT must reach TPROXY, which handles it.
raw_tproxy() { # family
  local icmp=${icmps[$1]} interface
  echo "-A ${prefix}_PRE -p tcp --syn -g ${prefix}_SYN"
  # On an intercepted interface, all packets are looked up; elsewhere only those without a mark, so that a mark there is
  # never lost: --restore-skmark overwrites it even if the socket turns out to be another program's.
  for interface in "${interfaces[@]}"; do
    echo "-A ${prefix}_PRE -i $interface -p tcp -m socket --transparent -g ${prefix}_SOCK"
    echo "-A ${prefix}_PRE -i $interface -p $icmp -m socket --transparent -g ${prefix}_SOCK"
  done
  echo "-A ${prefix}_PRE -p tcp -m mark --mark 0x0 -m socket --transparent -g ${prefix}_SOCK"
  echo "-A ${prefix}_PRE -p $icmp -m mark --mark 0x0 -m socket --transparent -g ${prefix}_SOCK"

  # Half-open sockets and those in TIME_WAIT match but have no mark; a value set beforehand shows that there was none.
  echo "-A ${prefix}_SOCK -j MARK --set-xmark $unmarked/$value_mask"
  echo "-A ${prefix}_SOCK -m socket --transparent --restore-skmark"
  echo "-A ${prefix}_SOCK -m mark --mark $client_leg/$value_mask -g ${prefix}_LEG"
  echo "-A ${prefix}_SOCK -m mark --mark $server_leg/$value_mask -g ${prefix}_HERE"
  for interface in "${interfaces[@]}"; do # where clients are, it is a client leg before its first ACK or after its end
    echo "-A ${prefix}_SOCK -i $interface -m mark --mark $unmarked/$value_mask -g ${prefix}_LEG"
  done
  # Elsewhere it is a server leg in TIME_WAIT, or another program's: both are for this machine.
  echo "-A ${prefix}_SOCK -m mark --mark $unmarked/$value_mask -g ${prefix}_HERE"
  echo "-A ${prefix}_SOCK -j MARK --set-xmark 0x0/0xffffffff" # another program's socket: as if never looked up

  echo "-A ${prefix}_LEG -j CT --notrack"
  echo "-A ${prefix}_LEG -g ${prefix}_HERE"
  echo "-A ${prefix}_HERE -j MARK --set-xmark $routed/$all_bits"

  echo "-A ${prefix}_OUT -m mark --mark $client_leg/$value_mask -j CT --notrack"
}

# A SYN comes through here twice: first to be queued, then again with the queuer's answer in its mark.
raw_syn() { # family
  local interface
  echo "-A ${prefix}_SYN -m mark --mark $intercepted/$value_mask -g ${prefix}_TAKE"
  echo "-A ${prefix}_SYN -m mark --mark $bypassed/$value_mask -g ${prefix}_PASS"
  if [[ $1 == 6 ]]; then # never forwarded (RFC 4291 section 2.5.6), and no route tells which link is meant
    echo "-A ${prefix}_SYN -d fe80::/10 -j RETURN"
    echo "-A ${prefix}_SYN -s fe80::/10 -j RETURN"
  fi
  # Packets that a bridge passes to netfilter lose the socket that TPROXY assigns on their way up to IP.
  if [[ $mode == tproxy && -e /proc/sys/net/bridge ]]; then
    echo "-A ${prefix}_SYN -m physdev --physdev-is-in -j RETURN"
  fi
  for interface in "${interfaces[@]}"; do
    echo "-A ${prefix}_SYN -i $interface -m mark --mark 0x0/$value_mask -j ${prefix}_ASK"
  done
  if [[ $mode == tproxy ]]; then
    # Early demux assigns a SYN that should pass to the TIME_WAIT socket of an earlier proxied connection, and then it
    # is not forwarded. So such a SYN is intercepted, whatever was decided.
    for interface in "${interfaces[@]}"; do
      echo "-A ${prefix}_PASS -i $interface -m socket --transparent -g ${prefix}_LATE"
      echo "-A ${prefix}_SYN -i $interface -m mark --mark 0x0/$value_mask -m socket --transparent -g ${prefix}_LATE"
    done
    echo "-A ${prefix}_LATE -j MARK --set-xmark $intercepted/$value_mask"
    echo "-A ${prefix}_LATE -g ${prefix}_TAKE"
    echo "-A ${prefix}_TAKE -j CT --notrack"
  else
    echo "-A ${prefix}_TAKE -j RETURN" # tracked, because NAT needs it; the rule is there to count
  fi
  echo "-A ${prefix}_PASS -j MARK --set-xmark 0x0/$value_mask"
  ask "$1"
}

# More SYNs than any box can serve are a flood, and should not all cost a pass through the queuer: beyond the limit they
# bypass, as fast as the kernel forwards them.
readonly queue_limit="-m limit --limit 10000/sec --limit-burst 10000" # the maximum of xt_limit

ask() { # family
  local target list
  spare_excluded "$1" ASK
  # Connections to the box itself, whatever the scope of the address. One rule for each type: with several types in a
  # rule, the kernel requires all for IPv6, and any for IPv4. IPv6 has no broadcast.
  list="LOCAL BROADCAST MULTICAST"
  if [[ $1 == 6 ]]; then list="LOCAL ANYCAST MULTICAST"; fi
  for target in $list; do
    echo "-A ${prefix}_ASK -m addrtype --dst-type $target -j RETURN"
  done
  spare_translated "$1"
  spare_marked "$1"
  target="$queue_limit $(to_queue)"
  if [[ -z $ports ]]; then
    echo "-A ${prefix}_ASK -p tcp $target"
    echo "-A ${prefix}_ASK -p tcp -g ${prefix}_PASS"
  else
    for list in $(port_groups); do
      echo "-A ${prefix}_ASK -p tcp -m multiport --dports $list $target"
      echo "-A ${prefix}_ASK -p tcp -m multiport --dports $list -g ${prefix}_PASS"
    done
  fi
}

to_queue() {
  if [[ $queue == *:* ]]; then
    echo "-j NFQUEUE --queue-balance $queue --queue-bypass"
  else
    echo "-j NFQUEUE --queue-num $queue --queue-bypass"
  fi
}

# multiport takes at most 15 ports, a range counting as two.
port_groups() {
  local part weight used=0 line=
  local -a parts
  IFS=, read -ra parts <<<"$ports"
  for part in "${parts[@]}"; do
    weight=1
    [[ $part != *:* ]] || weight=2
    if ((used + weight > 15)); then
      echo "$line"
      line="" used=0
    fi
    line+=${line:+,}$part
    ((used += weight))
  done
  echo "$line"
}

# Replies to a server leg that leaves through SNAT or MASQUERADE carry the box's address until NAT has restored the
# client's, after this table; here, after connection tracking, the socket match handles that.
mangle_tproxy() { # family
  local p any=::
  [[ $1 != 4 ]] || any=0.0.0.0
  mangle_mss "$1" "-m mark --mark $routed/$routed"
  echo "-A ${prefix}_PRE -p tcp -m mark --mark $intercepted/$value_mask" \
    "-j TPROXY --on-port $port --on-ip $any --tproxy-mark $routed/$all_bits"
  # A SYN that continues after a dial from its own address and port has that dial's connection mark. Errors about it are
  # the client's.
  echo "-A ${prefix}_PRE -p tcp --syn -m connmark --mark $server_leg/$value_mask -j CONNMARK --set-xmark 0x0/$value_mask"
  for p in tcp "${icmps[$1]}"; do
    echo "-A ${prefix}_PRE -p $p -m conntrack --ctstate SNAT --ctdir REPLY -m socket --transparent" \
      "-j MARK --set-xmark $routed/$routed"
  done
  # If a neighbouring host does not answer, or there is no route, the kernel sends ICMP to the address that the server
  # leg uses: the client's. It is for this machine, and is recognised by the connection that it is about.
  echo "-A ${prefix}_OUT -p tcp --syn -m mark --mark $server_leg/$value_mask" \
    "-j CONNMARK --set-xmark $server_leg/$value_mask"
  echo "-A ${prefix}_OUT -p ${icmps[$1]} -m conntrack --ctstate RELATED -m connmark --mark $server_leg/$value_mask" \
    "-j MARK --set-xmark $returned/$all_bits"
}

# The SYN that opens a client leg, the answer to a server leg's SYN, and what either leg sends itself.
mangle_mss() { # family match-of-answers
  local leg
  echo "-A ${prefix}_PRE -p tcp --syn -m mark --mark $intercepted/$value_mask -j ${prefix}_MSSP"
  echo "-A ${prefix}_PRE -p tcp --tcp-flags SYN,RST,ACK SYN,ACK $2 -j ${prefix}_MSSP"
  limit_segments "$1" MSSP
  echo "-A ${prefix}_MSSO -m mark ! --mark $client_leg/$value_mask -m mark ! --mark $server_leg/$value_mask -j RETURN"
  limit_segments "$1" MSSO
}

# The daemon is shown the DSCP of a connection's packets: in each direction the first two that have one, and then one
# every two seconds. At this point NAT has restored the client's address in answers to a server leg. A SYN has been seen
# before.
show_dscp() {
  echo "-A ${prefix}_IN -m dscp ! --dscp 0x00 -m mark --mark $routed/$routed -j ${prefix}_DSCP"
  echo "-A ${prefix}_DSCP -p tcp --syn -j RETURN"
  echo "-A ${prefix}_DSCP -p tcp -m hashlimit --hashlimit-upto 30/min --hashlimit-burst 2" \
    "--hashlimit-mode srcip,srcport,dstip,dstport --hashlimit-name pepsal_$shift_bits $(to_queue)"
}

# A connection that reaches the daemon's port without a rule would cost it a process to refuse. Those from this machine
# are left to the daemon.
guard_port() { # mark mask; of packets that a rule has sent there
  echo "-A ${prefix}_IN ! -i lo -p tcp --dport $port --syn -m mark ! --mark $1/$2 -m addrtype --dst-type LOCAL -j DROP"
}

# A packet to a server leg that no longer exists would go on to the client, whose connection it does not belong to: the
# sequence numbers differ. A server that lacks earlier packets does not accept the leg's reset but sends a challenge ACK
# (RFC 5961 section 3.2). It is answered by a reset that the server accepts. Resets pass: a client may have challenged
# the server in the same way; and so do SYNs, which begin a connection of their own.
reset_server() {
  echo "-A ${prefix}_GONE -p tcp -m tcp --tcp-flags SYN,RST NONE -m connmark --mark $server_leg/$value_mask" \
    "-j REJECT --reject-with tcp-reset"
}

# QUIC cannot be split. A client whose first packet is rejected switches to TCP at once.
reject_quic() { # family
  local interface with="icmp6-port-unreachable"
  [[ $1 == 6 ]] || with="icmp-port-unreachable"
  spare_excluded "$1" QUIC
  for interface in "${interfaces[@]}"; do
    echo "-A ${prefix}_QUIC -i $interface -p udp --dport 443 -j REJECT --reject-with $with"
  done
}

spare_excluded() { # family role
  local network
  local -a networks
  if [[ $1 == 4 ]]; then networks=("${excludes4[@]}"); else networks=("${excludes6[@]}"); fi
  for network in "${networks[@]}"; do
    echo "-A ${prefix}_$2 -s $network -j RETURN"
    echo "-A ${prefix}_$2 -d $network -j RETURN"
  done
}

as_given() {
  echo "instance=$instance mode=$mode shift=$shift_bits table=$table priority=$priority port=$port queue=$queue quic=${quic:-off}"
}

# What stop and status read. "had" lists the built-in chains that were in the table before, "-" if there was no table;
# "demux" is the previous value of early_demux.
record() { # family table
  echo "-A ${prefix}_INFO -m comment --comment \"pepsal $(as_given) had=${had["$1 $2"]} demux=$demux_was\""
}
