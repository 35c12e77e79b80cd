#!/usr/bin/env bash
# Tests what scripts/steering/pepsal-iptables creates, removes, refuses and reports, without connections. Usage:
# iptables_test.sh [CASE…]; without names every case is run. Needs root.
# shellcheck source=tests/integration/iptables_ground.sh
source "$(dirname "$0")/iptables_ground.sh"

# Rules, marks and routes of other programs, some with names similar to ours.
add_foreign() {
  local t
  for t in tables tables6; do
    $t -t raw -N PEPSALX_PRE
    $t -t raw -A PEPSALX_PRE -m comment --comment "pepsal of another kind" -j RETURN
    $t -t raw -A PREROUTING -p udp -j PEPSALX_PRE
    $t -t raw -A PREROUTING -p tcp --dport 9 -j MARK --set-xmark 0x100/0xff00
    $t -t raw -A OUTPUT -p udp --dport 9 -j CT --notrack
    $t -t mangle -N pepsal_pre
    $t -t mangle -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff00 --ctmask 0xff00
    $t -t mangle -A POSTROUTING -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff00
    $t -t mangle -P FORWARD DROP
    $t -t nat -A POSTROUTING -o server0 -j MASQUERADE
    $t -A FORWARD -m mark --mark 0x10000/0x70000 -j DROP
  done
  for t in -4 -6; do
    ip -n box $t rule add fwmark 0x100/0xff00 lookup 77 priority 1000
    ip -n box $t route add default dev server0 table 77
    ip -n box $t rule add iif server0 lookup main priority 119 protocol 80
    ip -n box $t route add blackhole default table 5020
  done
}


readonly -a full_options=(--intercept client0 --intercept 'ppp+' --queue 2:5 --port 5001 --exclude 10.9.0.0/24
  --exclude fd09::/64 --exclude 192.0.2.7 --ports '22,80,443,8000:8100,1:2,3:4,5:6,7:8,10:11,12:13,14:15,16,17,18')

case_restores_exactly() {
  local foreign mode options was during gone
  for foreign in without with; do
    set_up
    options="--intercept client0"
    [[ $foreign == without ]] || {
      options=${full_options[*]}
      add_foreign
    }
    was=$(snapshot)
    for mode in tproxy redirect; do
      # shellcheck disable=SC2086
      rules start --mode $mode $options || wrong "start --mode $mode $options"
      during=$(snapshot)
      [[ $during == *PEPSAL_ASK*NFQUEUE* || $during == *PEPSAL_ASK*queue* ]] || wrong "start adds no queue rule"
      [[ $mode == tproxy || $during == *"tcp_early_demux = 0"* ]] || wrong "start --mode redirect leaves early demux on"
      gone=$(comm -23 <(sort <<<"$was") <(sort <<<"$during") | grep -v early_demux || true)
      [[ -z $gone ]] || wrong "start --mode $mode takes away:"$'\n'"$gone"
      rules status >/dev/null || wrong "status --mode $mode: exit $?"
      rules stop || wrong "stop: exit $?"
      same "$foreign foreign rules, $mode $options: what stop leaves" "$was" "$(snapshot)"
    done
    rules stop || wrong "a second stop: exit $?"
    same "after a second stop the box" "$was" "$(snapshot)"
    status=0
    rules status >/dev/null || status=$?
    [[ $status == 3 ]] || wrong "status with nothing started: exit $status, not 3"
  done
}

case_same_result_however_often() {
  local was first second
  set_up
  was=$(snapshot)
  rules start "${full_options[@]}"
  first=$(snapshot)
  rules start "${full_options[@]}"
  same "a second start" "$first" "$(snapshot)"
  rules start --intercept server0 --mode redirect --mark-shift 8
  rules stop
  rules start --intercept server0 --mode redirect --mark-shift 8
  second=$(snapshot)
  rules start "${full_options[@]}"
  same "tproxy after redirect" "$first" "$(snapshot)"
  rules start --intercept server0 --mode redirect --mark-shift 8
  same "redirect after tproxy" "$second" "$(snapshot)"
  rules start --intercept client0 --table 901 --priority 901
  rules start --intercept client0 --table 902 --priority 902
  [[ $(ip -n box rule) != *"lookup 901"* ]] || wrong "the ip rule of an earlier table stays"
  rules stop
  same "after all of these, what stop leaves" "$was" "$(snapshot)"
}

