// Starts and watches the dialler. Called by the manager; with --connect fast there is nothing to do. A lost dialler is
// logged and restarted.

#include "manager/diallers.hh"

#include <algorithm>
#include <iterator>
#include <utility>

#include <csignal>
#include <unistd.h>

#include "dial/dialler.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

using namespace std::chrono_literals;

Diallers::Diallers(Children& children, ConnectionTable& table, const Config& config, Confinement& confinement)
    : children_{children}
    , table_{table}
    , config_{config}
    , confinement_{confinement}
{
  if (config_.connect == Connect::honest) {
    queuers_ = std::vector<DialChannel>(config_.last_queue - config_.first_queue + 1U);
    handover_.emplace();
  }
}

Diallers::~Diallers()
{
  children_.end_all(Children::Role::dialler);
}

void Diallers::start()
{
  if (!handover_) {
    return;
  }
  retry_at_ = std::chrono::steady_clock::now() + 1s; // so that one that dies at once is not restarted at once
  const auto manager = ::getpid();
  std::vector<int> kept{handover_->dialler_end(), confinement_.descriptor()};
  std::ranges::transform(queuers_, std::back_inserter(kept), &DialChannel::dialler_end);
  children_.spawn(Children::Role::dialler, 0, std::move(kept), [&](Owner) {
    return run_dialler({.config = config_,
                        .table = table_,
                        .queuers = queuers_,
                        .proxies = *handover_,
                        .confinement = confinement_,
                        .manager = manager});
  });
}

void Diallers::note_loss(bool crashed, std::string_view manner)
{
  if (crashed) {
    log::warning("the dialler was lost ({})", manner);
    table_.count(Counter::diallers_restarted);
  }
  for (const auto& queuer : queuers_) {
    send_object(queuer.dialler_end(), DialAnswer{.kind = DialAnswer::Kind::lost, .number = 0});
  }
  lost_ = true;
}

void Diallers::restart_lost(Time now)
{
  if (now < next_look()) {
    return;
  }
  try {
    start();
    lost_ = false;
  } catch (const SystemError& error) {
    log::error("{}: connections bypass the proxy without a dialler; trying again", error.what());
    retry_at_ = now + 1s;
  }
}

void Diallers::follow() const
{
  children_.signal(Children::Role::dialler, SIGTERM, [](const auto&) { return true; });
}

std::optional<LegHandover> Diallers::take_asking_end()
{
  return handover_ ? std::optional{handover_->take_asking_end()} : std::nullopt;
}

int Diallers::queuer_end(std::uint16_t queue) const
{
  return queuers_.empty() ? -1 : queuers_.at(queue - config_.first_queue).queuer_end();
}

} // namespace pepsal
