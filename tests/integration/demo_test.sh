#!/usr/bin/env bash
# Runs scripts/demo as a newcomer does, and once with an interrupt: it succeeds, says what it should, and leaves
# nothing behind. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

demo=$(dirname "$0")/../../scripts/demo
readonly demo

need_root "to make network namespaces"
need_programs pgrep

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tmp"
# A temporary folder of its own, so that leftovers are noticed.
export TMPDIR=$work/tmp

expect_nothing_left() { # PID-OF-DEMO
  local trace
  for trace in /run/netns/demo"$1"-* /run/pepsal-satlab/demo"$1" /dev/shm/*demo"$1"-* /run/pepsal/demo"$1"-* "$work"/tmp/*; do
    [[ ! -e $trace ]] || wrong "$trace is left behind"
  done
  if pgrep -f "demo$1-" >"$work/pids"; then
    wrong "processes are left behind: $(tr '\n' ' ' <"$work/pids")"
  fi
}

start_demo() {
  "$demo" --quick >"$work/out" 2>&1 </dev/null &
  pid=$!
}

expect_text() { # TEXT TIMES-AT-LEAST
  (($(grep -c -- "$1" "$work/out") >= $2)) || wrong "the demo does not show '$1' $2 times"
}

start_demo
status=0
wait "$pid" || status=$?
cat "$work/out"
((status == 0)) || wrong "exit status $status"
expect_text "hash matches" 2 # the direct download may be aborted
expect_text "PEPsal, both ends  *[0-9.]* s = [1-9][0-9.]* *[0-9.]* s = [2-9]" 1 # round trips; losses may cost more
expect_text "pepsal: connection manager" 1
expect_text "pepsal: proxy 10.81.1.2:" 1
expect_text "connections_opened" 1
expect_text "closed client=10.81.1.2:.* down=1000[0-9]* " 3
expect_nothing_left "$pid"

# Interrupted while the gateway's box is working.
set -m # so that the interrupt is not ignored
start_demo
set +m
for ((try = 0; try < 600; try++)); do
  [[ -e /run/pepsal/demo$pid-gw.pid ]] && break
  sleep 0.1
done
kill -INT "$pid"
status=0
wait "$pid" || status=$?
((status == 130)) || wrong "interrupted, it exits with $status instead of 130"
expect_nothing_left "$pid"

# Wrong usage changes nothing and says what is allowed.
status=0
"$demo" --slow >"$work/out" 2>&1 || status=$?
((status == 2)) || wrong "an unknown option ends with $status instead of 2"
expect_text "unknown option '--slow'" 1

end_test
