#pragma once

#include <string>
#include <vector>

namespace pepsal {

// One line of a configuration file: "key = value".
struct FileEntry
{
  unsigned line;
  std::string key;
  std::string value; // without the quotes that may stand around it
};

// The lines of a configuration file that say something. '#' begins a comment, at the beginning of a line or behind a
// blank. Throws UsageError naming file and line when one is no such line or the file is no text; without the line when
// the file cannot be read.
std::vector<FileEntry> read_config_file(const std::string& path);

} // namespace pepsal
