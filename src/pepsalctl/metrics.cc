// pepsalctl metrics: everything that is counted and measured, for Prometheus. Fails with SystemError if the kernel does
// not report its sockets.

#include "pepsalctl/metrics.hh"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/exposition.hh"
#include "pepsalctl/headroom.hh"
#include "pepsalctl/health.hh"
#include "pepsalctl/metric_rows.hh"
#include "pepsalctl/shapers.hh"
#include "pepsalctl/totals.hh"

namespace pepsal {

namespace {

// Seconds, from a local network to a geostationary satellite behind a queue.
constexpr std::array rtt_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.6, 0.75, 1.0, 2.5, 5.0};
constexpr auto leg_label = "leg";

void begin(Exposition& out, Metric metric)
{
  const auto& row = metric_rows.at(static_cast<std::size_t>(metric));
  out.begin(row.name, row.type, row.help);
}

void add(Exposition& out, Metric metric, std::uint64_t value)
{
  begin(out, metric);
  out.sample({}, value);
}

// Metrics with labels stand together in the rows, as the format requires.
template<typename Rows, typename Value>
void add_rows(Exposition& out, const Rows& rows, const char* type, const Value& value)
{
  std::string_view metric;
  for (const auto& row : rows) {
    if (row.metric != metric) {
      metric = row.metric;
      out.begin(metric, type, row.metric_help());
    }
    out.sample(row.labels, value(row.id));
  }
}

void add_connections(Exposition& out, const std::vector<ShownConnection>& connections)
{
  begin(out, Metric::pepsal_connections);
  for (const auto state : {SlotState::pending, SlotState::connecting, SlotState::open}) {
    out.sample(label("state", state_name(state)), static_cast<std::uint64_t>(std::count_if(
                                                      connections.begin(), connections.end(),
                                                      [state](const auto& one) { return one.entry.state == state; })));
  }
  // A corrupted table must not create a time series for each number: one that is not an interface's counts as none.
  std::map<std::string, std::uint64_t> by_interface;
  for (const auto& connection : connections) {
    const bool is_known = connection.interface != std::to_string(connection.entry.connection.syn.arrival_interface);
    ++by_interface[is_known ? connection.interface : "unknown"];
  }
  begin(out, Metric::pepsal_interface_connections);
  for (const auto& [interface, number] : by_interface) {
    out.sample(label("interface", interface), number);
  }
}

void add_processes(Exposition& out, const SharedSegment& segment)
{
  const auto view = segment.view();
  const auto most = view.value(Gauge::max_connections);
  add(out, Metric::pepsal_free_entries, most - std::min(most, view.value(Gauge::entries)));
  begin(out, Metric::pepsal_processes);
  for (const auto& [state, number] : processes_of(segment)) {
    out.sample(label("state", state), number);
  }
  add(out, Metric::pepsal_free_processes, free_processes(segment));
}

// What the kernel reports about one side's sockets.
struct LegMetrics
{
  std::vector<double> rtts; // seconds
  std::uint64_t retransmissions{};
  std::uint64_t queued{};

