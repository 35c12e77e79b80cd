#!/usr/bin/env bash
# Runs a small part of scripts/satbench as its users do: it writes table, figures and plots, reports wrong usage before
# it does anything, and leaves nothing behind. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

satbench=$(dirname "$0")/../../scripts/satbench
readonly satbench

need_root "to make network namespaces"
need_programs python3

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
# A page in a browser, ssh and an upload over TLS: the programs' own reports, and that they went the right way: over
# warm connections and, as control, direct and between boxes that are not peers.
with_programs() { # FOLDER SATBENCH-OPTION...
  local status=0
  "$satbench" --quick --only web --workload HTTP/2 --workload ssh --workload 'over TLS' --jobs 2 \
    --output "$work/$1" "${@:2}" >"$work/out" 2>"$work/err" &
  pids+=($!)
  wait $! || status=$?
  cat "$work/err"
  ((status == 0)) || wrong "with programs ($1): exit status $status"
}
pids=("$pid")
with_programs programs --columns direct,both
with_programs no-peers --columns both --no-peers
python3 - "$work/programs/results.json" <<'CHECK' || wrong "with programs: results.json is not as expected"
import json, sys
every = json.load(open(sys.argv[1]))["runs"]
assert all(run["intact"] and not run["error"] and run["total_s"] for run in every), every
runs = {run["workload"]: run for run in every if run["column"] == "both"}
assert list(runs) == ["page, HTTP/2 over TLS", "ssh login and true", "1 MB up over TLS"] and len(every) == 6, every
assert all(run["warm_connections"] > 0 for run in runs.values()), runs
page, ssh, upload = runs.values()
assert page["received"] == 1400000 and page["first_byte_s"] < page["paint_s"] and page["first_byte_s"] < page["total_s"], page
assert page["link"]["down"]["offered_bytes"] > 1400000 and upload["link"]["up"]["offered_bytes"] > 1000000, upload
assert ssh["link"]["up"]["offered_packets"] > 10 and ssh["link"]["down"]["offered_packets"] > 10, ssh
CHECK
python3 - "$work/no-peers/results.json" <<'CHECK' || wrong "with programs, no peers: results.json is not as expected"
import json, sys
every = json.load(open(sys.argv[1]))["runs"]
assert len(every) == 3 and all(run["intact"] and not run["error"] and "warm_connections" not in run for run in every), every
CHECK
grep -q '| first byte | first paint | loaded |' "$work/programs/report.md" || wrong "report.md has no first paint"

# The wrapper executes the measuring program, so its pid is in the lab's names.
for number in "${pids[@]}"; do
  for trace in /run/{netns,pepsal-satlab,pepsal}/sb"$number"-* /dev/shm/pepsal.sb"$number"-* /dev/shm/satbench"$number"-*; do
    [[ ! -e $trace ]] || wrong "$trace is left behind"
  done
done

end_test
