#!/usr/bin/env bash
# Transfers through PEPsal on both boxes while the satellite loses packets, falls silent or slows down: they complete by
# themselves and every byte is right. Needs root. PEPSAL_BIN_DIR names the folder of the programs. Usage:
# satellite_loss_test.sh CASE…; without names every case is run.
set -euo pipefail

# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to make network namespaces"
need_programs ip curl nginx

export PEPSAL_BIN_DIR=${PEPSAL_BIN_DIR:-$root/build/bin}
readonly lab=sat$$
readonly patience=100 # seconds for a transfer; only a limit for failures
# shellcheck source=tests/support/two_boxes.sh
source "$(dirname "$0")/../support/two_boxes.sh"

in_lab() { # SCENARIO DOWN-BYTES UP-BYTES: both at once
  mkdir -p "$work/www"
  head -c "$2" /dev/urandom >"$work/www/file"
  head -c "$3" /dev/urandom >"$work/upload"
  satlab up "$root/scripts/lab/scenarios/$1.conf"
  in_role server "$root/scripts/lab/webserver" "$work" "$server"
  satbox start gw
  satbox start term
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

# Both connections have gone through the box's proxy and have ended in good order.
expect_accelerated() { # ROLE
  local try
  for ((try = 0; try < 300; try++)); do
    (($(satbox log "$1" | grep -c "closed client=$user:.*reason=finished") >= 2)) && return
    sleep 0.1
  done
  wrong "$1 has not closed both connections well: $(satbox log "$1" | tail -n 3)"
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
  take_lab_down
done
end_test
