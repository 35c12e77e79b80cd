# A part of pepsal-iptables, which sources it: takes from the daemon's configuration what the command line does not give.
# pepsal parses it, so that there is only one parser.
# shellcheck shell=bash disable=SC2004,SC2034,SC2154

# The daemon's program.
find_pepsal() {
  local folder
  for folder in "${PEPSAL_BIN_DIR-}" "$(dirname "$(readlink -f "$0")")"; do
    if [[ -n $folder && -x $folder/pepsal ]]; then
      echo "$folder/pepsal"
      return
    fi
  done
  type -P pepsal || echo pepsal
}

configuration_file() {
  if [[ $instance == default ]]; then echo /etc/pepsal/pepsal.conf; else echo "/etc/pepsal/$instance.conf"; fi
}

need_something_to_intercept() {
  [[ $action != start ]] || ((${#interfaces[@]})) ||
    bad "nothing to intercept: give --intercept IFACE, or write 'intercept = IFACE' into $(configuration_file)"
}

read_configuration() {
  local lines line name
  # These actions need only the instance.
  [[ ! $action =~ ^(stop|status)$ || -z ${asked[instance]-} ]] || return 0
  if ((${#daemon_options[@]} == 0)) && [[ -e $(configuration_file) ]]; then
    daemon_options=(--config "$(configuration_file)")
  fi
  if ((${#daemon_options[@]} > 0)); then
    [[ -z ${asked[instance]-} ]] || daemon_options+=(--instance "$instance")
    if ! lines=$("$(find_pepsal)" "${daemon_options[@]}" --print-rules 2>&1); then
      [[ $action =~ ^(stop|status)$ ]] || bad "${lines#pepsal: }"
      notice "${lines#pepsal: }: instance '$instance' is assumed"
      return
    fi
    for line in $lines; do
      name=${line%%=*}
      if [[ -z ${asked[$name]-} ]]; then
        set_option "--$name" "${line#*=}"
        [[ $name != intercept ]] || from_configuration=yes
      fi
    done
  fi
  need_something_to_intercept
}
