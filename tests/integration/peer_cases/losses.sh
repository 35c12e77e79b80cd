# Cases of peer_test.sh, which sources this: forged SYNs, lost processes and boxes.
# shellcheck shell=bash disable=SC2034,SC2154

gateway_accepted() { (($(counter gw connections_accepted) > $1)); }
gateway_opened() { (($(counter gw connections_opened) > $1)); }

# A SYN with a possibly forged source: the gateway only dials before the handshake if it comes from behind its peer.
forged_syns() {
  local opened accepted kind
  case=forged_syns
  stop_boxes
  satbox start gw --peer 10.81.2.1,10.81.9.0/24 --warm-connections 4
  satbox --peers start term --warm-connections 4
  eventually both_up || wrong "the peers do not come up"
  opened=$(counter gw connections_opened)
  for kind in data:4001 wish:4003; do # a port each: the first is half-open for long
    accepted=$(counter gw connections_accepted)
    forged_syn 10.81.1.77 "${kind#*:}" "${kind%:*}"
    eventually gateway_accepted "$accepted" || wrong "the gateway did not get the stranger's SYN ($kind)"
    sleep 1
    (($(counter gw connections_opened) == opened)) || wrong "the gateway dialled for a source that is behind no peer ($kind)"
  done
  stop_boxes
  start_up_boxes
  opened=$(counter gw connections_opened)
  forged_syn 10.81.1.77 4002 data
  eventually gateway_opened "$opened" || wrong "the gateway does not dial for what comes from behind its peer"
}

# And that connection, whose handshake never ends, does not stay.
half_open_ends() {
  case=half_open_ends
  eventually log_has gw "closed client=10.81.1.77:4002" || eventually log_has gw "closed client=10.81.1.77:4002" ||
    wrong "a connection without a handshake stays"
  # Or because no host has that address, if the terminal reports that first.
  log_has gw "reason=timeout-of-client" || log_has gw "reason=error-113-of-client" || wrong "it did not end though its handshake never ended: $(satbox log gw | grep -F 10.81.1.77)"
}

reset_passes() {
  case=reset_passes
  resets
}

resets() {
  in_role user timeout 10 python3 - "$server" <<'END' || wrong "the client cannot reset"
import socket, struct, sys, time
s = socket.create_connection((sys.argv[1], 7002))
assert s.recv(7) == b"banner\n"
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
END
  eventually log_has gw "reason=reset-by-client" || wrong "the gateway does not see the client's reset"
}

# All waiting proxies are killed: the end of their streams proves that nothing was passed on, and the bytes are sent
# again over another path, once. The proxies must have ended first: data that reach a dying one make its end a reset,
# which proves nothing.
far_proxies_killed() {
  local waiting before
  case=far_proxies_killed
  eventually is_up term 4 || wrong "the pool is not full"
  mapfile -t waiting < <(processes_of gw "proxy waiting")
  kill -KILL "${waiting[@]}"
  eventually have_ended "${waiting[@]}" || wrong "processes outlive SIGKILL"
  before=$(wc -l <"$work/access.log")
  fetch 4 http small || wrong "the file does not arrive whole"
  sleep 0.3
  (($(wc -l <"$work/access.log") == before + 1)) || wrong "the server got $(($(wc -l <"$work/access.log") - before)) requests instead of one"
  eventually is_up term 4 || wrong "the pool is not filled again"
}

# The end of the keeper costs nothing: what it had ready is taken over.
keeper_killed() {
  local made
  case=keeper_killed
  eventually is_up term 4 || wrong "the pool is not full"
  made=$(counter term warm_connections_made)
  kill -KILL "$(processes_of term keeper)"
  fetch 4 http small || wrong "the file does not arrive whole"
  eventually log_has term "keeper of peer" || wrong "the loss is not logged"
  eventually is_up term 4 || wrong "the pool is not full again"
  (($(counter term warm_connections_made) <= made + 2)) || wrong "what was ready was made again"
}

# Stopped, killed and started again: connections are dialled meanwhile, then go over the peer again.
peer_goes_and_comes() {
  local used
  case=peer_goes_and_comes
  satbox stop gw
  eventually is_down term "" || wrong "the terminal does not notice that its peer has ended"
  fetch 4 http large || wrong "the file does not arrive whole without the peer"
  (($(satbox log term | grep -c "peer .* is down") >= 1)) || wrong "the log does not say so"
  satbox --peers start gw --warm-connections 4
  eventually is_up term 4 || wrong "the peer does not come up again"
  used=$(counter term warm_connections_used)
  fetch 4 http large || wrong "the file does not arrive whole after the peer's return"
  (($(counter term warm_connections_used) == used + 1)) || wrong "the peer is not used after its return"
  kill_gateway
  fetch 4 http small || wrong "the file does not arrive whole after the peer was killed"
  eventually is_down term "" || wrong "the terminal does not notice that its peer was killed"
  satbox stop gw >/dev/null 2>&1 || true
  satbox --peers start gw --warm-connections 4
  eventually is_up term 4 || wrong "the peer does not come up after it was killed"
}

# The box disappears without notice and comes back under its address with no memory of any connection: a client that has
# sent something is reset at most once, because nobody can know whether it arrived; then everything is as before.
box_restarted() {
  local try
  case=box_restarted
  eventually is_up term 4 || wrong "the pool is not full"
  in_role gw iptables -t raw -I PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -I OUTPUT -o sat0 -p tcp -j DROP
  kill_gateway
  satbox stop gw >/dev/null 2>&1 || true
  in_role gw iptables -t raw -D PREROUTING -i sat0 -p tcp -j DROP
  in_role gw iptables -D OUTPUT -o sat0 -p tcp -j DROP
  satbox --peers start gw --warm-connections 4
  fetch 4 http small || sleep 0.5
  for ((try = 0; try < 5; try++)); do
    fetch 4 http small || wrong "more than one client meets the restarted box's reset"
  done
  eventually is_up term 4 || wrong "the peer does not come up again"
}
