// TUN interfaces in other network namespaces. Used by the emulator, one for each end of the link. Fails if the
// namespace or /dev/net/tun is missing, the name is taken, or CAP_NET_ADMIN is missing.

#include "satsim/tun_device.hh"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/core.h>

#include "util/system_error.hh"

namespace pepsal::satsim {

namespace {

// A burst as large as a window may leave the host at once; this program's queue must drop, not the device's.
constexpr int device_queue_packets = 20'000;

std::string namespace_path(const std::string& name)
{
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const bool is_process = std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  return is_process ? fmt::format("/proc/{}/ns/net", name) : "/run/netns/" + name;
}

FileDescriptor open_file(const std::string& path, int flags)
{
  return FileDescriptor{check("open " + path, ::open(path.c_str(), flags | O_CLOEXEC))};
}

ifreq request_for(const std::string& name)
{
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

// IPv6 without automatic addresses: link-local ones would send solicitations and reports over the link, and random
// losses would hit different packets in every run.
void keep_silent(const std::string& name)
{
  const auto path = fmt::format("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", name);
  const FileDescriptor file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  if (file.is_open()) { // a kernel without IPv6 has no such file
    check("write " + path, ::write(file.number(), "1", 1));
  }
}

void set_flags(int control, const std::string& name, int set, int clear)
{
  auto request = request_for(name);
  check("SIOCGIFFLAGS " + name, ioctl(control, SIOCGIFFLAGS, &request));
  request.ifr_flags = static_cast<short>((request.ifr_flags | set) & ~clear);
  check("SIOCSIFFLAGS " + name, ioctl(control, SIOCSIFFLAGS, &request));
}

void add_ipv4(int control, const std::string& name, const std::string& text, in_addr address, unsigned length)
{
  auto request = request_for(name);
  sockaddr_in value{};
  value.sin_family = AF_INET;
  value.sin_addr = address;
  std::memcpy(&request.ifr_addr, &value, sizeof value);
  check("set address " + text, ioctl(control, SIOCSIFADDR, &request));
  value.sin_addr.s_addr = length == 0 ? 0 : htonl(~0U << (32 - length));
  std::memcpy(&request.ifr_netmask, &value, sizeof value);
  check("set netmask " + text, ioctl(control, SIOCSIFNETMASK, &request));
}

void add_ipv6(const std::string& name, const std::string& text, const in6_addr& address, unsigned length)
{
  const FileDescriptor control{check("socket AF_INET6", ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
  auto request = request_for(name);
  check("SIOCGIFINDEX " + name, ioctl(control.number(), SIOCGIFINDEX, &request));
  in6_ifreq value{address, length, request.ifr_ifindex};
  check("set address " + text, ioctl(control.number(), SIOCSIFADDR, &value));
}

void add_address(int control, const std::string& name, const std::string& text)
{
  const auto slash = text.find('/');
  const auto host = text.substr(0, slash);
  const auto suffix = slash == std::string::npos ? std::string{} : text.substr(slash + 1);
  unsigned length{};
  const auto* const end = suffix.data() + suffix.size();
  const auto parsed = std::from_chars(suffix.data(), end, length);
  const bool has_length = parsed.ec == std::errc{} && parsed.ptr == end;
  in_addr four{};
  in6_addr six{};
  if (has_length && length <= 32 && inet_pton(AF_INET, host.c_str(), &four) == 1) {
    add_ipv4(control, name, text, four, length);
  } else if (has_length && length <= 128 && inet_pton(AF_INET6, host.c_str(), &six) == 1) {
    add_ipv6(name, text, six, length);
  } else {
    throw SystemError{EINVAL, fmt::format("set address '{}' (must be ADDRESS/LENGTH)", text)};
  }
}

FileDescriptor create(const std::string& name)
{
  auto device = open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
  auto request = request_for(name);
  request.ifr_flags = static_cast<short>(IFF_TUN | IFF_NO_PI | IFF_NAPI | IFF_TUN_EXCL);
  check("create interface " + name, ioctl(device.number(), TUNSETIFF, &request));
  return device;
}

} // namespace

NamespaceScope::NamespaceScope(const std::string& name)
{
  if (name.empty()) {
    return;
  }
  auto own = open_file("/proc/self/ns/net", O_RDONLY);
  const auto target = open_file(namespace_path(name), O_RDONLY);
  check("enter network namespace " + name, setns(target.number(), CLONE_NEWNET));
  own_ = std::move(own);
}

NamespaceScope::~NamespaceScope()
{
  if (own_.is_open() && setns(own_.number(), CLONE_NEWNET) != 0) {
    std::perror("satsim: return to own network namespace");
    std::abort();
  }
}

TunDevice::TunDevice(const Settings& settings)
    : name_{settings.name}
{
  const NamespaceScope scope{settings.network_namespace};
  device_ = create(name_);
  // Threads of one process may be in different namespaces: /proc/net would be that of the first one.
  statistics_ = open_file("/proc/thread-self/net/dev", O_RDONLY);
  keep_silent(name_);
  const FileDescriptor control{check("socket AF_INET", ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))};
  auto request = request_for(name_);
  request.ifr_mtu = settings.mtu;
  check(fmt::format("set MTU {} on {}", settings.mtu, name_), ioctl(control.number(), SIOCSIFMTU, &request));
  request = request_for(name_);
  request.ifr_qlen = device_queue_packets;
  check("set queue length of " + name_, ioctl(control.number(), SIOCSIFTXQLEN, &request));
  set_flags(control.number(), name_, IFF_UP, IFF_MULTICAST);
  for (const auto& address : settings.addresses) {
    add_address(control.number(), name_, address);
  }
}

std::size_t TunDevice::read(std::span<std::byte> buffer)
{
  const auto count = ::read(device_.number(), buffer.data(), buffer.size());
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) {
      return 0;
    }
    throw SystemError{errno, "read " + name_};
  }
  return static_cast<std::size_t>(count);
}

bool TunDevice::write(std::span<const std::byte> packet)
{
  const auto count = ::write(device_.number(), packet.data(), packet.size());
  return count == static_cast<ssize_t>(packet.size());
}

std::uint64_t TunDevice::overruns()
{
  std::array<char, 16384> text{};
  const auto count = pread(statistics_.number(), text.data(), text.size(), 0);
  std::istringstream lines{std::string{text.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))}};
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos ||
        line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' ')) != name_) {
      continue;
    }
    // After the name come eight receive fields, then bytes, packets, errors and drops of transmission.
    std::istringstream fields{line.substr(colon + 1)};
    std::array<std::uint64_t, 12> values{};
    for (auto& value : values) {
      fields >> value;
    }
    return values.back();
  }
  return 0;
}

} // namespace pepsal::satsim
