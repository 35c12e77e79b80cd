#!/usr/bin/env bash
# The units under a systemd of their own, in namespaces: what start, reload, restart, a crash and stop do, during
# transfers. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"
# shellcheck source=tests/support/box_between.sh
source "$(dirname "$0")/../support/box_between.sh"

readonly systemd=/lib/systemd/systemd
readonly transfers=20
readonly stop_timeout=2 # of the unit in this test, shorter than drain-timeout

need_root "to run systemd"
need_programs ip tc iptables systemctl python3 start-stop-daemon
[[ -x $systemd ]] || cannot_run "needs $systemd (package systemd)"

itself=$(readlink -f "$0")

# --- around it: the network, the units, the end

boot() {
  group=/sys/fs/cgroup
  [[ ! -d $group/unified ]] || group=$group/unified
  group=$group/pepsal-test-$$
  mkdir "$group" 2>/dev/null || cannot_run "needs a cgroup of its own (cgroup2 at /sys/fs/cgroup)"
  work=$(mktemp -d)
  chmod 755 "$work"
  trap leave_nothing EXIT
  # shellcheck disable=SC2016
  unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc bash -c \
    'echo 0 >"$0/cgroup.procs" && exec unshare --cgroup bash "$@"' "$group" "$itself" --init "$work" >"$work/said" 2>&1 </dev/null &
  machine=$!
  eventually test -e "$work/begun" || {
    cat "$work/said"
    cannot_run "systemd does not start in namespaces here"
  }
  for ((try = 0; try < 1500; try++)); do
    [[ ! -e $work/status ]] || break
    sleep 0.1
  done
  cat "$work/out"
  [[ $(cat "$work/status" 2>/dev/null) == 0 ]] || exit 1
}

leave_nothing() {
  local try
  kill -KILL "$machine" 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
  rm -rf "$work"
  for ((try = 0; try < 100; try++)); do # its last processes may still be ending
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [[ -d $group ]] || break
    sleep 0.1
  done
}

unit() { # NAME TEXT
  printf '%s\n' "$2" >"$work/units/$1"
}

