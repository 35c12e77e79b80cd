// Parses bursts and scheduled changes from the command line. Called once at start-up; what cannot be understood is a
// UsageError that names the word.

#include "satsim/profile.hh"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/core.h>

#include "satsim/numbers.hh"

namespace pepsal::satsim {

namespace {

constexpr double day_seconds = 86'400;
constexpr double most_mbit = 10'000;
constexpr double percent = 0.01;

Time seconds(double value)
{
  return Time{std::llround(value * 1e9)};
}

[[noreturn]] void reject(std::string_view word)
{
  throw UsageError{fmt::format("schedule: '{}' is not SECONDS:down|up|both:CHANGE, where CHANGE is rate=MBIT, "
                               "loss=PERCENT, outage=SECONDS or stall=SECONDS",
                               word)};
}

std::vector<Change> parse_change(std::string_view word, Time at, std::string_view what, std::string_view value)
{
  const auto number = [&](double least, double most) {
    return parse_number("schedule " + std::string{word}, value, least, most);
  };
  if (what == "rate") {
    return {{at, Change::What::rate, std::round(number(0.001, most_mbit) * 1e6)}};
  }
  if (what == "loss") {
    return {{at, Change::What::random_loss, number(0, 100) * percent}};
  }
  if (what == "outage" || what == "stall") {
    const Time end = at + seconds(number(0.001, day_seconds));
    const bool outage = what == "outage";
    return {{at, outage ? Change::What::outage_begin : Change::What::stall_begin, 0},
            {end, outage ? Change::What::outage_end : Change::What::stall_end, 0}};
  }
  reject(word);
}

void append(std::vector<Change>& schedule, const std::vector<Change>& changes)
{
  schedule.insert(schedule.end(), changes.begin(), changes.end());
}

void sort(std::vector<Change>& schedule)
{
  std::ranges::stable_sort(schedule, {}, &Change::at);
}

} // namespace

Schedules parse_schedule(std::string_view text)
{
  Schedules schedules;
  for (const auto word : split(text, " ,")) {
    if (word.empty()) {
      continue;
    }
    const auto parts = split(word, ":");
    if (parts.size() != 3) {
      reject(word);
    }
    const auto change = split(parts[2], "=");
    const bool both = parts[1] == "both";
    if (change.size() != 2 || !(both || parts[1] == "down" || parts[1] == "up")) {
      reject(word);
    }
    const Time at = seconds(parse_number("schedule " + std::string{word}, parts[0], 0, day_seconds));
    const auto changes = parse_change(word, at, change[0], change[1]);
    if (both || parts[1] == "down") {
      append(schedules.down, changes);
    }
    if (both || parts[1] == "up") {
      append(schedules.up, changes);
    }
  }
  sort(schedules.down);
  sort(schedules.up);
  return schedules;
}

BurstLoss parse_burst(std::string_view option, std::string_view text)
{
  const auto parts = split(text, ",");
  if (parts.size() < 2 || parts.size() > 4) {
    throw UsageError{fmt::format("{}: '{}' is not P,R[,BAD[,GOOD]] in percent", option, text)};
  }
  BurstLoss burst;
  const std::array<double*, 4> fields{&burst.good_to_bad, &burst.bad_to_good, &burst.loss_in_bad, &burst.loss_in_good};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    *fields.at(i) = parse_number(option, parts[i], 0, 100) * percent;
  }
  return burst;
}

} // namespace pepsal::satsim
