#!/usr/bin/env bash
# The programs are linked with the usual hardening: at random addresses, with a protected, non-executable stack, and
# read-only relocations. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_programs readelf

has() { # WHAT PATTERN OPTION: readelf OPTION says PATTERN
  grep -qE "$2" <<<"$(readelf -W "$3" "$PEPSAL_BIN_DIR/$case" 2>/dev/null)" || wrong "$1"
}

for case in pepsal pepsal-queuer pepsalctl; do
  has "is not position-independent" '^ *Type: +DYN' -h
  has "its stack can be executed, or nothing is said of it" 'GNU_STACK .* RW +0x' -l
  has "its relocations stay writable" 'GNU_RELRO' -l
  has "symbols are bound late" 'BIND_NOW|NOW' -d
  has "no stack protector" '__stack_chk_(fail|guard)' -s
done
for case in pepsal-queuer pepsalctl; do has "no fortified function" '__[a-z]+_chk@' -s; done

end_test
