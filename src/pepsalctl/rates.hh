#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pepsalctl/connections.hh"
#include "pepsalctl/shapers.hh"

namespace pepsal {

// A connection with its rates, as top shows it.
struct MovingConnection
{
  ShownConnection connection;
  double up{}; // bytes a second since the previous look; 0 at the first
  double down{};
};

// An interface with a shaper, and its rate.
struct MovingLink
{
  Shaper shaper;
  double sent{}; // bytes a second
};

// Derives rates from the counts of successive looks.
class Rates
{
public:
  using Clock = std::chrono::steady_clock;

  struct Look
  {
    std::vector<MovingConnection> connections;
    std::vector<MovingLink> links;
  };

  // `now` must not go back.
  Look next(std::vector<ShownConnection> connections, std::vector<Shaper> links, Clock::time_point now);

private:
  // Identifies a connection: its slot, which is reused, and the time since when it has been there.
  using Identity = std::pair<std::uint32_t, std::int64_t>;
  struct Bytes
  {
    std::uint64_t up{};
    std::uint64_t down{};
  };

  std::map<Identity, Bytes> connections_;
  std::map<std::string, std::uint64_t> links_;
  Clock::time_point looked_{};
};

} // namespace pepsal
