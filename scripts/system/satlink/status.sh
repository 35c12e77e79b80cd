# A part of pepsal-satlink, which sources it: the action status, and what it finds missing.
# shellcheck shell=bash disable=SC2034,SC2154

# What has been removed since the start, one a line.
missing() {
  local family route lost
  is_shaped || echo "the shaper"
  read -r _ _ _ lost < <(noted link)
  [[ ${lost:-0} == 0 ]] || is_repeating || echo "the repetition of the last packets"
  while read -r family route; do
    [[ $route == *" initcwnd "*" initrwnd "* ]] || echo "the initial windows of route $route (IPv$family)"
  done < <(routes)
  [[ $(cat "/sys/class/net/$interface/operstate") != down ]] || echo "the interface itself, which is down"
}

# Exit status as defined by the LSB: 0 in place, 1 in part, 3 not there.
status() {
  local rate ms where lost lacking
  if ! has_state; then
    if is_of_this_namespace "$state"; then
      echo "$interface: not prepared: the interface has been created again since; run $program start --interface $interface"
    else
      echo "$interface: not prepared"
    fi
    exit 3
  fi
  read -r rate ms where lost < <(noted link)
  echo "$interface: $where of a link of $rate Mbit/s down/up, round trip $ms ms, loss ${lost:-0} %"
  tc -s class show dev "$interface" | awk -v copies="$copies" '
    /^class/ { whole = $3 == "1:1"; copy = $3 == copies }
    copy && /^ Sent/ { repeated = $2 }
    copy { next } # what they drop has been sent before
    whole && / rate / { for (i = 1; i < NF; i++) if ($i == "rate") rate = $(i + 1) }
    whole && /^ Sent/ { sent = $2 }
    /^ Sent/ { sub(/,/, "", $7); dropped += $7 }
    whole && /^ backlog/ { backlog = $2 }
    END {
      if (rate) print "  shaped to " rate ": sent " sent " bytes, dropped " dropped ", backlog " backlog
      if (repeated != "") print "  of these repeated: " repeated " bytes"
    }'
  routes | sed -n '/initcwnd/s/^. /  route /p'
  echo "  gro_flush_timeout $(cat "/sys/class/net/$interface/gro_flush_timeout") ns"
  [[ -z $(noted told) ]] || echo "  the rate was set by $program change or pepsalctl link, and holds until a stop"
  lacking=$(missing)
  [[ -n $lacking ]] || return 0
  echo "  missing: ${lacking//$'\n'/$'\n'  missing: }"
  echo "  $program start --interface $interface corrects this"
  exit 1
}
