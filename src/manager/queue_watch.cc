// Whether queuers do their work, by the kernel's own counts. Called by the manager every two seconds. If these cannot
// be read, no packet is assumed to wait.

#include "manager/queue_watch.hh"

#include <array>
#include <sstream>
#include <string>

#include <fcntl.h>
#include <unistd.h>

namespace pepsal {

namespace {

std::string text_of(const FileDescriptor& file)
{
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto bytes = ::pread(file.number(), piece.data(), piece.size(), static_cast<off_t>(text.size()));
    if (bytes <= 0) {
      return text;
    }
    text.append(piece.data(), static_cast<std::size_t>(bytes));
  }
}

} // namespace

void QueueWatch::open(int inherited)
{
  table_ = FileDescriptor{inherited != -1 ? inherited : ::open(packet_queues_file, O_RDONLY | O_CLOEXEC)};
}

std::vector<std::uint16_t> QueueWatch::look(Time now)
{
  if (!table_.is_open()) {
    return {};
  }
  std::istringstream text{text_of(table_)};
  return look(read_packet_queues(text), now);
}

std::vector<std::uint16_t> QueueWatch::look(std::span<const QueueFacts> queues, Time now)
{
  std::vector<std::uint16_t> result;
  for (const auto& queue : queues) {
    if (queue.waiting == 0) {
      seen_.erase(queue.number);
      continue;
    }
    const auto [seen, fresh] = seen_.try_emplace(queue.number, Seen{.handled = queue.handled(), .since = now});
    if (!fresh && seen->second.handled != queue.handled()) {
      seen->second = {.handled = queue.handled(), .since = now};
    }
    if (now - seen->second.since >= patience) {
      seen_.erase(seen);
      result.push_back(queue.number);
    }
  }
  return result;
}

} // namespace pepsal
