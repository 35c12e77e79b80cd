#!/usr/bin/env bash
# Help and manual page of each program name the same options with the same defaults. PEPSAL_BIN_DIR names the folder of
# the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

export LC_ALL=C

need_programs mandoc col

# Reads options with the text that explains them and prints "--name DEFAULT" for each, "-" if there is none. An option
# begins with a dash at the given column; its default is "=VALUE" after its name, or given in the text as "(default
# VALUE)", "VALUE (default)", "VALUE, the default" or "The default is VALUE."
options_in() { # COLUMN
  awk -v "column=$1" '
    function tell(   value, n, i, name) {
      if (names == "") return
      gsub(/[[:space:]]+/, " ", text)
      gsub(/["'"'"'`]/, "", text)
      value = given
      if (value == "" && match(text, /\(default:? [^)]*\)/)) {
        value = substr(text, RSTART, RLENGTH)
        sub(/^\(default:? /, "", value)
        sub(/\)$/, "", value)
      } else if (value == "" && match(text, /[a-z]+(,| \()(the )?default[;),]/)) {
        value = substr(text, RSTART)
        sub(/[ ,].*/, "", value)
      } else if (value == "" && match(text, /[a-z]+, the default/)) {
        value = substr(text, RSTART)
        sub(/,.*/, "", value)
      } else if (value == "" && match(text, /The default is [^.;]+/)) {
        value = substr(text, RSTART + 15, RLENGTH - 15)
      }
      n = split(names, name, " ")
      for (i = 1; i <= n; i++) print name[i], value == "" ? "-" : value
    }
    match($0, /^ */) && RLENGTH == column && substr($0, column + 1, 1) == "-" {
      tell()
      names = given = ""
      line = $0
      # The explanation may be on the same line, two blanks or more after the option.
      text = substr(line, column + 1)
      if (match(text, /   *[^ ]/)) { line = substr(text, 1, RSTART - 1); text = substr(text, RSTART) } else text = ""
      if (match(line, /=[^ ]+$/)) given = substr(line, RSTART + 1)
      while (match(line, /--[a-z][a-z-]*/)) {
        names = names " " substr(line, RSTART, RLENGTH)
        line = substr(line, RSTART + RLENGTH)
      }
      next
    }
    /^[^ ]/ || /^   [^ ]/ { tell(); names = "" }
    { text = text " " $0 }
    END { tell() }' | sort
}

# A program with commands explains their options in the help of each.
help_of() { # PROGRAM COLUMN [COMMAND...]
  local command
  {
    "$1" --help
    for command in "${@:3}"; do "$1" "$command" --help; done
  } | options_in "$2" | sort -u
}

page_of() { # NAME
  mandoc -T ascii -O width=200 "$root/docs/$1.8" | col -bx | options_in 5
}

compare() { # PROGRAM COLUMN [COMMAND...]
  local name=${1##*/} differences
  # Every program has it, but not all of them list it.
  if ! differences=$(diff <(help_of "$@" | grep -v '^--help ') <(page_of "$name" | grep -v '^--help ')); then
    wrong "$name --help (<) and docs/$name.8 (>) differ:"$'\n'"$differences"
  fi
  if (($(help_of "$1" "$2" | wc -l) == 0)); then
    wrong "no option found in $name --help"
  fi
}

compare "$PEPSAL_BIN_DIR/pepsal" 2
compare "$PEPSAL_BIN_DIR/pepsalctl" 2 list show status kill drain undrain reload restart link top metrics health
compare "$root/scripts/steering/pepsal-iptables" 2
compare "$root/scripts/system/pepsal-satlink" 2

# What the shell completes after a program, its actions and options, is what its help lists.
completed() { # PROGRAM WORD...
  # shellcheck source=scripts/system/pepsal.bash-completion
  source "$root/scripts/system/pepsal.bash-completion"
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _pepsal
  echo " ${COMPREPLY[*]} "
}
for pair in "$PEPSAL_BIN_DIR/pepsal:--drain-timeout" "$PEPSAL_BIN_DIR/pepsalctl:--instance" "$PEPSAL_BIN_DIR/pepsalctl:status" \
  "$root/scripts/steering/pepsal-iptables:--intercept" "$root/scripts/system/pepsal-satlink:--interface" \
  "$root/scripts/system/pepsal-satlink:watch"; do
  word=${pair##*:}
  [[ $(completed "${pair%:*}" "${word::4}") == *" $word "* ]] ||
    wrong "behind $(basename "${pair%:*}") ${word::4}: '$(completed "${pair%:*}" "${word::4}")' is without $word"
done

[[ $(completed "$PEPSAL_BIN_DIR/pepsal" --log-connections '') == " all failed none " ]] || wrong "--log-connections has no words"
[[ $(completed "$PEPSAL_BIN_DIR/pepsalctl" --instance x list --leg '') == " client server " ]] || wrong "--leg of list has no words"
[[ $(completed "$PEPSAL_BIN_DIR/pepsalctl" --instance x dr) == " drain " ]] || wrong "no command is completed behind --instance"

# Each key of the example configuration is an option, with the default given in the help.
while read -r key value; do
  default=$(help_of "$PEPSAL_BIN_DIR/pepsal" 2 | awk -v "name=--$key" '$1 == name { print $2 }')
  if [[ -z $default ]]; then
    wrong "scripts/system/pepsal.conf: '$key' is no option of pepsal"
  elif [[ $default =~ ^[0-9]+$ && $default != "$value" ]]; then
    wrong "scripts/system/pepsal.conf: $key = $value, and by default it is $default"
  fi
done < <(sed -nE 's/^#([a-z-]+) = ([^ ]+).*/\1 \2/p' "$root/scripts/system/pepsal.conf")

# And each option allowed in a file is there.
while read -r option; do
  grep -qE "^#${option#--} = " "$root/scripts/system/pepsal.conf" || wrong "scripts/system/pepsal.conf has no line for $option"
done < <(help_of "$PEPSAL_BIN_DIR/pepsal" 2 | cut -d ' ' -f 1 |
  grep -vxE -- '--(config|check|daemon|help|print-links|print-rules|version)')

# What a reload cannot change: the same options in the source, in the manual page and, marked R or S, in the example.
fixed=$(sed -n '/^std::vector<std::string_view> differing_options/,/^}/s/^  compare("\([a-z-]*\)",.*/\1/p' "$root/src/config/config.cc" | sort)
told=$(paste -sd ' ' "$root/docs/pepsal.8" | sed -nE 's/.*The options ([a-z, -]+) and ([a-z-]+) need a restart\..*/\1, \2/p' |
  sed 's/, */\n/g')
[[ -n $fixed ]] || wrong "src/config/config.cc compares no options"
diff <(echo "$fixed") <(printf '%s\n' "$told" instance user | sort) ||
  wrong "what a reload leaves alone differs between src/config/config.cc (<) and docs/pepsal.8 (>)"
diff <(grep -vx daemon <<<"$fixed") <(sed -nE 's/^#([a-z-]+) = [^#]*# [RS](;.*)?$/\1/p' "$root/scripts/system/pepsal.conf" | sort) ||
  wrong "what a reload leaves alone differs between src/config/config.cc (<) and scripts/system/pepsal.conf (>)"

# Fits a terminal of 80 columns.
fits() { # PROGRAM [COMMAND]
  local wide
  wide=$("$@" --help | LC_ALL=C.UTF-8 awk 'length > 80')
  [[ -z $wide ]] || wrong "$(basename "$1") ${2-} --help is wider than 80 columns:"$'\n'"$wide"
}
for program in "$PEPSAL_BIN_DIR"/{pepsal,pepsalctl} "$root"/scripts/{steering/pepsal-iptables,system/pepsal-satlink}; do
  fits "$program"
done
for command in list show status kill drain undrain reload restart link top metrics health; do
  fits "$PEPSAL_BIN_DIR/pepsalctl" $command
done

# Counters and gauges are explained to the administrator in the words of the source, and no others are explained.
rows_of() { # HEADER COLUMNS COUNTERS|GAUGES|METRICS: "name help" a line, as the compiler joins them
  printf '#include "%s"\n#define SHOW(%s) @ name help\nPEPSAL_%s(SHOW)\n' "$@" |
    c++ -std=c++20 -E -P -I "$root/include" -I "$root/src" -x c++ - | tr '\n' ' ' | grep -oE '@ [a-z_]+( "[^"]*")+' |
    sed -E 's/^@ //; s/" "//g; s/"//g' | sort
}

explained() { # LIST ROWS DOCUMENT TEXT
  local differences
  if [[ -z $2 ]] || ! differences=$(diff <(cat <<<"$2") <(cat <<<"$4")); then
    wrong "$1 of the source (<) and $3 (>) differ:"$'\n'"${differences:-no rows}"
  fi
}

explained COUNTERS "$(rows_of pepsal/counters.hh "name, metric, labels, help" COUNTERS)" docs/OPERATING.md "$(
  sed -nE '/^## Counters/,/^## Metrics/s/^\| ([a-z_]+) \| (.*) \|$/\1 \2/p' "$root/docs/OPERATING.md" |
    grep -v '^counter ' | sort
)"
explained METRICS "$(rows_of pepsalctl/metric_rows.hh "name, type, help" METRICS)" docs/OPERATING.md "$(
  sed -nE '/^## Metrics/,/^## When/s/^\| (pepsal_[a-z_]+) \| (.*) \|$/\1 \2/p' "$root/docs/OPERATING.md" | sort
)"
# .It Va NAME, and the sentence that follows.
explained GAUGES "$(rows_of pepsal/counters.hh "name, metric, labels, help" GAUGES)" docs/pepsalctl.8 "$(
  sed -n '/^\.It Cm status/,/^\.El/p' "$root/docs/pepsalctl.8" | awk '
    /^\.El/ { exit }
    /^\.It Va/ { name = $3; text = ""; next }
    name != "" { sub(/\.$/, ""); print name, tolower(substr($0, 1, 1)) substr($0, 2); name = "" }' | sort
)"

# Each log line is listed with its cause and remedy, and no other is. Only what a placeholder stands for may differ.
messages_in_source() {
  grep -rzoP 'log::(info|warning|error)\(\s*("([^"\\]|\\.)*"\s*)+' --include='*.cc' --no-filename "$root/src" |
    tr '\n\0' ' \n' | sed -E 's/^[a-z:]+\( *"//; s/"\s*$//; s/"\s+"//g; s/\{[^}]*\}/…/g' | grep -vx '…' | sort -u
}
messages_in_list() {
  # shellcheck disable=SC2016 # Markdown's
  sed -nE '/^## What the log says/,/^\| reason/s/^\| `(.*)` \| .*/\1/p' "$root/docs/OPERATING.md" | sort
}
listed=$(messages_in_list)
(($(messages_in_source | wc -l) > 20)) || wrong "the source has hardly any messages: $(messages_in_source)"
while read -r message; do
  wrong "docs/OPERATING.md does not list the message '$message'"
done < <(comm -23 <(messages_in_source) <(cat <<<"$listed"))
# Lines that are composed before they are logged are in the source, too.
while read -r message; do
  fixed=$(awk -F '…' '{ for (i = 1; i <= NF; i++) if (length($i) > length(longest)) longest = $i }
    END { print longest }' <<<"$message")
  grep -rqF -- "$fixed" "$root/src" || wrong "docs/OPERATING.md lists '$message', which nothing logs"
done < <(comm -13 <(messages_in_source) <(cat <<<"$listed"))

end_test
