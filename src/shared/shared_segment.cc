// Creates, takes over and maps the shared memory. The manager creates it before the first fork, its children inherit
// the mapping, pepsalctl maps it read-only. Creating fails if another manager holds the name, if the memory under that
// name is not PEPsal's, or if memory is short.

#include "shared/shared_segment.hh"

#include <algorithm>
#include <bit>
#include <memory>
#include <optional>
#include <stdexcept>

#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/table_lock.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace ipc = boost::interprocess;

namespace {

// Entries are spread by a hash, so a few more slots than entries keep buckets from spilling far.
constexpr std::uint32_t slots_per_hundred_entries = 125;

std::uint32_t bucket_count(std::uint32_t max_connections)
{
  const auto slots = std::uint64_t{max_connections} * slots_per_hundred_entries / 100;
  const auto buckets = (slots + Bucket::slots - 1) / Bucket::slots;
  return static_cast<std::uint32_t>(std::bit_ceil(std::max<std::uint64_t>(buckets, 1)));
}

bool is_trusted_owner(int fd, std::optional<uid_t> other_owner)
{
  struct stat file
  {};
  check("fstat", ::fstat(fd, &file));
  return file.st_uid == 0 || file.st_uid == ::geteuid() || file.st_uid == other_owner;
}

// Wraps a descriptor for mapping by Boost.Interprocess.
struct MappableDescriptor
{
  const FileDescriptor& descriptor;

  ipc::mapping_handle_t get_mapping_handle() const { return {.handle = descriptor.number(), .is_xsi = false}; }
};

// The object's descriptor and no other: closing another one of the same file later would drop the lock (fcntl(2)).
FileDescriptor descriptor_of(ipc::shared_memory_object memory)
{
  return FileDescriptor{
      check("fcntl F_DUPFD_CLOEXEC", ::fcntl(memory.get_mapping_handle().handle, F_DUPFD_CLOEXEC, 0))};
}

// The same memory through a descriptor that can only be mapped read-only. It stays open as long as the lock must last.
FileDescriptor open_to_read(const std::string& name, const FileDescriptor& memory)
{
  FileDescriptor to_read{check("shm_open " + name, ::shm_open(("/" + name).c_str(), O_RDONLY, 0))};
  struct stat one
  {};
  struct stat other
  {};
  check("fstat", ::fstat(to_read.number(), &one));
  check("fstat", ::fstat(memory.number(), &other));
  if (one.st_dev != other.st_dev || one.st_ino != other.st_ino) {
    throw std::runtime_error{fmt::format("/dev/shm/{} is being replaced by somebody else", name)};
  }
  return to_read;
}

// Throws unless what has this name may be replaced: nobody holds it and it is a table, of whatever version. What
// another user has put there is removed, trusting neither its lock nor its contents.
void refuse_foreign_memory(const std::string& name, std::optional<uid_t> other_owner)
{
  try {
    const ipc::shared_memory_object memory{ipc::open_only, name.c_str(), ipc::read_write};
    if (!is_trusted_owner(memory.get_mapping_handle().handle, other_owner)) {
      struct stat file
      {};
      check("fstat", ::fstat(memory.get_mapping_handle().handle, &file));
      if (!ipc::shared_memory_object::remove(name.c_str())) {
        throw std::runtime_error{fmt::format("/dev/shm/{} belongs to uid {}: remove it, or choose another "
                                             "--instance",
                                             name, file.st_uid)};
      }
      return;
    }
    if (const auto holder = table_lock::find_manager(memory.get_mapping_handle().handle)) {
      throw std::runtime_error{
          fmt::format("instance '{}' is already running (pid {}): stop it or choose another --instance",
                      name.substr(name.find('.') + 1), *holder)};
    }
    ipc::offset_t size = 0;
    memory.get_size(size);
    if (size < static_cast<ipc::offset_t>(sizeof(Header))) {
      if (size == 0) {
        return; // a manager was killed between creating and sizing it
      }
      throw std::runtime_error{
          fmt::format("/dev/shm/{} is not PEPsal's: remove it, or choose another --instance", name)};
    }
    const ipc::mapped_region region{memory, ipc::read_only, 0, sizeof(Header)};
    const auto& header = *static_cast<const Header*>(region.get_address());
    if (header.magic != layout_magic && header.magic != 0) {
      throw std::runtime_error{
          fmt::format("/dev/shm/{} is not PEPsal's: remove it, or choose another --instance", name)};
    }
  } catch (const ipc::interprocess_exception& error) {
    if (error.get_error_code() != ipc::not_found_error) {
      throw std::runtime_error{fmt::format("/dev/shm/{}: {}", name, error.what())};
    }
  }
}

} // namespace

