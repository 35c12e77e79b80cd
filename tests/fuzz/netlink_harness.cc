// Fuzzes the kernel's netlink answers: sockets (sock_diag), shapers (rtnetlink) and routes. Their contents may be
// nonsense, but nothing outside their bytes is read. Notifications about interfaces are not parsed at all
// (tcp/interface_watch).

#include "harness.hh"
#include "pepsalctl/shapers.hh"
#include "pepsalctl/sock_diag.hh"
#include "pepsalctl/waiting.hh"
#include "tcp/route.hh"

using namespace pepsal;
using namespace pepsal::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  const auto answer = exact_copy({data, size});
  static_cast<void>(route_in(answer));
  for (const auto& socket : sockets_in(answer)) {
    require(!socket.local.to_string().empty() && !waiting_text(socket).empty(), "a socket cannot be shown");
  }
  const auto half = exact_copy({data, size / 2});
  static_cast<void>(shapers_in(answer, answer));
  static_cast<void>(shapers_in(half, answer));
  return 0;
}
