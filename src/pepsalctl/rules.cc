// Whether the netfilter rules that lead SYNs to the queuers are in place. Called by health. A program that is missing
// or fails shows no rules; if all do, the result is unknown.

#include "pepsalctl/rules.hh"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include <cap-ng.h>
#include <csignal>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pepsalctl/netlink.hh"
#include "util/file_descriptor.hh"
#include "util/process.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

constexpr std::chrono::seconds patience{5}; // for a program that does not end

[[noreturn]] void become(const char* program, int output)
{
  unblock_signals();
  const FileDescriptor null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  ::dup2(null.number(), STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(null.number(), STDERR_FILENO);
  const auto* const path = std::getenv("PATH");
  ::setenv("PATH", ((path != nullptr ? std::string{path} + ':' : std::string{}) + "/usr/sbin:/sbin").c_str(), 1);
  ::execlp(program, program, nullptr);
  ::_exit(EXIT_FAILURE);
}

// Everything that a program prints; nothing if it fails.
std::optional<std::string> output_of(const char* program)
{
  std::array<int, 2> ends{};
  check("pipe2", ::pipe2(ends.data(), O_CLOEXEC));
  const FileDescriptor read_end{ends[0]};
  FileDescriptor write_end{ends[1]};
  const auto pid = fork_process([&]() -> int { become(program, write_end.number()); });
  write_end.close();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd readable{.fd = read_end.number(), .events = POLLIN, .revents = 0};
    const bool is_late = left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) == 0;
    if (is_late) {
      ::kill(pid, SIGKILL);
      break;
    }
    const auto bytes = ::read(read_end.number(), piece.data(), piece.size());
    if (bytes <= 0) {
      break;
    }
    text.append(piece.data(), static_cast<std::size_t>(bytes));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) == -1 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? std::optional{text} : std::nullopt;
}

// The number or range after `word` in `text`: "0" or "0:3".
struct Range
{
  unsigned first{};
  unsigned last{};
};
std::optional<Range> range_behind(std::string_view text, std::string_view word)
{
  const auto at = text.find(word);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  text.remove_prefix(at + word.size());
  Range range;
  const auto* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  range.last = range.first;
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == ':') {
    std::from_chars(first.ptr + 1, end, range.last);
  }
  return first.ec == std::errc{} ? std::optional{range} : std::nullopt;
}

// Returns "PEPSAL_two" for the line "-A PEPSAL_two_ASK … -j NFQUEUE --queue-num 0 …", if it names one of the queues.
std::optional<std::string_view> asking_chain(std::string_view line, std::span<const std::uint16_t> queues)
{
  constexpr std::string_view append = "-A ";
  const auto end = line.find("_ASK ");
  if (!line.starts_with("-A PEPSAL") || end == std::string_view::npos ||
      line.find(" -j NFQUEUE ") == std::string_view::npos) {
    return std::nullopt;
  }
  auto range = range_behind(line, "--queue-num ");
  range = range ? range : range_behind(line, "--queue-balance ");
  const bool is_ours = range && std::any_of(queues.begin(), queues.end(), [&range](auto queue) {
                         return range->first <= queue && queue <= range->last;
                       });
  return is_ours ? std::optional{line.substr(append.size(), end - append.size())} : std::nullopt;
}

struct RuleTrait
{
  bool is_its{}; // created by pepsal-iptables
  bool has_mark{};
};

int read_rule_attribute(const nlattr* attribute, void* data)
{
  constexpr std::uint8_t pepsal_iptables = 80; // the protocol of its ip rules
  auto& trait = *static_cast<RuleTrait*>(data);
  const auto type = mnl_attr_get_type(attribute);
  trait.is_its |=
      type == FRA_PROTOCOL && mnl_attr_get_payload_len(attribute) > 0 && mnl_attr_get_u8(attribute) == pepsal_iptables;
  trait.has_mark |= type == FRA_FWMARK;
  return MNL_CB_OK;
}

int read_rule(const nlmsghdr* message, void* data)
{
  RuleTrait trait;
  const int more = mnl_attr_parse(message, sizeof(fib_rule_hdr), read_rule_attribute, &trait);
  *static_cast<bool*>(data) |= trait.is_its && trait.has_mark;
  return more;
}

} // namespace

bool traces_of_rules_stand()
{
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  auto* request = mnl_nlmsg_put_header(buffer.data());
  request->nlmsg_type = RTM_GETRULE;
  static_cast<fib_rule_hdr*>(mnl_nlmsg_put_extra_header(request, sizeof(fib_rule_hdr)))->family = AF_UNSPEC;
  bool found = false;
  Netlink{NETLINK_ROUTE, "RTM_GETRULE"}.dump(request, read_rule, &found);
  int early_demux = 1;
  std::ifstream{"/proc/sys/net/ipv4/tcp_early_demux"} >> early_demux;
  return found || early_demux == 0;
}

bool rules_lead_to(std::string_view saved, std::span<const std::uint16_t> queues)
{
  for (std::size_t start = 0; start < saved.size();) {
    const auto end = std::min(saved.find('\n', start), saved.size());
    if (const auto chain = asking_chain(saved.substr(start, end - start), queues)) {
      const auto jump = "\n-A PREROUTING -j " + std::string{*chain} + "_PRE\n";
      return saved.find(jump) != std::string_view::npos;
    }
    start = end + 1;
  }
  return false;
}

std::optional<bool> rules_stand(std::span<const std::uint16_t> queues)
{
  if (capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 0) { // the legacy programs would show none and succeed
    return std::nullopt;
  }
  bool is_known = false;
  for (const auto* program : {"iptables-save", "iptables-legacy-save", "iptables-nft-save", "ip6tables-save",
                              "ip6tables-legacy-save", "ip6tables-nft-save"}) {
    if (const auto saved = output_of(program)) {
      if (rules_lead_to(*saved, queues)) {
        return true;
      }
      is_known = true;
    }
  }
  return is_known ? std::optional{false} : std::nullopt;
}

} // namespace pepsal
