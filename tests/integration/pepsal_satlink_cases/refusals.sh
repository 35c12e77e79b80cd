# Cases of pepsal_satlink_test.sh, which sources this: starts that are interrupted, locked out or wrong, and check.
# shellcheck shell=bash disable=SC2154

# The real tc, but something happens before a class is added.
interfere() { # shell-commands
  mkdir -p "$work/bin"
  cat >"$work/bin/tc" <<END
#!/bin/sh
case "\$*" in *-batch*) $1 ;; esac
exec $(type -P tc) "\$@"
END
  chmod +x "$work/bin/tc"
}

start_with_interference() {
  ip netns exec box env PATH="$work/bin:$PATH" "$script" start --interface sat0 --rate 50/0.5 --rtt 600 --side terminal
}

case_start_that_does_not_end() {
  local status signal
  set_up
  note
  interfere 'exit 1'
  status=0
  start_with_interference 2>"$work/error" || status=$?
  expect "exit status" "1 1" "$status $(wc -l <"$work/error")"
  expect_as_noted "after a failed start"
  for signal in INT:130 TERM:143 HUP:129; do
    interfere "kill -${signal%:*} \$PPID; sleep 0.2"
    status=0
    start_with_interference 2>/dev/null || status=$?
    expect "exit status after ${signal%:*}" "${signal#*:}" "$status"
    expect_as_noted "after ${signal%:*}"
  done
  interfere "kill -KILL \$PPID; exit 1"
  (start_with_interference) 2>/dev/null && wrong "the start was not killed"
  [[ $(box sysctl -n net.ipv4.tcp_no_metrics_save) == 1 ]] || wrong "the start was killed too early for this case"
  satlink stop
  expect_as_noted "after a killed start and a stop"
  (start_with_interference) 2>/dev/null || true
  satlink_start
  satlink stop
  expect_as_noted "after a killed start, a start and a stop"
}

refused() { # status text option…
  local status=0 error
  error=$(box "$script" "${@:3}" 2>&1 >/dev/null) || status=$?
  expect "exit status of '${*:3}'" "$1" "$status"
  [[ $error == "pepsal-satlink: "*"$2"* && $error != *$'\n'* ]] || wrong "'${*:3}' says '$error', not one line with '$2'"
}

refused_when() { # shell-commands text
  local status=0
  box sh -c "$1 && '$script' start --interface sat0 --rate 50/0.5 --rtt 600 --side terminal" 2>"$work/error" || status=$?
  expect "exit status after '$1'" "1 1" "$status $(wc -l <"$work/error")"
  grep -qF "$2" "$work/error" || wrong "after '$1' it says '$(cat "$work/error")'"
  expect_as_noted "after '$1'"
}

# Any user may read its folder, and could therefore lock it.
case_lock_is_roots() {
  local other
  set_up
  satlink_start
  setpriv --reuid=65534 --regid=65534 --clear-groups flock /run/pepsal-satlink sleep 100 &
  other=$!
  eventually is_locked /run/pepsal-satlink || wrong "the control: a user cannot lock the folder"
  flock /run/pepsal-satlink/lock timeout 2 ip netns exec box "$script" stop --interface sat0 && wrong "the lock of another one counts not"
  timeout 20 ip netns exec box "$script" stop --interface sat0 || wrong "a user's lock keeps it from its work"
  ! setpriv --reuid=65534 --regid=65534 --clear-groups flock -n /run/pepsal-satlink/lock true 2>/dev/null ||
    wrong "any user can lock it"
  kill $other
  wait $other || true
}
is_locked() { ! flock -n "$1" true; } # FILE

case_bad_input() {
  local value
  set_up
  note
  refused 2 "no action"
  refused 2 "'begin'" begin
  refused 2 "'stop'" start stop
  refused 2 "'--fast'" start --fast
  refused 2 "--rtt needs a value" start --interface sat0 --rtt
  refused 2 "--interface" start --rate 5/5 --rtt 5
  refused 2 "rate=DOWN/UP" start --interface sat0 --rtt 600 --side gateway
  refused 2 "rtt=MS" start --interface sat0 --rate 5/5 --side gateway
  refused 2 "side=gateway|terminal" start --interface sat0 --rate 5/5 --rtt 600
  refused 2 "the rates of sat0 are not known" start --interface sat0
  refused 2 "/nowhere.conf" start --interface sat0 --config /nowhere.conf
  refused 2 "'lo'" start --interface lo --rate 5/5 --rtt 600 --side gateway
  refused 2 "100000 is not from 0.01 to 10000 Mbit/s" start --interface sat0 --rate 100000/1 --rtt 600 --side gateway
  refused 2 "0.001 is not from 0.01 to 10000 Mbit/s" start --interface sat0 --rate 1/0.001 --rtt 600 --side gateway
  refused 2 "'../sat0'" status --interface ../sat0
  for value in 50 50/ /50 50/0 0/0.0 -5/5 5/5/5 5e3/5 10001/5 5,5/5 0x5/5 nan/5 inf/5; do
    refused 2 "'rate=$value'" start --interface sat0 --rtt 600 --side gateway --rate "$value"
  done
  refused 2 "' 5/5'" start --interface sat0 --rtt 600 --side gateway --rate ' 5/5'
  for value in 0 -1 10001 6s 99999999999999999999 600.; do
    refused 2 "'rtt=$value'" start --interface sat0 --rate 5/5 --side gateway --rtt "$value"
  done
  refused 2 "''" start --interface sat0 --rate 5/5 --side gateway --rtt ''
  for value in -1 51 1% 1,5 nan; do
    refused 2 "'loss=$value'" start --interface sat0 --rate 5/5 --rtt 600 --side gateway --loss "$value"
  done
  refused 2 "'side=middle'" start --interface sat0 --rate 5/5 --rtt 600 --side middle
  refused 1 "'sat9'" start --interface sat9 --rate 5/5 --rtt 600 --side gateway
  refused 1 "'sat9'" status --interface sat9
  expect_as_noted "after refusals"
  tc -n box qdisc add dev sat0 root handle 5: bfifo
  note
  refused 1 "bfifo" start --interface sat0 --rate 5/5 --rtt 600 --side gateway
  expect_as_noted "after refusing a foreign queueing discipline"
  box setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$script" start --interface sat0 --rate 5/5 --rtt 600 \
    --side gateway 2>"$work/error" && wrong "no complaint without CAP_NET_ADMIN"
  expect "without CAP_NET_ADMIN" "pepsal-satlink: needs CAP_NET_ADMIN; run it as root" "$(cat "$work/error")"
  # Only the network namespace is the box's here, not /sys.
  nsenter --net=/run/netns/box "$script" start --interface sat0 --rate 5/5 --rtt 600 --side gateway 2>"$work/error" &&
    wrong "no complaint about another namespace's /sys"
  grep -q "/sys/class/net" "$work/error" || wrong "about another namespace's /sys it says: $(cat "$work/error")"
  expect_as_noted "after more refusals"
  tc -n box qdisc del dev sat0 root
  note
  refused_when 'mount -o remount,ro /sys' "is /sys mounted read-only?"
  refused_when 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys' "is /proc/sys mounted read-only?"
}

case_check() {
  local answer
  set_up
  note
  answer=$(satlink check) || wrong "check names lacks: $answer"
  expect_as_noted "after check"
  box sh -c "mount -o remount,ro /sys && '$script' check --interface sat0" >"$work/answer" && wrong "check finds no fault"
  grep -q gro_flush_timeout "$work/answer" || wrong "check does not name what cannot be written: $(cat "$work/answer")"
}