case_stop_when_the_rules_are_flushed() {
  local was
  set_up
  tables -t filter -N SITE
  tables6 -t filter -N SITE
  was=$(snapshot)
  rules start --intercept client0 --table 4711 --priority 47
  for t in tables tables6; do
    $t -t raw -F
    $t -t raw -X
    $t -t mangle -F PREROUTING
  done
  rules stop || wrong "stop: exit $?"
  [[ $(snapshot) != *4711* && $(snapshot) != *PEPSAL* ]] || wrong "stop leaves:"$'\n'"$(snapshot | grep -E '4711|PEPSAL')"
  [[ $(snapshot) == *"SITE"* && $was == *"SITE"* ]] || wrong "stop takes a foreign chain away"
}

# Any user may read the script, and could therefore lock it.
case_lock_is_roots() {
  local copy=$work/steering
  set_up
  cp -r "$(dirname "$script")" "$copy"
  chmod -R a+rX "$work"
  start_in box setpriv --reuid=65534 --regid=65534 --clear-groups flock "$copy/pepsal-iptables" sleep 100
  wait_for "lock of a user's" is_locked "$copy/pepsal-iptables"
  in_namespace box timeout 20 "$copy/pepsal-iptables" start --intercept client0 || wrong "a user's lock keeps it from its work"
  in_namespace box timeout 20 "$copy/pepsal-iptables" stop || wrong "a user's lock keeps it from ending its work"
  ! setpriv --reuid=65534 --regid=65534 --clear-groups flock -n /run/pepsal-iptables true 2>/dev/null ||
    wrong "any user can lock it"
  in_namespace box flock /run/pepsal-iptables timeout 2 "$copy/pepsal-iptables" stop && wrong "the lock of another one counts not"
  rm -rf "$copy"
}
is_locked() { ! flock -n "$1" true; } # FILE

case_bad_input() {
  [[ $variant == nft ]] || return 0 # it does not get as far as the rules
  set_up
  rules start --intercept client0
  refused 2 "'begin'" rules begin
  refused 2 "no action" rules
  refused 2 "'now'" rules stop now
  refused 2 "'--colour'" rules start --colour
  refused 2 "--queue needs a value" rules start --intercept client0 --queue
  refused 2 "nothing to intercept" rules start
  refused 2 "'lo'" rules start --intercept lo
  refused 2 "'a/b'" rules start --intercept a/b
  refused 2 "'interface-name-x'" rules start --intercept interface-name-x
  refused 2 "''" rules start --intercept ''
  refused 1 "'eth77'" rules start --intercept eth77
  refused 2 "'route'" rules start --intercept client0 --mode route
  refused 2 "'65536'" rules start --intercept client0 --queue 65536
  refused 2 "'3:1'" rules start --intercept client0 --queue 3:1
  refused 2 "'1:2:3'" rules start --intercept client0 --queue 1:2:3
  refused 2 "'-1'" rules start --intercept client0 --queue -1
  refused 2 "'0'" rules start --intercept client0 --port 0
  refused 2 "'65536'" rules start --intercept client0 --port 65536
  refused 2 "'http'" rules start --intercept client0 --port http
  refused 2 "'99999999999999999999'" rules start --intercept client0 --port 99999999999999999999
  refused 2 "'10.0.0.0/33'" rules start --intercept client0 --exclude 10.0.0.0/33
  refused 2 "'10.0.0.256'" rules start --intercept client0 --exclude 10.0.0.256
  refused 2 "'fd00::/129'" rules start --intercept client0 --exclude fd00::/129
  refused 2 "'fd00:::1'" rules start --intercept client0 --exclude fd00:::1
  refused 2 "'example.net'" rules start --intercept client0 --exclude example.net
  refused 2 "'80,'" rules start --intercept client0 --ports 80,
  refused 2 "'70000'" rules start --intercept client0 --ports 80,70000
  refused 2 "'90:80'" rules start --intercept client0 --ports 90:80
  refused 2 "'0'" rules start --intercept client0 --ports 0
  refused 2 "'29'" rules start --intercept client0 --mark-shift 29
  refused 2 "254" rules start --intercept client0 --table 254
  refused 2 "'main'" rules start --intercept client0 --table main
  refused 2 "'32766'" rules start --intercept client0 --priority 32766
  refused 2 "'a b'" rules start --intercept client0 --instance 'a b'
  refused 2 "''" rules start --intercept client0 --instance ''
}

