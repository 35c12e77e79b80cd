// Fuzzes the kernel's NFQUEUE messages as the queuer reads them. A packet's bytes lie within the message, and the
// parser's result is the same as for the packet alone.

#include <linux/netlink.h>

#include "harness.hh"
#include "queuer/packet_queue.hh"
#include "queuer/syn_parser.hh"

using namespace pepsal;
using namespace pepsal::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  auto messages = exact_copy({data, size});
  messages.resize(NLMSG_ALIGN(size)); // as the queuer does
  messages.shrink_to_fit();
  read_packets(messages, [&](const QueuedPacket& packet, std::uint32_t /*packet_id*/) {
    const std::vector<std::byte> alone{packet.bytes.begin(), packet.bytes.end()};
    require(parse_syn(packet.bytes) == parse_syn(alone), "a packet says something else within its message");
  });
  return 0;
}
