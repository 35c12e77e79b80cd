#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "satsim/loss_model.hh"
#include "satsim/packet_ring.hh"
#include "satsim/profile.hh"
#include "satsim/units.hh"

namespace pepsal::satsim {

// One direction of the emulated link: a drop-tail queue, a serialiser at the link's rate, the air (where packets may be
// lost), and the propagation delay. It has neither clock nor device: the caller provides the time, which must not go
// back, and brings and takes the packets.
class Link
{
public:
  struct Counters
  {
    std::uint64_t offered_packets{};
    std::uint64_t offered_bytes{};
    std::uint64_t delivered_packets{};
    std::uint64_t delivered_bytes{};
    std::uint64_t queue_drops{};
    std::uint64_t random_losses{}; // independent and burst losses
    std::uint64_t outage_losses{};
    std::size_t peak_queue_bytes{};
  };

  // Throws SystemError if there is not enough memory for the packets.
  explicit Link(const Profile& profile, Time now = {});

  // Where to put the next arriving packet; nothing if there is no room: then deliver first.
  std::span<std::byte> space() { return ring_.space(); }
  bool has_space() { return !ring_.space().empty(); }
  // The packet of `size` bytes that was put there has arrived.
  void arrive(Time now, std::size_t size);

  // The packet that is due for delivery at `now`, if there is one; deliver() then removes it.
  std::optional<std::span<const std::byte>> due(Time now);
  // When the packet returned by due() should have been delivered.
  Time due_time() { return ring_.at(ring_.head()).due; }
  void deliver();

  // The earliest time at which due() may return something; nothing while the link is empty or stands still for good.
  std::optional<Time> next_event();

  // Bytes waiting behind the packet that is being sent.
  std::size_t queued_bytes(Time now);

  // Restores the initial rate and restarts the schedule and the sequence of losses. Packets in the link stay there.
  void restart_schedule(Time now);

  const Counters& counters() const { return counters_; }

private:
  // Amounts of serialisation are counted in bits x 1e9, so that rate x nanoseconds is exact.
  using Work = std::int64_t;
  static Work work_of(std::size_t bytes);

  void advance(Time now);
  void serve(Time until);
  void apply(const Change& change);
  void leave_serialiser();
  void begin_service();
  std::optional<Time> next_change() const;

  Profile profile_;
  PacketRing ring_;
  LossModel loss_;
  Counters counters_{};

  Time clock_;                      // time up to which the link's state has been computed
  PacketRing::Position service_{0}; // the packet in the serialiser, or the tail if it is idle; before it: in the air
  bool serving_{false};
  Work remaining_{0};      // of the packet in the serialiser
  std::size_t waiting_{0}; // bytes behind it
  BitsPerSecond rate_;
  int outages_{0};
  int stalls_{0};
  Time schedule_start_;
  std::size_t schedule_index_{0};
};

} // namespace pepsal::satsim