# The folder of iptables' extensions without one of them, as on a machine that lacks it.
without_extension() { # name
  rm -rf "$work/xtables"
  cp -r "$(dirname "$(find /usr/lib /usr/lib64 -name libxt_NFQUEUE.so 2>/dev/null | sed -n 1p)")" "$work/xtables"
  rm -f "$work/xtables/libxt_$1.so"
}

names() { # text command…; what check prints must have the text in it, and it must exit 1
  local text=$1 said got=0
  shift
  said=$("$@" 2>&1) || got=$?
  [[ $got == 1 && $said == *"$text"* ]] || wrong "'${*:2}' should name '$text' and exit 1, but exits $got: $said"
}

case_check_names_what_is_missing() {
  local said was extension
  set_up
  was=$(snapshot)
  said=$(rules check --intercept client0 2>&1) || wrong "check finds fault with a good box: $said"
  said=$(rules check --intercept client0 --mode redirect 2>&1) || wrong "check finds fault with a good box: $said"
  same "after check the box" "$was" "$(snapshot)"
  for extension in NFQUEUE CT socket addrtype multiport TPROXY; do
    without_extension $extension
    names "$extension does not work" rules_without check --intercept client0 --ports 80
  done
  without_extension TPROXY
  said=$(rules_without check --mode redirect 2>&1) || wrong "check --mode redirect asks for TPROXY: $said"
  names "interface eth77" rules check --intercept client0 --intercept eth77
  ip -n box link set server0 down
  names "server0 is down" rules check --intercept server0
  box sysctl -qw net.ipv4.ip_forward=0
  names "net.ipv4.ip_forward=1" rules check
  box sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=0
  names "net.ipv6.conf.all.forwarding=1" rules check
  box sysctl -qw net.ipv6.conf.all.forwarding=1
  names "net.ipv4.tcp_early_demux is 1" rules_without_sysctl check --mode redirect
  names "CAP_NET_ADMIN" box setpriv --bounding-set -net_admin "$script" check
  names "CAP_SYS_ADMIN" box setpriv --bounding-set -sys_admin "$script" check
  names "'no-iptables'" box env IPTABLES=no-iptables "$script" check
  tables -P INPUT DROP
  names "iptables-$variant -I INPUT -m mark --mark 0x80000/0x80000 -j ACCEPT" rules check
  tables -I INPUT -m mark --mark 0x80000/0x80000 -j ACCEPT
  said=$(rules check 2>&1) || wrong "check finds fault with an open INPUT: $said"
  ip -n box address flush dev client0
  names "client0 has no IPv4 address" rules check --intercept client0 --mode redirect
}

rules_without() { # as rules, with the folder of without_extension
  box env XTABLES_LIBDIR="$work/xtables" IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" "$@"
}

rules_without_sysctl() { # as rules, where /proc/sys may only be read, as in many containers
  # shellcheck disable=SC2016
  box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" unshare --mount sh -c '
    mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"' - "$script" "$@"
}

