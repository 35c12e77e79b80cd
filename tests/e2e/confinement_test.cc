// What each process of a running daemon may do, as the kernel shows it; and what a compromised proxy can do to the
// others through what they share.

#include "fixture.hh"

#include "pepsal/table.hh"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace pepsal::test {

class ConfinedTest : public NetworkTest
{
protected:
  // A line of /proc/PID/status.
  static std::string status(pid_t pid, const std::string& key)
  {
    std::ifstream file{fmt::format("/proc/{}/status", pid)};
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(key + ":")) {
        std::istringstream words{line.substr(key.size() + 1)};
        std::string value;
        words >> value;
        return value;
      }
    }
    return "none";
  }

  static std::uint64_t capabilities(const ProcessInfo& process, const std::string& set)
  {
    return std::stoull(status(process.pid, set), nullptr, 16);
  }

  static bool has_empty_root(const ProcessInfo& process)
  {
    std::error_code gone;
    return std::filesystem::read_symlink(fmt::format("/proc/{}/root", process.pid), gone)
        .string()
        .ends_with("(deleted)");
  }

  ProcessInfo the(const std::string& role)
  {
    std::vector<ProcessInfo> found;
    EXPECT_TRUE(eventually([&] {
      found = daemon().processes(role);
      return !found.empty() && (role == "connection manager" || has_empty_root(found[0]));
    })) << role;
    return found.empty() ? ProcessInfo{} : found[0];
  }

  // Capabilities that this test's processes do not have in the first place cannot be dropped.
  void expect_confined(const std::string& role, std::uint64_t most, long filters)
  {
    const auto process = the(role);
    EXPECT_TRUE(eventually([&] { return (capabilities(process, "CapPrm") & ~most) == 0; }))
        << role << ": " << status(process.pid, "CapPrm");
    EXPECT_EQ(capabilities(process, "CapEff") & ~most, 0U) << role;
    EXPECT_TRUE(eventually([&] { return status(process.pid, "Seccomp") == "2"; })) << role;
    if (status(process.pid, "Seccomp_filters") != "none") {                          // Linux 5.11
      const auto whole = filters + std::stol(status(::getpid(), "Seccomp_filters")); // as in a container
      EXPECT_TRUE(eventually([&] { return std::stol(status(process.pid, "Seccomp_filters")) == whole; })) << role;
    }
    EXPECT_EQ(status(process.pid, "NoNewPrivs"), "1") << role;
  }

  // What its descriptors refer to.
  static std::vector<std::string> descriptors(const ProcessInfo& process)
  {
    std::vector<std::string> result;
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", process.pid), gone}) {
      result.push_back(std::filesystem::read_symlink(entry, gone).string());
    }
    return result;
  }

  static std::size_t shared_sockets(const std::vector<std::string>& one, const std::vector<std::string>& other)
  {
    return static_cast<std::size_t>(std::ranges::count_if(other, [&](const auto& name) {
      return name.starts_with("socket:") && std::ranges::find(one, name) != one.end();
    }));
  }

  static bool may_write_by_a_descriptor(const ProcessInfo& process, const std::string& path)
  {
    const auto folder = fmt::format("/proc/{}", process.pid);
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator{folder + "/fd", gone}) {
      std::ifstream facts{folder + "/fdinfo/" + entry.path().filename().string()};
      for (std::string word; facts >> word;) {
        unsigned flags = 0;
        if (word == "flags:" && facts >> std::oct >> flags && (flags & O_ACCMODE) != O_RDONLY &&
            std::filesystem::read_symlink(entry, gone).string().ends_with(path)) {
          return true;
        }
      }
    }
    return false;
  }

  // Permissions and offset of the mapping of the table's beginning, as in proc(5).
  static std::string mapping_of_the_table(const ProcessInfo& process)
  {
    std::ifstream maps{fmt::format("/proc/{}/maps", process.pid)};
    for (std::string line; std::getline(maps, line);) {
      if (line.ends_with("/dev/shm/pepsal.default")) {
        return line.substr(line.find(' ') + 1);
      }
    }
    return "none";
  }

  static constexpr std::uint64_t bit(unsigned capability) { return std::uint64_t{1} << capability; }
};

class ConfinedRolesTest : public ConfinedTest, public testing::WithParamInterface<std::string>
{
protected:
  // A daemon that has processes of every role, running as the parameter's user.
  void start_with_all_roles()
  {
    std::vector<std::string> arguments{"--connect", "honest", "--link",
                                       "server0",   "--peer", Topology::unused_address(Family::ipv4).address_string()};
    if (!GetParam().empty()) {
      arguments.insert(arguments.end(), {"--user", GetParam()});
    }
    start_daemon({.arguments = arguments});
    start_rules(net(), Mode::tproxy);
  }
};

