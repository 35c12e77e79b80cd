// Filters and orders connections. Nothing here can fail.

#include "pepsalctl/selection.hh"

#include <algorithm>
#include <tuple>

namespace pepsal {

namespace {

bool matches(const std::optional<Prefix>& wanted, const Endpoint& endpoint)
{
  return !wanted || wanted->contains(endpoint);
}

bool is_lower(const Endpoint& one, const Endpoint& other)
{
  return std::tie(one.address, one.port) < std::tie(other.address, other.port);
}

// The sort key of a column that holds a quantity.
double quantity(const ShownConnection& connection, Column column, std::optional<LegName> leg)
{
  switch (column) {
  case Column::age:
    return connection.age.count();
  case Column::up:
    return static_cast<double>(connection.entry.bytes_up);
  case Column::down:
    return static_cast<double>(connection.entry.bytes_down);
  case Column::rtt:
    return figures_of(connection, leg).rtt_us;
  case Column::retransmissions:
    return static_cast<double>(figures_of(connection, leg).retransmissions);
  case Column::queued:
    return static_cast<double>(figures_of(connection, leg).queued);
  case Column::id:
  case Column::state:
  case Column::client:
  case Column::server:
    break;
  }
  return 0;
}

} // namespace

bool Selection::puts_first(const ShownConnection& one, const ShownConnection& other) const
{
  switch (sort) {
  case Column::id:
    return one.id() < other.id();
  case Column::state:
    return one.entry.state < other.entry.state;
  case Column::client:
    return is_lower(one.entry.connection.client, other.entry.connection.client);
  case Column::server:
    return is_lower(one.entry.connection.server, other.entry.connection.server);
  default:
    return quantity(one, sort, leg) > quantity(other, sort, leg);
  }
}

bool Selection::has(const ShownConnection& connection) const
{
  const auto& ends = connection.entry.connection;
  const bool has_leg = !leg || (*leg == LegName::client ? connection.legs.client : connection.legs.server).has_value();
  const auto its_peer = connection.peer();
  return has_leg && matches(client, ends.client) && matches(server, ends.server) &&
         (!port || *port == ends.server.port) && (!state || *state == connection.entry.state) &&
         (!peer || (its_peer && peer->contains(*its_peer)));
}

std::vector<ShownConnection> Selection::of(std::vector<ShownConnection> all) const
{
  std::erase_if(all, [this](const auto& connection) { return !has(connection); });
  std::stable_sort(all.begin(), all.end(),
                   [this](const auto& one, const auto& other) { return puts_first(one, other); });
  return all;
}

LegSums figures_of(const ShownConnection& connection, std::optional<LegName> leg)
{
  LegSums result;
  const auto add = [&result](const std::optional<SocketFacts>& socket) {
    if (socket) {
      result.rtt_us = std::max(result.rtt_us, socket->info.tcpi_rtt);
      result.retransmissions += socket->info.tcpi_total_retrans;
      result.queued += std::uint64_t{socket->receive_queue} + socket->send_queue;
    }
  };
  if (leg != LegName::server) {
    add(connection.legs.client);
  }
  if (leg != LegName::client) {
    add(connection.legs.server);
  }
  return result;
}

} // namespace pepsal
