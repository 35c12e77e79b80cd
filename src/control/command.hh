#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pepsal {

// A command to the manager.
struct ControlCommand
{
  enum class Kind
  {
    reload,
    restart,
    drain, // `number` seconds of grace
    undrain,
    link, // `first`: the interface, `second`: its rate
    kill  // `number`: the connection's, `first`: its client, `second`: its server
  };

  Kind kind;
  std::uint32_t number{};
  std::string first{};
  std::string second{};

  bool operator==(const ControlCommand&) const = default;
};

// The words of a message, between blanks.
std::vector<std::string> control_words(std::string_view message);

// Throws std::runtime_error with one line if the words are no command.
ControlCommand parse_control_command(std::span<const std::string> words);

// The text of an answer "ok TEXT". Throws std::runtime_error with the text of any other answer.
std::string control_answer(std::string_view message);

} // namespace pepsal