TEST_P(ConfinedRolesTest, HaveWhatTheyNeed)
{
  const auto listener = listen();
  start_with_all_roles();
  const auto pair = connect(listener);
  pair.talk();

  const auto network = bit(CAP_NET_ADMIN);
  const auto connections = network | bit(CAP_NET_BIND_SERVICE) | bit(CAP_NET_RAW);
  const auto managers = connections | bit(CAP_SYS_CHROOT);
  const auto roots = bit(CAP_SYS_RESOURCE) | bit(CAP_SETUID) | bit(CAP_SETGID) | bit(CAP_SETPCAP) | bit(CAP_CHOWN) |
                     bit(CAP_FOWNER) | bit(CAP_DAC_OVERRIDE) | bit(CAP_KILL);
  const bool root = GetParam().empty();
  const auto resource = root ? bit(CAP_SYS_RESOURCE) : 0;
  expect_confined("connection manager", managers | (root ? roots : 0), 1);
  expect_confined("queuer", network, 2);
  expect_confined("keeper", network, 2);
  expect_confined("dialler", network | bit(CAP_NET_BIND_SERVICE), 2);
  expect_confined("proxy idle", connections | resource, 2);
  expect_confined("proxy 10.", resource, 3);
  EXPECT_EQ(status(the("proxy 10.").pid, "Threads"), "1") << "an idle connection";
  for (const auto& process : daemon().processes()) {
    EXPECT_EQ(status(process.pid, "Uid") == "0", root) << process.title;
  }
  EXPECT_EQ(daemon().log_lines("confined without"), 0);
  pair.talk();
}

// What each process has of the others and of the table.
TEST_P(ConfinedRolesTest, HaveNothingThatIsAnothers)
{
  const auto listener = listen();
  start_with_all_roles();
  const auto pair = connect(listener);
  pair.talk();

  // The manager's: one end of its queue's channel; the other end, and one of the handover of legs; both of the queue
  // of the peer's connections; the asking end, the taking end and the listener.
  const std::vector<std::pair<std::string, std::size_t>> shared{
      {"queuer", 1}, {"dialler", 2}, {"keeper", 2}, {"proxy idle", 3}, {"proxy 10.", 0}};
  const auto managers = descriptors(the("connection manager"));
  EXPECT_TRUE(std::ranges::any_of(managers, [](const auto& name) { return name.ends_with(".pid"); })) << "the control";
  for (const auto& [role, sockets] : shared) {
    const auto process = the(role);
    EXPECT_TRUE(eventually([&] { return shared_sockets(managers, descriptors(process)) == sockets; }))
        << role << ": " << shared_sockets(managers, descriptors(process));
    for (const auto& name : descriptors(process)) {
      EXPECT_FALSE(name.ends_with(".pid") || name.ends_with("/run/pepsal")) << role << ": " << name;
    }
    EXPECT_FALSE(may_write_by_a_descriptor(process, "/dev/shm/pepsal.default")) << role;
    EXPECT_EQ(mapping_of_the_table(process).substr(0, 4), "r--s") << role;
  }
  EXPECT_TRUE(may_write_by_a_descriptor(the("connection manager"), "/dev/shm/pepsal.default")) << "the control";
  EXPECT_EQ(mapping_of_the_table(the("connection manager")).substr(0, 4), "rw-s") << "the control";
}

std::string name_of_user(const testing::TestParamInfo<std::string>& info)
{
  return info.param.empty() ? "Root" : "Nobody";
}

INSTANTIATE_TEST_SUITE_P(Users, ConfinedRolesTest, testing::Values("", "nobody"), name_of_user);

// If the root may not be changed, the daemon serves, and says so once it is ready.
TEST_F(ConfinedTest, MissingRightIsAWarning)
{
  start_daemon({.prefix = {"setpriv", "--bounding-set", "-sys_chroot", "--inh-caps", "-sys_chroot"}});
  const auto line = daemon().log_line("processes are confined without empty root directories");
  ASSERT_TRUE(line.has_value());
  EXPECT_LT(daemon().log().find("ready: instance"), daemon().log().find("confined without"));
  start_rules(net(), Mode::tproxy);
  EXPECT_EQ(path_of_new_connection(listen()), Path::proxied);
}

// A compromised proxy can write to all of the shared memory; this test does so in its place.
class SpoiltMemoryTest : public ConfinedTest
{
protected:
  std::span<std::byte> memory()
  {
    if (region_.get_address() == nullptr) {
      const auto path = net().sandbox().outside("/dev/shm/pepsal.default");
      const boost::interprocess::file_mapping file{path.c_str(), boost::interprocess::read_write};
      region_ = boost::interprocess::mapped_region{file, boost::interprocess::read_write};
    }
    return {static_cast<std::byte*>(region_.get_address()), region_.get_size()};
  }

