// Runs a fuzz harness on every file in the directories named on the command line, without libFuzzer, so that ordinary
// tests and any compiler replay the corpora. A harness that finds a fault throws or aborts.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include <fmt/format.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments)
{
  unsigned files = 0;
  for (int i = 1; i < count; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator{arguments[i]}) {
      std::ifstream file{entry.path(), std::ios::binary};
      const std::vector<char> bytes{std::istreambuf_iterator<char>{file}, {}};
      try {
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", entry.path().string(), error.what());
        return 1;
      }
      ++files;
    }
  }
  fmt::print("{} files replayed\n", files);
  return files == 0 ? 1 : 0;
}
