#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "satsim/units.hh"

namespace pepsal::satsim {

// First-in-first-out store of packets of any size in one block of memory, allocated once. Records are identified by
// positions that only grow, so that a user may keep several of them.
class PacketRing
{
public:
  using Position = std::uint64_t;

  struct Record
  {
    Time due{};           // when it is to be delivered; set by the user
    std::uint32_t size{}; // bytes of the packet
    bool lost{};          // lost on the air: it is never delivered

    // The packet that follows this header in the ring.
    std::span<std::byte> packet() { return {reinterpret_cast<std::byte*>(this + 1), size}; }
  };

  // Room for at least `packet_bytes` of packets of 20 bytes (a bare IPv4 header) or more, each at most
  // `largest_packet`. Throws SystemError if the memory is not available.
  PacketRing(std::size_t packet_bytes, std::size_t largest_packet);
  ~PacketRing();
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;
  PacketRing(PacketRing&&) = delete;
  PacketRing& operator=(PacketRing&&) = delete;

  Position head() const { return head_; }
  Position tail() const { return tail_; }
  bool is_empty() const { return head_ == tail_; }

  // Where to write the next packet, `largest_packet` bytes, or nothing if the ring is full; push() adds the packet to
  // the ring.
  std::span<std::byte> space();
  void push(std::size_t size);

  Record& at(Position position);
  // Returns the same at any time, so that two positions are equal only if they denote the same place.
  Position after(Position position);
  void pop();

private:
  static constexpr std::uint32_t wrap_mark = UINT32_MAX; // as size: the sequence continues at the start of the block

  // Bytes that a packet takes with its header; keeps headers aligned.
  static std::size_t footprint(std::size_t size);
  Record& raw(Position position);
  // Where the record at that position really is, which may be the start of the block.
  Position past_wrap(Position position);
  // Where the next record goes: the tail, or the start of the block if a largest packet does not fit before its end.
  Position next_start() const;

  std::size_t largest_packet_;
  std::size_t capacity_;
  std::byte* memory_;
  Position head_{0};
  Position tail_{0};
};

} // namespace pepsal::satsim