  void add(const std::optional<SocketFacts>& socket)
  {
    constexpr double microseconds = 1e6;
    if (!socket) {
      return;
    }
    if (socket->info.tcpi_rtt != 0) { // not measured yet
      rtts.push_back(socket->info.tcpi_rtt / microseconds);
    }
    retransmissions += socket->info.tcpi_total_retrans;
    queued += std::uint64_t{socket->receive_queue} + socket->send_queue;
  }
};

struct BothLegs
{
  LegMetrics client;
  LegMetrics server;
};

BothLegs legs_of(const std::vector<ShownConnection>& connections)
{
  BothLegs result;
  for (const auto& connection : connections) {
    result.client.add(connection.legs.client);
    result.server.add(connection.legs.server);
  }
  return result;
}

// Including running connections.
std::uint64_t value_of(const SharedSegment& segment, Counter counter, const BothLegs& legs)
{
  const auto running = counter == Counter::retransmissions_client   ? legs.client.retransmissions
                       : counter == Counter::retransmissions_server ? legs.server.retransmissions
                                                                    : 0;
  return running_value(segment, counter) + running;
}

void add_legs(Exposition& out, const BothLegs& both)
{
  const std::array legs{std::pair{"client", &both.client}, std::pair{"server", &both.server}};
  begin(out, Metric::pepsal_rtt_seconds);
  for (const auto& [leg, figures] : legs) {
    out.histogram(label(leg_label, leg), figures->rtts, rtt_bounds);
  }
  begin(out, Metric::pepsal_queued_bytes);
  for (const auto& [leg, figures] : legs) {
    out.sample(label(leg_label, leg), figures->queued);
  }
}

void add_packet_queues(Exposition& out, const SharedSegment& segment)
{
  auto queues = packet_queues();
  if (!queues) {
    return; // not visible to this user
  }
  const auto ours = queues_of(segment);
  std::erase_if(*queues,
                [&ours](const auto& queue) { return std::find(ours.begin(), ours.end(), queue.number) == ours.end(); });
  begin(out, Metric::pepsal_nfqueue_waiting_packets);
  for (const auto& queue : *queues) {
    out.sample(label("queue", std::to_string(queue.number)), queue.waiting);
  }
  begin(out, Metric::pepsal_nfqueue_dropped_packets_total);
  for (const auto& queue : *queues) {
    out.sample(label("queue", std::to_string(queue.number)), queue.dropped);
  }
}

void add_shapers(Exposition& out)
{
  const auto all = shapers();
  const auto add_each = [&](Metric metric, const auto& value) {
    begin(out, metric);
    for (const auto& shaper : all) {
      out.sample(label("interface", shaper.interface), value(shaper));
    }
  };
  add_each(Metric::pepsal_shaper_rate_bytes_per_second, [](const auto& shaper) { return shaper.rate; });
  add_each(Metric::pepsal_shaper_sent_bytes_total, [](const auto& shaper) { return shaper.sent_bytes; });
  add_each(Metric::pepsal_shaper_dropped_packets_total, [](const auto& shaper) { return shaper.dropped_packets; });
  add_each(Metric::pepsal_shaper_queued_bytes, [](const auto& shaper) { return shaper.queued_bytes; });
  add_each(Metric::pepsal_shaper_queued_packets, [](const auto& shaper) { return shaper.queued_packets; });
}

void add_peers(Exposition& out, const SharedSegment& segment)
{
  std::map<std::string, const PeerStatus*> peers; // by address: a corrupted table must not name one twice
  for (const auto& peer : segment.view().peers()) {
    if (peer.present) {
      peers[peer.address.address_string()] = &peer;
    }
  }
  const auto add_each = [&](Metric metric, const auto& value) {
    begin(out, metric);
    for (const auto& [address, peer] : peers) {
      out.sample(label("peer", address), value(*peer));
    }
  };
  add_each(Metric::pepsal_peer_up, [](const auto& peer) { return peer.up ? 1U : 0U; });
  add_each(Metric::pepsal_peer_warm_connections, [](const auto& peer) { return peer.ready.load(); });
  add_each(Metric::pepsal_peer_warm_connections_wanted, [](const auto& peer) { return peer.target.load(); });
}

} // namespace

std::uint64_t MetricMemory::rising(std::int32_t manager, Counter counter, std::uint64_t value)
{
  if (manager != manager_) {
    manager_ = manager;
    largest_ = {};
  }
  auto& largest = largest_.at(static_cast<std::size_t>(counter));
  return largest = std::max(largest, value);
}

std::string metrics_of(const SharedSegment& segment, MetricMemory& memory)
{
  Exposition out;
  const auto view = segment.view();
  const auto manager = segment.header().manager_pid.load();
  add(out, Metric::pepsal_up, 1);
  add(out, Metric::pepsal_ready, health_of(segment).state == Health::State::ready ? 1 : 0);
  add_rows(out, gauge_rows, "gauge", [&view](Gauge gauge) { return view.value(gauge); });
  const auto connections = connections_of(segment);
  const auto legs = legs_of(connections);
  add_rows(out, counter_rows, "counter",
           [&](Counter counter) { return memory.rising(manager, counter, value_of(segment, counter, legs)); });
  add_connections(out, connections);
  add_processes(out, segment);
  add_legs(out, legs);
  add_packet_queues(out, segment);
  add_shapers(out);
  add_peers(out, segment);
  return out.text();
}

std::string metrics_of(const std::string& instance, MetricMemory& memory)
{
  std::optional<SharedSegment> segment;
  try {
    segment = open_running(instance);
  } catch (const std::exception&) {
    Exposition out;
    add(out, Metric::pepsal_up, 0);
    return out.text();
  }
  return metrics_of(*segment, memory);
}

void show_metrics(const SharedSegment& segment)
{
  MetricMemory memory;
  fmt::print("{}", metrics_of(segment, memory));
}

} // namespace pepsal
