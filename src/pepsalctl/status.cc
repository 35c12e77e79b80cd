// pepsalctl status: the daemon's state, processes, interfaces, peers and counters. Nothing here can fail.

#include <chrono>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "pepsalctl/commands.hh"
#include "pepsalctl/totals.hh"
#include "shared/connection_table.hh"

namespace pepsal {

namespace {

using Json = nlohmann::ordered_json;

double seconds_since(const PeerStatus& peer)
{
  return seconds_between(BootTime{peer.since_ns.load()}, boot_time_now()).count();
}

// One line for each peer: whether it is up, since when, how many warm connections it has; or why it is down.
void print_peer(const PeerStatus& peer)
{
  const bool up = peer.up;
  fmt::print("peer {} {} for={:.0f} ready={} target={}{}{}\n", peer.address.address_string(), up ? "up" : "down",
             seconds_since(peer), peer.ready.load(), peer.target.load(),
             up ? "" : " reason=", up ? "" : describe(peer.problem));
}

Json peer_to_json(const PeerStatus& peer)
{
  const bool up = peer.up;
  return {{"address", peer.address.address_string()},
          {"up", up},
          {"seconds", seconds_since(peer)},
          {"ready", peer.ready.load()},
          {"target", peer.target.load()},
          {"reason", up ? Json{} : Json(describe(peer.problem))}};
}

void print_json(const SharedSegment& segment)
{
  const auto view = segment.view();
  Json state;
  for (const auto& row : gauge_rows) {
    state[std::string{row.name}] = view.value(row.id);
  }
  auto peers = Json::array();
  for (const auto& peer : view.peers()) {
    if (peer.present) {
      peers.push_back(peer_to_json(peer));
    }
  }
  Json counters;
  for (const auto& row : counter_rows) {
    counters[std::string{row.name}] = running_value(segment, row.id);
  }
  const Json result{{"state", std::move(state)},
                    {"processes", processes_of(segment)},
                    {"interfaces", interfaces_of(segment)},
                    {"peers", std::move(peers)},
                    {"counters", std::move(counters)}};
  fmt::print("{}\n", result.dump(2));
}

void print_text(const SharedSegment& segment)
{
  const auto view = segment.view();
  fmt::print("state:\n");
  for (const auto& row : gauge_rows) {
    fmt::print("{} {}\n", row.name, view.value(row.id));
  }
  fmt::print("\nprocesses:\n");
  for (const auto& [name, number] : processes_of(segment)) {
    fmt::print("{} {}\n", name, number);
  }
  fmt::print("\ninterfaces, with their connections:\n");
  for (const auto& [name, number] : interfaces_of(segment)) {
    fmt::print("interface {} {}\n", name, number);
  }
  fmt::print("\ncounters:\n");
  for (const auto& row : counter_rows) {
    fmt::print("{} {}\n", row.name, running_value(segment, row.id));
  }
  fmt::print("\npeers:\n");
  for (const auto& peer : view.peers()) {
    if (peer.present) {
      print_peer(peer);
    }
  }
}

} // namespace

void show_status(const SharedSegment& segment, const CommandOptions& line)
{
  if (line.json) {
    print_json(segment);
  } else {
    print_text(segment);
  }
}

} // namespace pepsal
