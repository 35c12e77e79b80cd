#!/usr/bin/env bash
# Runs a small part of scripts/satbench as its users do: it writes table, figures and plots, says what is wrong with bad
# usage before it does anything, and leaves nothing behind. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/need.sh
source "$(dirname "$0")/../support/need.sh"

satbench=$(dirname "$0")/../../scripts/satbench
readonly satbench

need_root "to make network namespaces"
need_programs python3

failures=0
wrong() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect_refusal() { # TEXT ARGUMENT...
  local text=$1 status=0
  shift
  "$satbench" "$@" >"$work/out" 2>&1 || status=$?
  ((status == 2)) || wrong "satbench $* ends with $status instead of 2"
  (($(wc -l <"$work/out") == 1)) || wrong "satbench $* says more than one line: $(<"$work/out")"
  grep -q -- "$text" "$work/out" || wrong "satbench $* does not name '$text': $(<"$work/out")"
}

expect_refusal "'4.9' is not one of" --only 4.9
expect_refusal "'none' is not one of" --columns none
expect_refusal "'0' is not a whole number" --rounds 0
expect_refusal "'other-...' needs --other" --columns other-both
expect_refusal "'/nowhere' is not a program" --other /nowhere

"$satbench" --quick --only web --workload 64 --columns direct,both --output "$work/results" >"$work/out" 2>"$work/err" &
pid=$!
status=0
wait "$pid" || status=$?
cat "$work/err"
((status == 0)) || wrong "exit status $status"
python3 - "$work/results/results.json" <<'CHECK' || wrong "results.json is not as expected"
import json, sys
runs = json.load(open(sys.argv[1]))["runs"]
assert [run["column"] for run in runs] == ["direct", "both"], runs
assert all(run["intact"] and run["received"] == 65536 and run["link"]["down"]["offered_packets"] > 40 for run in runs)
CHECK
grep -q '^| PEPsal, both ends |' "$work/results/report.md" || wrong "report.md has no row for both ends"
cmp -s "$work/out" "$work/results/report.md" || wrong "the report on standard output differs from report.md"
grep -q '<svg' "$work/results/plots/received-web.svg" || wrong "there is no plot"
# The wrapper becomes the measuring program, so its number is in the lab's names.
for trace in /run/netns/sb"$pid"-* /run/pepsal-satlab/sb"$pid"-* /dev/shm/pepsal.sb"$pid"-* /run/pepsal/sb"$pid"-*; do
  [[ ! -e $trace ]] || wrong "$trace is left behind"
done

((failures == 0)) || exit 1
