#!/usr/bin/env bash
# Transfers through PEPsal on both boxes while the satellite loses packets, falls silent or slows down: they complete by
# themselves and every byte is right. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
# Usage: satellite_loss_test.sh CASE…; without names every case is run.
set -euo pipefail

cd "$(dirname "$0")/../.."
# shellcheck source=tests/support/shell.sh
source tests/support/shell.sh

need_root "to make network namespaces"
need_programs ip curl nginx

readonly binaries=${PEPSAL_BIN_DIR:-$PWD/build/bin}
readonly lab=sat$$ server=10.81.3.2
readonly patience=100 # seconds for a transfer; only a bound for failures
export PEPSAL_BIN_DIR=$binaries SATSIM=$binaries/satsim

work=

satlab() { scripts/lab/satlab --name "$lab" "$@"; }
on_box() { scripts/lab/satbox --name "$lab" "$2" "$1" "${@:3}"; }

take_down() {
  trap '' INT TERM
  if [[ -d /run/pepsal-satlab/$lab ]]; then
    on_box gw stop || true
    on_box term stop || true
    satlab down || true
  fi
  [[ -z $work ]] || rm -rf "$work"
  work=
}
trap take_down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_server() {
  cat >"$work/nginx.conf" <<TEXT
daemon off;
user root;
pid $work/nginx.pid;
events {}
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path $work/body;
  server { listen $server:80; root $work/www; location /up/ { dav_methods PUT; create_full_put_path on; } }
}
TEXT
  ip netns exec "$lab-server" nginx -e "$work/error.log" -c "$work/nginx.conf" >"$work/nginx.out" 2>&1 </dev/null &
  local try
  for ((try = 0; try < 200; try++)); do
    [[ -z $(ip netns exec "$lab-server" ss -Hltn "sport = 80") ]] || return 0
    sleep 0.05
  done
  wrong "nginx did not start: $(tail -n 1 "$work/nginx.out" "$work/error.log")"
}

in_lab() { # SCENARIO DOWN-BYTES UP-BYTES: both at once
  work=$(mktemp -d)
  mkdir "$work/www"
  head -c "$2" /dev/urandom >"$work/www/file"
  head -c "$3" /dev/urandom >"$work/upload"
  satlab up "$1"
  start_server
  on_box gw start
  on_box term start
  satlab restart-schedule
  local begin=$SECONDS down=0 up=0 pid
  satlab run curl -sS --max-time "$patience" -o "$work/download" "http://$server/file" &
  pid=$!
  satlab run curl -sS --max-time "$patience" -o "$work/answer" -T "$work/upload" "http://$server/up/file" || up=$?
  wait "$pid" || down=$?
  echo "$case: $2 bytes down and $3 up in $((SECONDS - begin)) s"
  ((down == 0)) || wrong "the download ended with curl's status $down"
  ((up == 0)) || wrong "the upload ended with curl's status $up"
  cmp "$work/www/file" "$work/download" || wrong "the download's bytes are not the server's"
  cmp "$work/upload" "$work/www/up/file" || wrong "the upload's bytes are not the client's"
  expect_accelerated term
  expect_accelerated gw
  satlab stats
}

# Both connections have gone through the box's proxy and have ended well.
expect_accelerated() { # ROLE
  local try
  for ((try = 0; try < 300; try++)); do
    (($(on_box "$1" log | grep -c "closed client=10.81.1.2:.*reason=finished") >= 2)) && return
    sleep 0.1
  done
  wrong "$1 has not closed both connections well: $(on_box "$1" log | tail -n 3)"
}

expect_lost() { # KIND AT-LEAST, as satsim counts
  local lost
  lost=$(satlab stats | tr ' ' '\n' | awk -F= -v kind="$1" '$1 == kind { n += $2 } END { print n + 0 }')
  ((lost >= $2)) || wrong "the satellite has lost only $lost packets: the case does not show what it should"
}

case_outage() { # begins after 5 s, in the middle of both
  in_lab outage 14000000 3200000
  expect_lost outage_losses 10
}

case_burst() {
  in_lab burst 4000000 1000000
  expect_lost random_losses 10
}

case_loss_1_percent() {
  in_lab geo-loss 4000000 500000
  expect_lost random_losses 20
}

case_loss_6_percent() {
  in_lab maritime 600000 200000
  expect_lost random_losses 20
}

case_falling_rate() { # 31 MB pass before the fall
  in_lab quic4sat-4.5 36000000 1000000
}

cases=("$@")
(($# > 0)) || cases=(outage burst loss_1_percent loss_6_percent falling_rate)
for case in "${cases[@]}"; do
  "case_$case"
  take_down
done
end_test
