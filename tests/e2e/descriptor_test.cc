// A proxy without a descriptor for its dial. Not for sanitized builds, whose reports need one, too.

#include "fixture.hh"

#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <sys/resource.h>

namespace pepsal::test {

// If the system runs out of descriptors just after accept(2) has got one, the client waits for the next one and is not
// reset.
TEST_F(NetworkTest, DialWaitsForADescriptor)
{
  start_daemon();
  start_rules(net(), Mode::tproxy);
  const auto listener = listen();
  std::map<pid_t, rlimit> before;
  for (const auto& proxy : daemon().processes("proxy idle")) {
    rlim_t free = 0;
    while (std::filesystem::exists(std::filesystem::path{fmt::format("/proc/{}/fd/{}", proxy.pid, free)})) {
      ++free;
    }
    ASSERT_EQ(::prlimit(proxy.pid, RLIMIT_NOFILE, nullptr, &before[proxy.pid]), 0);
    const rlimit room_for_one{.rlim_cur = free + 1, .rlim_max = before[proxy.pid].rlim_max};
    ASSERT_EQ(::prlimit(proxy.pid, RLIMIT_NOFILE, &room_for_one, nullptr), 0);
  }
  auto client = Connection::connect(net().client(), listener.local());
  EXPECT_TRUE(eventually([&] { return daemon().counter("connections_accepted") == 1; }));
  EXPECT_FALSE(listener.try_accept(std::chrono::milliseconds{300}).has_value()) << "the control: it has none to dial";
  for (const auto& [pid, limit] : before) {
    ::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr); // one that has ended has none
  }
  const Pair pair{.client = std::move(client), .server = listener.accept()};
  pair.talk();
  EXPECT_EQ(daemon().counter("proxies_lost"), 0);
}

} // namespace pepsal::test
