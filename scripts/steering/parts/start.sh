# A part of pepsal-iptables, which sources it: the actions start and stop.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

need_interfaces() {
  local interface
  for interface in "${interfaces[@]}"; do
    if [[ $interface == *+ ]] || has_interface "$interface"; then
      continue
    fi
    if [[ -n $from_configuration ]]; then # which may also name interfaces that appear later, such as ppp0
      notice "there is no interface '$interface' yet; connections are intercepted once it exists"
      continue
    fi
    broken "--intercept: no interface '$interface' here; there are: $(ip -br link | awk '{sub(/@.*/, "", $1); print $1}' |
        paste -sd ' ')"
  done
  is_up lo || broken "interface lo is down, and intercepted connections are delivered through it; ip link set lo up"
}

# The kernel would intercept each connection twice.
need_one_variant() { # family
  local other
  other=$(elsewhere "$1")
  [[ -z $other ]] || broken "instance '$other' has rules in $(other_command "$1"); remove them first:" \
    "IPTABLES=$(other_command 4) IP6TABLES=$(other_command 6) $program stop --instance $other"
}

# Two instances must not share mark bits or a routing table, and a table in use by others is left alone.
need_room() { # family
  local line other shift other_priority IFS=$'\n'
  for line in $(records "${noted[$1]}" raw); do
    read_record "$line"
    other=${recorded[instance]} shift=${recorded[shift]}
    [[ -n $other && $other != "$instance" ]] || continue
    ((shift_bits + 4 <= shift || shift + 4 <= shift_bits)) ||
      broken "--mark-shift: $shift_bits overlaps the mark bits of instance '$other' (shift $shift); they must be 4 apart"
    [[ $mode == tproxy && ${recorded[mode]} == tproxy ]] || continue
    [[ ${recorded[table]} != "$table" ]] ||
      broken "--table: $table is the routing table of instance '$other'; choose another"
    other_priority=${recorded[priority]}
    ((priority + 3 < other_priority || other_priority + 3 < priority)) ||
      broken "--priority: $priority is too near to that of instance '$other' ($other_priority); they must be 4 apart"
  done
  [[ $mode == tproxy ]] || return 0
  for line in $(all_rules "$1"); do
    ((${line%% *} < priority || ${line%% *} > priority + 3)) || [[ $line == *" proto $protocol" ]] ||
      broken "--priority: $priority to $((priority + 3)) must be free, and there is an ip rule '$line'"
  done
  for line in $(routes_of "$1" "$table"); do
    [[ "$line " == "local default dev lo proto $protocol "* ]] ||
      broken "--table: routing table $table holds other routes already; choose an empty one"
  done
}

install() { # family; prints the reason and returns 1 on failure
  local t reason lacking="" first=mangle last=nat
  route_here "$1" "$(as_given)" 2>&1 || return
  [[ $mode == tproxy ]] || first=nat last=mangle
  # Nothing is marked before the rules that handle the mark are in place.
  for t in $first raw $last filter; do
    if reason=$(change "$1" "$t" "$(wanted "$1" "$t")"); then continue; fi
    follow_dscp=
    if [[ $t != mangle || $mode != tproxy ]] || ! change "$1" "$t" "$(wanted "$1" "$t")" >/dev/null; then
      echo "$reason"
      return 1
    fi
    lacking=$reason
  done
  [[ -z $lacking ]] || notice "IPv$1: DSCPs that change after the SYN are not passed on ($lacking)"
}

# Removes what a change leaves behind: ip rules, routes, empty tables.
tidy() { # family
  local t
  load "$1"
  sweep "$1"
  for t in "${all_tables[@]}"; do prune "$1" "$t"; done
}

begin() {
  local family t
  for family in "${families[@]}"; do
    load "$family"
    before[$family]=${saved[$family]} noted_before[$family]=${noted[$family]}
    for t in "${all_tables[@]}"; do had["$family $t"]=$(find_had "$family" "$t"); done
  done
  demux_was=$(find_demux)
}

# Restores our rules as they were when the program began: none, or those of an earlier start.
undo() {
  local family t line
  trap '' INT TERM HUP
  set +e
  for family in "${families[@]}"; do
    load "$family"
    line=$(my_record "${noted_before[$family]}" raw)
    if [[ -n $line ]]; then
      route_here "$family" "$line"
    fi
    for t in filter mangle nat raw; do change "$family" $t "$(own "${before[$family]}" $t)"; done
    tidy "$family"
  done >/dev/null
  set_demux >/dev/null
}

start() {
  local family reason
  need_machine
  need_interfaces
  ! port_is_dead "$queue" "$port" ||
    broken "--port: a daemon serves queue $queue, but nobody listens at port $port; give the port and queue of the daemon"
  reason=$(other_mark "$port" "$client_leg")
  [[ -z $reason ]] || broken "--mark-shift: the daemon at port $port has another one (its mark is $reason, not $client_leg)"
  begin
  for family in "${families[@]}"; do
    need_one_variant "$family"
    need_room "$family"
  done
  for reason in "${interfaces[@]}"; do
    while read -r reason; do notice "$reason"; done < <(bridge_trouble "$reason")
  done
  for family in "${families[@]}"; do
    while read -r reason; do notice "$reason"; done < <(unrepeated_rules "$family" && marking_rules "$family")
  done
  [[ ${#families[@]} == 2 ]] || notice "IPv6 is disabled in this kernel; only IPv4 is intercepted"
  trap 'undo' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  for family in "${families[@]}"; do
    reason=$(install "$family") || broken "IPv$family: $reason ('$program check' names what is missing)"
  done
  load 4
  reason=$(set_demux) || broken "$reason"
  trap '' INT TERM HUP # done, but for cleaning up after an earlier start
  trap - EXIT
  for family in "${families[@]}"; do tidy "$family"; done
}

stop() {
  local family t reason failed=
  need_machine
  trap '' INT TERM HUP # an incomplete stop helps nobody, and it is short
  begin
  for family in "${families[@]}"; do
    for t in filter raw mangle nat; do # first the rules that answer packets without a leg
      reason=$(change "$family" "$t" "") || failed=${failed:-IPv$family: $reason}
    done
    tidy "$family"
  done
  reason=$(set_demux) || failed=${failed:-$reason}
  [[ -z $failed ]] || broken "$failed"
  reason=$(elsewhere 4)
  [[ -z $reason ]] || notice "instance '$reason' still has rules in $(other_command 4)"
}
