#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "satsim/loss_model.hh"
#include "satsim/units.hh"

namespace pepsal::satsim {

// A change to one direction of the link at one time of its schedule.
struct Change
{
  enum class What
  {
    rate,         // value: bits per second
    random_loss,  // value: probability
    outage_begin, // every packet is lost on the air, the serialiser continues
    outage_end,
    stall_begin, // the serialiser stands still, and packets are only lost when the queue is full
    stall_end,
  };

  Time at{}; // since the schedule's start
  What what{};
  double value{};

  bool operator==(const Change&) const = default;
};

// One direction of the link.
struct Profile
{
  Time delay{};                  // propagation
  BitsPerSecond rate{1'000'000}; // of IP packets, headers included
  std::size_t queue_bytes{};     // waiting behind the packet that is being sent
  double random_loss{};          // probability per packet
  BurstLoss burst{};
  std::vector<Change> schedule{};   // in order of time
  std::size_t largest_packet{1500}; // the MTU
  std::uint64_t seed{1};
};

struct Schedules
{
  std::vector<Change> down{};
  std::vector<Change> up{};
};

// Reads a schedule: words "SECONDS:down|up|both:CHANGE" separated by spaces or commas, where CHANGE is
// rate=MBIT, loss=PERCENT, outage=SECONDS or stall=SECONDS. Throws UsageError naming the word and what is allowed.
Schedules parse_schedule(std::string_view text);

// Reads "P,R[,BAD[,GOOD]]": the chance of going from good to bad and back, and of loss in the bad (100)
// and the good state (0), all in percent. Throws UsageError.
BurstLoss parse_burst(std::string_view option, std::string_view text);

} // namespace pepsal::satsim
