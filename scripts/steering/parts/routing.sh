# A part of pepsal-iptables, which sources it: ip rules and routes, and the sysctl of redirect mode.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# ---- routing ---------------------------------------------------------------------------------------------------------

# The last but one delivers marked packets here. This machine's own packets skip it, and so does the check of a packet's
# source that net.ipv4.conf.*.src_valid_mark=1 makes with the mark (WireGuard's scripts set it): it would find the
# source to be local, and drop the packet. The first is for the ICMP errors that come back at once.
rules_for() { # record
  local shift to first
  shift=$(field shift "$1") to=$(field table "$1") first=$(field priority "$1")
  printf '%d from all fwmark 0x%x/0x%x lookup %d proto %d\n' "$first" $((13 << shift)) $((15 << shift)) "$to" "$protocol"
  echo "$((first + 1)) from all iif lo goto $((first + 3)) proto $protocol"
  printf '%d from all fwmark 0x%x/0x%x lookup %d proto %d\n' $((first + 2)) $((8 << shift)) $((8 << shift)) "$to" "$protocol"
  echo "$((first + 3)) from all nop proto $protocol"
}

all_rules() { # family; a line each, as ip_rule takes it
  local number line
  ip -N "-$1" rule show | while read -r number line; do
    line=${line/ \[unresolved\]/}
    line=${line/ \[detached\]/}
    echo "${number%:} ${line/ ipproto ipproto-/ ipproto }"
  done
}

# The site's ip rules that select by arrival interface: a server leg, which comes from the box, does not match them.
rules_by_interface() { # family
  local line
  while read -r line; do
    [[ $line != *" iif "* || $line == *" iif lo "* || $line == *" proto $protocol" ]] || echo "$line"
  done < <(all_rules "$1")
}

# The same rules for the mark that makes a server leg go where its client's packets would (LegWay).
repeated_rules() { # family record
  local mark lines
  lines=$(rules_by_interface "$1")
  [[ -n $lines ]] || return 0
  printf -v mark '0x%x/0x%x' $((12 << $(field shift "$2"))) $((15 << $(field shift "$2")))
  grep ' lookup ' <<<"$lines" | grep -vE '^[0-9]+ not | fwmark ' |
    sed -E "s: iif [^ ]+: fwmark $mark:; s/ proto [^ ]+$//; s/$/ proto $protocol/" | awk '!seen[$0]++' || true
}

# Lists those that cannot be repeated this way, one a line.
unrepeated_rules() { # family
  local line
  while read -r line; do
    [[ ! $line =~ ^[0-9]+\ not\ |\ fwmark\  && $line == *" lookup "* ]] ||
      echo "IPv$1: ip rule '$line' does not hold for server legs: --exclude what it is about"
  done < <(rules_by_interface "$1")
}

wanted_rules() { # family record
  [[ $(field mode "$2") != tproxy ]] || rules_for "$2"
  repeated_rules "$1" "$2"
}

routes_of() { ip "-$1" route show table "$2" 2>/dev/null || true; } # family table; ip fails for one never used

has_route() { [[ $'\n'$(routes_of "$1" "$2") == *$'\n'"local default dev lo proto $protocol "* ]]; } # family table

# Adds or deletes an ip rule as all_rules prints it.
ip_rule() { # family add|del line
  local -a words
  read -ra words <<<"${3/ proto / protocol }"
  ip "-$1" rule "$2" priority "${words[@]}"
}

route_here() { # family record
  local line there
  there=$(all_rules "$1")
  while read -r line; do # the target of the jump first
    ip_rule "$1" add "$line" || return
  done < <(wanted_rules "$1" "$2" | except "$there" | tac)
  [[ $(field mode "$2") == tproxy ]] || return 0
  ip "-$1" route replace local default dev lo table "$(field table "$2")" proto "$protocol" # last, as sweep finds it by the rule
}

# Removes our ip rules, and the routes in their tables, that no instance's record claims. This also finds those of an
# earlier start with other options, and those whose chains have been flushed.
sweep() { # family
  local line claimed="" to
  while read -r line; do
    claimed+=$(wanted_rules "$1" "$line")$'\n'
  done < <(records "${noted[$1]}" raw)
  while read -r line; do
    ip_rule "$1" del "$line"
    to=${line#* lookup } to=${to%% *}
    if [[ $line != *" lookup "* || $claimed == *" lookup $to "* ]] || ! has_route "$1" "$to"; then continue; fi
    ip "-$1" route del local default dev lo table "$to" proto "$protocol"
  done < <(all_rules "$1" | grep -E "^[0-9]+ from all (iif lo goto [0-9]+|fwmark 0x[0-9a-f]+/0x[0-9a-f]+ lookup [0-9]+|nop) \
proto $protocol$|^[0-9]+ from .* fwmark 0x[0-9a-f]+/0x[0-9a-f]+ .*lookup [^ ]+ .*proto $protocol$" | except "$claimed")
}

# ---- early demux -----------------------------------------------------------------------------------------------------

# A client may use the same source port for two servers. Once redirected, the two connections differ only in the source
# port that NAT gives the second one in INPUT. Early demux looks for sockets before that and would find the first one's.
needs_no_demux() { [[ $(records "${noted[4]}" raw) == *" mode=redirect "* ]]; }

find_demux() { # any instance's record has the value from before the first of them
  local value
  value=$(field demux "$(records "${noted[4]}" raw | grep -m 1 ' mode=redirect ' || true)")
  echo "${value:-$(<"$early_demux")}"
}

# Turns it off while any instance needs that. Prints the reason and returns 1 on failure.
set_demux() {
  local to=$demux_was
  ! needs_no_demux || to=0
  [[ $to == "$(<"$early_demux")" ]] || { echo "$to" >"$early_demux"; } 2>/dev/null ||
    { echo "cannot write $to to $early_demux" && return 1; }
}
