#pragma once

#include <string>
#include <vector>

namespace pepsal {

// One line of a configuration file: "key = value".
struct FileEntry
{
  unsigned line;
  std::string key;
  std::string value; // without enclosing quotes
};

// The entries of a configuration file. '#' begins a comment, at the beginning of a line or after a blank. Throws
// UsageError naming file and line if a line is malformed or the file is not text; without the line if the file cannot
// be read.
std::vector<FileEntry> read_config_file(const std::string& path);

} // namespace pepsal
