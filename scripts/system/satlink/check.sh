# A part of pepsal-satlink, which sources it: the action check.
# shellcheck shell=bash disable=SC2034,SC2154

lacks=0
lack() {
  printf '%s\n' "$*"
  lacks=$((lacks + 1))
}

check() {
  local qdisc found=
  unshare -n tc qdisc add dev lo root htb 2>/dev/null ||
    lack "no HTB: modprobe sch_htb, or a kernel with CONFIG_NET_SCH_HTB"
  for qdisc in fq fq_codel; do
    if unshare -n tc qdisc add dev lo root $qdisc 2>/dev/null; then found=$qdisc; fi
  done
  [[ -n $found ]] || echo "remark: neither fq nor fq_codel (modprobe sch_fq); connections share a plain queue"
  grep -qw bbr /proc/sys/net/ipv4/tcp_available_congestion_control ||
    lack "no BBR, which random loss does not slow down: modprobe tcp_bbr"
  [[ -w /sys/class/net/$interface/gro_flush_timeout ]] ||
    lack "/sys/class/net/$interface/gro_flush_timeout cannot be written: mount /sys for writing"
  [[ -e /sys/class/net/$interface/napi_defer_hard_irqs ]] ||
    echo "remark: no napi_defer_hard_irqs (kernel 5.8); acknowledgements on a narrow return path may not be thinned"
  [[ -w /proc/sys/net/ipv4/tcp_fastopen ]] ||
    lack "sysctls cannot be set: mount /proc/sys of this namespace for writing"
  unshare -n nft 'table netdev t { chain c { type filter hook egress device "lo" priority 0; reset tcp option timestamp dup to "lo"; }; }' 2>/dev/null ||
    echo "remark: no nftables that can copy outgoing packets (package nftables, kernel 5.18): loss= has no effect"
  [[ -e /proc/sys/net/ipv4/tcp_rto_max_ms ]] ||
    echo "remark: no tcp_rto_max_ms (kernel 6.15); after a long fade a transfer may wait longer than the fade"
  ((lacks == 0)) || exit 1
}
