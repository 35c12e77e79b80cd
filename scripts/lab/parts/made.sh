# A part of satlab, which sources it: what labs have created, shared by all of them under one lock, and how it is
# removed, however far its creation got.
# shellcheck shell=bash disable=SC2154

# Labs are created and removed one at a time: they share the list of allowed congestion controls.
take_lock() {
  while true; do
    mkdir -p "$state_base"
    # The last lab to be removed deletes the directory, perhaps just now.
    { exec 9<"$state_base"; } 2>/dev/null || continue
    flock 9
    [[ $state_base -ef /proc/self/fd/9 ]] && return
  done
}

release_lock() {
  rmdir --ignore-fail-on-non-empty "$state_base" 2>/dev/null || true
  exec 9<&-
}

namespace_exists() { # NAMESPACE
  [[ -e /run/netns/$1 ]]
}

need_lab() {
  [[ -d $state_base/$lab ]] || fail "there is no lab '$lab' ($program --name $lab up SCENARIO makes it)"
}

end_processes() { # NAMESPACE...
  local namespace pids="" try
  for namespace in "$@"; do
    namespace_exists "$namespace" && pids+=" $(ip netns pids "$namespace" 2>/dev/null | tr '\n' ' ')"
  done
  local pid left
  for pid in $pids; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  for ((try = 0; try < 40; try++)); do
    left=""
    for pid in $pids; do
      # A zombie no longer holds a namespace.
      [[ -e /proc/$pid/ns/net ]] && readlink "/proc/$pid/ns/net" >/dev/null 2>&1 && left+=" $pid"
    done
    [[ -n $left ]] || return 0
    sleep 0.05
  done
  for pid in $left; do
    kill -KILL "$pid" 2>/dev/null || true
  done
}

allowed_words() {
  local words
  read -r words <"$allowed_sysctl"
  printf '%s' "$words"
}

# Namespaces only accept what is on the initial namespace's list.
allow_congestion_control() { # NAME
  local words
  words=$(allowed_words)
  [[ " $words " == *" $1 "* ]] && return
  echo "$1" >>"$state_base/allowed-by-us"
  printf '%s %s' "$words" "$1" 2>/dev/null >"$allowed_sysctl" ||
    fail "the kernel has no congestion control '$1' (there is: $(cat /proc/sys/net/ipv4/tcp_available_congestion_control))"
}

# Called by the last lab: removes from the list what labs have added, whatever else has been added meanwhile.
restore_allowed() {
  [[ -f $state_base/allowed-by-us ]] || return 0
  local word kept=""
  for word in $(allowed_words); do
    grep -qx -- "$word" "$state_base/allowed-by-us" || kept+="${kept:+ }$word"
  done
  printf '%s' "$kept" >"$allowed_sysctl"
  rm -f "$state_base/allowed-by-us"
}

# Removes everything that the state directory names. Safe to repeat.
take_down() {
  trap '' INT TERM HUP
  local state=$state_base/$lab namespace mine=()
  [[ -f $state/namespaces ]] && mapfile -t mine <"$state/namespaces"
  end_processes "${mine[@]}"
  for namespace in "${mine[@]}"; do
    namespace_exists "$namespace" && ip netns del "$namespace"
  done
  rm -rf "$state"
  local others
  others=$(find "$state_base" -mindepth 1 -maxdepth 1 -type d | wc -l)
  [[ $others -gt 0 ]] || restore_allowed
  release_lock
}

abandon() {
  local status=$? pid
  trap - EXIT
  trap '' INT TERM HUP
  # A process that has just been started is not in its namespace yet, where take_down would find it.
  for pid in $(jobs -p); do
    kill -KILL "$pid" 2>/dev/null || true
  done
  wait
  take_down
  exit "$status"
}
