#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "util/usage_error.hh"

namespace pepsal {

// Help of at most 80 columns: names and value, or a command, then what it does, then the default.
class HelpFormatter : public CLI::Formatter
{
public:
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

// The error that CLI11 found in a command line, in one line.
UsageError usage_error_of(const CLI::ParseError& error);

} // namespace pepsal
