#!/usr/bin/env bash
# A minute of scripts/soak: each fault about once, in an order that is always the same. A machine with other work may be
# slow to accelerate again; that nothing is lost, wrong or left behind holds for it, too.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "for network namespaces"
need_programs python3 ip iptables-save ss sysctl unshare

"$root/scripts/soak" 1 --seed 7 --again 20 --stall 60 || wrong "scripts/soak found something"
end_test
