// The Prometheus text format. Called by metrics. Nothing here can fail.

#include "pepsalctl/exposition.hh"

#include <algorithm>
#include <iterator>
#include <numeric>

#include <fmt/format.h>

namespace pepsal {

void Exposition::begin(std::string_view name, std::string_view type, std::string_view help)
{
  name_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void Exposition::sample(std::string_view labels, std::uint64_t value)
{
  const auto* format = labels.empty() ? "{}{} {}\n" : "{}{{{}}} {}\n";
  fmt::format_to(std::back_inserter(text_), fmt::runtime(format), name_, labels, value);
}

void Exposition::histogram(std::string_view labels, std::span<const double> values, std::span<const double> bounds)
{
  const auto out = std::back_inserter(text_);
  for (const double bound : bounds) {
    const auto below = std::count_if(values.begin(), values.end(), [bound](double value) { return value <= bound; });
    fmt::format_to(out, "{}_bucket{{{},le=\"{}\"}} {}\n", name_, labels, bound, below);
  }
  fmt::format_to(out, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name_, labels, values.size());
  fmt::format_to(out, "{}_sum{{{}}} {}\n", name_, labels, std::accumulate(values.begin(), values.end(), 0.0));
  fmt::format_to(out, "{}_count{{{}}} {}\n", name_, labels, values.size());
}

std::string label(std::string_view name, std::string_view value)
{
  std::string result{name};
  result += "=\"";
  for (const char letter : value) {
    if (letter == '\n') {
      result += "\\n";
      continue;
    }
    if (letter == '"' || letter == '\\') {
      result += '\\';
    }
    result += letter;
  }
  result += '"';
  return result;
}

} // namespace pepsal
