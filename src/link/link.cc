// The notation of a satellite link. Used for the file and the command line, whichever program reads them. A word that
// is not allowed throws std::invalid_argument; the caller adds its place.

#include "link/link.hh"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include <fmt/core.h>

namespace pepsal {

namespace {

constexpr double least_mbit = 0.01;
constexpr double most_mbit = 10'000;
constexpr int most_round_trip_ms = 10'000;
constexpr double most_loss_percent = 50;
constexpr std::size_t longest_interface = 15; // IFNAMSIZ without the zero, netdevice(7)

[[noreturn]] void refuse(const std::string& message)
{
  throw std::invalid_argument{message};
}

std::vector<std::string_view> words_of(std::string_view text)
{
  constexpr std::string_view blanks = " \t";
  std::vector<std::string_view> words;
  for (auto begin = text.find_first_not_of(blanks); begin != std::string_view::npos;) {
    const auto end = std::min(text.find_first_of(blanks, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = text.find_first_not_of(blanks, end);
  }
  return words;
}

std::string checked_interface(std::string_view word)
{
  if (word.size() > longest_interface || word.find_first_of("/=\"'") != std::string_view::npos ||
      word.starts_with('-')) {
    refuse(fmt::format("'{}' is not an interface's name, which comes first: {} characters at most, without '/' or '='",
                       word, longest_interface));
  }
  if (word == "lo") {
    refuse("'lo' is the box itself and leads to no satellite");
  }
  return std::string{word};
}

double parse_mbit(std::string_view word, std::string_view whole)
{
  double mbit = 0;
  const auto* const end = word.data() + word.size();
  const auto [stopped, error] = std::from_chars(word.data(), end, mbit, std::chars_format::fixed);
  if (error == std::errc::invalid_argument || stopped != end || word.starts_with('-')) {
    refuse(
        fmt::format("'{}' is not rate=DOWN/UP in Mbit/s, towards the users and from them, such as rate=50/10", whole));
  }
  if (!(mbit >= least_mbit && mbit <= most_mbit)) {
    refuse(fmt::format("'{}': {} is not from {} to {} Mbit/s", whole, word, least_mbit, most_mbit));
  }
  return mbit;
}

void set_rate(Link& link, std::string_view value, std::string_view word)
{
  const auto slash = std::min(value.find('/'), value.size());
  const auto down = parse_mbit(value.substr(0, slash), word);
  link.up_mbit = parse_mbit(slash < value.size() ? value.substr(slash + 1) : std::string_view{}, word);
  link.down_mbit = down;
}

void set_round_trip(Link& link, std::string_view value, std::string_view word)
{
  int milliseconds = 0;
  const auto* const end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, milliseconds);
  if (error != std::errc{} || stopped != end || milliseconds < 1 || milliseconds > most_round_trip_ms) {
    refuse(fmt::format("'{}' is not rtt=MS with a number from 1 to {}", word, most_round_trip_ms));
  }
  link.round_trip = std::chrono::milliseconds{milliseconds};
}

void set_side(Link& link, std::string_view value, std::string_view word)
{
  for (const auto side : {Link::Side::gateway, Link::Side::terminal}) {
    if (value == name_of(side)) {
      link.side = side;
      return;
    }
  }
  refuse(fmt::format("'{}' is not side=gateway or side=terminal, where this box is", word));
}

void set_loss(Link& link, std::string_view value, std::string_view word)
{
  double percent = 0;
  const auto* const end = value.data() + value.size();
  const auto [stopped, error] = std::from_chars(value.data(), end, percent, std::chars_format::fixed);
  if (error != std::errc{} || stopped != end || !(percent >= 0 && percent <= most_loss_percent)) {
    refuse(fmt::format("'{}' is not loss=PERCENT with a number from 0 to {}", word, most_loss_percent));
  }
  link.loss_percent = percent;
}

// One row for each attribute.
struct Attribute
{
  std::string_view key;
  void (*set)(Link&, std::string_view value, std::string_view word);
};
constexpr Attribute attributes[]{{"rate", set_rate}, {"rtt", set_round_trip}, {"side", set_side}, {"loss", set_loss}};

void set_attribute(Link& link, std::string_view word, std::vector<std::string_view>& seen)
{
  const auto equals = word.find('=');
  const auto key = word.substr(0, equals);
  const auto* const attribute =
      std::find_if(std::begin(attributes), std::end(attributes), [&](const auto& row) { return row.key == key; });
  if (equals == std::string_view::npos || attribute == std::end(attributes)) {
    refuse(fmt::format("'{}' is not one of rate=DOWN/UP, rtt=MS, side=gateway|terminal, loss=PERCENT", word));
  }
  if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
    refuse(fmt::format("'{}' contradicts an earlier {}= of the same link", word, key));
  }
  seen.push_back(key);
  attribute->set(link, word.substr(equals + 1), word);
}

} // namespace

std::string_view name_of(Link::Side side)
{
  return side == Link::Side::gateway ? "gateway" : "terminal";
}

std::string to_string(const Link& link)
{
  auto text = link.interface;
  if (link.has_rates()) {
    text += fmt::format(" rate={}/{}", link.down_mbit, link.up_mbit);
  }
  if (link.round_trip.count() > 0) {
    text += fmt::format(" rtt={}", link.round_trip.count());
  }
  if (link.side) {
    text += fmt::format(" side={}", name_of(*link.side));
  }
  if (link.loss_percent > 0) {
    text += fmt::format(" loss={}", link.loss_percent);
  }
  return text;
}

void add_link(std::vector<Link>& links, std::string_view text)
{
  const auto words = words_of(text);
  if (words.empty()) {
    refuse("no interface is named: IFACE rate=DOWN/UP rtt=MS side=gateway|terminal");
  }
  const auto interface = checked_interface(words.front());
  const auto* const known = find_link(links, interface);
  Link link = known != nullptr ? *known : Link{};
  link.interface = interface;
  std::vector<std::string_view> seen;
  for (std::size_t i = 1; i < words.size(); ++i) {
    set_attribute(link, words[i], seen);
  }
  if (known != nullptr) {
    links[static_cast<std::size_t>(known - links.data())] = std::move(link);
  } else {
    links.push_back(std::move(link));
  }
}

void require_complete(const std::vector<Link>& links)
{
  for (const auto& link : links) {
    const int given = int{link.has_rates()} + int{link.round_trip.count() > 0} + int{link.side.has_value()};
    if ((given != 0 || link.loss_percent > 0) && given != 3) {
      const auto* missing = !link.has_rates()              ? "rate=DOWN/UP"
                            : link.round_trip.count() == 0 ? "rtt=MS"
                                                           : "side=gateway|terminal";
      refuse(fmt::format("'{}' lacks {}: rate, rtt and side go together", to_string(link), missing));
    }
  }
}

const Link* find_link(const std::vector<Link>& links, std::string_view interface)
{
  const auto found =
      std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.interface == interface; });
  return found == links.end() ? nullptr : &*found;
}

} // namespace pepsal
