// Which of the box's sockets are the two legs of a table entry. Called once for each connection shown. Nothing here can
// fail: a leg that is not found is empty.

#include "pepsalctl/join.hh"

#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>

namespace pepsal {

namespace {

constexpr unsigned port_bits = 16;

std::uint32_t ports(const Endpoint& local, const Endpoint& remote)
{
  return (std::uint32_t{local.port} << port_bits) | remote.port;
}

} // namespace

Join::Join(std::span<const SocketFacts> sockets, Inodes inodes_of)
    : sockets_{sockets}
    , inodes_of_{std::move(inodes_of)}
{
  by_ports_.reserve(sockets_.size());
  by_inode_.reserve(sockets_.size());
  for (const auto& socket : sockets_) {
    by_ports_.emplace(ports(socket.local, socket.remote), &socket);
    if (socket.inode != 0) { // a socket that no process has open any more has none
      by_inode_.emplace(socket.inode, &socket);
    }
  }
}

const SocketFacts* Join::find(const Endpoint& local, const Endpoint& remote) const
{
  const auto [begin, end] = by_ports_.equal_range(ports(local, remote));
  for (auto candidate = begin; candidate != end; ++candidate) {
    if (candidate->second->local == local && candidate->second->remote == remote) {
      return candidate->second;
    }
  }
  return nullptr;
}

Legs Join::legs_of(const TableEntry& entry, std::int32_t pid) const
{
  const auto& client = entry.connection.client;
  const auto& server = entry.connection.server;
  const auto* client_leg = find(server, client);
  const auto* server_leg = find(client, server);
  if (pid != 0 && (client_leg == nullptr || server_leg == nullptr)) {
    for (const auto inode : inodes_of_(pid)) {
      const auto found = by_inode_.find(inode);
      if (found == by_inode_.end() || found->second == client_leg || found->second == server_leg) {
        continue;
      }
      const auto* socket = found->second;
      // A far proxy's client leg comes from its peer, not from the client: it is the one left besides the dialled one.
      const bool is_server = socket->remote != client && (socket->remote == server || server_leg == nullptr);
      const SocketFacts*& leg = is_server ? server_leg : client_leg;
      leg = leg == nullptr ? socket : leg;
    }
  }
  Legs result;
  if (client_leg != nullptr) {
    result.client = *client_leg;
  }
  if (server_leg != nullptr) {
    result.server = *server_leg;
  }
  return result;
}

std::vector<std::uint32_t> socket_inodes_of(std::int32_t pid)
{
  namespace fs = std::filesystem;
  constexpr std::string_view prefix = "socket:[";
  std::vector<std::uint32_t> result;
  std::error_code error;
  for (fs::directory_iterator file{"/proc/" + std::to_string(pid) + "/fd", error}, end; !error && file != end;
       file.increment(error)) {
    std::error_code gone;
    const auto target = fs::read_symlink(file->path(), gone).string();
    std::uint32_t inode = 0;
    if (!gone && target.starts_with(prefix) &&
        std::from_chars(target.data() + prefix.size(), target.data() + target.size(), inode).ec == std::errc{}) {
      result.push_back(inode);
    }
  }
  return result;
}

} // namespace pepsal
