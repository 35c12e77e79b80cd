// The peers given by the options. Used by the option parser once, and by proxies for each connection. Invalid text is
// reported with one line.

#include "config/peers.hh"

#include <algorithm>
#include <stdexcept>

#include <fmt/core.h>

namespace pepsal {

namespace {

constexpr auto allowed = "ADDRESS[,PREFIX...] with numeric IPv4 or IPv6 addresses, such as 10.9.0.2,10.81.0.0/16";

} // namespace

Peer parse_peer(std::string_view text)
{
  Peer peer;
  const auto comma = text.find(',');
  const auto address = Endpoint::parse(text.substr(0, comma), 0);
  if (!address) {
    throw std::invalid_argument{fmt::format("'{}' is not {}", text, allowed)};
  }
  peer.address = *address;
  for (auto rest = comma; rest != std::string_view::npos;) {
    const auto next = text.find(',', rest + 1);
    const auto word = text.substr(rest + 1, next == std::string_view::npos ? next : next - rest - 1);
    const auto prefix = Prefix::parse(word);
    if (!prefix) {
      throw std::invalid_argument{fmt::format("'{}' of '{}' is no prefix: {}", word, text, allowed)};
    }
    peer.prefixes.push_back(*prefix);
    rest = next;
  }
  return peer;
}

void complete_peers(PeerOptions& options, std::uint16_t listening_port)
{
  if (options.port == 0) {
    options.port = listening_port < 65535 ? static_cast<std::uint16_t>(listening_port + 1) : std::uint16_t{65534};
  }
  if (options.port == listening_port) {
    throw std::invalid_argument{fmt::format("--peer-port: {} is --port's; it takes another one", options.port)};
  }
  if (options.peers.size() > PeerOptions::most_peers) {
    throw std::invalid_argument{
        fmt::format("--peer: {} peers; {} are allowed", options.peers.size(), PeerOptions::most_peers)};
  }
  for (std::size_t i = 0; i < options.peers.size(); ++i) {
    auto& peer = options.peers[i];
    if (find_peer(options.peers, peer.address) != i) {
      throw std::invalid_argument{fmt::format("--peer: '{}' is given twice", peer.address.address_string())};
    }
    peer.address.port = options.port;
  }
}

std::optional<std::size_t> choose_peer(const std::vector<Peer>& peers, const Endpoint& destination,
                                       const PeerFilter& filter)
{
  constexpr int none = -2;
  constexpr int without_prefixes = -1; // less than any prefix's
  std::optional<std::size_t> chosen;
  int longest = none;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    int bits = peers[i].prefixes.empty() ? without_prefixes : none;
    for (const auto& prefix : peers[i].prefixes) {
      bits = prefix.contains(destination) ? std::max<int>(bits, prefix.bits) : bits;
    }
    if (bits > longest && (!filter || filter(peers[i]))) {
      chosen = i;
      longest = bits;
    }
  }
  return chosen;
}

std::optional<std::size_t> find_peer(const std::vector<Peer>& peers, const Endpoint& address)
{
  for (std::size_t i = 0; i < peers.size(); ++i) {
    if (peers[i].address.address == address.address) {
      return i;
    }
  }
  return std::nullopt;
}

} // namespace pepsal
