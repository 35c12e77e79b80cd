#!/usr/bin/env bash
# The init script with the daemon, its rules and several instances: exit statuses, what it says, and that nothing is
# left. Needs root. PEPSAL_BIN_DIR names the folder of the programs.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"

need_root "to start the daemon"
need_programs ip tc iptables setpriv start-stop-daemon
if [[ ${1-} != --inside ]]; then
  exec unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" --inside
fi

# Its own network, /run, /etc/default and /dev/shm, which disappear with this process.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir "$work/sbin" "$work/default"
for program in pepsal pepsalctl; do ln -s "$PEPSAL_BIN_DIR/$program" "$work/sbin/"; done
ln -s "$root/scripts/steering/pepsal-iptables" "$root/scripts/system/pepsal-satlink" "$work/sbin/"
printf '#!/bin/sh\n' >"$work/sbin/modprobe" # the machine's modules are not ours to load
install -m 755 "$root/scripts/system/pepsal.init" "$work/pepsal"
ln -s pepsal "$work/pepsal-two"
chmod +x "$work/sbin/modprobe"
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /dev/shm
mount --bind "$work/default" /etc/default
mount --bind "$work/sbin" /usr/local/sbin
ip link set lo up
ip link add lan0 type veth peer name lan1
ip link set lan0 up
export PATH=/usr/local/sbin:$PATH

settings() { # FILE LINE...
  printf '%s\n' "${@:2}" >"/etc/default/$1"
}

# gives EXIT-STATUS TEXT ACTION [INSTANCE...]: the output of either stream contains the text.
gives() {
  local status=0
  "$work/${script:-pepsal}" "${@:3}" >"$work/said" 2>&1 </dev/null || status=$?
  [[ $status == "$1" ]] || wrong "'${*:3}' ends with $status instead of $1: $(cat "$work/said")"
  [[ -z $2 ]] || grep -qF -- "$2" "$work/said" || wrong "'${*:3}' says '$(cat "$work/said")' instead of '$2'"
}
in_one_line() { [[ $(wc -l <"$work/said") == 1 ]] || wrong "that are several lines: $(cat "$work/said")"; }

has_rules() { iptables-save 2>/dev/null | grep 'PEPSAL.*_PRE' >/dev/null; }
manager() { cat "/run/pepsal/$1.pid"; }
is_gone() { [[ ! -e /proc/$1 ]]; } # PID

case=usage
gives 2 "'dance' is not one of" dance
gives 2 "'' is not one of"
gives 2 "'../x' is not an instance's name" start ../x
config=$work/pepsal.conf
echo 'spare-proxies = 2' >"$config"

case=stopped
echo 'intercept = lan0' >>"$config"
settings pepsal "DAEMON_OPTS='--config $config'"
gives 3 "is not running" status
gives 0 "" stop
gives 0 "" try-restart
gives 7 "is not running" reload
setpriv --reuid 65534 --clear-groups "$work/pepsal" start 2>/dev/null && wrong "a start by nobody succeeds" || status=$?
[[ $status == 4 ]] || wrong "a start by nobody ends with $status"

case=started
gives 0 "" start
gives 0 "is running" status
has_rules || wrong "there are no rules"
before=$(manager default)
gives 0 "is running already" start
[[ $(manager default) == "$before" ]] || wrong "a second start made another daemon"
gives 0 "" reload
gives 0 "" force-reload

case=broken_file
echo 'no-such-key = 1' >>"$config"
gives 6 "$config:3: unknown key 'no-such-key'" reload
in_one_line
gives 6 "$config:3: unknown key" restart
gives 0 "is running" status
sed -i 3d "$config"

case=rules_follow_the_file
sed -i 's/^intercept = .*/intercept = none/' "$config"
gives 0 "names no interface to intercept" reload
has_rules && wrong "rules are left: $(iptables-save | grep PEPSAL)"
sed -i 's/^intercept = .*/intercept = lan0/' "$config"
gives 0 "" reload
has_rules || wrong "a reload sets no rules"

