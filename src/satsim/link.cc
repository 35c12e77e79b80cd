// The model of one direction of the link. Used by the emulator with the real clock and by the tests with their own.
// Only the allocation at construction can fail.

#include "satsim/link.hh"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace pepsal::satsim {

namespace {

// How much later than due an emulator may deliver before the ring fills up and arrivals have to wait.
constexpr Time delivery_slack = std::chrono::milliseconds{200};

std::size_t bytes_in_flight(const Profile& profile)
{
  auto rate = static_cast<double>(profile.rate);
  for (const auto& change : profile.schedule) {
    rate = change.what == Change::What::rate ? std::max(rate, change.value) : rate;
  }
  const double seconds = static_cast<double>((profile.delay + delivery_slack).count()) * 1e-9;
  return static_cast<std::size_t>(std::ceil(rate / 8 * seconds));
}

} // namespace

Link::Link(const Profile& profile, Time now)
    : profile_{profile}
    , ring_{profile.queue_bytes + bytes_in_flight(profile), profile.largest_packet}
    , loss_{profile.random_loss, profile.burst, profile.seed}
    , clock_{now}
    , rate_{profile.rate}
    , schedule_start_{now}
{}

Link::Work Link::work_of(std::size_t bytes)
{
  return static_cast<Work>(bytes) * 8 * 1'000'000'000;
}

void Link::arrive(Time now, std::size_t size)
{
  advance(now);
  ++counters_.offered_packets;
  counters_.offered_bytes += size;
  if (!serving_) {
    ring_.push(size);
    remaining_ = work_of(size);
    serving_ = true;
    return;
  }
  if (waiting_ + size > profile_.queue_bytes) {
    ++counters_.queue_drops;
    return;
  }
  ring_.push(size);
  waiting_ += size;
  counters_.peak_queue_bytes = std::max(counters_.peak_queue_bytes, waiting_);
}

std::optional<std::span<const std::byte>> Link::due(Time now)
{
  advance(now);
  while (ring_.head() != service_) {
    auto& record = ring_.at(ring_.head());
    if (!record.lost) {
      return record.due <= now ? std::optional<std::span<const std::byte>>{record.packet()} : std::nullopt;
    }
    ring_.pop();
  }
  return std::nullopt;
}

void Link::deliver()
{
  assert(ring_.head() != service_);
  ++counters_.delivered_packets;
  counters_.delivered_bytes += ring_.at(ring_.head()).size;
  ring_.pop();
}

std::optional<Time> Link::next_change() const
{
  if (schedule_index_ == profile_.schedule.size()) {
    return std::nullopt;
  }
  return schedule_start_ + profile_.schedule[schedule_index_].at;
}

std::optional<Time> Link::next_event()
{
  if (ring_.head() != service_) {
    return ring_.at(ring_.head()).due;
  }
  if (!serving_) {
    return std::nullopt;
  }
  const auto change = next_change();
  if (stalls_ > 0) {
    return change;
  }
  const Time delivery = clock_ + Time{(remaining_ + rate_ - 1) / rate_} + profile_.delay;
  return change ? std::min(*change, delivery) : delivery;
}

std::size_t Link::queued_bytes(Time now)
{
  advance(now);
  return waiting_;
}

void Link::restart_schedule(Time now)
{
  advance(now);
  rate_ = profile_.rate;
  loss_ = LossModel{profile_.random_loss, profile_.burst, profile_.seed};
  outages_ = 0;
  stalls_ = 0;
  schedule_start_ = now;
  schedule_index_ = 0;
}

void Link::advance(Time now)
{
  for (auto change = next_change(); change && *change <= now; change = next_change()) {
    serve(*change);
    apply(profile_.schedule[schedule_index_]);
    ++schedule_index_;
  }
  serve(now);
}

void Link::apply(const Change& change)
{
  switch (change.what) {
  case Change::What::rate:
    rate_ = static_cast<BitsPerSecond>(change.value);
    break;
  case Change::What::random_loss:
    loss_.set_random_loss(change.value);
    break;
  case Change::What::outage_begin:
    ++outages_;
    break;
  case Change::What::outage_end:
    --outages_;
    break;
  case Change::What::stall_begin:
    ++stalls_;
    break;
  case Change::What::stall_end:
    --stalls_;
    break;
  }
}

void Link::serve(Time until)
{
  while (serving_ && stalls_ == 0) {
    const Time needed{(remaining_ + rate_ - 1) / rate_};
    if (clock_ + needed > until) {
      remaining_ -= rate_ * std::max(until - clock_, Time{}).count();
      break;
    }
    clock_ += needed;
    // Less than a nanosecond's work was left over: it goes to the next packet, so that no error accumulates.
    const Work spare = rate_ * needed.count() - remaining_;
    leave_serialiser();
    if (serving_) {
      remaining_ -= spare;
    }
  }
  clock_ = std::max(clock_, until);
}

void Link::leave_serialiser()
{
  auto& record = ring_.at(service_);
  const bool lost_at_random = loss_.next_is_lost();
  record.lost = lost_at_random || outages_ > 0;
  record.due = clock_ + profile_.delay;
  counters_.outage_losses += outages_ > 0 ? 1 : 0;
  counters_.random_losses += outages_ == 0 && lost_at_random ? 1 : 0;
  service_ = ring_.after(service_);
  begin_service();
}

void Link::begin_service()
{
  serving_ = service_ != ring_.tail();
  if (serving_) {
    const auto size = ring_.at(service_).size;
    waiting_ -= size;
    remaining_ = work_of(size);
  }
}

} // namespace pepsal::satsim
