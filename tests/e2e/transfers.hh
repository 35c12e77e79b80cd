#pragma once

#include "fixture.hh"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

namespace pepsal::test {

// Downloads that continue until they are told to end; each byte is checked.
class Transfers
{
public:
  explicit Transfers(std::vector<Pair> pairs)
      : pairs_{std::move(pairs)}
      , sender_{[this] { send(); }}
      , receiver_{[this] { receive(); }}
  {}
  ~Transfers() { end(); }

  // The number of bytes that each has received at least; a lost connection receives no more.
  std::uint64_t least() const { return least_; }
  // Whether each receives more than it has now, within a test's patience.
  bool all_go_on() const
  {
    const auto before = most_.load();
    return eventually([&] { return least_ > before || broken_ > 0; }) && broken_ == 0;
  }

  // Ends the streams in good order, then their connections. Returns how many did not arrive whole.
  std::size_t end()
  {
    ending_ = true;
    if (sender_.joinable()) {
      sender_.join();
      receiver_.join();
      pairs_.clear();
    }
    return broken_;
  }

private:
  static constexpr std::size_t chunk = 8192;

  void send()
  {
    std::vector<Stream> streams;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      streams.emplace_back(i);
    }
    std::array<std::byte, chunk> bytes{};
    while (!ending_) {
      for (std::size_t i = 0; i < pairs_.size(); ++i) {
        streams[i].fill(bytes);
        error_of([&] { pairs_[i].server.send(bytes); }); // the receiver notices what is missing
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      sent_.push_back(streams[i].position());
      error_of([&] { pairs_[i].server.end_sending(); });
    }
    all_sent_ = true;
  }

  void receive()
  {
    std::vector<Stream> streams;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      streams.emplace_back(i);
    }
    std::vector<bool> open(pairs_.size(), true);
    std::array<std::byte, chunk> buffer{};
    for (std::size_t left = pairs_.size(); left > 0;) {
      std::uint64_t least = ~std::uint64_t{0};
      for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (!open[i]) {
          continue;
        }
        std::span<std::byte> got;
        const int error = error_of([&] { got = pairs_[i].client.receive(buffer); });
        if (error != 0 || !streams[i].matches(got)) {
          ++broken_;
        }
        if (error != 0 || got.empty()) {
          open[i] = false;
          --left;
        }
        least = std::min(least, streams[i].position());
        most_ = std::max(most_.load(), streams[i].position());
      }
      least_ = left == 0 ? least_.load() : least;
    }
    eventually([this] { return all_sent_.load(); });
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      broken_ += streams[i].position() != sent_[i] ? 1 : 0;
    }
  }

  std::vector<Pair> pairs_;
  std::vector<std::uint64_t> sent_; // by pair, once all is sent
  std::atomic<bool> ending_{};
  std::atomic<bool> all_sent_{};
  std::atomic<std::uint64_t> least_{};
  std::atomic<std::uint64_t> most_{};
  std::atomic<std::size_t> broken_{};
  std::thread sender_;
  std::thread receiver_;
};

} // namespace pepsal::test
