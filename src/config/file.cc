// Reads the configuration file into keys and values; the settings interpret them. Called at the start and on SIGHUP.
// Fails on the first malformed line, with specific messages for what editors and file transfers leave behind.

#include "config/file.hh"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include <fmt/core.h>

#include "util/usage_error.hh"

namespace pepsal {

namespace {

constexpr std::string_view blanks = " \t";

std::string_view trim(std::string_view text)
{
  const auto begin = text.find_first_not_of(blanks);
  return begin == std::string_view::npos ? std::string_view{}
                                         : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::string_view without_comment(std::string_view line)
{
  for (auto hash = line.find('#'); hash != std::string_view::npos; hash = line.find('#', hash + 1)) {
    if (hash == 0 || blanks.find(line[hash - 1]) != std::string_view::npos) {
      return line.substr(0, hash);
    }
  }
  return line;
}

std::string_view without_quotes(std::string_view value)
{
  const bool quoted =
      value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\'');
  return quoted ? value.substr(1, value.size() - 2) : value;
}

class FileReader
{
public:
  explicit FileReader(const std::string& path)
      : path_{path}
  {}

  std::vector<FileEntry> read()
  {
    auto stream = open();
    std::vector<FileEntry> entries;
    for (std::string text; std::getline(stream, text);) {
      ++line_;
      require_text(text);
      if (const auto said = trim(without_comment(text)); !said.empty()) {
        entries.push_back(entry_of(said));
      }
    }
    if (stream.bad()) {
      throw UsageError{fmt::format("{}: {}", path_, std::strerror(errno))};
    }
    return entries;
  }

private:
  std::ifstream open() const
  {
    std::error_code ignored;
    if (std::filesystem::is_directory(path_, ignored)) {
      throw UsageError{fmt::format("{}: is a folder; --config takes a file", path_)};
    }
    std::ifstream stream{path_};
    if (!stream) {
      throw UsageError{fmt::format("{}: {}", path_, std::strerror(errno))};
    }
    return stream;
  }

  [[noreturn]] void refuse(const std::string& message) const
  {
    throw UsageError{fmt::format("{}:{}: {}", path_, line_, message)};
  }

  void require_text(std::string_view text) const
  {
    if (line_ == 1 && text.starts_with("\xef\xbb\xbf")) {
      refuse("begins with a byte-order mark; save the file as UTF-8 without one");
    }
    if (text.ends_with('\r')) {
      refuse("ends in a carriage return; lines end in a line feed alone (sed -i 's/\\r$//' corrects that)");
    }
    const auto* const control =
        std::find_if(text.begin(), text.end(), [](unsigned char c) { return c < ' ' && c != '\t'; });
    if (control != text.end()) {
      refuse(fmt::format("byte {:#04x} is not text; a line is 'key = value'", static_cast<unsigned char>(*control)));
    }
  }

  FileEntry entry_of(std::string_view said) const
  {
    const auto equals = said.find('=');
    if (said.starts_with('[')) {
      refuse(fmt::format("'{}': there are no sections; a line is 'key = value'", said));
    }
    const auto key = trim(said.substr(0, equals));
    if (equals == std::string_view::npos || key.empty() || key.find_first_of(blanks) != std::string_view::npos) {
      refuse(fmt::format("'{}' is not 'key = value'", said));
    }
    return {
        .line = line_, .key = std::string{key}, .value = std::string{without_quotes(trim(said.substr(equals + 1)))}};
  }

  const std::string& path_;
  unsigned line_{};
};

} // namespace

std::vector<FileEntry> read_config_file(const std::string& path)
{
  return FileReader{path}.read();
}

} // namespace pepsal
