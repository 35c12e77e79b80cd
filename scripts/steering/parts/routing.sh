# A part of pepsal-iptables, which sources it: ip rules and routes, and the sysctl of redirect mode.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# ---- routing ---------------------------------------------------------------------------------------------------------

# The third rule delivers marked packets here. This machine's own packets skip it, and so does the source check, which
# uses the mark if net.ipv4.conf.*.src_valid_mark=1 (WireGuard's scripts set it): it would find the source to be local and
# drop the packet. The first rule is for ICMP errors that the machine itself sends.
rules_for() { # record
  local shift to first
  read_record "$1"
  shift=${recorded[shift]} to=${recorded[table]} first=${recorded[priority]}
  printf '%d from all fwmark 0x%x/0x%x lookup %d proto %d\n' "$first" $((13 << shift)) $((15 << shift)) "$to" "$protocol"
  echo "$((first + 1)) from all iif lo goto $((first + 3)) proto $protocol"
  printf '%d from all fwmark 0x%x/0x%x lookup %d proto %d\n' $((first + 2)) $((8 << shift)) $((8 << shift)) "$to" "$protocol"
  echo "$((first + 3)) from all nop proto $protocol"
}

all_rules() { # family; a line each, as ip_rule takes it
  local line IFS=$'\n'
  for line in $(ip -N "-$1" rule show); do
    line=${line/:$'\t'/ }
    line=${line/ \[unresolved\]/}
    line=${line/ \[detached\]/}
    line=${line/ ipproto ipproto-/ ipproto }
    echo "${line%"${line##*[! ]}"}"
  done
}

# The site's ip rules that select by arrival interface: a server leg, which comes from the box, does not match them.
rules_by_interface() { # family
  local line IFS=$'\n'
  for line in $(all_rules "$1"); do
    [[ $line != *" iif "* || $line == *" iif lo "* || $line == *" proto $protocol" ]] || echo "$line"
  done
}

# The same rules for the mark that makes a server leg go where its client's packets would (LegWay).
repeated_rules() { # family record
  local mark lines
  lines=$(rules_by_interface "$1")
  [[ -n $lines ]] || return 0
  read_record "$2"
  printf -v mark '0x%x/0x%x' $((12 << ${recorded[shift]})) $((15 << ${recorded[shift]}))
  grep ' lookup ' <<<"$lines" | grep -vE '^[0-9]+ not | fwmark ' |
    sed -E "s: iif [^ ]+: fwmark $mark:; s/ proto [^ ]+$//; s/$/ proto $protocol/" | awk '!seen[$0]++' || true
}

# Lists the rules that cannot be repeated this way, one a line.
unrepeated_rules() { # family
  local line IFS=$'\n'
  for line in $(rules_by_interface "$1"); do
    [[ ! $line =~ ^[0-9]+\ not\ |\ fwmark\  && $line == *" lookup "* ]] ||
      echo "IPv$1: ip rule '$line' does not apply to server legs: --exclude the traffic it matches"
  done
}

wanted_rules() { # family record
  read_record "$2"
  [[ ${recorded[mode]} != tproxy ]] || rules_for "$2"
  repeated_rules "$1" "$2"
}

routes_of() { ip "-$1" route show table "$2" 2>/dev/null || true; } # family table; ip fails for one never used

has_route() { [[ $'\n'$(routes_of "$1" "$2") == *$'\n'"local default dev lo proto $protocol "* ]]; } # family table

# Adds or deletes an ip rule as all_rules prints it.
ip_rule() { # family add|del line
  local IFS=' '
  # shellcheck disable=SC2086 # its words
  ip "-$1" rule "$2" priority ${3/ proto / protocol }
}

route_here() { # family record
  local i
  local -a lines
  mapfile -t lines < <(except "$(wanted_rules "$1" "$2")" "$(all_rules "$1")")
  for ((i = ${#lines[@]} - 1; i >= 0; i--)); do # the target of the jump first
    ip_rule "$1" add "${lines[i]}" || return
  done
  read_record "$2"
  [[ ${recorded[mode]} == tproxy ]] || return 0
  ip "-$1" route replace local default dev lo table "${recorded[table]}" proto "$protocol" # last, as sweep finds it by the rule
}

# Removes those of our ip rules, and the routes in their tables, that belong to no instance's record: also those of an
# earlier start with other options, and those whose chains have been flushed.
sweep() { # family
  local line claimed="" to IFS=$'\n'
  local -r fwmark='fwmark 0x[0-9a-f]+/0x[0-9a-f]+'
  local -r kinds="^[0-9]+ from (all (iif lo goto [0-9]+|$fwmark lookup [0-9]+|nop) |.* $fwmark .*lookup [^ ]+ .*)proto $protocol\$"
  for line in $(records "${noted[$1]}" raw); do
    claimed+=$(wanted_rules "$1" "$line")$'\n'
  done
  for line in $(except "$(all_rules "$1")" "$claimed"); do
    [[ $line =~ $kinds ]] || continue
    ip_rule "$1" del "$line"
    to=${line#* lookup } to=${to%% *}
    if [[ $line != *" lookup "* || $claimed == *" lookup $to "* ]] || ! has_route "$1" "$to"; then continue; fi
    ip "-$1" route del local default dev lo table "$to" proto "$protocol"
  done
}

# ---- early demux -----------------------------------------------------------------------------------------------------

# A client may use the same source port for two servers. Once redirected, the two connections differ only in the source
# port that NAT gives the second one in INPUT. Early demux looks for sockets before that and would find the first one's.
needs_no_demux() { [[ $(records "${noted[4]}" raw) == *" mode=redirect "* ]]; }

find_demux() { # each instance's record has the value from before the first instance
  local line IFS=$'\n'
  recorded[demux]=
  for line in $(records "${noted[4]}" raw); do
    [[ $line != *" mode=redirect "* ]] || { read_record "$line"; break; }
  done
  echo "${recorded[demux]:-$(<"$early_demux")}"
}

# Turns it off while any instance needs that. Prints the reason and returns 1 on failure.
set_demux() {
  local to=$demux_was
  ! needs_no_demux || to=0
  [[ $to == "$(<"$early_demux")" ]] || { echo "$to" >"$early_demux"; } 2>/dev/null ||
    { echo "cannot write $to to $early_demux" && return 1; }
}
