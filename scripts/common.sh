# Shared by the scripts next to it, which source it: what they install, how they build, how they report.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The list scripts/programs without its comments.
programs_list() { sed -E '/^(#|$)/d' "$root/scripts/programs"; }

# The packages of the named groups, as in scripts/programs.
packages_for() { # build|network|bench|satbench|check|all...
  programs_list | awk -v groups=" $* " 'index(groups, " all ") && $2 != "base" || index(groups, " " $2 " ") { print $1 }'
}

# The package of a program; nothing if it is in no package of the list.
package_of() { # PROGRAM
  programs_list | awk -v "program=$1" '{ for (i = 3; i <= NF; i++) if ($i == program) { print $1; exit } }'
}

# The message about a missing program.
no_program() { # PROGRAM
  local package
  package=$(package_of "$1")
  if [[ -n $package ]]; then
    echo "no program '$1': apt-get install $package"
  else
    echo "no program '$1', and no package of scripts/programs has it"
  fi
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

bad_usage() {
  say "$*"
  exit 2
}

require_root() { ((EUID == 0)) || fail "needs root, for network namespaces: run it with sudo"; }

# Installs the missing packages of the named groups, as in scripts/programs. Services among them are not started.
install_packages() { # GROUP...
  local missing=() package policy=/usr/sbin/policy-rc.d made_policy=no status=0 log
  for package in $(packages_for "$@"); do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep '^install ok installed$' >/dev/null || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  ((EUID == 0)) || fail "missing packages: apt-get install ${missing[*]}"
  say "installing ${missing[*]}"
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made_policy=yes
  fi
  log=$(mktemp)
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null || status=$?
  [[ $made_policy == no ]] || rm -f "$policy"
  ((status == 0)) || { tail -n 5 "$log" >&2; rm -f "$log"; fail "apt-get could not install ${missing[*]}"; }
  rm -f "$log"
}

# build_in DIRECTORY [CMAKE-OPTION...] [-- TARGET...]: configures and builds; shows the compiler's output only if it
# fails.
build_in() {
  local directory=$1 options=() log
  shift
  while (($# > 0)) && [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  (($# == 0)) || shift
  log=$(mktemp)
  if ! { cmake -S "$root" -B "$directory" -G Ninja "${options[@]}" && cmake --build "$directory" --target "${@:-all}"; } \
    >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    rm -f "$log"
    fail "building in ${directory#"$root"/} failed"
  fi
  rm -f "$log"
}
