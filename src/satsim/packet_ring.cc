// The memory that holds packets from when they are read from one device until they are written to the other. Used only
// by Link. Fails only if the memory cannot be mapped.

#include "satsim/packet_ring.hh"

#include <cassert>
#include <cerrno>
#include <new>

#include <sys/mman.h>

#include "util/system_error.hh"

namespace pepsal::satsim {

namespace {

constexpr std::size_t alignment = sizeof(PacketRing::Record);
// A 20-byte packet takes 16 bytes of header and 32 of payload: 2.4 times its size, the worst case.
constexpr std::size_t worst_overhead = 3;

std::size_t round_up(std::size_t size)
{
  return (size + alignment - 1) / alignment * alignment;
}

std::byte* map_memory(std::size_t size)
{
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw SystemError{errno, "mmap packet ring"};
  }
  return static_cast<std::byte*>(memory);
}

} // namespace

static_assert(sizeof(PacketRing::Record) == 16);

PacketRing::PacketRing(std::size_t packet_bytes, std::size_t largest_packet)
    : largest_packet_{largest_packet} // Four of the largest: one being written, one wasted before the wrap, and slack.
    , capacity_{round_up(worst_overhead * packet_bytes + 4 * footprint(largest_packet))}
    , memory_{map_memory(capacity_)}
{}

PacketRing::~PacketRing()
{
  munmap(memory_, capacity_);
}

std::size_t PacketRing::footprint(std::size_t size)
{
  return sizeof(Record) + round_up(size);
}

PacketRing::Record& PacketRing::raw(Position position)
{
  return *std::launder(reinterpret_cast<Record*>(memory_ + position % capacity_));
}

PacketRing::Position PacketRing::past_wrap(Position position)
{
  assert(position != tail_);
  if (raw(position).size == wrap_mark) {
    return (position / capacity_ + 1) * capacity_;
  }
  return position;
}

PacketRing::Position PacketRing::next_start() const
{
  const std::size_t before_end = capacity_ - tail_ % capacity_;
  return before_end < footprint(largest_packet_) ? tail_ + before_end : tail_;
}

std::span<std::byte> PacketRing::space()
{
  const Position start = next_start();
  if (start + footprint(largest_packet_) - head_ > capacity_) {
    return {};
  }
  return {memory_ + start % capacity_ + sizeof(Record), largest_packet_};
}

void PacketRing::push(std::size_t size)
{
  assert(size <= largest_packet_);
  const Position start = next_start();
  if (start != tail_) {
    new (memory_ + tail_ % capacity_) Record{Time{}, wrap_mark, false};
  }
  new (memory_ + start % capacity_) Record{Time{}, static_cast<std::uint32_t>(size), false};
  tail_ = start + footprint(size);
}

PacketRing::Record& PacketRing::at(Position position)
{
  return raw(past_wrap(position));
}

PacketRing::Position PacketRing::after(Position position)
{
  position = past_wrap(position);
  return position + footprint(raw(position).size);
}

void PacketRing::pop()
{
  assert(!is_empty());
  head_ = after(head_);
}

} // namespace pepsal::satsim
