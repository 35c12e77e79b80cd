#!/usr/bin/env bash
# pepsalctl with running connections: list, show and status join the table with the kernel's sockets. Needs root. Usage:
# pepsalctl_traffic_test.sh [CASE…]; without names every case is run.
# shellcheck source=tests/integration/iptables_ground.sh
source "$(dirname "$0")/iptables_ground.sh"

need_programs curl promtool python3 tc tmux

ctl() { "$PEPSAL_BIN_DIR/pepsalctl" --instance iptables-test-nft "$@"; } # outside of the box's network, by itself

# A figure from the JSON on stdin, such as "['connections'][0]['id']".
figure() { python3 -c "import json, sys; print(json.load(sys.stdin)$1)"; }

status_value() { ctl status | awk -v "name=$1" '$1 == name { print $2 }'; }
open_connections() { ctl list --json "${@:2}" | figure "['totals']['open']" | grep -x "$1" >/dev/null; } # NUMBER OPTION...

# Connections that stay open after this many bytes to the server; the client reads nothing of what comes back.
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

up_total_is() { ctl list --json | figure "['totals']['bytes_up']" | grep -x "$1" >/dev/null; }

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

screen() { tmux -S "$work/tmux" "$@"; }
on_screen() { [[ $(screen capture-pane -p -t top) == *"$1"* ]]; }               # TEXT
ends_with() { [[ $(screen capture-pane -p -t top | sed -n "$1p") == "$2"* ]]; } # LINE TEXT
screen_is_gone() { ! screen has-session -t top 2>/dev/null; }

case_top() {
  hold_two tproxy
  box tc qdisc add dev server0 root handle 1: htb default 20
  box tc class add dev server0 parent 1: classid 1:20 htb rate 80mbit
  screen -f /dev/null new-session -d -s top -x 80 -y 24 "$PEPSAL_BIN_DIR/pepsalctl" --instance iptables-test-nft top
  wait_for "top" on_screen "connections: 2 open, 0 connecting, 0 pending; up "
  on_screen "link server0: " || wrong "the link is not told of: $(screen capture-pane -p -t top)"
  on_screen "10.2.0.2:80" || wrong "the connection is not listed: $(screen capture-pane -p -t top)"
  ends_with 24 "sorted by id" || wrong "the last line of 24 is another: $(screen capture-pane -p -t top)"
  screen send-keys -t top '>'
  wait_for "another column to sort by" on_screen "sorted by state"
  screen resize-window -t top -x 100 -y 12
  wait_for "fewer lines" ends_with 12 "sorted by state"
  on_screen "connections: 2 open" || wrong "after a change of size: $(screen capture-pane -p -t top)"
  screen send-keys -t top q
  wait_for "end" screen_is_gone
}

metric() { awk -v "name=$1" '$1 == name { print $2 }' "$work/metrics"; } # NAME{LABELS}

case_metrics() {
  hold_two tproxy
  box tc qdisc add dev server0 root handle 1: htb default 20
  box tc class add dev server0 parent 1: classid 1:1 htb rate 80mbit
  box tc class add dev server0 parent 1:1 classid 1:20 htb rate 40mbit ceil 80mbit
  wait_for "idle proxies" idle_proxies
  ctl metrics >"$work/metrics"
  local said
  said=$(promtool check metrics <"$work/metrics" 2>&1) || true
  expect "what promtool says" "" "$said"
  expect "up" 1 "$(metric pepsal_up)"
  expect "ready" 1 "$(metric pepsal_ready)"
  expect "bytes while connections run" 201000 "$(metric 'pepsal_bytes_total{direction="up"}')"
  expect "open connections" 2 "$(metric 'pepsal_connections{state="open"}')"
  expect "connections by interface" 2 "$(metric 'pepsal_interface_connections{interface="client0"}')"
  expect "busy proxies" 2 "$(metric 'pepsal_processes{state="busy"}')"
  expect "client legs measured" 2 "$(metric 'pepsal_rtt_seconds_count{leg="client"}')"
  expect "server legs measured" 2 "$(metric 'pepsal_rtt_seconds_bucket{leg="server",le="+Inf"}')"
  # On a busy machine, a segment or two are retransmitted.
  (($(metric 'pepsal_retransmitted_segments_total{leg="server"}') < 20)) || wrong "many segments sent again: $(<"$work/metrics")"
  expect "drops of the queue" 0 "$(metric 'pepsal_nfqueue_dropped_packets_total{queue="0"}')"
  expect "the shaper's rate" 10000000 "$(metric 'pepsal_shaper_rate_bytes_per_second{interface="server0"}')"
  expect "the shaper's drops" 0 "$(metric 'pepsal_shaper_dropped_packets_total{interface="server0"}')"
  (($(metric pepsal_free_entries) > 0 && $(metric pepsal_free_processes) > 0)) || wrong "no headroom: $(<"$work/metrics")"
}

case_dashboard_and_alerts() {
  local name
  promtool check rules docs/prometheus-alerts.yml >"$work/said" 2>&1 || wrong "promtool says: $(<"$work/said")"
  set_up
  daemon
  ctl metrics | sed -n 's/^# TYPE //p' >"$work/types"
  python3 -m json.tool docs/grafana-dashboard.json >/dev/null || wrong "the dashboard is not JSON"
  while read -r name; do
    grep -q "^$name " "$work/types" || wrong "'$name' of dashboard or alerts is no metric"
  done < <(sed 's/#.*//' docs/grafana-dashboard.json docs/prometheus-alerts.yml | grep -oE 'pepsal_[a-z_]+' |
    sed 's/_bucket$//' | sort -u)
}