SharedSegment::SharedSegment(std::string name, Descriptors descriptors, ipc::mapped_region region)
    : name_{std::move(name)}
    , memory_{std::move(descriptors.memory)}
    , to_read_{std::move(descriptors.to_read)}
    , region_{std::move(region)}
    , bucket_count_{header().buckets}
    , roster_capacity_{header().roster_capacity}
    , hash_key_{header().hash_key}
{}

SharedSegment SharedSegment::create(const std::string& instance, Size size, std::optional<uid_t> other_owner)
{
  auto name = "pepsal." + instance;
  refuse_foreign_memory(name, other_owner);
  ipc::shared_memory_object::remove(name.c_str());
  ipc::permissions owner_and_group{0640};
  auto memory = descriptor_of({ipc::create_only, name.c_str(), ipc::read_write, owner_and_group});
  auto to_read = open_to_read(name, memory);
  if (!table_lock::take(memory.number())) {
    throw std::runtime_error{fmt::format("instance '{}' is being started by another process too (pid {})", instance,
                                         table_lock::find_manager(memory.number()).value_or(0))};
  }
  // All of it now: a page that cannot be allocated later would be a SIGBUS.
  const auto bytes = static_cast<off_t>(Layout::of(bucket_count(size.max_connections), size.processes).end);
  if (const int error = ::posix_fallocate(memory.number(), 0, bytes); error != 0) {
    ipc::shared_memory_object::remove(name.c_str());
    throw SystemError{error, fmt::format("/dev/shm/{}: {} bytes for the table (--max-connections)", name, bytes)};
  }
  ipc::mapped_region region{MappableDescriptor{memory}, ipc::read_write};
  return format(std::move(name), {.memory = std::move(memory), .to_read = std::move(to_read)}, std::move(region), size);
}

std::optional<SharedSegment> SharedSegment::take_over(const std::string& instance, std::optional<uid_t> other_owner)
{
  auto name = "pepsal." + instance;
  try {
    auto memory = descriptor_of({ipc::open_only, name.c_str(), ipc::read_write});
    if (!is_trusted_owner(memory.number(), other_owner)) {
      return std::nullopt;
    }
    auto to_read = open_to_read(name, memory);
    if (!table_lock::take(memory.number())) {
      return std::nullopt;
    }
    ipc::mapped_region region{MappableDescriptor{memory}, ipc::read_write};
    if (TableView::of({static_cast<const std::byte*>(region.get_address()), region.get_size()})) {
      return SharedSegment{
          std::move(name), {.memory = std::move(memory), .to_read = std::move(to_read)}, std::move(region)};
    }
  } catch (const ipc::interprocess_exception&) { // none, or an empty one
    return std::nullopt;
  }
  return std::nullopt;
}

SharedSegment SharedSegment::adopt(const std::string& instance, FileDescriptor memory, FileDescriptor to_read)
{
  auto name = "pepsal." + instance;
  ipc::mapped_region region{MappableDescriptor{memory}, ipc::read_write};
  if (!TableView::of({static_cast<const std::byte*>(region.get_address()), region.get_size()})) {
    throw std::runtime_error{fmt::format("/dev/shm/{} has another layout", name)};
  }
  return {std::move(name), {.memory = std::move(memory), .to_read = std::move(to_read)}, std::move(region)};
}

SharedSegment SharedSegment::anonymous(Size size)
{
  auto region = ipc::anonymous_shared_memory(Layout::of(bucket_count(size.max_connections), size.processes).end);
  return format({}, {}, std::move(region), size);
}

SharedSegment SharedSegment::open(const std::string& instance, Access access)
{
  const auto mode = access == Access::read_only ? ipc::read_only : ipc::read_write;
  auto name = "pepsal." + instance;
  try {
    auto memory = descriptor_of({ipc::open_only, name.c_str(), mode});
    auto to_read = open_to_read(name, memory);
    ipc::mapped_region region{MappableDescriptor{memory}, mode};
    if (TableView::of({static_cast<const std::byte*>(region.get_address()), region.get_size()})) {
      return {std::move(name), {.memory = std::move(memory), .to_read = std::move(to_read)}, std::move(region)};
    }
  } catch (const ipc::interprocess_exception& error) {
    if (error.get_error_code() == ipc::security_error) {
      throw std::runtime_error{
          fmt::format("/dev/shm/{} may not be opened by this user: try as root or as the daemon's --user", name)};
    }
    throw std::runtime_error{
        fmt::format("instance '{}' is not running here (/dev/shm/{}: {})", instance, name, error.what())};
  }
  throw std::runtime_error{
      fmt::format("/dev/shm/{} has another layout: use the pepsalctl that came with the running pepsal", name)};
}

