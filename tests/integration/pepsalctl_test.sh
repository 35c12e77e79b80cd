#!/usr/bin/env bash
# pepsalctl with a running daemon, a dead one and none; and its usage. Needs root. PEPSAL_BIN_DIR names the folder of
# the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to start the daemon"

instance=ctl$$
work=$(mktemp -d)
manager=

finish() {
  [[ -z $manager ]] || kill -KILL "$manager" 2>/dev/null || true
  rm -rf "$work" "/dev/shm/pepsal.$instance" "/run/pepsal/$instance.ctl"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Sets status; what was printed is in $work/out and $work/error.
ctl() { # ARGUMENT...
  status=0
  "$PEPSAL_BIN_DIR/pepsalctl" "$@" >"$work/out" 2>"$work/error" || status=$?
}

succeeds() { # ARGUMENT...
  ctl "$@"
  [[ $status == 0 && ! -s $work/error ]] || wrong "'$*' ends with $status: $(cat "$work/error")"
}

fails() { # STATUS TEXT ARGUMENT...
  ctl "${@:3}"
  [[ $status == "$1" && $(wc -l <"$work/error") == 1 && ! -s $work/out ]] ||
    wrong "'${*:3}' ends with $status: $(cat "$work/out" "$work/error")"
  grep -qF -- "$2" "$work/error" || wrong "'${*:3}' says '$(cat "$work/error")' instead of '$2'"
}

value() { awk -v "name=$1" '$1 == name { print $2 }' "$work/out"; }

usage() {
  succeeds --help
  grep -q status "$work/out" || wrong "--help does not tell of status"
  succeeds --version
  grep -q '^pepsalctl [0-9]' "$work/out" || wrong "--version says '$(cat "$work/out")'"
  fails 2 "list|show|status|kill|drain|undrain|reload|restart|link|top|metrics|health"
  fails 2 "'dance'" dance
  fails 2 "'more'" list more
  fails 2 "'--loud'" --loud status
  fails 2 "pepsalctl: --instance: needs a value" status --instance
  fails 2 "pepsalctl: --sort: needs a value" list --sort
  fails 2 "'ten' is not a port" list --port ten
  fails 2 "'70000' is not a port" list --port 70000
  fails 2 "'10.1/16' is not an address or a prefix" list --client 10.1/16
  fails 2 "'x' is not an address or a prefix" list --server x
  fails 2 "'x' is not an address or a prefix" list --peer x
  fails 2 "'closed' is not one of pending, connecting, open" list --state closed
  fails 2 "'sat' is not one of client, server" list --leg sat
  fails 2 "'size' is not one of id, state, client, server, age" list --sort size
  fails 2 "show needs ID|CLIENT: its ID, as list shows it" show
  fails 2 "link needs INTERFACE: the interface" link
  fails 2 "link needs --rate DOWN/UP: its rates" link sat0
  fails 2 "--rate: 'rate=fast' is not rate=DOWN/UP in Mbit/s" link sat0 --rate fast
  fails 2 "'5/5 rtt=7' is not DOWN/UP" link sat0 --rate '5/5 rtt=7'
  fails 2 "see pepsalctl top --help" top more
  fails 2 "'x' is not a port, or ADDRESS:PORT" metrics --listen x
  fails 2 "'10.0.0.1:0' is not a port" metrics --listen 10.0.0.1:0
  fails 2 "'../etc'" --instance ../etc status
}

not_running() { fails 1 "'$instance' is not running" --instance "$instance" status; }

running() {
  # Without rules, a network namespace is all the daemon needs.
  manager=$("$root/scripts/lab/launch.py" "$work/log" unshare -n sh -c 'ip link set lo up && exec "$@"' sh \
    "$PEPSAL_BIN_DIR/pepsal" --instance "$instance" --pidfile "$work/pid" --max-connections 100)
  succeeds --instance "$instance" status
  ! grep -vE '^[a-z_]+ [0-9]+$|^[a-z, ]+:$|^$' "$work/out" ||
    wrong "status prints other things than a name and a value a line, and headings"
  [[ $(value manager_pid) == "$manager" && $(value max_connections) == 100 && $(value entries) == 0 ]] ||
    wrong "status shows another daemon: $(head -n 6 "$work/out")"
  (($(value proxies_forked) >= 1)) || wrong "no proxy was forked, says status"
  succeeds status --instance "$instance"
  succeeds --instance "$instance" list
  [[ $(sed 1d "$work/out") == "total 0: "* ]] || wrong "list shows connections where there are none: $(cat "$work/out")"
  fails 1 "needs a terminal" --instance "$instance" top
  fails 1 "no connection 1" --instance "$instance" show 1
  fails 1 "no connection of 10.0.0.2:4" --instance "$instance" show 10.0.0.2:4
  fails 2 "'10.0.0.2' is neither an ID" --instance "$instance" show 10.0.0.2
  fails 2 "'::1:80' is neither an ID" --instance "$instance" show ::1:80

  # A connection that was not redirected.
  nsenter -t "$manager" -n bash -c 'exec 3<>/dev/tcp/127.0.0.1/5000; read -r -t 5 <&3' || true
  for ((try = 0; try < 100; try++)); do
    succeeds --instance "$instance" status
    [[ $(value direct_connections_refused) == 0 ]] || break
    sleep 0.05
  done
  [[ $(value direct_connections_refused) == 1 ]] || wrong "the refused connection is not counted"

  cp "$PEPSAL_BIN_DIR/pepsalctl" "$work/"
  chmod 755 "$work"
  status=0
  setpriv --reuid 65534 --regid 65534 --clear-groups "$work/pepsalctl" --instance "$instance" status \
    >"$work/out" 2>"$work/error" || status=$?
  [[ $status == 1 && ! -s $work/out && $(<"$work/error") == *"may not be opened"* ]] ||
    wrong "another user gets $status: $(cat "$work/out" "$work/error")"
}

manager_killed() {
  kill -KILL "$manager"
  eventually have_ended "$manager" || wrong "the killed manager does not end"
  fails 1 "has died" --instance "$instance" status
  fails 1 "has died" --instance "$instance" list
  manager=
}

usage
not_running
running
manager_killed
end_test
