#!/usr/bin/env bash
# Tests the rules of scripts/steering/pepsal-iptables together with a site's ip rules: a server leg must take the way of
# its client's packets. Usage: iptables_routing_test.sh [CASE…]; without names every case is run. Needs root.
# shellcheck source=tests/integration/iptables_ground.sh disable=SC2119
source "$(dirname "$0")/iptables_ground.sh"

# A second way to the server, over a satellite, which only ip rules select. The side that the daemon assumes for the leg
# shows in its congestion control; where the SYN arrives, in the server's counters. The same for connections that the
# server opens to the client.
case_policy_routing() {
  near=client far=server near_net4=10.1.0.0/24 near_net6=fd01::/64
  policy_routing
}

case_policy_routing_from_the_other_side() {
  near=server far=client near_net4=10.2.0.0/24 near_net6=fd02::/64
  policy_routing
}

policy_routing() {
  local name=$case round kind family daemon_options=(--link "sat0 rate=50/10 rtt=600 side=gateway" --satellite-congestion reno)
  has_daemon || return 0
  set_up
  serve_in "$far" 80
  ip link add sat0 netns box type veth peer name sat0 netns "$far"
  ip -n box address add 10.3.0.1/24 dev sat0
  ip -n box address add fd03::1/64 dev sat0 nodad
  ip -n "$far" address add 10.3.0.2/24 dev sat0
  ip -n "$far" address add fd03::2/64 dev sat0 nodad
  for round in box "$far"; do ip -n "$round" link set sat0 up; done
  ip -n box -4 route add default via 10.3.0.2 table 100
  ip -n box -6 route add default via fd03::2 table 100
  for family in iptables ip6tables; do
    in_namespace "$far" "$family-$variant" -A INPUT -i sat0 -p tcp --syn -m comment --comment satellite
  done
  for round in control tproxy redirect; do
    [[ $round != tproxy ]] || daemon "${daemon_options[@]}"
    for kind in iif from mark; do
      # Under redirect, the server leg is the box's own, and no rule by source matches it.
      [[ $round != redirect || $kind != from ]] || continue
      case="$name by $kind, $round"
      policy add "$kind"
      [[ $round == control ]] || rules start --intercept "${near}0" --mode "$round" 2>"$work/said" || wrong "start: $(<"$work/said")"
      via_satellite "$round" "$kind"
      [[ $round == control ]] || check_followed "$kind"
      policy del "$kind"
      # Without the rule, everything goes the other way again.
      [[ $round == control ]] || rules start --intercept "${near}0" --mode "$round"
      expect "SYNs by the satellite without a rule" "$(syns_by_satellite)" "$(talk_unseen && syns_by_satellite)"
      rules stop
    done
  done
  case=$name
  expect "rules left behind" "" "$(ip -n box rule | grep -E '100|0xc0000' || true)"
}
policy() { # add|del iif|from|mark
  local flag=-A
  [[ $1 == add ]] || flag=-D
  case $2 in
    iif)
      ip -n box -4 rule "$1" priority 1000 iif "${near}0" lookup 100
      ip -n box -6 rule "$1" priority 1000 iif "${near}0" ipproto tcp lookup 100
      ;;
    from)
      ip -n box -4 rule "$1" priority 1000 from "$near_net4" lookup 100
      ip -n box -6 rule "$1" priority 1000 from "$near_net6" lookup 100
      ;;
    mark)
      both -t mangle $flag PREROUTING -i "${near}0" -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0x1
      ip -n box -4 rule "$1" priority 1000 fwmark 0x1/0x1 lookup 100
      ip -n box -6 rule "$1" priority 1000 fwmark 0x1/0x1 lookup 100
      ;;
  esac
}
syns_by_satellite() {
  local family
  for family in iptables ip6tables; do
    in_namespace "$far" "$family-$variant" -nvxL INPUT | awk '/satellite/ { print $1 }'
  done | paste -sd ' '
}
talk_unseen() { talk_to_far '' ''; }
talk_to_far() { # what-it-sees-of-IPv4 and-of-IPv6
  if [[ $far == server ]]; then talk_to_server 80 "$@"; else talk_to_client 80 "$@"; fi
}
via_satellite() { # round kind
  local four six before after
  if [[ $near == client ]]; then four=$client4 six=$client6; else four=$server4 six=$server6; fi
  [[ $1 != redirect || $2 == mark ]] || four='' six=''
  read -ra before <<<"$(syns_by_satellite)"
  talk_to_far "$four" "$six"
  read -ra after <<<"$(syns_by_satellite)"
  expect "SYNs by the satellite" "1 1" "$((after[0] - before[0])) $((after[1] - before[1]))"
}
# Intercepted, on the satellite side as far as the daemon knows; or, by a mark, bypassed, which start and check say.
check_followed() { # kind
  local said
  if [[ $1 == mark ]]; then
    expect "SYNs queued" "0 0" "$(counted 'SYNs queued')"
    said=$(<"$work/said")
    [[ $said == *"IPv4: connections that the site marks"*"--dport 80"*"IPv6: "* ]] || wrong "start says: $said"
    said=$(rules check 2>&1) || wrong "check fails: $said"
    [[ $said == *"IPv4: connections that the site marks"* ]] || wrong "check says: $said"
    return
  fi
  expect "SYNs given to the daemon" "1 1" "$(counted 'given to the daemon')"
  rules status >/dev/null || wrong "status: $(rules status)"
  wait_for "closing lines of legs by the satellite" legs_by_satellite
  : >"$work/background.log"
}
legs_by_satellite() { (($(grep -c 'server_congestion=reno reason=finished' "$work/background.log") == 2)); }

run_cases "$@"
