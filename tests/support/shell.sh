# What shell tests have in common: source this first. need_root and need_programs say at the start what the machine must
# have: a test that cannot run is skipped, but in CI (CI=true), where everything must be there, it fails; the last line
# it prints says what is missing. wrong records a failure and the test continues; end_test reports the outcome.
# shellcheck shell=bash
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

failures=0
case=

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

wrong() {
  printf 'FAILED: %s%s\n' "${case:+$case: }" "$*"
  failures=$((failures + 1))
}

eventually() { # COMMAND...: waits for it to succeed, 20 s at most
  local -r end=$((SECONDS + 20))
  local pause=0.05 try
  for ((try = 0; SECONDS < end; try++)); do
    if "$@"; then return 0; fi
    ((try < 10)) || pause=0.2 # asking costs a program or two
    sleep "$pause"
  done
  return 1
}

have_ended() { # PID...
  local pid
  for pid; do ! kill -0 "$pid" 2>/dev/null || return 1; done
}

# As ip netns exec, but without mounting another /sys, which is more than half of the price.
in_namespace() { nsenter --net="/run/netns/$1" "${@:2}"; } # NAMESPACE COMMAND...

# Whether a program in that namespace listens on a TCP port.
listens() { [[ -n $(in_namespace "$1" ss -Htln "sport = :$2") ]]; } # NAMESPACE PORT

# Runs cases by name. A key of the array `groups` stands for its cases; without names all groups are run.
# shellcheck disable=SC2154 # the test has them
run_groups() { # [NAME...]
  local name each
  (($# > 0)) || set -- "${!groups[@]}"
  for name in "$@"; do
    for each in ${groups[$name]:-$name}; do "$each"; done
  done
}

end_test() {
  ((failures == 0)) || exit 1
  echo "all cases pass"
}
