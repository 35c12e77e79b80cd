# A part of pepsal-iptables, which sources it: the action status.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

declare -A counted=() # "TABLE CHAIN TEXT" -> packets

# Reads how many packets our rules have counted: those of one of our chains that contain a text, all if there is none.
read_counts() { # saved-text-with-counters
  local line lines IFS=$'\n'
  local -r wanted="raw ASK NFQUEUE,raw TAKE,raw PASS,raw LEG notrack,raw OUT notrack,raw HERE MARK,mangle PRE TPROXY,\
mangle PRE -m socket,mangle DSCP NFQUEUE,mangle IN DROP,nat PRE REDIRECT,filter GONE REJECT,filter QUIC REJECT"
  lines=$(awk -v "prefix=${prefix}_" -v "wanted=$wanted" '
    BEGIN { count = split(wanted, name, ",") }
    /^\*/ { table = substr($0, 2) }
    /^\[/ {
      packets = $1; sub(/^\[/, "", packets); sub(/:.*/, "", packets)
      for (i = 1; i <= count; i++) {
        split(name[i], word, " "); text = name[i]; sub(/^[^ ]+ [^ ]+ ?/, "", text)
        if (table == word[1] && $3 == prefix word[2] && (text == "" || index($0, text))) n[i] += packets
      }
    }
    END { for (i = 1; i <= count; i++) print name[i] "=" n[i] + 0 }' <<<"$1")
  for line in $lines; do
    counted[${line%=*}]=${line##*=}
  done
}

# The values an option has in our rules in table raw, as a list.
given() { # saved-text chain option-pattern word-for-nothing
  awk -v "chain=${prefix}_$2" -v "option=^$3$" -v "list=" -v "nothing=$4" '
    /^\*/ { inside = ($0 == "*raw") }
    !inside || !index($0, "-A " chain " ") { next }
    { for (i = 1; i < NF; i++) if ($i ~ option && !seen[$(i + 1)]++) list = list (list == "" ? "" : ",") $(i + 1) }
    END { print list == "" ? nothing : list }' <<<"$1"
}

queue_state() { # queue-range
  local list
  list=$({ cat /proc/net/netfilter/nfnetlink_queue 2>/dev/null; } | awk -v "first=${1%:*}" -v "last=${1#*:}" '
    { bound[$1] }
    END { for (n = first + 0; n <= last + 0; n++) if (!(n in bound)) list = list (list == "" ? "" : " ") n; print list }') || true
  if [[ -z $list ]]; then echo bound; else echo "nobody listens to ${list}: connections bypass PEPsal"; fi
}

# Lists what is missing of a family's rules, one item a line.
missing() { # family record
  local t line name has_record text=${noted[$1]} IFS=$'\n'
  read_record "$2"
  local -r to_port=${recorded[port]} given_mode=${recorded[mode]} to_table=${recorded[table]}
  ! port_is_dead "${recorded[queue]}" "$to_port" ||
    echo "a daemon: connections are sent to port $to_port, where nobody listens"
  line=$(other_mark "$to_port" $((3 << ${recorded[shift]})))
  [[ -z $line ]] || echo "the daemon's --mark-shift (its mark is $line)"
  for t in "${all_tables[@]}"; do
    has_record=$(my_record "$text" "$t")
    for line in $(jumps "$t" "$given_mode" "${recorded[quic]}"); do
      if [[ -z $has_record ]]; then
        echo "the chains in table $t"
        break
      fi
      name=${line#-A }
      [[ $'\n'$text$'\n' == *$'\n'"$t ours jump $line"$'\n'* ]] || echo "the jump in table $t, ${name%% *}"
    done
  done
  name=$(given "${saved[$1]}" SYN -i '')
  for name in ${name//,/$'\n'}; do
    [[ $name == *+ ]] || has_interface "$name" || echo "the interface $name (renamed, or not there yet)"
  done
  outdated "$1"
  [[ $given_mode == tproxy || $1 == 6 || $(<"$early_demux") == 0 ]] || echo "net.ipv4.tcp_early_demux=0"
  for line in $(except "$(wanted_rules "$1" "$2")" "$(all_rules "$1")"); do echo "ip rule $line"; done
  [[ $given_mode == tproxy ]] || return 0
  has_route "$1" "$to_table" || echo "the route in table $to_table"
}

show() { # family record: prints what is there, returns 1 if it is incomplete
  local text lack
  text=$("${commands[$1]}-save" -c 2>/dev/null)
  read_record "$2"
  read_counts "$text"
  echo "IPv$1: ${recorded[mode]} to port ${recorded[port]}, queue ${recorded[queue]} ($(queue_state "${recorded[queue]}"))"
  echo "  interfaces $(given "$text" SYN -i none), ports $(given "$text" ASK --dports all), excluded $(given "$text" ASK '-[sd]' none)"
  printf '  mark bits 0x%x' $((15 << ${recorded[shift]}))
  [[ ${recorded[mode]} != tproxy ]] || printf ', routing table %s by ip rules from %s' "${recorded[table]}" "${recorded[priority]}"
  echo
  echo "  SYNs queued ${counted["raw ASK NFQUEUE"]}, intercepted ${counted["raw TAKE"]}, bypassed ${counted["raw PASS"]}"
  if [[ ${recorded[mode]} == tproxy ]]; then
    echo "  SYNs given to the daemon ${counted["mangle PRE TPROXY"]}"
    echo "  packets of client legs in ${counted["raw LEG notrack"]}, out ${counted["raw OUT notrack"]}"
    echo "  packets of server legs in $((${counted["raw HERE MARK"]} - ${counted["raw LEG notrack"]} + ${counted["mangle PRE -m socket"]}))"
    echo "  packets whose DSCP the daemon was shown ${counted["mangle DSCP NFQUEUE"]}"
    echo "  packets to server legs that are gone, answered by a reset ${counted["filter GONE REJECT"]}"
  else
    echo "  SYNs given to the daemon ${counted["nat PRE REDIRECT"]}"
  fi
  [[ ${recorded[quic]} != reject ]] || echo "  QUIC packets rejected ${counted["filter QUIC REJECT"]}"
  echo "  SYNs to the daemon's port dropped ${counted["mangle IN DROP"]}"
  lack=$(missing "$1" "$2")
  [[ -z $lack ]] || { echo "  missing: ${lack//$'\n'/; }; run start again to correct it" && return 1; }
}

# Exit status as defined by the LSB: 0 in place, 3 not there; 1 in part.
status() {
  local family line found=0 whole=1
  need_machine
  for family in "${families[@]}"; do
    load "$family"
    line=$(elsewhere "$family")
    if [[ -n $line ]]; then
      echo "IPv$family: instance '$line' also has rules in $(other_command "$family")"
      found=1 whole=0
    fi
    line=$(my_record "${noted[$family]}" raw)
    if [[ -n $line ]]; then
      found=1
      show "$family" "$line" || whole=0
    elif [[ ${noted[$family]} == *" ours chain"* ]]; then
      echo "IPv$family: chains without their record; run start again to correct it"
      found=1 whole=0
    else
      echo "IPv$family: not intercepted"
    fi
  done
  ((found)) || exit 3
  ((whole)) || exit 1
}
