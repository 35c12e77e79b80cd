// Figures and tables for human readers. Nothing here can fail.

#include "pepsalctl/text.hh"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace pepsal {

std::string short_bytes(std::uint64_t bytes)
{
  constexpr double step = 1000;
  constexpr std::array units{"k", "M", "G", "T", "P", "E"};
  if (bytes < static_cast<std::uint64_t>(step)) {
    return std::to_string(bytes);
  }
  auto value = static_cast<double>(bytes) / step;
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < units.size(); ++unit) {
    value /= step;
  }
  return fmt::format("{:.{}f}{}", value, value < 99.95 ? 1 : 0, units.at(unit));
}

std::string short_time(std::chrono::duration<double> time)
{
  struct Unit
  {
    double seconds;
    const char* name;
  };
  constexpr std::array units{Unit{86400, "d"}, Unit{3600, "h"}, Unit{60, "m"}};
  const auto seconds = std::max(time.count(), 0.0);
  for (const auto& unit : units) {
    if (seconds >= 2 * unit.seconds) {
      return fmt::format("{}{}", static_cast<std::uint64_t>(seconds / unit.seconds), unit.name);
    }
  }
  return seconds < 9.95 ? fmt::format("{:.1f}s", seconds) : fmt::format("{:.0f}s", seconds);
}

void Columns::add_column(std::string heading, Side side)
{
  columns_.push_back({.heading = std::move(heading), .side = side});
}

std::vector<std::string> Columns::lines() const
{
  std::vector<std::size_t> widths;
  std::vector<std::string> headings;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    headings.push_back(columns_[i].heading);
    widths.push_back(columns_[i].heading.size());
    for (const auto& row : rows_) {
      widths[i] = std::max(widths[i], row.at(i).size());
    }
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string result;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      result += i == 0 ? "" : " ";
      result += columns_[i].side == Side::left ? fmt::format("{:<{}}", cells[i], widths[i])
                                               : fmt::format("{:>{}}", cells[i], widths[i]);
    }
    result.erase(result.find_last_not_of(' ') + 1);
    return result;
  };
  std::vector<std::string> result{line(headings)};
  std::transform(rows_.begin(), rows_.end(), std::back_inserter(result), line);
  return result;
}

} // namespace pepsal