  void spoil()
  {
    for (auto& byte : memory()) {
      byte = static_cast<std::byte>(random_());
    }
  }

private:
  boost::interprocess::mapped_region region_;
  std::mt19937 random_{11};
};

TEST_F(SpoiltMemoryTest, RandomBytesHurtNobodyElse)
{
  start_daemon({.arguments = {"--gc-interval", "1"}});
  start_rules(net(), Mode::tproxy);
  auto bystander = net().box().start({"sleep", "1000"});
  const auto manager = the("connection manager").pid;
  const auto listener = listen();
  const auto spared = connect(listener);
  spared.talk();
  for (int round = 0; round < 10; ++round) {
    spoil();
    connect(listener).talk(); // proxied or direct, with the right server
    spared.talk();
    daemon().signal(SIGHUP); // the manager signals the processes it knows, whatever the table says
  }
  EXPECT_TRUE(eventually([&] { return path_of_new_connection(listener) == Path::proxied; }));
  spared.talk();
  EXPECT_TRUE(bystander.is_running());
  EXPECT_EQ(the("connection manager").pid, manager);
  EXPECT_EQ(daemon().log_lines("queuer of queue 0 was lost"), 0);
}

// The manager counts idle proxies by these states. If all were idle, it would have no reason to fork.
TEST_F(SpoiltMemoryTest, BusyProxiesThatLookIdleAreNotReliedOn)
{
  start_daemon({.arguments = {"--gc-interval", "1", "--spare-proxies", "2"}});
  start_rules(net(), Mode::tproxy);
  const auto states = [this] {
    const auto& header = *reinterpret_cast<const Header*>(memory().data());
    return memory().subspan(Layout::of(header.buckets, header.roster_capacity).states, header.roster_capacity);
  }();
  std::jthread liar{[&](const std::stop_token& end) {
    while (!end.stop_requested()) {
      std::ranges::fill(states.first(64), static_cast<std::byte>(ProcessState::idle));
      std::this_thread::yield(); // before the manager has looked
    }
  }};
  const auto listener = listen();
  std::vector<Pair> pairs;
  for (int i = 0; i < 4; ++i) {
    pairs.push_back(connect(listener));
    pairs.back().talk();
  }
}

// What a proxy that waits for a connection can do to the others through the listener that they share. The test does it
// through that proxy's descriptor.
class SpoiltListenerTest : public ConfinedTest
{
protected:
  // A socket of the process that listens on the daemon's port.
  static FileDescriptor listener_of(const ProcessInfo& process)
  {
    const FileDescriptor handle{static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0))};
    for (int number = 0; number < 64; ++number) {
      FileDescriptor descriptor{static_cast<int>(::syscall(SYS_pidfd_getfd, handle.number(), number, 0))};
      int listens = 0;
      socklen_t length = sizeof listens;
      if (descriptor.is_open() &&
          ::getsockopt(descriptor.number(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0) {
        return descriptor;
      }
    }
    return {};
  }
};

TEST_F(SpoiltListenerTest, ServiceGoesOn)
{
  start_daemon({.arguments = {"--gc-interval", "1", "--link", "server0"}});
  start_rules(net(), Mode::tproxy);
  const auto listener = listen();
  ASSERT_EQ(path_of_new_connection(listener), Path::proxied);
  const auto is_served = [&] { return path_of_new_connection(listener) == Path::proxied; };

  // For all listeners, the general one and that of the link.
  for (const auto& idle : daemon().processes("proxy idle")) {
    const auto its = listener_of(idle);
    if (its.is_open()) {
      const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
      EXPECT_EQ(::connect(its.number(), &nobody, sizeof nobody), 0);
    }
  }
  EXPECT_TRUE(daemon().log_line("a process has closed a listener for all"));
  EXPECT_TRUE(eventually(is_served)) << daemon().log();

  const auto its = listener_of(the("proxy idle"));
  ASSERT_TRUE(its.is_open());
  constexpr int off = 0;
  EXPECT_EQ(::setsockopt(its.number(), IPPROTO_IPV6, IPV6_TRANSPARENT, &off, sizeof off), 0);
  EXPECT_EQ(::setsockopt(its.number(), SOL_SOCKET, SO_MARK, &off, sizeof off), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds{1500}); // a collection
  EXPECT_TRUE(is_served());
  EXPECT_LT(daemon().counter("proxies_forked"), 500) << "proxies that end at once are no reason to fork without end";
}

} // namespace pepsal::test
