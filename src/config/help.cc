// The layout of --help, for which CLI11 calls it option by option and command by command; and CLI11's errors in our
// words. Cannot fail.

#include "config/help.hh"

#include <string_view>

#include <fmt/core.h>

namespace pepsal {

namespace {

constexpr std::size_t width = 80;
constexpr std::size_t indent = 2;
constexpr std::size_t description_column = 32;

// Wraps words into the description's column; the text of the first line up to that column is already there.
std::string wrap(std::string_view text)
{
  std::string result;
  std::size_t column = description_column;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    if (column > description_column && column + 1 + word.size() > width) {
      result += fmt::format("\n{:{}}", "", description_column);
      column = description_column;
    }
    if (column > description_column) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return result;
}

// What is explained, followed by the explanation in the description's column.
std::string entry(const std::string& head, std::string_view text)
{
  constexpr std::size_t gap = 2;
  if (head.size() + gap > description_column) {
    return fmt::format("{}\n{:{}}{}\n", head, "", description_column, wrap(text));
  }
  return fmt::format("{:<{}}{}\n", head, description_column, wrap(text));
}

} // namespace

std::string HelpFormatter::make_subcommand(const CLI::App* command) const
{
  return entry(fmt::format("{:{}}{}", "", indent, command->get_name()), command->get_description());
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const
{
  auto head = fmt::format("{:{}}{}", "", indent, option->get_name(is_positional, !is_positional));
  if (option->get_type_size() != 0) {
    head += " " + option->get_type_name();
  }
  auto text = option->get_description();
  if (!option->get_default_str().empty()) {
    text += fmt::format(" (default {})", option->get_default_str());
  }
  return entry(head, text);
}

UsageError usage_error_of(const CLI::ParseError& error)
{
  const std::string_view text = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return UsageError{fmt::format("{}: needs a value", text.substr(0, text.find_first_of(": ")))};
  }
  return UsageError{std::string{text.substr(0, text.find('\n'))}};
}

} // namespace pepsal