# As process 1 of the new namespaces.
become_systemd() {
  local name
  umount -R /sys
  mount -t sysfs sysfs /sys
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs tmpfs /dev/shm
  mkdir /run/netns "$work/sbin" "$work/units" "$work/default"
  # Copies, because the units see another /tmp.
  cp -r "$PEPSAL_BIN_DIR"/{pepsal,pepsalctl,pepsal-queuer} "$root"/scripts/{steering/*,system/{pepsal-satlink,satlink}} "$work/sbin/"
  mount --bind "$work/sbin" /usr/local/sbin
  mount --bind "$work/default" /etc/default
  for name in pepsal pepsal-rules pepsal-link; do
    sed 's|@OPTIONS@|--config @CONFIG@|g; s|@CONFIG@|/etc/default/pepsal.conf|g; s|@DEFAULTS@|/etc/default/pepsal|g
      s|@SBINDIR@|/usr/local/sbin|g; s|@[A-Z_]*@||g' "$root/scripts/system/systemd/$name.service.in" >"$work/units/$name.service"
    sed -i "s/^TimeoutStopSec=.*/TimeoutStopSec=$stop_timeout/" "$work/units/$name.service"
    mkdir "$work/units/$name.service.d"
    unit "$name.service.d/log.conf" $'[Service]\nStandardOutput=append:'"$work/log"$'\nStandardError=append:'"$work/log"
  done
  for name in sysinit basic shutdown network-online; do unit $name.target $'[Unit]\nDefaultDependencies=no'; done
  unit test.service "[Service]
Type=oneshot
Environment=PEPSAL_BIN_DIR=$PEPSAL_BIN_DIR
ExecStart=/bin/bash $itself --test $work
ExecStopPost=/bin/sh -c 'echo \$EXIT_STATUS >$work/status'
TimeoutStartSec=infinity
StandardOutput=append:$work/out
StandardError=append:$work/out"
  exec env -i container=test PATH="$PATH" SYSTEMD_UNIT_PATH="$work/units" $systemd --system --unit=test.service \
    --log-target=console --log-level=notice
}

# --- the test itself

show() { systemctl show --value --property "$1" "${2-pepsal.service}"; } # PROPERTY [UNIT]
manager() { show MainPID; }
has_rules() { iptables-save 2>/dev/null | grep 'PEPSAL.*_PRE' >/dev/null; }
has_no_rules() { ! has_rules; }
shaped_to() { [[ $(tc class show dev sat0) == *"rate $1"* ]]; } # RATE
logged() { grep -qF -- "$1" "$work/log"; }
succeeds() { "$@" >"$work/answer" 2>&1 || wrong "'$*' ends with $?: $(cat "$work/answer") $(tail -n 5 "$work/log")"; }
is_active() { [[ $(show ActiveState "$1") == active ]]; }     # UNIT
is_inactive() { [[ $(show ActiveState "$1") == inactive ]]; } # UNIT

# A server that sends a stream as long as a file exists, then its hash; and clients that compare.
write_programs() {
  cat >"$work/server.py" <<'END'
import hashlib, os, socket, sys, threading, time
def serve(connection):
    digest = hashlib.sha256()
    while os.path.exists(sys.argv[1]):
        piece = os.urandom(4096)
        digest.update(piece)
        try:
            connection.sendall(piece)
        except OSError: # the client reports it
            return
        time.sleep(0.02)
    connection.sendall(digest.digest())
    connection.close()
listener = socket.create_server(("10.2.0.2", 80), backlog=200)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
  cat >"$work/client.py" <<'END'
import hashlib, socket, sys, threading
right = []
def fetch():
    connection = socket.create_connection(("10.2.0.2", 80))
    stream = b""
    while piece := connection.recv(65536):
        stream += piece
    if hashlib.sha256(stream[:-32]).digest() == stream[-32:]:
        right.append(1)
threads = [threading.Thread(target=fetch) for _ in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(right))
END
}

busy() { pepsalctl status | awk '$1 == "busy" { print $2 }'; }
serves() { (($(busy) >= $1)); } # NUMBER
serves_nobody() { [[ $(busy) == 0 ]]; }
is_the_same() { [[ $(manager) == "$before" ]] && is_active pepsal.service; }
is_another() { [[ $(manager) != 0 && $(manager) != "$before" ]] && is_active pepsal.service; }

test_units() {
  local before clients left stopping status=0
  export PATH=/usr/local/sbin:$PATH
  : >"$work/log"
  : >"$work/begun"
  set_up_box_between
  write_programs
  printf '%s\n' 'link = sat0 rate=50/10 rtt=600 side=gateway' 'intercept = wan0' 'spare-proxies = 4' 'user = nobody' >/etc/default/pepsal.conf

  case=start
  succeeds systemctl start pepsal
  is_active pepsal.service || wrong "it is $(show ActiveState): $(cat "$work/log")"
  [[ $(stat -c %U "/proc/$(manager)") == nobody ]] || wrong "it runs as $(stat -c %U "/proc/$(manager)")"
  [[ $(show StatusText) == "serving: 0 connections"* ]] || wrong "its status is '$(show StatusText)'"
  has_rules || wrong "there are no rules"
  shaped_to 49600Kbit || wrong "the link is not prepared: $(tc class show dev sat0)"
  is_active pepsal-link.service || wrong "nobody watches the link"

  case=reload
  sed -i 's/rate=50/rate=30/; s/^intercept = .*/intercept = none/' /etc/default/pepsal.conf
  before=$(manager)
  succeeds systemctl reload pepsal
  logged "configuration reloaded" || wrong "the daemon has not reloaded it: $(cat "$work/log")"
  eventually shaped_to 29760Kbit || wrong "the shaper stays: $(tc class show dev sat0)"
  is_active pepsal-link.service || wrong "the watch has ended"
  eventually has_no_rules || wrong "rules are left: $(iptables-save | grep PEPSAL | head -n 2)"
  sed -i 's/^intercept = .*/intercept = wan0/' /etc/default/pepsal.conf
  succeeds systemctl reload pepsal
  eventually has_rules || wrong "there are no rules after a reload"
  echo 'spare-proxies = many' >>/etc/default/pepsal.conf
  ! systemctl reload pepsal 2>/dev/null || wrong "a reload of a broken file succeeds"
  logged "spare-proxies" || wrong "nothing says what is wrong: $(tail -n 5 "$work/log")"
  sed -i '$d' /etc/default/pepsal.conf
  is_the_same || wrong "the daemon did not survive the reloads"

  case=restart # twice, a restart in place, and a crash, with the same transfers under way
  : >"$work/go"
  ip netns exec servers python3 "$work/server.py" "$work/go" &
  eventually listens servers 80 || wrong "no server"
  ip netns exec users python3 "$work/client.py" $transfers >"$work/right" 2>"$work/wrong" &
  clients=$!
  eventually serves $transfers || wrong "only $(busy) connections are served: $(cat "$work/log")"
  for _ in 1 2; do
    before=$(manager)
    succeeds systemctl restart pepsal
    is_another || wrong "it is the same process"
    serves $transfers || wrong "after a restart there are $(busy) connections: $(tail -n 8 "$work/log")"
    has_rules || wrong "the rules went with the restart"
    shaped_to 29760Kbit || wrong "the shaper went with the restart"
  done
  before=$(manager)
  succeeds pepsalctl restart
  is_the_same || wrong "systemd has lost it in a restart in place"
  kill -KILL "$before"
  eventually is_another || wrong "after a crash it is $(show ActiveState)"
  eventually serves $transfers || wrong "after a crash there are $(busy) connections: $(tail -n 8 "$work/log")"
  has_rules || wrong "the rules went with the crash"
  rm "$work/go"
  wait $clients || true
  [[ $(cat "$work/right") == "$transfers" ]] || wrong "$(cat "$work/right") of $transfers transfers are right: $(tail -n 3 "$work/wrong")"

  case=stop # gets the time that drain-timeout allows, whatever the unit's
  eventually serves_nobody || wrong "connections stay: $(pepsalctl list)"
  : >"$work/go"
  ip netns exec users python3 "$work/client.py" 1 >"$work/right" 2>"$work/wrong" &
  clients=$!
  eventually serves 1 || wrong "the connection is not served"
  systemctl stop pepsal &
  stopping=$!
  sleep $((2 * stop_timeout))
  rm "$work/go"
  wait $clients || true
  [[ $(cat "$work/right") == 1 ]] || wrong "a stop cuts a transfer after $stop_timeout s: $(tail -n 3 "$work/log")"
  wait $stopping || wrong "stop ends with $?"
  [[ $(show Result) == success ]] || wrong "the service's result is $(show Result)"
  is_inactive pepsal.service || wrong "it is $(show ActiveState) ($(show Result))"
  eventually is_inactive pepsal-rules.service || wrong "the rules' unit is $(show ActiveState pepsal-rules.service)"
  eventually is_inactive pepsal-link.service || wrong "the link's unit is $(show ActiveState pepsal-link.service)"
  ! has_rules || wrong "rules are left"
  [[ $(tc qdisc show dev sat0 root) != *htb* ]] || wrong "the shaper is left"
  left=$(find /run/pepsal /dev/shm -type f -size +0) # the pid file stays, empty, if the daemon was not root
  [[ -z $left ]] || wrong "files are left: $left"

  case=wrong_configuration # is not retried endlessly
  echo 'spare-proxies = many' >>/etc/default/pepsal.conf
  systemctl start pepsal 2>/dev/null || status=$?
  [[ $status != 0 && $(show ExecMainStatus) == 2 && $(show NRestarts) == 0 ]] ||
    wrong "a start ends with $status, $(show ExecMainStatus), $(show NRestarts) restarts"
  end_test
}

case ${1-} in
  --init)
    work=$2
    become_systemd
    ;;
  --test)
    work=$2
    test_units
    ;;
  *) boot ;;
esac