case=restarted
gives 0 "" restart
gives 0 "" try-restart
gives 0 "is running" status
has_rules || wrong "there are no rules after a restart"

case=settings_changed_in_between
sed -i '/^intercept/d' "$config"
before=$(manager default)
gives 0 "" stop
is_gone "$before" || wrong "the daemon runs on"
has_rules && wrong "rules are left: $(iptables-save | grep PEPSAL)"
gives 3 "is not running" status
gives 0 "names no interface to intercept" start
gives 0 "" stop

case=killed
gives 0 "" start
kill -KILL "$(manager default)"
eventually is_gone "$(manager default)" || wrong "a killed manager stays"
gives 1 "is not running, but" status
gives 0 "" start
gives 0 "is running" status
gives 0 "" stop

case=a_link
sed -i '$a link = lan0 rate=50/10 rtt=600 side=gateway' "$config"
gives 0 "" start
[[ $(tc qdisc show dev lan0 root) == *htb* ]] || wrong "the link is not prepared"
has_rules || wrong "what arrives at the link is not intercepted"
shaped_to() { [[ $(tc class show dev lan0) == *"rate $1"* ]]; } # RATE
sed -i 's/rate=50/rate=30/' "$config"
gives 0 "" reload
shaped_to 29760Kbit || wrong "a reload leaves the shaper as it was: $(tc class show dev lan0)"
ip link del lan0
ip link add lan0 type veth peer name lan1
ip link set lan0 up
eventually shaped_to 29760Kbit || wrong "an interface that was made again is not prepared"
watcher=$(cat /run/pepsal/default.watch)
sed -i '$d' "$config"
gives 0 "" stop
[[ $(tc qdisc show dev lan0 root) != *htb* ]] || wrong "the link stays prepared"
eventually is_gone "$watcher" || wrong "pepsal-satlink watch stays"

case=a_long_drain # gets the time that it may take
cat >"$work/sbin/start-stop-daemon" <<'END'
#!/bin/sh
echo "$@" >>/run/asked
exec /sbin/start-stop-daemon "$@"
END
chmod +x "$work/sbin/start-stop-daemon"
echo 'drain-timeout = 300' >>"$config"
gives 0 "" start
gives 0 "" stop
grep -q -- "--retry TERM/315/" /run/asked || wrong "it is stopped by: $(cat /run/asked)"
sed -i '$d' "$config"
rm "$work/sbin/start-stop-daemon" /run/asked

case=settings_that_are_wrong
printf 'DAEMON_OPTS=""\r\nRULES_OPTS=""\r\n' >/etc/default/pepsal
gives 6 "carriage returns" start
in_one_line
settings pepsal 'DAEMON_OPTS="--verbose'
gives 6 "/etc/default/pepsal" start
in_one_line

case=instance_by_an_option
settings pepsal "DAEMON_OPTS='--instance other --config $config'" "RULES_OPTS='--intercept lan0'"
gives 0 "" start
gives 0 "instance other is running" status
before=$(manager other)
gives 0 "" stop
is_gone "$before" || wrong "the daemon runs on"
has_rules && wrong "rules are left: $(iptables-save | grep PEPSAL)"

case=several
settings pepsal "DAEMON_OPTS='--config $config'" "INSTANCES='default two'"
settings pepsal-two "DAEMON_OPTS='--config $config --port 5100 --queue 1 --mark-shift 20 --intercept lan0'"
gives 0 "" start
gives 0 "instance two is running" status
gives 0 "port 5100, queue 1 (bound)" status two
script=pepsal-two
gives 0 "" stop
script=
gives 3 "instance two is not running" status
gives 0 "instance default is running" status default
gives 0 "" stop
has_rules && wrong "rules are left: $(iptables-save | grep PEPSAL)"

case=
[[ -z $(find /run/pepsal /dev/shm -type f) ]] || wrong "files are left: $(find /run/pepsal /dev/shm -type f)"
end_test
