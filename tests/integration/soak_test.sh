#!/usr/bin/env bash
# Half a minute of scripts/soak with the faults that cost no connection but the killed process's own, each about once
# and in a fixed order. A busy machine may be slow to accelerate again; that nothing is lost, wrong or left behind
# applies to it, too.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "for network namespaces"
need_programs python3 ip iptables-save ss sysctl unshare

faults=()
for fault in "proxies killed" queuer dialler keeper "manager stopped" "restart in place" "table full" "syslog reader" "disk full"; do
  faults+=(--only "$fault")
done
"$root/scripts/soak" 0.5 --seed 3 --again 20 --stall 60 "${faults[@]}" || wrong "scripts/soak found something"
end_test
