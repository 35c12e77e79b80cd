# A part of pepsal-satlink, which sources it: the previous state, as recorded in a state file, and how it is restored.
# shellcheck shell=bash disable=SC2034,SC2154

# A state file begins with the boot, the namespace and the interface that it is for; their inodes in sysfs are never
# reused, unlike a namespace's own, and unlike names. Its other lines are "KIND NAME VALUE", the oldest first.
namespace_identity() { echo "$(cat /proc/sys/kernel/random/boot_id) $(stat -Lc %i /sys/class/net/lo)"; }
interface_identity() { stat -Lc %i "/sys/class/net/$1" 2>/dev/null || echo gone; } # interface
identity() { echo "of $(namespace_identity) $(interface_identity "$interface")"; }

is_of_this_namespace() { # state-file
  [[ -e $1 && $(head -n 1 "$1") == "of $(namespace_identity) "* ]]
}

# An interface that has been renamed since it was prepared keeps its state, under its new name.
adopt_renamed() {
  local other
  [[ ! -e $state && -e /sys/class/net/$interface ]] || return 0
  while read -r other; do
    if [[ $(head -n 1 "$other") == "$(identity)" ]]; then
      echo "$interface: was prepared as ${other#"$state_dir/$namespace."}"
      [[ $action == status ]] || mv "$other" "$state"
      return
    fi
  done < <(others)
}

has_state() { [[ -e $state && $(head -n 1 "$state") == "$(identity)" ]]; }

without_windows() { sed -E 's/ init[cr]wnd [0-9]+//g'; }

# The state before the first of several starts is what counts.
remember() { # kind name value
  if [[ $1 == route ]]; then
    ! grep "^route $2 " "$state" | without_windows | grep -xF "$(without_windows <<<"$*")" >/dev/null || return 0
  else
    ! grep -q "^$1 $2 " "$state" || return 0
  fi
  echo "$*" >>"$state"
}

# Records what is in force now, and changes with each start. Without a value the record is removed.
note() { # kind [value]
  local rest
  rest=$(grep -v "^$1 " "$state")
  printf '%s\n' "$rest" ${2:+"$1 $2"} >"$state.new"
  mv "$state.new" "$state"
}

noted() { sed -n "s/^$1 //p" "$state"; } # kind

# State files of this namespace's other interfaces.
others() {
  local other
  for other in "$state_dir/$namespace".*; do
    if [[ $other != "$state" ]] && is_of_this_namespace "$other"; then echo "$other"; fi
  done
}

# Sysctls are shared by a namespace's interfaces: the last one to stop restores them.
is_last() {
  local other name
  while read -r other; do
    name=${other#"$state_dir/$namespace."}
    [[ $(head -n 1 "$other") != *" $(interface_identity "$name")" ]] || return 1
  done < <(others)
}

# The value from before any of this namespace's interfaces was prepared.
original_sysctl() { # name
  local other
  while read -r other; do
    if grep -m 1 "^sysctl $1 " "$other" | cut -d ' ' -f 3-; then return; fi
  done < <(others)
  sysctl -n "$1"
}

set_sysctl() { # name value; one that this kernel lacks is left out
  local before
  [[ -e /proc/sys/${1//.//} ]] || return 0
  before=$(original_sysctl "$1" | tr '\t' ' ')
  remember sysctl "$1" "$before"
  [[ $(sysctl -n "$1" | tr '\t' ' ') != "$2" ]] || return 0
  sysctl -qw "$1=$2" 2>/dev/null || broken "cannot set the sysctl $1 to $2: is /proc/sys mounted read-only?"
}

remember_attribute() { remember attribute "$1" "$(cat "/sys/class/net/$interface/$1")"; } # name

set_attribute() { # name value; one that this kernel lacks is left out
  local file=/sys/class/net/$interface/$1
  [[ -e $file ]] || return 0
  remember_attribute "$1"
  { echo "$2" >"$file"; } 2>/dev/null || broken "cannot write $2 to $file: is /sys mounted read-only?"
}

# For what an earlier start has set and this one leaves alone.
reset_attribute() { # name
  local before
  before=$(noted "attribute $1")
  [[ -z $before ]] || set_attribute "$1" "$before"
}

# Unicast routes out of the interface, as "FAMILY ROUTE", without the flags that only the kernel sets. Routes that
# expire, and those with several next hops, are left alone. ip prints a lock of rto_min that it does not accept as
# input.
routes() {
  local family
  for family in 4 6; do
    ip "-$family" -o route show table all type unicast dev "$interface" 2>/dev/null |
      grep -vE 'nexthop|nhid|expires|^(fe80|ff00)::|table local' |
      sed -E 's/ (linkdown|dead|offload|trap|rt_offload|rt_trap|offload_failed)\>//g; s/ rto_min lock / rto_min /; s/ *$//' |
      awk -v "family=$family" '!seen[$0]++ { print family, $0 }' || true
  done
}

# Undoes what the state file contains, the latest first. For an interface that has gone, only the sysctls are left.
put_back() {
  local kind name value here=no last=no
  ! has_state || here=yes
  ! is_last || last=yes
  while read -r kind name value; do
    case $kind.$here in
      sysctl.*) [[ $last == no ]] || sysctl -qw "$name=$value" ;;
      attribute.yes) echo "$value" >"/sys/class/net/$interface/$name" ;;
      gso_max_segs.yes) ip link set dev "$name" gso_max_segs "$value" ;;
      qdisc.yes) tc qdisc del dev "$interface" root ;;
      repeats.*) nft delete table netdev "$name" ;;
      route.yes)
        # shellcheck disable=SC2086 # a route is several words
        ip "-$name" route change $value dev "$interface"
        ;;
    esac || true # what has gone meanwhile need not be restored
  done < <(tac "$state") 2>/dev/null
  rm -f "$state"
}

# Undoes an earlier start, whatever has become of it.
undo() {
  if is_of_this_namespace "$state"; then put_back; else rm -f "$state"; fi
}
