#!/usr/bin/env bash
# Tests --connect honest: at open, closed, silent and rejecting ports, a client sees what it sees without PEPsal, for
# both address families and both modes; and whichever process dies meanwhile, each connection gets through. Needs root.
# Usage: honest_test.sh [CASE…]; without names every case is run.
# shellcheck source=tests/integration/iptables_ground.sh
source "$(dirname "$0")/iptables_ground.sh"

need_programs busybox curl nmap pgrep

readonly target4=10.2.0.2 target6=fd02::2

ctl() { box "$PEPSAL_BIN_DIR/pepsalctl" "$@" --instance "iptables-test-$variant"; }
counter() { ctl status | awk -v "name=$1" '$1 == name { print $2 }'; }
reached() { (($(counter "$1") >= $2)); } # counter at-least

at_server() { # iptables arguments, for both families
  in_namespace server "iptables-$variant" "$@"
  in_namespace server "ip6tables-$variant" "$@"
}

# Port 80 is open, 81 closed, 82 silent, 83 to 85 are rejected in three ways.
prepare_server() {
  set_up
  in_namespace server sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
  at_server -A INPUT -p tcp --dport 82 -j DROP
  at_server -A INPUT -p tcp --dport 85 -j REJECT --reject-with tcp-reset
  in_namespace server "iptables-$variant" -A INPUT -p tcp --dport 83 -j REJECT --reject-with icmp-port-unreachable
  in_namespace server "iptables-$variant" -A INPUT -p tcp --dport 84 -j REJECT --reject-with icmp-admin-prohibited
  in_namespace server "ip6tables-$variant" -A INPUT -p tcp --dport 83 -j REJECT --reject-with icmp6-port-unreachable
  in_namespace server "ip6tables-$variant" -A INPUT -p tcp --dport 84 -j REJECT --reject-with icmp6-adm-prohibited
  serve 80
}

# "PORT STATE REASON" of ports 80 to 85, IPv4 and IPv6; long time-outs, as a busy machine answers late.
scan() {
  local -ra nmap=(in_namespace client nmap -sT -Pn -n --reason -p 80-85 --max-retries 1
    --initial-rtt-timeout 3s --min-rtt-timeout 3s --max-rtt-timeout 3s)
  { "${nmap[@]}" "$target4" && "${nmap[@]}" -6 "$target6"; } | awk '$1 ~ /^[0-9]+\/tcp$/ { print $1, $2, $4 }'
}

case_scan() {
  local mode direct
  has_daemon || return 0
  prepare_server
  direct=$(scan)
  expect "open ports without the proxy" 2 "$(grep -c ' open ' <<<"$direct")"
  for mode in tproxy redirect; do
    case="scan, $mode"
    prepare_server
    daemon --connect honest
    rules start --intercept client0 --mode "$mode"
    same "a scan through the proxy" "$direct" "$(scan)"
    (($(counter verdicts_bypass_server) >= 10)) || wrong "few SYNs bypass for their servers: $(ctl status)"
    if [[ $mode == tproxy ]]; then
      talk $target4 80 "$client4"
      talk "[$target6]" 80 "$client6"
    else
      talk $target4 80 "$box4"
      talk "[$target6]" 80 "$box6"
    fi
    reached dials_ahead_used 2 || wrong "the open port's connections had no leg dialled ahead: $(ctl status)"
    rules stop
  done
  # Control: the scan can tell the difference.
  case="scan, fast"
  prepare_server
  daemon
  rules start --intercept client0
  expect "open ports where clients are answered at once" 12 "$(scan | grep -c ' open ')"
  case=scan
}

# A name has a dead IPv6 and a live IPv4 address; the file arrives whole, over the live one.
case_two_addresses() {
  local round sum
  has_daemon || return 0
  mkdir -p "$work/www"
  head -c 20000000 /dev/urandom >"$work/www/file"
  sum=$(sha256sum <"$work/www/file")
  for round in direct "honest tproxy" "honest redirect" "fast tproxy"; do
    case="two_addresses, $round"
    set_up
    in_namespace server "ip6tables-$variant" -A INPUT -p tcp --dport 8080 -j DROP
    start_in server busybox httpd -f -p "$target4:8080" -h "$work/www"
    wait_for "server" listening server 8080 1
    if [[ $round != direct ]]; then
      daemon --connect "${round% *}"
      rules start --intercept client0 --mode "${round#* }"
    fi
    got=$(in_namespace client curl -s --max-time 15 --resolve "name.test:8080:[$target6],$target4" \
      http://name.test:8080/file | sha256sum) || true
    if [[ $round == fast* ]]; then
      [[ $got != "$sum" ]] || wrong "where clients are answered at once, the dead address does no harm"
    else
      expect "what came" "$sum" "$got"
    fi
  done
  case=two_addresses
}

# While SYNs wait for a silent server, the dialler or the queuer is killed, or the daemon restarts in place; then the
# server answers.
case_killed() {
  local victim round talks=() before to from
  has_daemon || return 0
  for victim in dialler queuer restart; do
    case="killed, $victim"
    set_up
    serve 80
    daemon --connect honest
    rules start --intercept client0
    talk $target4 80 "$client4"
    at_server -A INPUT -p tcp --dport 80 --syn -j DROP
    before=$(counter dials_ahead)
    talks=()
    for round in 1 2 3 4 5 6; do
      to=$target4
      ((round % 2)) || to="[$target6]"
      (echo to and fro | in_namespace client timeout 60 socat -t 20 - "TCP:$to:80" >"$work/said.$round" 2>&1) &
      talks+=($!)
    done
    wait_for "dials" reached dials_ahead $((before + 6))
    if [[ $victim == restart ]]; then
      ctl restart >>"$work/background.log" 2>&1 || wrong "no restart: $(tail -n 1 "$work/background.log")"
    else
      kill -KILL "$(pgrep -f "^pepsal: $victim")"
    fi
    at_server -D INPUT -p tcp --dport 80 --syn -j DROP
    wait "${talks[@]}" || true
    for round in 1 2 3 4 5 6; do
      from=$client4
      ((round % 2)) || from=$client6
      expect "connection $round" "from $from to and fro" "$(paste -sd ' ' "$work/said.$round")"
    done
    before=$(counter dials_ahead_used)
    wait_for "leg dialled ahead afterwards" talks_ahead "$before"
  done
  case=killed
}

talks_ahead() { # counter-before
  talk "$target4" 80 "$client4"
  reached dials_ahead_used $(($1 + 1))
}

# SYNs from forged sources: their server legs are reset.
case_forged() {
  has_daemon || return 0
  set_up
  serve 80
  daemon --connect honest
  rules start --intercept client0
  in_namespace client nmap -sS -Pn -n -e box0 -S 10.1.0.77 --host-timeout 10s -p 80 $target4 >>"$work/background.log" 2>&1 || true
  in_namespace client nmap -6 -sS -Pn -n -e box0 -S fd01::77 --host-timeout 10s -p 80 $target6 >>"$work/background.log" 2>&1 || true
  wait_for "dials for forged SYNs" reached dials_ahead 2
  wait_for "end of forged connections at the server" no_connections server
  wait_for "end of forged connections at the box" no_connections box
  expect "legs that a proxy has taken" 0 "$(counter dials_ahead_used)"
}

no_connections() { [[ -z $(in_namespace "$1" ss -Htn state connected exclude time-wait exclude syn-recv) ]]; } # namespace

run_cases "$@"
