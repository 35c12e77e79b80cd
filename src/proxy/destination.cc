// The original destination of an accepted connection. Called by a proxy once per connection; never fails, but may
// refuse.

#include "proxy/destination.hh"

#include "util/destination.hh"

namespace pepsal {

std::optional<Destination> find_destination(ConnectionTable& table, const TCPSocket& client, const Endpoint& address,
                                            const std::function<bool(const Endpoint&)>& is_own, Owner proxy,
                                            BootTime now)
{
  Connection connection{.client = address, .server = client.local_endpoint(), .syn = {}};
  auto claim = table.claim(address, connection.server, proxy, now);
  bool redirected = false;
  if (!claim) {
    const auto original = client.redirected_from();
    redirected = original && *original != connection.server;
    if (redirected) {
      connection.server = *original;
      claim = table.claim(address, *original, proxy, now);
    }
  }
  if (!forbidden_destination(connection.server).empty() || is_own(connection.server)) {
    if (claim) {
      table.release(*claim);
    }
    return std::nullopt;
  }
  table.count(claim ? Counter::destinations_from_table : Counter::destinations_from_kernel);
  if (claim) {
    connection.syn = claim->connection.syn; // the rest comes from the kernel, whatever the table says now
  } else {
    claim = table.insert_connecting(connection, proxy, now);
  }
  return Destination{.connection = connection, .claim = claim, .redirected = redirected};
}

} // namespace pepsal
