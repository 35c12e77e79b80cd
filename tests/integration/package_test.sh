#!/usr/bin/env bash
# The Debian package from build to purge: built in a fresh Debian 12, checked by lintian and systemd-analyze, then
# installed in another one, in a network of its own, with traffic, an upgrade during transfers, removal and purge. Takes
# a quarter of an hour, so scripts/check --package runs it and ctest does not. Needs root and Debian's packages.
set -euo pipefail
# shellcheck source=tests/support/shell.sh
source "$(dirname "$0")/../support/shell.sh"
# shellcheck source=tests/support/box_between.sh
source "$(dirname "$0")/../support/box_between.sh"
# shellcheck source=scripts/fresh_root.sh
source "$root/scripts/fresh_root.sh"

readonly next_version=9.0.1 # the version to which the first package is upgraded

# --- in the new Debians

make_packages() {
  local deb unpacked
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install -y --no-install-recommends ccache # the second package differs from the first only in its number
  export PATH=/usr/lib/ccache:$PATH CCACHE_DIR=/packages/ccache
  /pepsal/scripts/package
  cp /pepsal/build/package/pepsal_*.deb /packages/
  apt-get install -y --no-install-recommends lintian systemd
  for deb in /packages/*.deb; do
    lintian --fail-on error,warning --tag-display-limit 0 "$deb" || wrong "lintian is not content with ${deb##*/}"
    unpacked=$(mktemp -d)
    dpkg-deb -x "$deb" "$unpacked"
    # In tenths; exits 1 if the threshold is not met.
    systemd-analyze security --offline=yes --threshold=30 "$unpacked/lib/systemd/system/pepsal.service" ||
      wrong "pepsal.service is more exposed than 3.0"
  done
  /pepsal/scripts/package --version $next_version
  cp /pepsal/build/package/pepsal_*.deb /packages/
  end_test
}

files() { find / -xdev '(' -path /pepsal -o -path /packages -o -path /var/cache -o -path /var/log -o -path /var/lib/apt ')' -prune -o '(' -type f -o -type l ')' -print | sort; }

install_package() { # DEB
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install -y --no-install-recommends adduser busybox iproute2 iptables procps libnetfilter-queue1 libfmt9
  files >/packages/before
  apt-get install -y --no-install-recommends "$1"
}

at() { ip netns exec "$@"; } # NAMESPACE COMMAND...

set_up_network() {
  mount -t sysfs sysfs /sys
  mount -t tmpfs tmpfs /dev/shm
  set_up_box_between
}

serve() {
  mkdir /run/www
  head -c 60000000 /dev/urandom >/run/www/file
  hash=$(sha256sum </run/www/file)
  at servers busybox httpd -p 10.2.0.2:80 -h /run/www
}

fetch() { at users timeout 300 busybox wget -q -O - http://10.2.0.2/file | sha256sum; }
opened() { pepsalctl status | awk '$1 == "connections_opened" { print $2 }'; }
has_opened() { (($(opened) > $1)); } # COUNT
manager() { cat /run/pepsal/default.pid; }
no_pepsal_runs() { ! pgrep -x 'pepsal.*' >/dev/null; }

edit_three_lines() {
  sed -i 's|^#link = .*|link = sat0 rate=50/10 rtt=600 side=gateway|' /etc/pepsal/pepsal.conf
  sed -i 's|^#intercept = .*|intercept = wan0|' /etc/pepsal/pepsal.conf
}

started() {
  [[ ! -e /run/pepsal ]] || wrong "something was started at the installation"
  edit_three_lines
  pepsal --check || wrong "pepsal --check finds something lacking"
  /etc/init.d/pepsal start || wrong "it does not start"
  [[ $(stat -c %U "/proc/$(manager)") == pepsal ]] || wrong "the daemon runs as $(stat -c %U "/proc/$(manager)")"
  pepsal-iptables status
  [[ $(fetch) == "$hash" ]] || wrong "a transfer fails"
  has_opened 0 || wrong "it did not pass through the proxy"
}

upgraded() {
  local before
  before=$(opened)
  fetch >/run/fetched &
  eventually has_opened "$before" || wrong "no transfer begins"
  dpkg -i /packages/pepsal_${next_version}_*.deb || wrong "the upgrade fails"
  wait $! || true
  [[ $(cat /run/fetched) == "$hash" ]] || wrong "the transfer under way was lost"
  [[ $(pepsal --version) == "pepsal $next_version" ]] || wrong "it is $(pepsal --version)"
  grep -q '^link = sat0' /etc/pepsal/pepsal.conf || wrong "the configuration was not kept"
  /etc/init.d/pepsal status || wrong "it does not run after the upgrade"
  [[ $(fetch) == "$hash" ]] || wrong "a transfer fails after the upgrade"
}

removed() {
  dpkg -r pepsal || wrong "the removal fails"
  no_pepsal_runs || wrong "processes are left: $(pgrep -a pepsal)"
  ! iptables-save | grep PEPSAL || wrong "rules are left"
  ! ip rule | grep -i 0xf0000 || wrong "ip rules are left"
  [[ $(tc qdisc show dev sat0 root) != *htb* ]] || wrong "the shaper is left"
  [[ -e /etc/pepsal/pepsal.conf ]] || wrong "the configuration went with the removal"
  [[ $(fetch) == "$hash" ]] || wrong "connections do not pass without it"
}

purged() {
  local left
  dpkg -P pepsal || wrong "the purge fails"
  apt-get -qq autoremove --purge -y >/dev/null || wrong "what came with it cannot be removed" # libraries
  left=$(comm -13 /packages/before <(files) | grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^/var/lib/dpkg/|/policy-rc.d$' || true)
  [[ -z $left ]] || wrong "the purge leaves: $left"
  left=$(find /var/lib/dpkg/info /run /var/log /dev/shm -name '*pepsal*')
  [[ -z $left ]] || wrong "the purge leaves: $left"
}

use_package() {
  # Without an init system, invoke-rc.d(8) does nothing unless told to.
  printf '#!/bin/sh\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  set_up_network
  serve
  for case in started upgraded removed purged; do $case; done
  end_test
}

case ${1-} in
  --make) make_packages ;;
  --install) install_package /packages/pepsal_[!9]*.deb ;;
  --use) use_package ;;
  *)
    need_root "to make a Debian"
    need_programs debootstrap
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    chmod 755 "$work"
    make_fresh_root "$work/user"
    mkdir "$work/user/packages"
    cp -a "$work/user" "$work/maker"
    itself=/pepsal/tests/integration/package_test.sh
    in_fresh_root "$work/maker" $itself --make
    cp "$work/maker/packages"/*.deb "$work/user/packages/"
    in_fresh_root "$work/user" $itself --install
    in_fresh_root "$work/user" unshare --net $itself --use
    ;;
esac
