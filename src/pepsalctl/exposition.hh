#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace pepsal {

// Text in the exposition format of Prometheus, version 0.0.4.
class Exposition
{
public:
  // Opens a metric; the samples that follow are its own.
  void begin(std::string_view name, std::string_view type, std::string_view help);

  // `labels` as label() makes them, with commas between; empty for none.
  void sample(std::string_view labels, std::uint64_t value);

  // A histogram of `values`, with buckets of these rising upper bounds and the one for all.
  void histogram(std::string_view labels, std::span<const double> values, std::span<const double> bounds);

  const std::string& text() const { return text_; }

private:
  std::string name_;
  std::string text_;
};

// `name="value"`, with what would end the value escaped.
std::string label(std::string_view name, std::string_view value);

} // namespace pepsal
