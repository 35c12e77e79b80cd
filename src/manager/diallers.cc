// Starting and watching the dialler. Called by the manager; with --connect fast there is nothing to do. A lost dialler
// is only logged and started again.

#include "manager/diallers.hh"

#include <csignal>
#include <unistd.h>
#include <utility>

#include "dial/dialler.hh"
#include "util/log.hh"
#include "util/system_error.hh"

namespace pepsal {

using namespace std::chrono_literals;

Diallers::Diallers(Children& children, ConnectionTable& table, const Config& config, Confinement& confinement,
                   std::function<void()> let_go)
    : children_{children}
    , table_{table}
    , config_{config}
    , confinement_{confinement}
    , let_go_{std::move(let_go)}
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
  retry_at_ = std::chrono::steady_clock::now() + 1s; // of one that dies at once, the next waits
  const auto manager = ::getpid();
  children_.spawn(Children::Role::dialler, 0, [this, manager](Owner) {
    let_go_();
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

void Diallers::keep_asking_end()
{
  queuers_.clear();
  if (handover_) {
    handover_->keep_asking_end();
  }
}

void Diallers::let_go()
{
  queuers_.clear();
  handover_.reset();
}

int Diallers::queuer_end(std::uint16_t queue) const
{
  return queuers_.empty() ? -1 : queuers_.at(queue - config_.first_queue).queuer_end();
}

} // namespace pepsal
