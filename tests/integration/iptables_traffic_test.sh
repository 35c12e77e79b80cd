#!/usr/bin/env bash
# Tests connections under the rules of scripts/steering/pepsal-iptables, without and with the daemon. Usage:
# iptables_traffic_test.sh [CASE…]; without names every case is run. Needs root.
# shellcheck source=tests/integration/iptables_ground.sh
source "$(dirname "$0")/iptables_ground.sh"


case_direct_without_a_daemon() {
  local mode
  set_up
  serve 80 443
  for mode in tproxy redirect; do
    rules start --intercept client0 --mode $mode --ports 80,81:82 --exclude 10.9.0.0/24
    talk 10.2.0.2 80 "$client4"
    talk '[fd02::2]' 80 "$client6"
    expect "SYNs that reached the queue rule" "1 1" "$(counted 'SYNs queued')"
    talk 10.2.0.2 443 "$client4" # not one of the ports
    talk 10.9.0.1 80 "$client4"  # excluded
    expect "SYNs that reached the queue rule" "1 1" "$(counted 'SYNs queued')"
    [[ $(rules status) == *"nobody listens to 0"* ]] || wrong "status does not say that nobody listens: $(rules status)"
    rules stop
    tables -t nat -A POSTROUTING -o server0 -j MASQUERADE
    tables6 -t nat -A POSTROUTING -o server0 -j MASQUERADE
    rules start --intercept client0 --mode $mode
    talk 10.2.0.2 80 "$box4"
    talk '[fd02::2]' 80 "$box6"
    rules stop
    tables -t nat -F POSTROUTING
    tables6 -t nat -F POSTROUTING
  done
}

# HAProxy, transparent with its own rules as in its manual, continues undisturbed on an interface that is not ours.
case_other_transparent_proxy_unharmed() {
  set_up
  serve 80
  cat >"$work/haproxy.cfg" <<END
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen four
  bind :5555 transparent
  tcp-request connection set-mark 0x300
  source 0.0.0.0 usesrc clientip
  server s 10.2.0.2:80
listen six
  bind :::5555 transparent v6only
  tcp-request connection set-mark 0x300
  source :::0 usesrc clientip
  server s [fd02::2]:80
END
  start_in box haproxy -f "$work/haproxy.cfg" -db
  for t in tables tables6; do
    $t -t mangle -N DIVERT
    $t -t mangle -A DIVERT -j MARK --set-mark 1
    $t -t mangle -A DIVERT -j ACCEPT
    # All but the routing mark, which the last ACK of a handshake gets: it is for this machine, too.
    $t -t mangle -A PREROUTING -m mark ! --mark 0x0/0xfff7ffff -m comment --comment marked
    $t -t mangle -A PREROUTING -p tcp -m socket --transparent -m comment --comment seen
    $t -t mangle -A PREROUTING -p tcp -m socket -j DIVERT
    $t -t mangle -A PREROUTING -i client0 -p tcp --dport 80 -j TPROXY --tproxy-mark 1 --on-port 5555
  done
  for t in -4 -6; do
    ip -n box $t rule add fwmark 1 lookup 100
    ip -n box $t route add local default dev lo table 100
  done
  wait_for "HAProxy" listening box 5555 2
  rules start --intercept server0
  talk 10.2.0.2 80 "$client4"
  talk '[fd02::2]' 80 "$client6"
  for t in tables tables6; do
    [[ $($t -t mangle -nvxL PREROUTING | awk '/seen/ { print $1 }') != 0 ]] || wrong "$t: HAProxy's sockets are not seen"
    expect "$t: packets of HAProxy's with a mark not its own" 0 \
      "$($t -t mangle -nvxL PREROUTING | awk '/marked/ { print $1 }')"
  done
  rules stop
}

