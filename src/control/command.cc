// Messages of the control socket, as text. Called by the manager with commands, and by pepsalctl with answers. What is
// malformed is refused with one line.

#include "control/command.hh"

#include <charconv>
#include <sstream>
#include <stdexcept>

#include <fmt/core.h>

namespace pepsal {

namespace {

using Kind = ControlCommand::Kind;

std::uint32_t parse_number(const std::string& word)
{
  std::uint32_t number = 0;
  const auto* const end = word.data() + word.size();
  const auto read = std::from_chars(word.data(), end, number);
  if (read.ec != std::errc{} || read.ptr != end) {
    throw std::runtime_error{fmt::format("'{}' is not a number", word)};
  }
  return number;
}

} // namespace

std::vector<std::string> control_words(std::string_view message)
{
  std::istringstream text{std::string{message}};
  std::vector<std::string> words;
  for (std::string word; text >> word;) {
    words.push_back(word);
  }
  return words;
}

ControlCommand parse_control_command(std::span<const std::string> words)
{
  const auto name = words.empty() ? std::string{} : words[0];
  if (name == "reload") {
    return {.kind = Kind::reload};
  }
  if (name == "restart") {
    return {.kind = Kind::restart};
  }
  if (name == "undrain") {
    return {.kind = Kind::undrain};
  }
  if (name == "drain" && words.size() == 2) {
    return {.kind = Kind::drain, .number = parse_number(words[1])};
  }
  if (name == "link" && words.size() == 3) {
    return {.kind = Kind::link, .first = words[1], .second = words[2]};
  }
  if (name == "kill" && words.size() == 4) {
    return {.kind = Kind::kill, .number = parse_number(words[1]), .first = words[2], .second = words[3]};
  }
  throw std::runtime_error{"this version knows no such command"};
}

std::string control_answer(std::string_view message)
{
  constexpr std::string_view ok = "ok ";
  if (message.starts_with(ok)) {
    return std::string{message.substr(ok.size())};
  }
  throw std::runtime_error{message.empty() ? "the daemon ended without an answer: see its log"
                                           : std::string{message.substr(message.find(' ') + 1)}};
}

} // namespace pepsal
