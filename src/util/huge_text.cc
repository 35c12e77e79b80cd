// The program's text on huge pages. Called by main before anything else runs. The linker has placed the writable data
// on other huge pages (max-page-size), so that whole ones can be exchanged.

#include "util/huge_text.hh"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include <link.h>
#include <sys/mman.h>

namespace pepsal {

namespace {

constexpr std::size_t huge_page_bytes = 2U << 20U;
constexpr int collapse = 25; // MADV_COLLAPSE (Linux 6.1), which Debian 12's C library does not define

struct Text
{
  void* begin;
  std::size_t bytes;
};

// The executable segment, if the linker has placed its beginning on a huge-page boundary; otherwise nothing.
Text find_text()
{
  Text text{};
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t /*size*/, void* result) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const auto begin = info->dlpi_addr + segment.p_vaddr;
          if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && segment.p_align >= huge_page_bytes &&
              begin % huge_page_bytes == 0) {
            // NOLINTNEXTLINE(performance-no-int-to-ptr): program headers give addresses as numbers
            *static_cast<Text*>(result) = {.begin = reinterpret_cast<void*>(begin), .bytes = segment.p_memsz};
          }
        }
        return 1; // the program itself comes first
      },
      &text);
  return text;
}

} // namespace

bool move_text_to_huge_pages()
{
  const auto text = find_text();
  if (text.bytes == 0) {
    return false;
  }
  const auto bytes = (text.bytes + huge_page_bytes - 1) / huge_page_bytes * huge_page_bytes;
  auto area_bytes = bytes + huge_page_bytes;
  void* const area = ::mmap(nullptr, area_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) {
    return false;
  }
  auto* copy = area;
  std::align(huge_page_bytes, bytes, copy, area_bytes);
  std::memcpy(copy, text.begin, text.bytes);
  const bool moved = ::madvise(copy, bytes, collapse) == 0 && ::mprotect(copy, bytes, PROT_READ | PROT_EXEC) == 0 &&
                     ::mremap(copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, text.begin) != MAP_FAILED;
  ::munmap(area, bytes + huge_page_bytes); // what was moved away is a hole there, which is no error
  return moved;
}

} // namespace pepsal
