// Starts and watches the keepers of warm connections. Called by the manager; without --peer there is nothing to do. A
// key that cannot be used ends the start with one line.

#include "manager/keepers.hh"

#include <algorithm>
#include <iterator>
#include <utility>

#include <unistd.h>

#include "peer/keeper.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

using namespace std::chrono_literals;

Keepers::Keepers(Children& children, ConnectionTable& table, std::span<PeerStatus> statuses, Config config,
                 Confinement& confinement)
    : children_{children}
    , table_{table}
    , statuses_{statuses}
    , config_{std::move(config)}
    , confinement_{confinement}
{
  queues_.resize(config_.peers.peers.size());
}

void Keepers::load_key(const std::string& kept)
{
  if (config_.peers.key_file.empty()) {
    return;
  }
  try {
    key_ = PeerKey::load(config_.peers.key_file);
  } catch (const std::runtime_error&) {
    if (kept.empty()) {
      throw;
    }
    key_ = PeerKey::from_hex(kept);
  }
}

Keepers::~Keepers()
{
  children_.end_all(Children::Role::keeper);
}

void Keepers::start_all()
{
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    auto& status = statuses_[i];
    status.address = config_.peers.peers[i].address;
    status.problem = PeerProblem::not_tried;
    status.up = false; // may have been up, if the table was taken over
    status.since_ns = boot_time_now().count();
    status.present = true;
    start(static_cast<std::uint16_t>(i));
  }
}

void Keepers::start(std::uint16_t peer)
{
  const auto manager = ::getpid();
  auto& queue = queues_[peer];
  std::vector<int> kept{queue.giving_end(), queue.taking_end(), confinement_.descriptor()};
  children_.spawn(Children::Role::keeper, peer, std::move(kept), [&](Owner) {
    return run_keeper({.config = config_,
                       .peer = config_.peers.peers[peer],
                       .key = key(),
                       .table = table_,
                       .status = statuses_[peer],
                       .queue = queue,
                       .manager = manager,
                       .confinement = confinement_});
  });
}

void Keepers::note_loss(std::uint16_t peer, std::string_view manner)
{
  log::warning("keeper of peer {} was lost ({})", config_.peers.peers[peer].address.address_string(), manner);
  lost_.push_back(peer);
  retry_at_ = std::chrono::steady_clock::now() + 1s;
}

void Keepers::restart_lost(Time now)
{
  if (now < next_look()) {
    return;
  }
  retry_at_ = now + 1s;
  std::erase_if(lost_, [this](std::uint16_t peer) {
    try {
      start(peer);
      return true;
    } catch (const SystemError& error) {
      log::error("{}: peer {} has no keeper; trying again", error.what(),
                 config_.peers.peers[peer].address.address_string());
      return false;
    }
  });
}

void Keepers::add_taking_ends(std::vector<int>& descriptors) const
{
  std::ranges::transform(queues_, std::back_inserter(descriptors), &WarmQueue::taking_end);
}

std::vector<WarmQueue> Keepers::take_taking_ends()
{
  std::vector<WarmQueue> ends;
  ends.reserve(queues_.size());
  std::ranges::transform(queues_, std::back_inserter(ends), &WarmQueue::take_taking_end);
  return ends;
}

Keepers::Time Keepers::next_look() const
{
  return lost_.empty() ? Time::max() : retry_at_;
}

} // namespace pepsal