# A missing optional match only disables what it is for.
case_start_without_a_match_for_dscp() {
  local extension said
  set_up
  for extension in dscp hashlimit; do
    without_extension $extension
    said=$(rules_without start --intercept client0 2>&1) || wrong "start without $extension fails: $said"
    [[ $said == *"IPv4: DSCPs that change after the SYN are not passed on ("*"IPv6: DSCPs that change"* ]] ||
      wrong "start without $extension says: $said"
    said=$(rules_without check 2>&1) || wrong "check without $extension fails: $said"
    [[ $said == *"modprobe xt_dscp xt_hashlimit"* ]] || wrong "check without $extension says: $said"
    rules status >/dev/null || wrong "status: $(rules status)"
    rules stop
  done
}

case_failing_start_is_undone() {
  local round
  set_up
  add_foreign
  for round in from-nothing from-redirect; do
    [[ $round == from-nothing ]] || rules start --intercept client0 --mode redirect
    [[ $round$variant != from-nothinglegacy ]] || continue # the second round shows this too
    without_extension NFQUEUE
    refused 1 '' rules_without start --intercept client0
    without_extension TPROXY
    refused 1 'table mangle' rules_without start --intercept client0 --table 700 --priority 700
    refused 1 "routing table 5020" rules start --intercept client0 --table 5020
    refused 1 "--priority" rules start --intercept client0 --priority 999
    # IPv6 fails when IPv4 is already in place.
    printf '#!/bin/sh\nexec ip6tables-%s "$@"\n' "$variant" >"$work/half"
    printf '#!/bin/sh\nexec ip6tables-%s-save "$@"\n' "$variant" >"$work/half-save"
    printf '#!/bin/sh\ngrep -q PEPSAL_ASK && exit 1\n' >"$work/half-restore"
    chmod +x "$work"/half*
    refused 1 "IPv6" box env IPTABLES="iptables-$variant" IP6TABLES="$work/half" "$script" start --intercept client0
    refused 1 "'no-iptables'" box env IPTABLES=no-iptables "$script" start --intercept client0
    refused 1 CAP_NET_ADMIN box setpriv --bounding-set -net_admin "$script" start --intercept client0
  done
  rules stop
  refused 1 "cannot write 0 to /proc/sys/net/ipv4/tcp_early_demux" rules_without_sysctl start --intercept client0 \
    --mode redirect
  ip -n box link set lo down
  refused 1 "lo is down" rules start --intercept client0
}

case_interrupted_start_is_undone() {
  local was delay code pid undone=0
  set_up
  was=$(snapshot)
  for delay in 0.02 0.06 0.1 0.15 0.2 0.25 0.3 0.4 0.5 0.7; do
    nsenter --net=/run/netns/box env IPTABLES="iptables-$variant" IP6TABLES="ip6tables-$variant" "$script" start \
      --intercept client0 &
    pid=$!
    sleep $delay
    kill -TERM $pid 2>/dev/null || true
    code=0
    wait $pid || code=$?
    if ((code)); then
      undone=$((undone + 1))
      same "after SIGTERM at $delay s the box" "$was" "$(snapshot)"
    fi
    rules stop
    same "after stop the box" "$was" "$(snapshot)"
  done
  ((undone)) || wrong "no start was interrupted; the delays are too long"
}

