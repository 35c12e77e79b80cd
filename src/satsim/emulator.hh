#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "satsim/lateness.hh"
#include "satsim/link.hh"
#include "satsim/options.hh"
#include "satsim/tun_device.hh"
#include "util/process.hh"

namespace pepsal::satsim {

// Carries packets between two devices, in one thread, until it is told to end by SIGTERM or SIGINT. SIGUSR1 prints the
// statistics, SIGUSR2 restarts the schedule and the sequence of losses.
class Emulator
{
public:
  // Creates the devices and takes over the four signals. Throws SystemError.
  explicit Emulator(const Options& options);

  // Calls `ready` once packets can pass; prints the statistics at the end. Throws SystemError if a device fails.
  void run(const std::function<void()>& ready);

private:
  struct FileCloser
  {
    void operator()(std::FILE* file) const { static_cast<void>(std::fclose(file)); }
  };

  struct Direction
  {
    const char* name;
    TunDevice& from;
    TunDevice& to;
    Link link;
    Lateness lateness{};
    std::uint64_t write_failures{0};
  };

  // Each returns how many packets it moved.
  static int carry(Direction& direction);
  static int take_arrivals(Direction& direction);
  static int hand_over(Direction& direction);

  bool handle_signals(); // false: end
  void pause(Time rest); // regardless of arrivals
  void wait();           // for an arrival or the next event
  std::optional<Time> next_event();
  // One line of key=value fields for each direction.
  std::string statistics();
  void log_queues();
  static std::string statistics_line(Direction& direction, bool realtime);

  TunDevice a_;
  TunDevice b_;
  Direction down_;
  Direction up_;
  SignalDescriptor signals_;
  std::unique_ptr<std::FILE, FileCloser> queue_log_{};
  Time queue_log_interval_;
  Time start_;
  Time next_log_;
  bool signalled_{false};
  bool realtime_{false};
};

} // namespace pepsal::satsim
