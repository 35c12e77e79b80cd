#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pepsal {

// Figures for human readers, five characters at most.
std::string short_bytes(std::uint64_t bytes);               // "0", "999", "1.0k", "12.3M", "120G"; powers of 1000
std::string short_time(std::chrono::duration<double> time); // "0.1s", "12s", "5m", "3h", "8d"

// Rows of a table under their headings, with columns as wide as necessary.
class Columns
{
public:
  enum class Side
  {
    left,
    right
  };

  void add_column(std::string heading, Side side);
  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  // Lines of the table, headings first.
  std::vector<std::string> lines() const;

private:
  struct Column
  {
    std::string heading;
    Side side;
  };

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_; // each with one cell per column
};

} // namespace pepsal
