// Fuzzes what pepsalctl reads about the firewall: the output of iptables-save, and the kernel's table of queues
// (/proc/net/netfilter/nfnetlink_queue). The rules themselves are created by scripts, which no harness reaches.

#include <array>
#include <sstream>
#include <string>

#include "harness.hh"
#include "pepsalctl/rules.hh"
#include "util/packet_queues.hh"

using namespace pepsal;
using namespace pepsal::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  constexpr std::array<std::uint16_t, 2> queues{0, 3};
  const auto bytes = exact_copy({data, size});
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  const bool leads = rules_lead_to(text, queues);
  require(!leads || text.find("-j NFQUEUE") != std::string_view::npos, "rules without a queue lead to one");
  require(!rules_lead_to(text, {}), "rules lead to a queue of nobody");
  std::istringstream table{std::string{text}};
  for (const auto& queue : read_packet_queues(table)) {
    require(queue.waiting == 0 || text.find_first_of("0123456789") != std::string_view::npos, "numbers from nowhere");
  }
  return 0;
}