case_with_the_daemon() {
  local mode masquerade four six
  has_daemon || return 0
  for mode in tproxy redirect; do
    for masquerade in without with; do
      set_up
      serve 80 443
      box sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.all.src_valid_mark=1
      four=$client4 six=$client6
      if [[ $masquerade == with ]]; then
        four=$box4 six=$box6
        tables -t nat -A POSTROUTING -o server0 -j MASQUERADE
        tables6 -t nat -A POSTROUTING -o server0 -j MASQUERADE
      fi
      if [[ $mode == tproxy ]]; then daemon; else daemon --source own; fi
      rules start --intercept client0 --mode $mode --ports 80
      case="with_the_daemon in $mode mode $masquerade MASQUERADE"
      talk 10.2.0.2 443 "$four" # past the daemon
      talk '[fd02::2]' 443 "$six"
      [[ $mode == tproxy ]] || four=$box4 six=$box6
      talk 10.2.0.2 80 "$four"
      talk '[fd02::2]' 80 "$six"
      expect "SYNs intercepted" "1 1" "$(counted intercepted)"
      expect "SYNs the daemon got" "1 1" "$(counted 'given to the daemon')"
      rules stop
    done
  done
  case=with_the_daemon
}

# To each address of the box: near and far, of either scope, and one that the box forwards to the server by DNAT. The
# control is the same without rules.
case_box_itself_never_intercepted() {
  local round near far
  has_daemon || return 0
  set_up
  serve 80
  serve_in box 22 179
  serve_in client 80
  near=$(ip -n box -6 -o address show dev client0 scope link | grep -o 'fe80::[0-9a-f:]*')
  far=$(ip -n box -6 -o address show dev server0 scope link | grep -o 'fe80::[0-9a-f:]*')
  tables -t nat -A PREROUTING -d 10.2.0.1 -p tcp --dport 8081 -j DNAT --to-destination 10.1.0.2:80
  tables6 -t nat -A PREROUTING -d fd02::1 -p tcp --dport 8081 -j DNAT --to-destination '[fd01::2]:80'
  tables -t nat -A PREROUTING -d 10.1.0.1 -p tcp --dport 8080 -j DNAT --to-destination 10.2.0.2:80
  tables6 -t nat -A PREROUTING -d fd01::1 -p tcp --dport 8080 -j DNAT --to-destination '[fd02::2]:80'
  daemon
  for round in control tproxy redirect; do
    case="box_itself_never_intercepted, $round"
    [[ $round == control ]] || rules start --intercept client0 --intercept server0 --mode "$round"
    talk 10.1.0.1 22 "$client4"
    talk 10.2.0.1 22 "$client4"
    talk '[fd01::1]' 22 "$client6"
    talk '[fd02::1]' 22 "$client6"
    talk "[$near%box0]" 179 ''
    talk 10.1.0.1 8080 "$client4"
    talk '[fd01::1]' 8080 "$client6"
    talk_from server 10.2.0.1 22 "$server4"
    talk_from server 10.1.0.1 22 "$server4"
    talk_from server '[fd02::1]' 22 "$server6"
    talk_from server '[fd01::1]' 22 "$server6"
    talk_from server "[$far%box0]" 179 ''
    talk_from server 10.2.0.1 8081 "$server4"
    talk_from server '[fd02::1]' 8081 "$server6"
    [[ $round == control ]] || expect "SYNs queued" "0 0" "$(counted 'SYNs queued')"
    rules stop
  done
  case=box_itself_never_intercepted
}

# With room for one connection, the second bypasses, and leaves without any of our marks.
case_bypassed_without_a_mark() {
  has_daemon || return 0
  set_up
  serve 80
  daemon --max-connections 1
  rules start --intercept client0
  tables -A FORWARD -p tcp --syn -m mark --mark 0x0/0xf0000 -m comment --comment clean
  tables -A FORWARD -p tcp --syn -m mark ! --mark 0x0/0xf0000 -m comment --comment marked
  start_in client sh -c 'sleep 30 | socat - TCP:10.2.0.2:80'
  wait_for "intercepted connection" counts intercepted "1 0"
  talk 10.2.0.2 80 "$client4"
  expect "SYNs bypassed" "1 0" "$(counted bypassed)"
  expect "SYNs forwarded with and without a mark of ours" "0 1" \
    "$(tables -nvxL FORWARD | awk '/clean/ { c = $1 } /marked/ { m = $1 } END { print m, c }')"
}

run_cases "$@"
