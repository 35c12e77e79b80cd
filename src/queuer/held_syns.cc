// SYNs whose verdict waits for their server's answer. Used only by a queuer. Whatever happens to the dialler, each gets
// its verdict: with an answer, with the news that the dialler is lost, or when its time is over.

#include "queuer/held_syns.hh"

#include <utility>

namespace pepsal {

namespace {

// The dialler's own patience ends earlier; this is for a dialler that hangs.
constexpr auto longest_wait = std::chrono::seconds{4};
// While the client retransmits its SYN (RFC 6298 section 5.5: after one second, then twice as long each time).
constexpr auto refusal_holds = std::chrono::seconds{10};
constexpr std::size_t most_refusals = 4 * HeldSyns::most;

} // namespace

HeldSyns::HeldSyns(FileDescriptor dialler)
    : dialler_{std::move(dialler)}
    , next_number_{static_cast<Number>(std::chrono::steady_clock::now().time_since_epoch().count())}
{
  send_object(dialler_.number(), DialRequest{.generation = 0, .number = 0, .connection = {}}); // is there one?
}

bool HeldSyns::replace(const Connection& connection, Verdict& verdict, std::uint32_t mark)
{
  const auto number = numbers_.find(ends_of(connection));
  if (number == numbers_.end()) {
    return false;
  }
  auto node = held_.extract(number->second);
  auto older = std::move(node.mapped());
  older.verdict.drop();
  held_.emplace(
      number->second,
      Held{.verdict = std::move(verdict), .mark = mark, .connection = older.connection, .entry = older.entry});
  return true;
}

bool HeldSyns::was_refused(const Connection& connection, Time now)
{
  forget_refusals(now);
  return refused_.contains(ends_of(connection));
}

bool HeldSyns::hold(Held& held, Time now)
{
  auto& of_client = of_client_[ClientCensus::key_of(held.connection.client)];
  const bool has_room = generation_ != 0 && held_.size() < most && of_client < most_of_a_client;
  if (!has_room ||
      !send_object(dialler_.number(),
                   DialRequest{.generation = generation_, .number = next_number_, .connection = held.connection})) {
    if (of_client == 0) {
      of_client_.erase(ClientCensus::key_of(held.connection.client));
    }
    return false;
  }
  ++of_client;
  numbers_.emplace(ends_of(held.connection), next_number_);
  deadlines_.emplace_back(now + longest_wait, next_number_);
  held_.emplace(next_number_, std::move(held));
  ++next_number_;
  return true;
}

void HeldSyns::settle(Time now, const Settle& settle)
{
  while (const auto received = receive_answer(dialler_.number())) {
    if (received->closed) {
      dialler_.close();
      generation_ = 0;
      give_all(settle);
      break;
    }
    obey(received->answer, now, settle);
  }
  for (; !deadlines_.empty() && deadlines_.front().first <= now; deadlines_.pop_front()) {
    give(deadlines_.front().second, Outcome::not_served, settle);
  }
}

void HeldSyns::obey(const DialAnswer& answer, Time now, const Settle& settle)
{
  switch (answer.kind) {
  case DialAnswer::Kind::ready:
    generation_ = answer.number;
    break;
  case DialAnswer::Kind::lost:
    generation_ = 0;
    give_all(settle);
    break;
  case DialAnswer::Kind::accepted:
  case DialAnswer::Kind::not_asked:
    give(answer.number, Outcome::intercept, settle);
    break;
  case DialAnswer::Kind::failed:
    if (const auto place = held_.find(answer.number); place != held_.end()) {
      remember_refusal(place->second.connection, now);
      give(answer.number, Outcome::refused, settle);
    }
    break;
  case DialAnswer::Kind::no_room:
    give(answer.number, Outcome::not_served, settle);
    break;
  }
}

// Does nothing if it already has its verdict.
void HeldSyns::give(Number number, Outcome outcome, const Settle& settle)
{
  auto node = held_.extract(number);
  if (node.empty()) {
    return;
  }
  const auto& connection = node.mapped().connection;
  numbers_.erase(ends_of(connection));
  if (const auto count = of_client_.find(ClientCensus::key_of(connection.client)); --count->second == 0) {
    of_client_.erase(count);
  }
  settle(std::move(node.mapped()), outcome);
}

void HeldSyns::give_all(const Settle& settle)
{
  while (!held_.empty()) {
    give(held_.begin()->first, Outcome::not_served, settle);
  }
}

void HeldSyns::remember_refusal(const Connection& connection, Time now)
{
  forget_refusals(now);
  if (refused_.size() < most_refusals) {
    const auto until = now + refusal_holds;
    refused_.insert_or_assign(ends_of(connection), until);
    refusals_.emplace_back(until, ends_of(connection));
  }
}

void HeldSyns::forget_refusals(Time now)
{
  for (; !refusals_.empty() && refusals_.front().first <= now; refusals_.pop_front()) {
    const auto place = refused_.find(refusals_.front().second);
    if (place != refused_.end() && place->second == refusals_.front().first) {
      refused_.erase(place);
    }
  }
}

std::optional<HeldSyns::Time> HeldSyns::deadline() const
{
  return deadlines_.empty() ? std::nullopt : std::optional{deadlines_.front().first};
}

} // namespace pepsal
