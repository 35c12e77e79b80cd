// Counts each client's entries. Called by a queuer for each SYN; cannot fail.

#include "queuer/census.hh"

#include <cstring>

namespace pepsal {

ClientCensus::Key ClientCensus::key_of(const Endpoint& client)
{
  std::array<std::uint64_t, 2> halves{};
  static_assert(sizeof halves == sizeof client.address);
  std::memcpy(halves.data(), client.address.data(), sizeof halves);
  return client.is_ipv4() ? halves[1] : halves[0];
}

bool ClientCensus::has_room(const Endpoint& client, std::uint32_t most, Time now)
{
  return is_below(client, &Count::entries, most, now);
}

bool ClientCensus::has_room_to_wait(const Endpoint& client, Time now)
{
  return is_below(client, &Count::pending, most_waiting, now);
}

bool ClientCensus::is_below(const Endpoint& client, std::uint32_t Count::*figure, std::uint32_t most, Time now)
{
  if (!counted_once_ || now - taken_ >= longest_age) {
    take(now);
  }
  const auto count = [&] {
    const auto found = counts_.find(key_of(client));
    return found == counts_.end() ? 0 : found->second.*figure;
  };
  if (count() >= most && now - taken_ >= shortest_age) {
    take(now); // some of them may have ended
  }
  return count() < most;
}

void ClientCensus::take(Time now)
{
  counts_.clear();
  table_.for_each([this](const TableEntry& entry) { add(entry.connection.client, entry.state == SlotState::pending); });
  taken_ = now;
  counted_once_ = true;
}

void ClientCensus::add(const Endpoint& client, bool pending)
{
  auto& count = counts_[key_of(client)];
  ++count.entries;
  count.pending += pending ? 1 : 0;
}

bool ClientCensus::is_news(const Endpoint& client, Time now)
{
  constexpr std::size_t most_remembered = 1000;
  constexpr auto interval = std::chrono::minutes{1};
  std::erase_if(told_, [&](const auto& told) { return now - told.second >= interval; });
  return told_.size() < most_remembered && told_.try_emplace(key_of(client), now).second;
}

} // namespace pepsal
