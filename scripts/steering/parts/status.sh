# A part of pepsal-iptables, which sources it: the action status.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# Packets counted by those rules of one of our chains that contain a given text.
count() { # saved-text-with-counters table chain text
  awk -v "chain=${prefix}_$3" -v "text=$4" '
    /^\*/ { inside = ($0 == table) }
    inside && $3 == chain && index($0, text) { sub(/^\[/, "", $1); sub(/:.*/, "", $1); n += $1 }
    END { print n + 0 }' table="*$2" - <<<"$1"
}

# The values an option has in our rules, as a list.
given() { # saved-text chain option word-for-nothing
  local list
  list=$(sed -n '/^\*raw$/,/^COMMIT/p' <<<"$1" | grep -F -- "-A ${prefix}_$2 " | grep -oE -- " $3 [^ ]+" |
    awk '!seen[$2]++ { print $2 }' | paste -sd ,)
  echo "${list:-$4}"
}

queue_state() { # queue-range
  local number list=
  for ((number = ${1%:*}; number <= ${1#*:}; number++)); do
    awk -v "n=$number" '$1 == n { found = 1 } END { exit !found }' /proc/net/netfilter/nfnetlink_queue 2>/dev/null ||
      list+=${list:+ }$number
  done
  if [[ -z $list ]]; then echo bound; else echo "nobody listens to ${list}: connections pass direct"; fi
}

# Lists what is missing of a family's rules, one a line.
missing() { # family record
  local t line name text=${noted[$1]} given_mode port_of
  given_mode=$(field mode "$2")
  port_of=$(field port "$2")
  ! port_is_dead "$(field queue "$2")" "$port_of" ||
    echo "a daemon: they bring connections to port $port_of, where nobody listens"
  line=$(other_mark "$port_of" $((3 << $(field shift "$2"))))
  [[ -z $line ]] || echo "the daemon's --mark-shift (its mark is $line)"
  for t in $all_tables; do
    while read -r line; do
      if [[ -z $(my_record "$text" "$t") ]]; then
        echo "the chains in table $t"
        break
      fi
      [[ $'\n'$text$'\n' == *$'\n'"$t ours jump $line"$'\n'* ]] ||
        echo "the jump in table $t, $(cut -d ' ' -f 2 <<<"$line")"
    done < <(jumps "$t" "$given_mode" "$(field quic "$2")")
  done
  for name in $(tr , ' ' <<<"$(given "${saved[$1]}" SYN -i '')"); do
    [[ $name == *+ ]] || has_interface "$name" || echo "the interface $name (renamed, or not there yet)"
  done
  outdated "$1"
  [[ $given_mode == tproxy || $1 == 6 || $(<"$early_demux") == 0 ]] || echo "net.ipv4.tcp_early_demux=0"
  wanted_rules "$1" "$2" | except "$(all_rules "$1")" | sed 's/^/ip rule /'
  [[ $given_mode == tproxy ]] || return 0
  has_route "$1" "$(field table "$2")" || echo "the route in table $(field table "$2")"
}

show() { # family record: prints what is there, returns 1 if it is not whole
  local text lack
  text=$("$(command_of "$1")-save" -c 2>/dev/null)
  echo "IPv$1: $(field mode "$2") to port $(field port "$2"), queue $(field queue "$2") ($(queue_state "$(field queue "$2")"))"
  echo "  interfaces $(given "$text" SYN -i none), ports $(given "$text" ASK --dports all), excluded $(given "$text" ASK '-[sd]' none)"
  printf '  mark bits 0x%x' $((15 << $(field shift "$2")))
  [[ $(field mode "$2") != tproxy ]] || printf ', routing table %s by ip rules from %s' "$(field table "$2")" "$(field priority "$2")"
  echo
  echo "  SYNs queued $(count "$text" raw ASK NFQUEUE), intercepted $(count "$text" raw TAKE ''), bypassed $(count "$text" raw PASS '')"
  if [[ $(field mode "$2") == tproxy ]]; then
    echo "  SYNs given to the daemon $(count "$text" mangle PRE TPROXY)"
    echo "  packets of client legs in $(count "$text" raw LEG notrack), out $(count "$text" raw OUT notrack)"
    echo "  packets of server legs in $(($(count "$text" raw HERE MARK) - $(count "$text" raw LEG notrack) +
      $(count "$text" mangle PRE -m\ socket)))"
    echo "  packets whose DSCP the daemon was shown $(count "$text" mangle DSCP NFQUEUE)"
    echo "  packets to server legs that are gone, answered by a reset $(count "$text" filter GONE REJECT)"
  else
    echo "  SYNs given to the daemon $(count "$text" nat PRE REDIRECT)"
  fi
  [[ $(field quic "$2") != reject ]] || echo "  QUIC packets rejected $(count "$text" filter QUIC REJECT)"
  echo "  SYNs to the daemon's port dropped $(count "$text" mangle IN DROP)"
  lack=$(missing "$1" "$2")
  [[ -z $lack ]] || { echo "  missing: $(paste -sd ';' <<<"$lack" | sed 's/;/; /g'); start again to correct it" && return 1; }
}

# Exit status as defined by the LSB: 0 in place, 3 not there; 1 in part.
status() {
  local family line found=0 whole=1
  need_machine
  for family in "${families[@]}"; do
    load "$family"
    line=$(elsewhere "$family")
    if [[ -n $line ]]; then
      echo "IPv$family: rules of instance '$line' stand by $(other_command "$family"), too"
      found=1 whole=0
    fi
    line=$(my_record "${noted[$family]}" raw)
    if [[ -n $line ]]; then
      found=1
      show "$family" "$line" || whole=0
    elif [[ ${noted[$family]} == *" ours chain"* ]]; then
      echo "IPv$family: chains without their record; start again to correct it"
      found=1 whole=0
    else
      echo "IPv$family: not intercepted"
    fi
  done
  ((found)) || exit 3
  ((whole)) || exit 1
}
