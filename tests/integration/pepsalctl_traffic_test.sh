#!/usr/bin/env bash
# pepsalctl beside connections that run: list, show and status join the table with the kernel's sockets. Needs root.
# Usage: pepsalctl_traffic_test.sh [CASE…]; without names every case is run.
# shellcheck source=tests/integration/iptables_ground.sh
source "$(dirname "$0")/iptables_ground.sh"

need_programs python3

ctl() { "$PEPSAL_BIN_DIR/pepsalctl" --instance iptables-test-nft "$@"; } # outside of the box's network, by itself

# A figure of JSON on stdin, such as "['connections'][0]['id']".
figure() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }

status_value() { ctl status | awk -v "name=$1" '$1 == name { print $2 }'; }
open_connections() { ctl list --json "${@:2}" | figure "['totals']['open']" | grep -qx "$1"; } # NUMBER OPTION...

# Connections that stay open, after so many bytes to the server; the client reads nothing of what comes back.
hold() { # ADDRESS BYTES
  start_in client sh -c "{ head -c $2 /dev/zero; sleep 100; } | socat -t 100 -u - TCP:$1:80"
}

hold_two() { # MODE
  set_up
  serve 80
  if [[ $1 == tproxy ]]; then daemon; else daemon --source own; fi
  rules start --intercept client0 --mode "$1"
  hold 10.2.0.2 200000
  hold '[fd02::2]' 1000
  wait_for "two open connections" open_connections 2
  wait_for "bytes in the totals" up_total_is 201000
}

up_total_is() { ctl list --json | figure "['totals']['bytes_up']" | grep -qx "$1"; }

case_list() {
  local mode lines json
  for mode in tproxy redirect; do
    hold_two $mode
    case="list in $mode mode"
    lines=$(ctl list)
    [[ $(head -n 1 <<<"$lines" | tr -s ' ') == *"ID STATE CLIENT SERVER AGE UP DOWN RTT RETR QUEUED" ]] ||
      wrong "headings: $(head -n 1 <<<"$lines")"
    expect "lines" 4 "$(wc -l <<<"$lines")"
    [[ $(tail -n 1 <<<"$lines") == "total 2: 0 pending, 0 connecting, 2 open; up 201k, down "* ]] ||
      wrong "totals: $(tail -n 1 <<<"$lines")"
    expect "lines of IPv4 wider than 80" 0 "$(ctl list --client 10.0.0.0/8 | awk 'length > 80' | wc -l)"
    [[ $lines =~ open\ +10.1.0.2:[0-9]+\ +10.2.0.2:80\ +[0-9.]+s\ +200k ]] || wrong "no line of IPv4: $lines"
    [[ $(awk '/10.1.0.2/ { print $8 }' <<<"$lines") =~ ^[0-9]+/[0-9]+$ ]] || wrong "not both legs' RTT: $lines"
    expect "the one with more bytes" 10.2.0.2:80 "$(ctl list --sort up | awk 'NR == 2 { print $4 }')"
    expect "the one of lower address" 10.2.0.2:80 "$(ctl list --sort server | awk 'NR == 2 { print $4 }')"
    json=$(ctl list --json --server fd02::/16)
    expect "connections to IPv6" 1 "$(figure "['totals']['open']" <<<"$json")"
    expect "bytes to IPv6" 1000 "$(figure "['connections'][0]['bytes_up']" <<<"$json")"
    expect "interface" client0 "$(figure "['connections'][0]['interface']" <<<"$json")"
    expect "remote end of the client's leg" True "$(figure "['connections'][0]['client_leg']['remote'].startswith('[fd01::2]:')" <<<"$json")"
    expect "remote end of the server's leg" '[fd02::2]:80' "$(figure "['connections'][0]['server_leg']['remote']" <<<"$json")"
    expect "state of the server's leg" established "$(figure "['connections'][0]['server_leg']['state']" <<<"$json")"
    expect "round trip is measured" True "$(figure "['connections'][0]['server_leg']['rtt_seconds'] > 0" <<<"$json")"
    for filter in "--client 10.1.0.2" "--client 10.1.0.0/16 --port 80 --state open" "--server 10.2.0.2 --leg server"; do
      # shellcheck disable=SC2086
      open_connections 1 $filter || wrong "list $filter: $(ctl list $filter)"
    done
    for filter in "--client 10.3.0.0/16" "--port 81" "--state pending" "--peer 10.2.0.2"; do
      # shellcheck disable=SC2086
      open_connections 0 $filter || wrong "list $filter: $(ctl list $filter)"
    done
  done
}

case_show() {
  local mode id shown client
  for mode in tproxy redirect; do
    hold_two $mode
    case="show in $mode mode"
    id=$(ctl list --json --client 10.1.0.2 | figure "['connections'][0]['id']")
    client=$(ctl list --json --client 10.1.0.2 | figure "['connections'][0]['client']")
    shown=$(ctl show "$id")
    [[ $shown == "connection $id: open for "* ]] || wrong "show $id: $shown"
    expect "lines wider than 80" "" "$(awk 'length > 80' <<<"$shown")"
    for text in "up 200000 bytes" "arrived on client0" "mss 1460"; do
      [[ $shown == *"$text"* ]] || wrong "show does not tell '$text': $shown"
    done
    [[ $(sed -n 's/^state *//p' <<<"$shown" | tr -s ' ') == "established established" ]] || wrong "states: $shown"
    [[ $(sed -n 's/^congestion *//p' <<<"$shown") =~ ^[a-z]+\ +[a-z]+$ ]] || wrong "congestion control: $shown"
    [[ $(sed -n 's/^waits for *//p' <<<"$shown") =~ ^receiver,\ [0-9.]+s\ +application ]] || wrong "waiting: $shown"
    expect "the same by client" "${shown%% for *}" "$(ctl show "$client" | sed 's/ for .*//; q')"
    expect "the same in JSON" "$id" "$(ctl show --json "$client" | figure "['connections'][0]['id']")"
  done
  case=show
  local status=0
  ctl show 99999999 2>"$work/error" || status=$?
  [[ $status == 1 && $(<"$work/error") == "pepsalctl: there is no connection 99999999" ]] ||
    wrong "of a strange ID it says, $status: $(<"$work/error")"
}

case_status() {
  hold_two tproxy
  expect "bytes while the connections run" 201000 "$(status_value bytes_up)"
  expect "busy proxies" 2 "$(status_value busy)"
  wait_for "idle proxies" idle_proxies
  expect "queuers" 1 "$(status_value queuer)"
  [[ $(ctl status) == *$'\n'"interface client0 2"$'\n'* ]] || wrong "interfaces: $(ctl status)"
  expect "bytes in JSON" 201000 "$(ctl status --json | figure "['counters']['bytes_up']")"
  expect "busy proxies in JSON" 2 "$(ctl status --json | figure "['processes']['busy']")"
  expect "connections by interface in JSON" 2 "$(ctl status --json | figure "['interfaces']['client0']")"
}
idle_proxies() { (($(status_value idle) > 0)); }

mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
(($# == 0)) || cases=("$@")
has_daemon || exit 1
for case in "${cases[@]}"; do
  "case_$case"
  tear_down
done
end_test
