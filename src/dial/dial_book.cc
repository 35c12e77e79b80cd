// What the dialler remembers about its dials. Nothing here uses the kernel or the clock; it only fails without memory.

#include "dial/dial_book.hh"

#include <algorithm>

namespace pepsal {

DialBook::Dial& DialBook::add(Dial dial)
{
  const auto ends = dial.ends;
  auto& kept = dials_.insert_or_assign(ends, std::move(dial)).first->second;
  connecting_.emplace(kept.socket.number(), &kept);
  connecting_order_.push_back({kept.deadline, ends});
  return kept;
}

void DialBook::set_accepted(Dial& dial, TimePoint deadline)
{
  connecting_.erase(dial.socket.number());
  dial.accepted = true;
  dial.deadline = deadline;
  accepted_order_.push_back({deadline, dial.ends});
}

void DialBook::erase(Dial& dial)
{
  if (!dial.accepted) {
    connecting_.erase(dial.socket.number());
  }
  const auto ends = dial.ends; // the key must outlive the dial
  dials_.erase(ends);
}

DialBook::Dial* DialBook::find(const Ends& ends)
{
  const auto place = dials_.find(ends);
  return place != dials_.end() ? &place->second : nullptr;
}

DialBook::Dial* DialBook::find_connecting(int descriptor)
{
  const auto place = connecting_.find(descriptor);
  return place != connecting_.end() ? place->second : nullptr;
}

// The first dial of this order whose deadline is still the recorded one; outdated entries before it are removed.
DialBook::Dial* DialBook::first(Order& order)
{
  for (; !order.empty(); order.pop_front()) {
    auto* const dial = find(order.front().ends);
    if (dial != nullptr && dial->deadline == order.front().at && dial->accepted == (&order == &accepted_order_)) {
      return dial;
    }
  }
  return nullptr;
}

DialBook::Dial* DialBook::due(TimePoint now)
{
  for (auto* order : {&connecting_order_, &accepted_order_}) {
    if (auto* const dial = first(*order); dial != nullptr && dial->deadline <= now) {
      return dial;
    }
  }
  return nullptr;
}

DialBook::Dial* DialBook::oldest_accepted()
{
  return first(accepted_order_);
}

std::optional<DialBook::TimePoint> DialBook::next_deadline() const
{
  std::optional<TimePoint> next;
  for (const auto* order : {&connecting_order_, &accepted_order_}) {
    if (!order->empty()) {
      next = std::min(next.value_or(TimePoint::max()), order->front().at);
    }
  }
  return next;
}

} // namespace pepsal
