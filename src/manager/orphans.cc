// Which proxies a killed manager has left. Called by the next manager at its start. A compromised process could have
// written any pid into the roster; the kernel's locks say which process has which number. Cannot fail: what cannot be
// determined is treated as doubtful.

#include "manager/orphans.hh"

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <fmt/core.h>

namespace pepsal {

namespace {

using namespace std::chrono_literals;

// Whether the process with this pid may be one of PEPsal's, as far as any user can see.
bool may_be_ours(pid_t pid)
{
  std::ifstream file{fmt::format("/proc/{}/stat", pid)};
  std::string text;
  std::getline(file, text); // "PID (pepsal) S …", proc(5)
  const auto name = text.find("(pepsal");
  const auto end = text.rfind(") ");
  if (name == std::string::npos || end == std::string::npos || end + 2 >= text.size()) {
    return false;
  }
  const char state = text[end + 2];
  return state != 'Z' && state != 'X';
}

struct Found
{
  std::vector<Orphan> orphans;
  bool doubtful{};
};

Found look(const SharedSegment& segment)
{
  Found found;
  const auto roster = segment.roster();
  for (Owner owner = 1; owner < roster.size(); ++owner) {
    const auto& shown = roster[owner];
    const pid_t pid = shown.pid;
    if (pid == 0) {
      continue;
    }
    const auto holder = segment.holder_of(owner);
    if (holder && *holder > 0) {
      found.orphans.push_back(
          {.pid = *holder, .owner = owner, .index = shown.index, .started = BootTime{shown.started_ns.load()}});
    } else {
      found.doubtful |= holder.has_value() || may_be_ours(pid);
    }
  }
  return found;
}

} // namespace

std::optional<std::vector<Orphan>> find_orphans(const SharedSegment& segment)
{
  constexpr auto patience = 2s;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto found = look(segment);
    if (!found.doubtful) {
      return std::move(found.orphans);
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      return std::nullopt;
    }
    std::this_thread::sleep_for(10ms);
  }
}

} // namespace pepsal