case_two_instances() {
  local was one two
  set_up
  was=$(snapshot)
  rules start --intercept client0 --ports 80
  one=$(snapshot)
  refused 1 "--mark-shift" rules start --instance two --intercept client0 --mark-shift 18
  refused 1 "--table" rules start --instance two --intercept client0 --mark-shift 20 --table 5016
  refused 1 "--priority" rules start --instance two --intercept client0 --mark-shift 20 --priority 119
  rules start --instance two --intercept client0 --ports 443 --mark-shift 20 --queue 1 --port 5001
  rules start --instance a-very-long-name-of-an.instance_1 --intercept server0 --mode redirect --mark-shift 24 --queue 2
  rules start --instance a-very-long-name-of-an.instance_2 --intercept server0 --mode redirect --mark-shift 28 --queue 3
  [[ $(rules status --instance two) == *"queue 1 "*"interfaces client0, ports 443"* ]] ||
    wrong "status of the second instance: $(rules status --instance two)"
  rules stop --instance a-very-long-name-of-an.instance_2
  [[ $(box sysctl -n net.ipv4.tcp_early_demux) == 0 ]] || wrong "early demux comes back while an instance needs it off"
  rules stop --instance a-very-long-name-of-an.instance_1
  two=$(snapshot)
  rules start --intercept client0 --ports 80
  same "the second instance, when the first is started again," "$two" "$(snapshot)"
  rules stop --instance two
  same "the first instance, when the second is stopped," "$one" "$(snapshot)"
  rules start --instance two --intercept client0 --ports 443 --mark-shift 20 --queue 1 --port 5001
  rules stop
  rules status --instance two >/dev/null || wrong "stopping the first instance breaks the second"
  rules stop --instance two
  same "what both leave" "$was" "$(snapshot)"
}

# A version that knew fewer fields has started the rules.
case_record_of_an_older_version() {
  local said was
  set_up
  was=$(snapshot)
  rules start --intercept client0
  tables-save | sed 's/ quic=off//' >"$work/older"
  box "iptables-$variant-restore" <"$work/older"
  said=$(rules status 2>&1) || wrong "status: $said"
  rules stop
  same "what stop leaves" "$was" "$(snapshot)"
}

# The daemon's configuration applies, and options of the command line override it.
case_configuration() {
  local conf=$work/pepsal.conf said was
  [[ -n ${PEPSAL_BIN_DIR-} ]] || return 0
  set_up
  was=$(snapshot)
  printf '%s\n' 'link = client0' 'intercept = later0' 'intercept = server0' 'port = 5100' 'queue = 4:5' 'mark-shift = 20' \
    'instance = other' >"$conf"
  said=$(rules start --config "$conf" 2>&1) || wrong "start --config: $said"
  [[ $said == *"no interface 'later0'"* && $said != *$'\n'* ]] || wrong "start should name the interface that is not there: $said"
  said=$(rules status --config "$conf" || true)
  [[ $said == *"port 5100, queue 4:5 "*"interfaces client0,later0,server0,"*"mark bits 0xf00000"* ]] || wrong "status: $said"
  [[ $(tables-save) == *PEPSAL_other_PRE* ]] || wrong "the rules are not the instance's of the configuration"
  rules start --config "$conf" --intercept client0 --port 5200 -- --queue 7
  said=$(rules status --instance other)
  [[ $said == *"port 5200, queue 7 "*"interfaces client0,"* ]] || wrong "options should count more than the file: $said"
  echo 'intercept = client0 server0' >>"$conf"
  refused 2 "$conf:8: intercept: 'client0 server0'" rules start --config "$conf"
  rules stop --instance other
  same "what stop leaves" "$was" "$(snapshot)"
  printf 'link = client0\nintercept = none\n' >"$conf"
  refused 2 "nothing to intercept" rules start --config "$conf"
}

case_ipv6_disabled() {
  local was said
  set_up
  box sysctl -qw net.ipv6.conf.all.disable_ipv6=1
  was=$(snapshot)
  said=$(rules start --intercept client0 2>&1) || wrong "start: $said"
  [[ $said == *"IPv6 is disabled"* && $said != *$'\n'* ]] || wrong "start should say in one line that IPv6 is left out: $said"
  [[ $(tables6-save) != *PEPSAL* && $(tables-save) == *PEPSAL* ]] || wrong "start without IPv6 makes the wrong rules"
  rules status >/dev/null || wrong "status: exit $?"
  rules stop
  same "what stop leaves" "$was" "$(snapshot)"
}

run_cases "$@"
