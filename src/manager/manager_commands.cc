// Commands to the manager while it serves, by signal or through the control socket. A refusal is one line for whoever
// asked, and changes nothing.

#include "manager/connection_manager.hh"

#include <stdexcept>
#include <utility>

#include <csignal>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/command.hh"

namespace pepsal {

std::string Manager::apply_configuration()
{
  auto fresh = start_.read_configuration();
  apply_rates(fresh, told_rates_);
  auto plan = plan_reload(config_, std::move(fresh), room_);
  for (const auto& warning : plan.warnings) {
    log::warning("{}", warning);
  }
  const auto before = std::exchange(config_, std::move(plan.config));
  segment_.header().max_connections = config_.max_connections;
  segment_.header().max_per_client = per_client_limit(config_);
  log::configure(config_.verbose);
  proxies_.follow(before);
  diallers_.follow();
  return fmt::format("configuration reloaded: new connections use it{}{}", plan.warnings.empty() ? "" : "; ",
                     fmt::join(plan.warnings, "; "));
}

void Manager::obey(ControlSocket::Request& request)
{
  const auto command = parse_control_command(request.words());
  switch (command.kind) {
  case ControlCommand::Kind::reload:
    request.done(apply_configuration());
    break;
  case ControlCommand::Kind::restart:
    restart(request.asker());
    break;
  case ControlCommand::Kind::drain:
    request.done(drain(std::chrono::seconds{command.number}));
    break;
  case ControlCommand::Kind::link:
    request.done(tell_rate(command.first, command.second));
    break;
  case ControlCommand::Kind::undrain:
    request.done(undrain());
    break;
  case ControlCommand::Kind::kill:
    request.done(kill(command.number, command.first, command.second));
    break;
  }
}

std::string Manager::drain(std::chrono::seconds grace)
{
  if (lifecycle_.is_ending()) {
    throw std::runtime_error{"the daemon is already draining"};
  }
  lifecycle_.leave(std::chrono::steady_clock::now(), grace, config_.drain_timeout);
  segment_.header().leaving = true;
  auto text = fmt::format("unhealthy from now on; in {} s new connections bypass, and up to {} s later it ends",
                          grace.count(), config_.drain_timeout.count());
  log::info("told to drain: {}", text);
  return text;
}

std::string Manager::tell_rate(const std::string& interface, const std::string& rate)
{
  if (find_link(config_.links, interface) == nullptr) {
    throw std::runtime_error{fmt::format("'{}' is not a link of the configuration", interface)};
  }
  auto rates = told_rates_;
  rates[interface] = rate;
  auto fresh = config_;
  apply_rates(fresh, rates);
  const auto before = std::exchange(config_, std::move(fresh));
  told_rates_ = std::move(rates);
  proxies_.follow(before);
  auto text = fmt::format("link {}: new connections use the rate {}", interface, rate);
  log::info("{}", text);
  return text;
}

std::string Manager::undrain()
{
  if (!lifecycle_.stay()) {
    throw std::runtime_error{"too late: the daemon has stopped listening"};
  }
  segment_.header().leaving = false;
  segment_.header().draining = false;
  log::info("drain cancelled: serving");
  service_.ready(status());
  return "serving";
}

std::string Manager::kill(std::uint32_t id, const std::string& client, const std::string& server)
{
  const auto slots = segment_.slots();
  if (id >= slots.size()) {
    throw std::runtime_error{fmt::format("there is no connection {}", id)};
  }
  const auto entry = TableView::observe(slots[id], Control{slots[id].control.load(std::memory_order_acquire)});
  const bool same = entry.connection.client.to_string() == client && entry.connection.server.to_string() == server;
  if (!same || entry.state == SlotState::free || entry.state == SlotState::reserved) {
    throw std::runtime_error{fmt::format("connection {} has ended", id)};
  }
  if (entry.state == SlotState::pending || !children_.is_alive(entry.owner)) {
    throw std::runtime_error{fmt::format("connection {} has not reached a proxy yet", id)};
  }
  collector_.note_killed(entry.owner);
  children_.signal(Children::Role::proxy, SIGKILL, [&](const auto& child) { return child.owner == entry.owner; });
  return fmt::format("connection {} from {} to {} is reset", id, client, server);
}

} // namespace pepsal
