// Fuzzes everything that reads the shared table with a corrupted table: its bytes are overwritten before, between and
// after the operations of queuers, proxies and the manager, and pepsalctl reads it. Nothing outside it may be touched,
// no operation may hang, and the manager's collection must make it usable again.

#include <array>
#include <cstdio>
#include <optional>

#include <sys/mman.h>
#include <unistd.h>

#include "harness.hh"
#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/rates.hh"
#include "pepsalctl/to_json.hh"
#include "pepsalctl/totals.hh"
#include "shared/connection_table.hh"
#include "util/system_error.hh"

using namespace pepsal;
using namespace pepsal::test;

namespace {

constexpr std::uint32_t connections = 50; // a table of one bucket
constexpr std::uint32_t processes = 8;

class Bytes
{
public:
  explicit Bytes(std::span<const std::uint8_t> bytes)
      : left_{bytes}
  {}

  bool empty() const { return left_.empty(); }

  std::uint32_t below(std::uint32_t limit) { return number<std::uint8_t>() % limit; }

  template<typename Number> Number number()
  {
    Number result{};
    const auto bytes = std::min(sizeof result, left_.size());
    std::memcpy(&result, left_.data(), bytes);
    left_ = left_.subspan(bytes);
    return result;
  }

private:
  std::span<const std::uint8_t> left_;
};

// A mapping as the daemon's processes have it, with the image's bytes.
SharedSegment segment_of(std::span<const std::byte> image)
{
  FileDescriptor memory{check("memfd_create", ::memfd_create("table", MFD_CLOEXEC))};
  check("write", ::write(memory.number(), image.data(), image.size()));
  return SharedSegment::adopt("fuzz", std::move(memory), FileDescriptor{});
}

std::vector<std::byte> fresh_image()
{
  const auto segment = SharedSegment::anonymous({.max_connections = connections, .processes = processes});
  const auto* const begin = reinterpret_cast<const std::byte*>(&segment.header());
  const auto& header = segment.header();
  return {begin, begin + Layout::of(header.buckets, header.roster_capacity).end};
}

// As pepsalctl shows it. The output is discarded.
void look_at(const SharedSegment& segment)
{
  const Join join{{}, [](std::int32_t /*pid*/) { return std::vector<std::uint32_t>{}; }};
  for (const auto column : {Column::id, Column::age, Column::client, Column::up}) {
    Selection selection;
    selection.sort = column;
    const auto shown = selection.of(connections_of(segment, join));
    require(list_lines(shown, std::nullopt).size() == shown.size() + 1, "not all connections are shown");
    for (const auto& connection : shown) {
      require(!to_json(connection).dump().empty(), "a connection cannot be written as JSON");
    }
  }
  Rates rates;
  Rates::Clock::time_point now{};
  for (int look = 0; look < 2; ++look) {
    rates.next(connections_of(segment, join), {}, now += std::chrono::seconds{1});
  }
  CommandOptions options;
  show_status(segment, options);
  options.json = true;
  show_status(segment, options);
}

// What queuers, proxies and the manager do, one after the other, while bytes change underneath them.
class Play
{
public:
  explicit Play(Bytes bytes)
      : bytes_{bytes}
      , segment_{segment_of(fresh_image())}
      , table_{segment_}
  {}

  void run()
  {
    while (!bytes_.empty()) {
      step();
    }
    try_to_look();
    segment_.restore_header();
    static_cast<void>(segment_.view());
    table_.collect(BootTime::max(), [](Owner) { return false; });
    require(table_.size() == 0, "entries are counted that were all collected");
    require(segment_.buckets().front().bitmap == 0, "a bit remains after all entries were collected");
    segment_.header().max_connections = connections;
    require(table_.insert_pending(connection(0), 1, boot_time_now()) == ConnectionTable::Insertion::inserted,
            "a table that was collected takes no entry");
  }

private:
  static Connection connection(std::uint32_t number)
  {
    const std::array<std::uint8_t, 4> client{10, 0, 0, static_cast<std::uint8_t>(number)};
    const std::array<std::uint8_t, 4> server{192, 0, 2, static_cast<std::uint8_t>(number % 2)};
    return {.client = Endpoint::from_ipv4(client.data(), 4000),
            .server = Endpoint::from_ipv4(server.data(), 80),
            .syn = {}};
  }

  Connection any_connection() { return connection(bytes_.below(8)); }

