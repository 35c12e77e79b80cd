#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "pepsal/connection.hh"

namespace pepsal::test {

// Repeatable random numbers.
class Random
{
public:
  explicit Random(std::uint32_t seed)
      : engine_{seed}
  {}

  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(engine_() % limit); }

private:
  std::mt19937 engine_;
};

// Connections that can be distinguished and checked: everything in one follows from the number of its client and the
// number of its server, so that a record mixed from two, or handed to the wrong client, shows.
struct Traffic
{
  static constexpr std::uint32_t servers = 3;

  static constexpr std::uint64_t scramble(std::uint64_t x)
  {
    x = (x + 0x9e3779b97f4a7c15ULL) * 0xd6e8feb86659fd93ULL;
    return (x ^ (x >> 32)) * 0xd6e8feb86659fd93ULL;
  }

  static Endpoint client(std::uint32_t number)
  {
    const auto port = static_cast<std::uint16_t>(1024 + number % 50'000);
    const auto host = static_cast<std::uint8_t>(number % 7);
    if (number % 2 == 0) {
      const std::array<std::uint8_t, 4> address{10, 1, 2, host};
      return Endpoint::from_ipv4(address.data(), port);
    }
    const std::array<std::uint8_t, 16> address{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host};
    return Endpoint::from_ipv6(address.data(), port);
  }

  static Connection connection(std::uint32_t client_number, std::uint32_t server_number)
  {
    Connection result;
    result.client = client(client_number);
    const auto words = std::array{scramble(client_number * servers + server_number),
                                  scramble(scramble(client_number * servers + server_number))};
    for (unsigned i = 0; i < 16; ++i) {
      result.server.address[i] = static_cast<std::uint8_t>(words[i / 8] >> (8 * (i % 8)));
    }
    result.server.port = static_cast<std::uint16_t>(client_number * servers + server_number);
    result.syn = {.arrival_interface = static_cast<std::uint32_t>(words[1]),
                  .mss = static_cast<std::uint16_t>(words[0]),
                  .window_scale = static_cast<std::uint8_t>(words[0] >> 16),
                  .traffic_class = static_cast<std::uint8_t>(words[0] >> 24),
                  .ttl = static_cast<std::uint8_t>(words[0] >> 32)};
    return result;
  }
};

} // namespace pepsal::test
