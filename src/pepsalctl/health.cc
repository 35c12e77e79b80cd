// pepsalctl health, on which /health and the metric pepsal_ready are based: a queuer answers, a proxy is idle and the
// rules are in place. For users who may not see queues and rules, it relies on what everybody can see. Fails with
// SystemError if the kernel does not report them.

#include "pepsalctl/health.hh"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/rules.hh"
#include "pepsalctl/totals.hh"

namespace pepsal {

namespace {

using namespace std::chrono_literals;

Health not_ready(std::string reason)
{
  return {.state = Health::State::not_ready, .reason = std::move(reason)};
}

// Whether that process is neither dead nor stopped, by the letter after the last parenthesis (proc(5)).
bool runs(std::int32_t pid)
{
  std::ifstream file{fmt::format("/proc/{}/stat", pid)};
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(") ");
  return name_end != std::string::npos && name_end + 2 < text.size() &&
         std::string_view{"TtZX"}.find(text[name_end + 2]) == std::string_view::npos;
}

struct Queuer
{
  std::int32_t pid;
  std::uint16_t queue;
};

std::vector<Queuer> queuers_of(const SharedSegment& segment)
{
  std::vector<Queuer> result;
  const auto states = segment.process_states();
  const auto roster = segment.roster();
  for (std::size_t i = 0; i < std::min(states.size(), roster.size()); ++i) {
    if (states[i].load() == static_cast<std::uint8_t>(ProcessState::queuer) && roster[i].pid.load() > 0) {
      result.push_back({.pid = roster[i].pid, .queue = roster[i].index});
    }
  }
  return result;
}

// What is wrong with the queuers, or an empty string.
std::string trouble_with_queuers(const SharedSegment& segment)
{
  const auto bound = packet_queues(); // visible to root only; whether the process runs, to everybody
  const auto queuers = queuers_of(segment);
  const bool one_answers = std::any_of(queuers.begin(), queuers.end(), [&bound](const auto& queuer) {
    return runs(queuer.pid) && (!bound || std::any_of(bound->begin(), bound->end(), [&queuer](const auto& queue) {
             return queue.number == queuer.queue;
           }));
  });
  return one_answers ? "" : "no queuer answers";
}

bool has_idle_proxy(const SharedSegment& segment)
{
  const auto deadline = std::chrono::steady_clock::now() + 1s;
  while (processes_of(segment).at("idle") == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(20ms); // a burst has taken them all, and more are being forked
  }
  return true;
}

} // namespace

std::string Health::line() const
{
  switch (state) {
  case State::ready:
    return "ready";
  case State::draining:
    return "draining";
  case State::not_ready:
    break;
  }
  return "not ready: " + reason;
}

std::optional<std::vector<QueueFacts>> packet_queues()
{
  std::ifstream file{packet_queues_file};
  return file.is_open() ? std::optional{read_packet_queues(file)} : std::nullopt;
}

std::vector<std::uint16_t> queues_of(const SharedSegment& segment)
{
  std::vector<std::uint16_t> result;
  for (const auto& queuer : queuers_of(segment)) {
    result.push_back(queuer.queue);
  }
  return result;
}

Health health_of(const SharedSegment& segment)
{
  const auto view = segment.view();
  if (view.value(Gauge::draining) != 0 || view.value(Gauge::leaving) != 0) {
    return {.state = Health::State::draining};
  }
  if (view.value(Gauge::overloaded) != 0) {
    return not_ready("no process can be started, or proxies die at once");
  }
  if (auto trouble = trouble_with_queuers(segment); !trouble.empty()) {
    return not_ready(std::move(trouble));
  }
  if (!has_idle_proxy(segment)) {
    return not_ready("no proxy is idle");
  }
  const auto queues = queues_of(segment);
  const auto seen = rules_stand(queues);
  const bool stand = seen ? *seen : traces_of_rules_stand();
  return stand ? Health{.state = Health::State::ready}
               : not_ready(fmt::format("no rules lead to queue {}; see pepsal-iptables", fmt::join(queues, ", ")));
}

Health health_of(const std::string& instance)
{
  try {
    const auto segment = open_running(instance);
    return health_of(segment);
  } catch (const std::exception& error) {
    return not_ready(error.what());
  }
}

int show_health(const CommandOptions& line)
{
  const auto health = health_of(line.instance);
  fmt::print("{}\n", health.line());
  return static_cast<int>(health.state);
}

} // namespace pepsal