  // Only parts in use, not the empty space that fills their last page.
  void overwrite(std::size_t bytes)
  {
    struct Part
    {
      std::size_t begin;
      std::size_t size;
    };
    const auto layout = Layout::of(1, processes);
    const std::array<Part, 6> parts{Part{0, sizeof(Header)},
                                    Part{layout.roster, sizeof(RosterEntry) * processes},
                                    Part{layout.peers, sizeof(PeerStatus) * PeerStatus::most_peers},
                                    Part{layout.activity, sizeof(Activity)},
                                    Part{layout.buckets, layout.slots + sizeof(Slot) * Bucket::slots - layout.buckets},
                                    Part{layout.states, processes}};
    const auto value = bytes_.number<std::uint64_t>();
    const auto& part = parts.at(bytes_.below(parts.size()));
    const auto at = bytes_.number<std::uint16_t>() % (part.size - bytes + 1);
    std::memcpy(reinterpret_cast<std::byte*>(&segment_.header()) + part.begin + at, &value, bytes);
  }

  void with_claim(const std::optional<ConnectionTable::Claim>& claim)
  {
    if (claim) {
      require(claim->slot < table_.slot_count(), "a slot outside the table is claimed");
      claim_ = claim;
    }
  }

  void try_to_look()
  {
    try {
      look_at(segment_);
    } catch (const std::logic_error& error) { // its header was overwritten, which is reported
      require(std::string_view{error.what()}.find("overwritten") != std::string_view::npos, error.what());
    }
  }

  void step()
  {
    const BootTime now{bytes_.number<std::uint16_t>()};
    switch (bytes_.below(16)) {
    case 0:
    case 1:
    case 2:
      overwrite(8);
      break;
    case 3:
      overwrite(1);
      break;
    case 4:
    case 5:
      if (table_.insert_pending(any_connection(), 1, now, pending_) != ConnectionTable::Insertion::full) {
        require(pending_.slot < table_.slot_count(), "a slot outside the table is taken");
      }
      break;
    case 6: {
      const auto wanted = any_connection();
      with_claim(table_.claim(wanted.client, wanted.server, 2, now));
      break;
    }
    case 7:
      with_claim(table_.insert_connecting(any_connection(), 2, now));
      break;
    case 8:
      table_.displace(pending_);
      break;
    case 9:
      if (claim_) {
        table_.set_open(*claim_);
      }
      break;
    case 10:
      if (claim_) {
        table_.bytes_up(*claim_) += 1000;
      }
      break;
    case 11:
      if (claim_) {
        table_.release(*claim_);
        claim_.reset();
      }
      break;
    case 12: {
      const auto alive = bytes_.below(4);
      table_.collect(now, [alive](Owner owner) { return owner == alive; });
      break;
    }
    case 13:
      segment_.restore_header();
      break;
    case 14:
      table_.may_log(LimitedLine::direct_connection, now);
      break;
    default:
      try_to_look();
    }
  }

  Bytes bytes_;
  SharedSegment segment_;
  ConnectionTable table_;
  ConnectionTable::Pending pending_;
  std::optional<ConnectionTable::Claim> claim_;
};

// Memory that is not a table, or one of another size than it claims.
void read_as_table(std::span<const std::uint8_t> bytes)
{
  constexpr std::size_t word = alignof(Header) > alignof(Slot) ? alignof(Header) : alignof(Slot);
  struct alignas(word) Block
  {
    std::array<std::byte, word> bytes;
  };
  auto image = fresh_image();
  const auto head = std::min(bytes.size(), sizeof(Header));
  std::memcpy(image.data(), bytes.data(), head);
  if (!bytes.empty() && bytes.front() == 0) { // of the right version at least
    const std::uint64_t magic = layout_magic;
    std::memcpy(image.data(), &magic, sizeof magic);
    const auto version = layout_version;
    std::memcpy(image.data() + offsetof(Header, version), &version, sizeof version);
  }
  std::vector<Block> memory(image.size() / word);
  std::memcpy(static_cast<void*>(memory.data()), image.data(), memory.size() * word);
  const auto view = TableView::of(std::as_bytes(std::span{memory}));
  if (!view) {
    return;
  }
  std::uint32_t entries = 0;
  view->for_each([&](const TableEntry& entry) {
    ++entries;
    static_cast<void>(view->process(entry.owner));
  });
  require(entries <= view->slots().size(), "there are more entries than slots");
  for (const auto& row : counter_rows) {
    static_cast<void>(view->value(row.id));
  }
  for (const auto& row : gauge_rows) {
    static_cast<void>(view->value(row.id));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
  static const bool quiet = std::freopen("/dev/null", "w", stdout) != nullptr;
  if (!quiet || size == 0) {
    return 0;
  }
  const std::span rest{data + 1, size - 1};
  if (*data % 8 == 0) {
    read_as_table(rest);
  } else {
    Play{Bytes{rest}}.run();
  }
  return 0;
}
