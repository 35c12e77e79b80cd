// Rates for top. Nothing here can fail; a counter that has gone back gives a rate of 0.

#include "pepsalctl/rates.hh"

namespace pepsal {

namespace {

double rate(std::uint64_t before, std::uint64_t now, double seconds)
{
  return now > before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

} // namespace

Rates::Look Rates::next(std::vector<ShownConnection> connections, std::vector<Shaper> links, Clock::time_point now)
{
  const double seconds = std::chrono::duration<double>{now - looked_}.count();
  std::map<Identity, Bytes> seen;
  std::map<std::string, std::uint64_t> seen_links;
  Look result;
  for (auto& connection : connections) {
    const auto& entry = connection.entry;
    const Identity identity{entry.slot, entry.since.count()};
    MovingConnection moving;
    if (const auto before = connections_.find(identity); before != connections_.end()) {
      moving.up = rate(before->second.up, entry.bytes_up, seconds);
      moving.down = rate(before->second.down, entry.bytes_down, seconds);
    }
    seen[identity] = {.up = entry.bytes_up, .down = entry.bytes_down};
    moving.connection = std::move(connection);
    result.connections.push_back(std::move(moving));
  }
  for (auto& link : links) {
    const auto before = links_.find(link.interface);
    const double sent = before != links_.end() ? rate(before->second, link.sent_bytes, seconds) : 0;
    seen_links[link.interface] = link.sent_bytes;
    result.links.push_back({.shaper = std::move(link), .sent = sent});
  }
  connections_ = std::move(seen);
  links_ = std::move(seen_links);
  looked_ = now;
  return result;
}

} // namespace pepsal
