# A part of satlab, which sources it: the scenario file, and what is passed to satsim. An error in it ends satlab with
# one line, before anything is created.
# shellcheck shell=bash disable=SC2034,SC2154

declare -A setting=()

readonly known_keys=" DESCRIPTION DOWN_MBIT UP_MBIT RTT_MS DELAY_DOWN_MS DELAY_UP_MS QUEUE_BDP QUEUE_DOWN_BYTES \
QUEUE_UP_BYTES LOSS_DOWN LOSS_UP BURST_DOWN BURST_UP SCHEDULE SEED MTU TERRESTRIAL_RTT_MS CC BOX_CC TCP_RMEM TCP_WMEM \
METRICS_SAVE "

find_scenario() { # NAME-OR-PATH
  if [[ -f $1 ]]; then
    scenario=$1
  elif [[ $1 != */* && -f $folder/$1.conf ]]; then
    scenario=$folder/$1.conf
  else
    bad_usage "scenario '$1' is neither a file nor the name of one in $folder ($program list names them)"
  fi
}

read_scenario() {
  local line key value number=0
  while IFS= read -r line || [[ -n $line ]]; do
    number=$((number + 1))
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#.*)?$ ]] && continue
    [[ $line =~ ^([A-Z_]+)=(.*)$ ]] || bad_usage "$scenario:$number: '$line' is not KEY=VALUE"
    key=${BASH_REMATCH[1]}
    value=${BASH_REMATCH[2]}
    value=${value%"${value##*[![:space:]]}"}
    [[ $known_keys == *" $key "* ]] || bad_usage "$scenario:$number: '$key' is not a key; allowed are:${known_keys% }"
    [[ ! -v setting[$key] ]] || bad_usage "$scenario:$number: '$key' is given twice"
    [[ -n $value ]] || bad_usage "$scenario:$number: '$key' has no value"
    setting[$key]=$value
  done <"$scenario"
}

number_key() { # KEY LEAST MOST
  [[ -v setting[$1] ]] || return 0
  local value=${setting[$1]}
  if [[ ! $value =~ ^[0-9]+(\.[0-9]+)?$ ]] ||
    ! awk -v v="$value" -v least="$2" -v most="$3" 'BEGIN { exit !(v >= least && v <= most) }'; then
    bad_usage "$scenario: $1: '$value' is not a number from $2 to $3"
  fi
}

whole_key() { # KEY LEAST MOST
  number_key "$@"
  [[ ! -v setting[$1] || ${setting[$1]} != *.* ]] || bad_usage "$scenario: $1: '${setting[$1]}' is not a whole number"
}

pattern_key() { # KEY PATTERN ALLOWED
  [[ ! -v setting[$1] || ${setting[$1]} =~ ^$2$ ]] || bad_usage "$scenario: $1: '${setting[$1]}' is not $3"
}

check_scenario() {
  local key
  for key in DOWN_MBIT UP_MBIT; do
    [[ -v setting[$key] ]] || bad_usage "$scenario: $key is missing: a number from 0.001 to 10000"
    number_key "$key" 0.001 10000
  done
  for key in RTT_MS DELAY_DOWN_MS DELAY_UP_MS; do
    number_key "$key" 0 60000
  done
  number_key TERRESTRIAL_RTT_MS 0 10000
  number_key QUEUE_BDP 0 1000
  whole_key QUEUE_DOWN_BYTES 0 1000000000
  whole_key QUEUE_UP_BYTES 0 1000000000
  number_key LOSS_DOWN 0 100
  number_key LOSS_UP 0 100
  whole_key SEED 0 4294967295
  whole_key MTU 1280 65535
  pattern_key CC '[a-z][a-z0-9_]*' "the name of a congestion control"
  pattern_key BOX_CC '[a-z][a-z0-9_]*' "the name of a congestion control"
  pattern_key TCP_RMEM '[0-9]+ [0-9]+ [0-9]+' "three numbers of bytes"
  pattern_key TCP_WMEM '[0-9]+ [0-9]+ [0-9]+' "three numbers of bytes"
  pattern_key METRICS_SAVE '(yes|no)' "yes or no"
}

# The satellite's options for satsim, in the array link_options.
make_link_options() {
  local pair key
  link_options=()
  for pair in DOWN_MBIT:rate-down UP_MBIT:rate-up RTT_MS:rtt DELAY_DOWN_MS:delay-down DELAY_UP_MS:delay-up \
    QUEUE_BDP:queue-bdp QUEUE_DOWN_BYTES:queue-down QUEUE_UP_BYTES:queue-up LOSS_DOWN:loss-down LOSS_UP:loss-up \
    BURST_DOWN:burst-down BURST_UP:burst-up SCHEDULE:schedule SEED:seed MTU:mtu; do
    key=${pair%%:*}
    [[ ! -v setting[$key] ]] || link_options+=("--${pair#*:}" "${setting[$key]}")
  done
  local answer
  # satsim itself is best at checking the rest: bursts, the schedule, what excludes what.
  answer=$("$satsim" --check "${link_options[@]}" 2>&1) || bad_usage "$scenario: ${answer#satsim: }"
}
