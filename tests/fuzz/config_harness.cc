// Fuzzes what the administrator writes: the bytes are a configuration file and, after a line "--", words of a command
// line, one a line. Either everything is refused with one line, or it has a meaning that can be printed, and the same
// meaning when parsed again.

#include <array>
#include <string>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/command_line.hh"
#include "config/report.hh"
#include "harness.hh"
#include "link/figures.hh"
#include "util/file_descriptor.hh"
#include "util/system_error.hh"

using namespace pepsal;
using namespace pepsal::test;

namespace {

class MemoryFile
{
public:
  explicit MemoryFile(std::string_view text)
      : memory_{check("memfd_create", ::memfd_create("config", MFD_CLOEXEC))}
      , path_{fmt::format("/proc/self/fd/{}", memory_.number())}
  {
    check("write", ::write(memory_.number(), text.data(), text.size()));
  }

  const std::string& path() const { return path_; }

private:
  FileDescriptor memory_;
  std::string path_;
};

// A word that names another file would make that be read.
bool may_stand(std::string_view word)
{
  return !word.starts_with("--conf");
}

std::vector<std::string> words_of(std::string_view lines)
{
  std::vector<std::string> words;
  while (!lines.empty()) {
    const auto end = std::min(lines.find('\n'), lines.size());
    if (const auto word = lines.substr(0, end); may_stand(word)) {
      words.emplace_back(word.substr(0, word.find('\0')));
    }
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return words;
}

std::string meaning_of(const CommandLine& line)
{
  if (line.task == CommandLine::Task::print_text) {
    return line.text;
  }
  return describe(line.config) + links_for_programs(line.config);
}

void check_one_line(std::string_view message)
{
  require(!message.empty() && message.find('\n') == std::string_view::npos, "a refusal is not one line");
}

std::string read_both(const std::string& file, const std::vector<std::string>& words)
{
  std::vector<const char*> arguments{"pepsal", "--config", file.c_str()};
  for (const auto& word : words) {
    arguments.push_back(word.c_str());
  }
  try {
    return meaning_of(parse_command_line(static_cast<int>(arguments.size()), arguments.data()));
  } catch (const UsageError& error) {
    check_one_line(error.what());
    return error.what();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  constexpr std::string_view divider = "\n--\n";
  const auto text = text_of({data, size});
  const auto end = std::min(text.find(divider), text.size());
  const auto words = words_of(text.substr(std::min(end + divider.size(), text.size())));
  const MemoryFile file{text.substr(0, end)};
  require(read_both(file.path(), words) == read_both(file.path(), words), "the same words mean something else");
  return 0;
}