SharedSegment SharedSegment::format(std::string name, Descriptors descriptors, ipc::mapped_region region, Size size)
{
  // The kernel hands out zeroed pages, and zero is the initial value of every atomic here: slots are free, counters
  // zero. Only the header needs more.
  auto* header = std::construct_at(static_cast<Header*>(region.get_address()));
  header->version = layout_version;
  header->buckets = bucket_count(size.max_connections);
  header->roster_capacity = size.processes;
  header->max_connections = size.max_connections;
  header->manager_pid = getpid();
  check("getrandom", getrandom(&header->hash_key, sizeof header->hash_key, 0));
  header->magic.store(layout_magic, std::memory_order_release);
  return {std::move(name), std::move(descriptors), std::move(region)};
}

void SharedSegment::keep_to(Writer writer)
{
  const auto parts = layout();
  switch (writer) {
  case Writer::queuer:
    make_unwritable(0, parts.activity);
    make_unwritable(parts.states, region_.get_size());
    break;
  case Writer::proxy:
    make_unwritable(0, parts.activity);
    break;
  case Writer::keeper:
    make_unwritable(0, parts.peers);
    make_unwritable(parts.buckets, region_.get_size());
    break;
  case Writer::dialler:
    make_unwritable(0, parts.activity);
    make_unwritable(parts.buckets, region_.get_size());
    break;
  }
  memory_.close();
}

// Pages of a writable mapping could be made writable again, so a read-only mapping replaces them.
void SharedSegment::make_unwritable(std::size_t begin, std::size_t end)
{
  if (!to_read_.is_open()) { // anonymous
    check("mprotect", ::mprotect(at(begin), end - begin, PROT_READ));
    return;
  }
  const auto* const mapped =
      ::mmap(at(begin), end - begin, PROT_READ, MAP_SHARED | MAP_FIXED, to_read_.number(), static_cast<off_t>(begin));
  check("mmap", mapped == MAP_FAILED ? -1 : 0);
}

bool SharedSegment::has_manager() const
{
  return table_lock::find_manager(memory_.number()).has_value();
}

std::optional<pid_t> SharedSegment::holder_of(Owner owner) const
{
  return table_lock::find_holder(memory_.number(), owner);
}

void SharedSegment::claim_number(int descriptor, Owner owner) noexcept
{
  table_lock::claim(descriptor, owner);
}

std::byte* SharedSegment::at(std::size_t offset) const
{
  return static_cast<std::byte*>(region_.get_address()) + offset;
}

void SharedSegment::restore_header() const
{
  // Writes only what is wrong, because others read these fields without synchronisation.
  const auto restore = [](auto& field, auto value) {
    if (field != value) {
      field = value;
    }
  };
  auto& fixed = header();
  restore(fixed.version, layout_version);
  restore(fixed.buckets, bucket_count_);
  restore(fixed.roster_capacity, roster_capacity_);
  restore(fixed.hash_key, hash_key_);
  restore(fixed.magic, layout_magic);
}

TableView SharedSegment::view() const
{
  const auto view = TableView::of({at(0), region_.get_size()});
  if (!view) {
    throw std::logic_error{fmt::format("/dev/shm/{}: its header has been overwritten", name_)};
  }
  return *view;
}

Activity& SharedSegment::activity() const
{
  return *reinterpret_cast<Activity*>(at(layout().activity));
}

std::span<PeerStatus> SharedSegment::peers() const
{
  return {reinterpret_cast<PeerStatus*>(at(layout().peers)), PeerStatus::most_peers};
}

std::span<Bucket> SharedSegment::buckets() const
{
  return {reinterpret_cast<Bucket*>(at(layout().buckets)), bucket_count_};
}

std::span<Slot> SharedSegment::slots() const
{
  return {reinterpret_cast<Slot*>(at(layout().slots)), std::size_t{bucket_count_} * Bucket::slots};
}

std::span<RosterEntry> SharedSegment::roster() const
{
  return {reinterpret_cast<RosterEntry*>(at(layout().roster)), roster_capacity_};
}

std::span<std::atomic<std::uint8_t>> SharedSegment::process_states() const
{
  return {reinterpret_cast<std::atomic<std::uint8_t>*>(at(layout().states)), roster_capacity_};
}

void SharedSegment::give_to(uid_t user, gid_t group)
{
  check("fchown of the shared memory", ::fchown(memory_.number(), user, group));
}

void SharedSegment::remove_name() noexcept
{
  if (!name_.empty()) {
    ipc::shared_memory_object::remove(name_.c_str());
  }
}

} // namespace pepsal
