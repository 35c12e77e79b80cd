#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include <sys/types.h>

#include <boost/interprocess/mapped_region.hpp>

#include "pepsal/table.hh"
#include "util/file_descriptor.hh"

namespace pepsal {

// The shared memory of one instance, /dev/shm/pepsal.NAME, mapped into this process.
class SharedSegment
{
public:
  struct Size
  {
    std::uint32_t max_connections; // limit on entries; there are more slots than that
    std::uint32_t processes;       // entries in the roster
  };

  // Creates the segment of `instance` and locks it for this process's life (fcntl(2), not inherited by children). One
  // that nobody holds is replaced, whatever version left it. Throws std::runtime_error, with the remedy, if another
  // manager holds the name or it is used by something that is not PEPsal's; SystemError or
  // boost::interprocess::interprocess_exception if there is not enough memory. One that belongs to a user other than
  // root, this process's and `other_owner` (--user) is not trusted but removed.
  static SharedSegment create(const std::string& instance, Size size, std::optional<uid_t> other_owner = std::nullopt);

  // The segment that a killed manager left, locked for this process as create() does. Nothing if there is none, if
  // another manager holds it, if its layout is not this program's, or if it belongs to another user.
  static std::optional<SharedSegment> take_over(const std::string& instance, std::optional<uid_t> other_owner);

  // The segment that the previous program in this process made and locked, from its descriptors. Throws
  // std::runtime_error if its layout is not this program's.
  static SharedSegment adopt(const std::string& instance, FileDescriptor memory, FileDescriptor to_read);

  enum class Access
  {
    read_only,
    read_write
  };

  // Maps an existing segment. Throws std::runtime_error if there is none or its layout is not this program's.
  static SharedSegment open(const std::string& instance, Access access);

  // What a process other than the manager writes.
  enum class Writer
  {
    queuer,  // connections and counters
    proxy,   // these, and process states
    keeper,  // counters and peer states
    dialler, // counters
  };

  // In such a process: gives up write access to everything else, for good. What it may not write is mapped through a
  // read-only descriptor, which the kernel never lets it map writable, and that is the only one it keeps. Throws
  // SystemError.
  void keep_to(Writer writer);

  // Whether the manager that created it, another process, still holds it; if not, a crash left it.
  bool has_manager() const;

  // The process that has locked this number by claim_number(). This comes from the kernel, not from the memory; only
  // the daemon's processes, root and its group can lock it.
  std::optional<pid_t> holder_of(Owner owner) const;

  // Locks a number in the segment of `descriptor` for this process's life. For a signal handler. It is a read lock, as
  // the descriptor allows no other, and so cannot be mistaken for the manager's.
  static void claim_number(int descriptor, Owner owner) noexcept;

  // For adopt(). Closing either drops the process's lock.
  int descriptor() const { return memory_.number(); }
  int descriptor_to_read() const { return to_read_.number(); }

  // Makes `user` and `group` its owners, so that they can open and remove it. Throws SystemError.
  void give_to(uid_t user, gid_t group);

  // As create(), but anonymous: shared with forked children only. For tests and benchmarks.
  static SharedSegment anonymous(Size size);

  Header& header() const { return *static_cast<Header*>(region_.get_address()); }
  Activity& activity() const;
  std::span<PeerStatus> peers() const;
  // Restores the fixed fields of the header as they were when this was made, in case another process has spoilt them.
  void restore_header() const;
  // For reading all of it. Throws std::logic_error if another process has spoilt the header since it was opened.
  TableView view() const;
  std::span<Bucket> buckets() const;
  std::span<Slot> slots() const;
  std::span<RosterEntry> roster() const;
  std::span<std::atomic<std::uint8_t>> process_states() const;

  // Removes the name; mappings stay valid until their processes end.
  void remove_name() noexcept;

private:
  struct Descriptors
  {
    FileDescriptor memory;
    FileDescriptor to_read;
  };

  SharedSegment(std::string name, Descriptors descriptors, boost::interprocess::mapped_region region);
  static SharedSegment format(std::string name, Descriptors descriptors, boost::interprocess::mapped_region region,
                              Size size);
  Layout layout() const { return Layout::of(bucket_count_, roster_capacity_); }
  std::byte* at(std::size_t offset) const;
  void make_unwritable(std::size_t begin, std::size_t end);

  std::string name_; // as shm_open(3) wants it, without the slash; empty when anonymous
  FileDescriptor memory_;
  FileDescriptor to_read_;
  boost::interprocess::mapped_region region_;
  std::uint32_t bucket_count_; // as of when it was opened: the memory's contents may change
  std::uint32_t roster_capacity_;
  std::uint64_t hash_key_;
};

} // namespace pepsal
