# A part of pepsal-iptables, which sources it: reads and changes netfilter tables.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

is_nft() { [[ ${variant[$1]} == *nf_tables* ]]; }

# The same program of the other variant, whose rules apply in addition to those of this one.
other_command() { # family
  local name=iptables
  [[ $1 == 4 ]] || name=ip6tables
  if is_nft "$1"; then echo $name-legacy; else echo $name-nft; fi
}

# The instance that has rules of the other variant, if any.
elsewhere() { # family
  local name text
  name=$(other_command "$1")-save
  [[ -n $(type -P "$name") ]] || return 0
  text=$("$name" -t raw 2>/dev/null)
  [[ ! $text =~ --comment\ \"pepsal\ instance=([^ ]*) ]] || echo "${BASH_REMATCH[1]}"
}

# iptables-nft-save prints built-in chains whether they exist or not; only nft shows that.
has_base() { # family table chain
  [[ -z $(type -P nft) ]] || nft list chain "${nft_families[$1]}" "$2" "$3" >/dev/null 2>&1
}

# Reads all tables of a family into saved, and into noted what they say about PEPsal, one a line: "TABLE record" of any
# instance, "TABLE ours chain", "TABLE ours jump RULE", "TABLE CHAIN ACCEPT" for each built-in chain that is open, and
# "TABLE CHAIN used" for each rule in one.
load() { # family
  local program_name
  program_name=${commands[$1]}-save
  saved[$1]=$("$program_name" 2>/dev/null) || broken "$program_name failed: $("$program_name" 2>&1 >/dev/null | sed -n 1p)"
  noted[$1]=$(awk "${our_lines[@]}" "$know_ours"'
    /^\*/ { table = substr($0, 2); print table, "is there" }
    /^:[^ ]* ACCEPT/ { print table, substr($1, 2), "ACCEPT" }
    /^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) / { print table, $2, "used" }
    /^-A PEPSAL[^ ]* -m comment --comment "pepsal instance=/ {
      line = $0; sub(/.*--comment "pepsal /, "", line); sub(/"$/, "", line); print table, line }
    { kind = ours() }
    kind == "chain" { print table, "ours chain" }
    kind == "jump" { print table, "ours jump", $0 }' <<<"${saved[$1]}")
}

records() { # noted-text table [instance]: the records of all instances or of one, one a line
  local line IFS=$'\n'
  for line in $1; do
    [[ $line != "$2 instance=${3:+$3 }"* ]] || echo "${line#* }"
  done
}

my_record() { records "$1" "$2" "$instance"; } # noted-text table

read_record() { # record
  local word IFS=' '
  recorded=([instance]="" [mode]="" [shift]="" [table]="" [priority]="" [port]="" [queue]="" [quic]="" [had]="" [demux]="")
  for word in $1; do recorded[${word%%=*}]=${word#*=}; done
}

# Another instance's record also describes the time before it.
find_had() { # family table
  local line chain list=
  if ! is_nft "$1"; then # which never removes any
    echo "${built_in// /,}"
    return
  fi
  line=$(my_record "${noted[$1]}" "$2")
  [[ -n $line ]] || line=$(records "${noted[$1]}" "$2")
  line=${line%%$'\n'*}
  if [[ -n $line ]]; then
    read_record "$line"
    echo "${recorded[had]}"
  elif [[ $'\n'${noted[$1]} != *$'\n'"$2 is there"* ]]; then
    echo -
  else
    for chain in $built_in; do
      ! has_base "$1" "$2" "$chain" || list+=${list:+,}$chain
    done
    echo "${list:-none}"
  fi
}

except() { # lines other-lines; prints those that are not among the others
  local line IFS=$'\n'
  for line in $1; do
    [[ $'\n'$2$'\n' == *$'\n'"$line"$'\n'* ]] || echo "$line"
  done
}

# Our part of a table, from the output of iptables-save.
own() { # saved-text table
  [[ $1 == *"${prefix}_"* ]] || return 0
  awk "${our_lines[@]}" "$know_ours"'
    /^\*/ { table = substr($0, 2) }
    table != wanted { next }
    { kind = ours() }
    kind == "chain" { print $1, "- [0:0]" }
    kind == "rule" || kind == "jump"' wanted="$2" - <<<"$1"
}

# The transaction that turns our part of a table into what it should be: chains are recreated, existing jumps stay where
# they are, the rest is removed. Nothing if there is nothing to do.
plan() { # our-lines-now wanted-lines table places-of-jumps, see ct_rules
  [[ -n $1$2 ]] || return 0
  awk "${our_lines[@]}" -v "places=$4" "$know_ours"'
    BEGIN {
      count = split(places, word, " ")
      for (i = 1; i <= count; i += 3) { place[word[i]] = word[i + 1]; if (word[i + 2] == "late") late[word[i]] }
    }
    function added(rule) {
      if (!($2 in place)) return rule
      sub(/^-A [^ ]+/, "-I " $2 " " place[$2], rule)
      return rule
    }
    { kind = ours() }
    kind == "" { next }
    kind == "chain" && !($1 in declared) { declared[$1]; declare = declare $1 " - [0:0]\n" }
    FNR == NR { now[kind, kind == "chain" ? $1 : $0]; list[++n] = $0; kinds[n] = kind; next }
    { wanted[kind, kind == "chain" ? $1 : $0] }
    kind == "rule" { add = add $0 "\n" }
    kind == "jump" && (!((kind, $0) in now) || $2 in late) { add = add added($0) "\n" }
    END {
      for (i = 1; i <= n; i++) {
        split(list[i], word, " ")
        if (kinds[i] == "jump" && (!(("jump", list[i]) in wanted) || word[2] in late)) drop = drop "-D" substr(list[i], 3) "\n"
        if (kinds[i] == "chain" && !(("chain", word[1]) in wanted)) remove = remove "-X " substr(word[1], 2) "\n"
      }
      printf "*%s\n%s%s%s%sCOMMIT\n", table, declare, drop, add, remove
    }' table="$3" <(printf '%s\n' "$1") <(printf '%s\n' "$2")
}

# Carries out a plan. Prints the reason and returns 1 on failure.
change() { # family table wanted-lines
  local now reason command lines places=
  now=$(own "${saved[$1]}" "$2")
  case $2 in
    raw)
      places=$(ct_rules "${saved[$1]}")
      places=${places//$'\n'/ }
      ;;
    filter) places="FORWARD 1 fine" ;; # before what accepts a whole network or connection
  esac
  lines=$(plan "$now" "$3" "$2" "$places")
  [[ -n $lines ]] || return 0
  command=${commands[$1]}-restore
  reason=$("$command" --noflush --wait=20 2>&1 <<<"$lines") || {
    reason=$(grep -v '^# Warning' <<<"$reason" | sed -n 1p)
    echo "table $2: ${reason:-$command failed}"
    return 1
  }
}

# The nft variant creates tables and built-in chains when they are first used; those that were not there before and are
# empty now are removed. The kernel refuses to delete a chain that contains rules. The legacy variant cannot delete a
# table.
prune() { # family table
  local chain family used="" was=${had["$1 $2"]}
  is_nft "$1" && [[ ${noted[$1]} == *"$2 is there"* ]] || return 0
  family=${nft_families[$1]}
  for chain in $built_in; do
    if [[ ${noted[$1]} == *"$2 $chain used"* ]]; then
      used=yes
    elif [[ ,$was, != *,$chain,* && ${noted[$1]} == *"$2 $chain ACCEPT"* ]]; then
      "${commands[$1]}" -t "$2" -X "$chain" >/dev/null 2>&1 || true
    fi
  done
  [[ $was == - && -z $used && -n $(type -P nft) ]] || return 0
  [[ $(nft list table "$family" "$2" 2>/dev/null | wc -l) != 2 ]] || nft delete table "$family" "$2" 2>/dev/null || true
}
