#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hh"

namespace pepsal {

// One option of the daemon, which is also a key of the configuration file.
struct Setting
{
  std::string_view group;      // heading in --help
  std::string names;           // as CLI11 takes them: "-p,--port"
  std::string type;            // of the value, for --help; empty for a flag, which takes true or false in the file
  std::string help;            // one sentence without its default
  std::string by_default = {}; // for --help; empty: not shown
  // Sets a value in the configuration that the settings belong to. Throws std::invalid_argument that quotes the value
  // and says what is allowed.
  std::function<void(const std::string& value)> set = {};
  bool repeatable = false;

  bool is_flag() const { return type.empty(); }
  std::string_view key() const; // the long name without its dashes
};

// All settings, in the order of --help. They write to `config`, which must outlive them.
std::vector<Setting> settings_of(Config& config);

} // namespace pepsal
