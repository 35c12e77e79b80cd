# A part of pepsal-iptables, which sources it: the site's own rules that PEPsal's must take into account.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# If rules in table raw attach two conntrack templates to a packet, only the first takes effect (iptables-extensions(8),
# CT), so our jumps come before any rule that attaches one. Prints for each built-in chain of table raw with such a rule: the chain,
# the number of the rule, not counting ours, and "late" if our jump comes after it.
ct_rules() { # saved-text
  [[ $1 == *" CT"* || $1 == *" NOTRACK"* ]] || return 0
  awk "${our_lines[@]}" "$know_ours"'
    BEGIN { others = "^PEPSAL_(.*_)?(" roles ")$"; gsub(" ", "|", others) }
    /^\*/ { inside = ($0 == "*raw") }
    !inside || !/^-A / || $2 ~ others { next }
    {
      target = ""
      for (i = 3; i < NF; i++) if ($i == "-j" || $i == "-g") target = $(i + 1)
      targets[$2, ++length_of[$2]] = ours() == "jump" ? "ours" : target
    }
    END {
      tracks["CT"] = tracks["NOTRACK"] = 1
      do {
        grown = 0
        for (chain in length_of) for (i = 1; i <= length_of[chain]; i++)
          if (targets[chain, i] in tracks && !(chain in tracks)) { tracks[chain] = 1; grown = 1 }
      } while (grown)
      for (chain in length_of) {
        if (chain != "PREROUTING" && chain != "OUTPUT") continue
        place = number = 0; late = "fine"
        for (i = 1; i <= length_of[chain]; i++) {
          if (targets[chain, i] == "ours") { if (place) late = "late"; continue }
          number++
          if (!place && targets[chain, i] in tracks) place = number
        }
        if (place) print chain, place, late
      }
    }' <<<"$1"
}

# The matches of those rules of a built-in chain that have a given target, and the target's options:
# "MATCHES<tab>OPTIONS".
site_rules() { # saved-text table chain target-pattern
  [[ $1 == *"-A $3 "* ]] || return 0
  awk -v "table=*$2" -v "chain=$3" -v "pattern=^($4)$" '
    /^\*/ { inside = ($0 == table) }
    !inside || $1 != "-A" || $2 != chain { next }
    {
      for (i = NF - 1; i > 2; i--) if ($i == "-j") break
      if (i <= 2 || $(i + 1) !~ pattern) next
      matches = options = ""
      for (k = 3; k < i; k++) matches = matches (k > 3 ? " " : "") $k
      for (k = i + 2; k <= NF; k++) options = options (k > i + 2 ? " " : "") $k
      if (matches !~ /(^| )-p / || matches ~ /(^| )-p tcp( |$)/) print matches "\t" options
    }' <<<"$1"
}

# Lets packets that such rules match pass. Matches of the connection state are left out: they are never true in table
# raw, before tracking.
spare() { # what site_rules prints
  local matches options
  [[ -n $1 ]] || return 0
  while IFS=$'\t' read -r matches options; do
    echo "-A ${prefix}_ASK${matches:+ $matches} -j RETURN"
  done < <(sed -E 's/-m (conntrack --ctstate|state --state) [^[:space:]]+ ?//; s/ \t/\t/' <<<"$1")
}

# Connections that the site redirects by NAT, possibly to addresses other than the box's, bypass: their real destination
# is only known after NAT.
spare_translated() { spare "$(site_rules "${saved[$1]}" nat PREROUTING 'DNAT|REDIRECT|NETMAP')"; } # family

# Whether the site has ip rules that select by marks, none of which matches the server legs' mark.
routes_by_mark() { # family
  local line found=1 IFS=$'\n'
  for line in $(all_rules "$1"); do
    [[ $line == *" fwmark "* && $line != *" proto $protocol" ]] || continue
    [[ $line != *" fwmark $server_leg/$value_mask "* ]] || return 1
    found=0
  done
  return $found
}

# Connections routed by a mark that the site sets in mangle PREROUTING bypass, too: the mark comes after the verdict on
# the SYN, and the server leg does not get it.
spare_marked() { # family
  ! routes_by_mark "$1" || spare "$(site_rules "${saved[$1]}" mangle PREROUTING MARK)"
}

marking_rules() { # family; prints messages about them
  local line
  while read -r line; do
    line=${line#"-A ${prefix}_ASK"}
    echo "IPv$1: connections that the site marks for ip rules bypass PEPsal (-A PREROUTING${line% -j RETURN})"
  done < <(spare_marked "$1")
}

# Rules of the site that limit the segment size of forwarded packets do not see the legs, which arrive in INPUT and
# leave through OUTPUT. Those that name no interface other than that of a leg's SYN are repeated there.
limit_segments() { # family MSSP|MSSO, for what arrives or leaves
  local matches options other=-o
  [[ $2 == MSSP ]] || other=-i
  while IFS=$'\t' read -r matches options; do
    [[ " $matches" != *" $other "* && $options == "--set-mss "* ]] || continue
    echo "-A ${prefix}_$2 $matches -j TCPMSS $options"
  done < <(site_rules "${saved[$1]}" mangle FORWARD TCPMSS)
}

# Lists rules of the site that have changed since the start, one a line.
outdated() { # family record
  local line rule now IFS=$'\n'
  for line in $(ct_rules "${saved[$1]}"); do # chain, place, late or fine
    [[ $line != *" late" ]] || echo "the jump in table raw, ${line%% *}, before its rule ${line//[^0-9]/}, which tracks connections"
  done
  now=$(own "${saved[$1]}" raw && own "${saved[$1]}" mangle)
  for rule in $(except "$(spare_translated "$1" && spare_marked "$1" && limit_segments "$1" MSSP && limit_segments "$1" MSSO)" "$now"); do
    echo "a copy of the site's rule '${rule#-A }'"
  done
}
