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
    std::uint32_t max_connections; // the limit on entries; slots are at least this over maximum load
    std::uint32_t processes;       // entries in the roster
  };

  // Creates the segment of `instance` and locks it for this process's life (fcntl(2), not inherited
  // by children). What nobody holds is replaced, whatever version left it. Throws std::runtime_error with the remedy
  // when another manager holds the name or what has it is not PEPsal's; SystemError or
  // boost::interprocess::interprocess_exception when there is not enough memory.
  // What belongs to a user other than root, this process's and `other_owner` (--user) is not believed but removed.
  static SharedSegment create(const std::string& instance, Size size, std::optional<uid_t> other_owner = std::nullopt);

  // The segment that a manager which was killed has left, locked for this process as create() does. Nothing if there is
  // none, another manager holds it, or it is not of this layout, and of what another user has put there.
  static std::optional<SharedSegment> take_over(const std::string& instance, std::optional<uid_t> other_owner);

  // The segment that a program before this one in the same process had made and locked, by its descriptors. Throws
  // std::runtime_error when it is not of this layout.
  static SharedSegment adopt(const std::string& instance, FileDescriptor memory, FileDescriptor to_read);

  enum class Access
  {
    read_only,
    read_write
  };

  // Maps an existing segment. Throws std::runtime_error when there is none or its layout is not this
  // program's.
  static SharedSegment open(const std::string& instance, Access access);

  // What a process that is not the manager writes.
  enum class Writer
  {
    queuer,  // connections, and what is counted
    proxy,   // these, and processes' states
    keeper,  // what is counted, and peers' states
    dialler, // what is counted
  };

  // In such a process: takes all else from it, for good. What it may not write it has mapped by a descriptor to read,
  // which the kernel never lets become more, and that one is all that it keeps. Throws SystemError.
  void keep_to(Writer writer);

  // Whether another process, the manager that created it, still holds it; if not, a crash left it.
  bool has_manager() const;

  // The process that has locked this number by claim_number(). The kernel says so, not the memory; and only the
  // daemon's processes, root and its group can lock it.
  std::optional<pid_t> holder_of(Owner owner) const;

  // Locks a number in the segment that `descriptor` is of, for this process's life. For a signal handler. The lock is
  // one for reading, which is all that this descriptor allows: nobody can take it for the manager's.
  static void claim_number(int descriptor, Owner owner) noexcept;

  // For adopt(). A process that closes one loses its lock.
  int descriptor() const { return memory_.number(); }
  int descriptor_to_read() const { return to_read_.number(); }

  // Makes `user` and `group` the owners, so that they may open and remove it. Throws SystemError.
  void give_to(uid_t user, gid_t group);

  // As create(), but anonymous: shared with forked children only. For tests and benchmarks.
  static SharedSegment anonymous(Size size);

  Header& header() const { return *static_cast<Header*>(region_.get_address()); }
  Activity& activity() const;
  std::span<PeerStatus> peers() const;
  // What is fixed in the header, as it was when this was made, should another process have spoilt it.
  void restore_header() const;
  // To read the whole of it. Throws std::logic_error when another process has spoilt the header since it was opened.
  TableView view() const;
  std::span<Bucket> buckets() const;
  std::span<Slot> slots() const;
  std::span<RosterEntry> roster() const;
  std::span<std::atomic<std::uint8_t>> process_states() const;

  // Takes the name away; mappings stay valid until their processes end.
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
  std::uint32_t bucket_count_; // as they were when it was opened: what stands in the memory may change
  std::uint32_t roster_capacity_;
  std::uint64_t hash_key_;
};

} // namespace pepsal