answer_is() { # STATUS PATH
  [[ $(curl -s -o "$work/answer" -w '%{http_code}' "http://127.0.0.1:9427$2") == "$1" ]]
}

case_served() {
  local server status=0
  ip link set lo up
  set_up
  "$PEPSAL_BIN_DIR/pepsalctl" --instance iptables-test-nft metrics --listen 9427 >>"$work/background.log" 2>&1 &
  server=$!
  wait_for "answer without a daemon" answer_is 503 /health
  answer_is 200 /metrics || wrong "no metrics without a daemon"
  expect "without a daemon" "pepsal_up 0" "$(grep -v '^#' "$work/answer")"
  daemon
  rules start --intercept client0
  # In a namespace of its own, which this server can no longer enter because it has dropped the privilege.
  kill -TERM "$server"
  wait "$server" || status=$?
  expect "exit code after TERM" 0 "$status"
  "$PEPSAL_BIN_DIR/pepsalctl" --instance iptables-test-nft metrics --listen 127.0.0.1:9427 >>"$work/background.log" 2>&1 &
  server=$!
  wait_for "health" answer_is 200 /health
  expect "health" ready "$(<"$work/answer")"
  answer_is 200 /metrics || wrong "no metrics"
  grep -qx 'pepsal_ready 1' "$work/answer" || wrong "not ready: $(<"$work/answer")"
  expect "what promtool says" "" "$(promtool check metrics <"$work/answer" 2>&1)"
  answer_is 404 / || wrong "what is not there is found"
  rules stop
  wait_for "no health without rules" answer_is 503 /health
  kill -INT "$server"
  wait "$server" || status=$?
  expect "exit code after INT" 0 "$status"
}

is_logged() { grep -qE -- "$1" "$work/background.log"; } # EXPRESSION
no_connections() { [[ $(ctl list | tail -n 1) == "total 0: "* ]]; }
ended_is_logged() {
  talk 10.2.0.2 80 "$client4"
  is_logged "closed client=10.1.0.2:[0-9]+ .* interface=client0 client_rtt=0[.][0-9]+ client_retrans=[0-9]+ $1"
}

case_log_connections() {
  : >"$work/background.log"
  echo "log-connections = failed" >"$work/pepsal.conf"
  set_up
  serve 80
  daemon --config "$work/pepsal.conf"
  rules start --intercept client0
  talk 10.2.0.2 80 "$client4"
  in_namespace client socat -u OPEN:/dev/null TCP:10.2.0.2:81 2>/dev/null || true
  wait_for "line of the failed one" is_logged 'closed client=.* interface=client0 .* server_congestion=- reason=dial-refused'
  wait_for "end of the connections" no_connections
  ! is_logged 'reason=finished' || wrong "one that ended well is logged: $(grep finished "$work/background.log")"
  expect "refused dials" 1 "$(ctl metrics | awk '$1 == "pepsal_dials_failed_total{reason=\"refused\"}" { print $2 }')"
  echo "log-connections = all" >"$work/pepsal.conf"
  kill -HUP "$(<"$work/pepsal.pid")"
  wait_for "line of one that ended well" ended_is_logged \
    'client_congestion=[a-z0-9_]+ server_rtt=0[.][0-9]+ server_retrans=[0-9]+ server_congestion=[a-z0-9_]+ reason=finished'
}

# The exit code and the line of health.
health() {
  local status=0 line
  line=$(ctl health) || status=$?
  echo "$status $line"
}
of_the_group() { # COMMAND: as a user whose group is the daemon's
  box setpriv --reuid 65534 --regid 0 --clear-groups "$work/pepsalctl" --instance iptables-test-nft "$@" || true
}
is_healthy() { [[ $(health) == "0 ready" ]]; }
is_draining() { [[ $(health) == "2 draining" ]]; }

case_health() {
  set_up
  expect "without a daemon" 1 "$(health | cut -d ' ' -f 1)"
  serve 80
  daemon --drain-timeout 60
  expect "without rules" "1 not ready: no rules lead to queue 0; see pepsal-iptables" "$(health)"
  cp "$PEPSAL_BIN_DIR/pepsalctl" "$work/"
  chmod 755 "$work"
  expect "without rules, to a member of the group" "not ready: no rules lead to queue 0; see pepsal-iptables" "$(of_the_group health)"
  rules start --intercept client0
  wait_for "health" is_healthy
  expect "health, to a member of the group" ready "$(of_the_group health)"
  [[ $(of_the_group metrics) == *$'\npepsal_ready 1\n'* ]] || wrong "metrics of the group: $(of_the_group metrics | grep ready)"
  rules start --intercept client0 --mode redirect
  expect "health in mode redirect, to a member of the group" ready "$(of_the_group health)"
  rules start --intercept client0
  hold 10.2.0.2 1000
  wait_for "an open connection" open_connections 1
  kill -TERM "$(<"$work/pepsal.pid")"
  wait_for "draining" is_draining
}

mapfile -t cases < <(declare -F | sed -n 's/^declare -f case_//p')
(($# == 0)) || cases=("$@")
has_daemon || exit 1
for case in "${cases[@]}"; do
  "case_$case"
  tear_down
done
end_test
