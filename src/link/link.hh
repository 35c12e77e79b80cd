#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pepsal {

// A satellite link as the administrator describes it, once for all programs:
//   sat0 rate=50/10 rtt=600 side=gateway loss=1
// An interface alone is allowed; rate, rtt and side go together; loss is omitted if the link loses nothing.
struct Link
{
  enum class Side // where this box is
  {
    gateway, // on the Internet side: it sends at the rate down
    terminal // on the users' side: it sends at the rate up
  };

  std::string interface;
  double down_mbit{}; // towards the users, in Mbit/s; 0: not known
  double up_mbit{};   // from the users
  std::chrono::milliseconds round_trip{};
  std::optional<Side> side;
  double loss_percent{}; // of its packets, lost in transit and not in queues

  bool has_rates() const { return down_mbit > 0; }
  double send_mbit() const { return side == Side::terminal ? up_mbit : down_mbit; }
  double receive_mbit() const { return side == Side::terminal ? down_mbit : up_mbit; }
  bool operator==(const Link&) const = default;
};

std::string_view name_of(Link::Side side);

// In the notation above, with everything known about the link.
std::string to_string(const Link& link);

// Reads a link in the notation above and adds it to `links`; if its interface is already there, the attributes it names
// are replaced and the others kept. Throws std::invalid_argument with one line that names the word and what is allowed.
void add_link(std::vector<Link>& links, std::string_view text);

// Throws std::invalid_argument with one line about the first link that has only some of rate, rtt and side.
void require_complete(const std::vector<Link>& links);

// The link of this interface, or nullptr.
const Link* find_link(const std::vector<Link>& links, std::string_view interface);

} // namespace pepsal
