#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace pepsal {

// Help of at most 80 columns: names and value, or a command, then what it does, then the default.
class HelpFormatter : public CLI::Formatter
{
public:
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

} // namespace pepsal
