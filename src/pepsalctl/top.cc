// pepsalctl top: connections and their rates, refreshed every second, until q. Fails with one line if there is no
// terminal, or when the daemon ends.

#include <algorithm>
#include <array>
#include <chrono>
#include <clocale>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <unistd.h>

#define NCURSES_NOMACROS
#include <curses.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/rates.hh"
#include "pepsalctl/text.hh"

namespace pepsal {

namespace {

constexpr int refresh_ms = 1000;
constexpr double bits_a_byte = 8;

struct EndScreen
{
  void operator()(SCREEN* screen) const
  {
    ::endwin();
    ::delscreen(screen);
  }
};

// Takes the terminal during its lifetime and restores the screen at the end, also after an exception.
std::unique_ptr<SCREEN, EndScreen> take_terminal()
{
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    throw std::runtime_error{"top needs a terminal; list prints the connections once"};
  }
  std::setlocale(LC_ALL, "");
  std::unique_ptr<SCREEN, EndScreen> screen{::newterm(nullptr, stdout, stdin)};
  if (!screen) {
    throw std::runtime_error{"this terminal is not known (TERM); list prints the connections once"};
  }
  ::cbreak();
  ::noecho();
  ::curs_set(0);
  ::keypad(stdscr, true);
  ::wtimeout(stdscr, refresh_ms);
  return screen;
}

std::string bit_rate(double bytes_per_second)
{
  return short_bytes(static_cast<std::uint64_t>(bytes_per_second * bits_a_byte));
}

// The order of rows: by rates where list uses sums.
bool stands_above(const MovingConnection& one, const MovingConnection& other, const Selection& selection)
{
  if (selection.sort == Column::up) {
    return one.up > other.up;
  }
  if (selection.sort == Column::down) {
    return one.down > other.down;
  }
  return selection.puts_first(one.connection, other.connection);
}

std::vector<std::string> lines_of(std::vector<MovingConnection> connections, const Selection& selection,
                                  std::size_t most)
{
  std::stable_sort(connections.begin(), connections.end(),
                   [&selection](const auto& one, const auto& other) { return stands_above(one, other, selection); });
  connections.resize(std::min(connections.size(), most));
  std::vector<ShownConnection> shown;
  std::vector<RateTexts> rates;
  for (auto& [connection, up, down] : connections) {
    rates.push_back({.up = bit_rate(up), .down = bit_rate(down)});
    shown.push_back(std::move(connection));
  }
  return list_lines(shown, selection.leg, rates);
}

// "open 12, connecting 1, pending 0; up 1.2M, down 40.1M bit/s".
std::string summary_of(const Rates::Look& look)
{
  std::array<std::size_t, 3> states{};
  double up = 0;
  double down = 0;
  for (const auto& [connection, its_up, its_down] : look.connections) {
    const auto state = connection.entry.state;
    ++states.at(state == SlotState::open ? 0 : state == SlotState::connecting ? 1 : 2);
    up += its_up;
    down += its_down;
  }
  return fmt::format("connections: {} open, {} connecting, {} pending; up {}, down {} bit/s", states[0], states[1],
                     states[2], bit_rate(up), bit_rate(down));
}

// "link sat0: 9.6M of 10.0M bit/s (96%), 12.3k bytes wait"; if there are several links, the same for each.
std::string links_of(const Rates::Look& look)
{
  std::string result;
  for (const auto& [shaper, sent] : look.links) {
    result += fmt::format("{}{}: {}", result.empty() ? "link " : "; ", shaper.interface, bit_rate(sent));
    if (shaper.rate > 0) {
      const auto rate = static_cast<double>(shaper.rate);
      constexpr double percent = 100;
      result += fmt::format(" of {} bit/s ({:.0f}%)", bit_rate(rate), percent * sent / rate);
    }
    result += fmt::format(", {} bytes wait", short_bytes(shaper.queued_bytes));
  }
  return result.empty() ? "no interface has a shaper (pepsal-satlink)" : result;
}

void put_line(int row, const std::string& text, attr_t attributes = A_NORMAL)
{
  ::attrset(static_cast<int>(attributes));
  ::mvaddnstr(row, 0, text.c_str(), COLS);
}

void draw(const Rates::Look& look, const Selection& selection)
{
  constexpr int lines_of_head = 3;
  constexpr int lines_of_foot = 1;
  ::erase();
  put_line(0, summary_of(look));
  put_line(1, links_of(look));
  const auto room = std::max(LINES - lines_of_head - lines_of_foot, 0);
  int row = lines_of_head - 1;
  for (const auto& line : lines_of(look.connections, selection, static_cast<std::size_t>(room))) {
    put_line(row, line, row == lines_of_head - 1 ? A_REVERSE : A_NORMAL);
    ++row;
  }
  put_line(LINES - 1, fmt::format("sorted by {}; < and > choose the column, q quits",
                                  column_names.at(static_cast<std::size_t>(selection.sort))));
  ::refresh();
}

// Returns whether to continue.
bool obey(int key, Selection& selection)
{
  const auto last = column_names.size() - 1;
  auto column = static_cast<std::size_t>(selection.sort);
  switch (key) {
  case 'q':
  case 'Q':
    return false;
  case '<':
  case KEY_LEFT:
    column = column == 0 ? last : column - 1;
    break;
  case '>':
  case KEY_RIGHT:
    column = column == last ? 0 : column + 1;
    break;
  default: // also KEY_RESIZE: LINES and COLS are updated already
    break;
  }
  selection.sort = static_cast<Column>(column);
  return true;
}

} // namespace

void top(const CommandOptions& line)
{
  auto selection = line.selection;
  Rates rates;
  static_cast<void>(open_running(line.instance)); // an immediate failure should come before the screen is taken
  const auto screen = take_terminal();
  Rates::Look look;
  auto due = Rates::Clock::now();
  for (bool goes_on = true; goes_on;) {
    if (const auto now = Rates::Clock::now(); now >= due) {
      const auto segment = open_running(line.instance);
      look = rates.next(selection.of(connections_of(segment)), shapers(), now);
      due = now + std::chrono::milliseconds{refresh_ms};
    }
    draw(look, selection);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Rates::Clock::now()).count();
    ::wtimeout(stdscr, static_cast<int>(std::max<std::int64_t>(left, 1)));
    goes_on = obey(::wgetch(stdscr), selection);
  }
}

} // namespace pepsal
