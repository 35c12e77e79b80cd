# What a shell test needs of its machine, told at its start: source this, then call need_root and need_programs. A test
# that cannot run is skipped, but in CI (CI=true), where all has to be there, it fails; the last line it prints says what
# it lacks.
# shellcheck shell=bash
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

cannot_run() { # REASON
  printf '%s\n' "$1" >&2
  [[ ${CI-} != true ]] || exit 1
  exit 77 # ctest's SKIP_RETURN_CODE
}

need_root() { ((EUID == 0)) || cannot_run "needs root${1:+ $1}"; } # [TO-DO-WHAT]

need_programs() { # PROGRAM...
  local program
  for program in "$@"; do
    [[ -n $(type -P "$program") ]] || cannot_run "$(no_program "$program")"
  done
}
