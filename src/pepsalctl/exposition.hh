#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pepsal {

// Text in the Prometheus exposition format, version 0.0.4.
class Exposition
{
public:
  // Begins a metric; the following samples belong to it.
  void begin(std::string_view name, std::string_view type, std::string_view help);

  // `labels` as label() formats them, separated by commas; empty for none.
  void sample(std::string_view labels, std::uint64_t value);

  // A histogram of `values`, with buckets of these increasing upper bounds and +Inf.
  void histogram(std::string_view labels, std::span<const double> values, std::span<const double> bounds);

  const std::string& text() const { return text_; }

private:
  std::string name_;
  std::string text_;
};

// `name="value"`, with the value escaped.
std::string label(std::string_view name, std::string_view value);

} // namespace pepsal
