// The event loop: reads packets from either device, asks the two Links what is due and writes it to the other device.
// Created and run by main. Fails if a device cannot be created or is removed.

#include "satsim/emulator.hh"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <span>

#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <fmt/core.h>

#include "util/system_error.hh"

namespace pepsal::satsim {

namespace {

// The two directions take turns, so that a burst in one delays the other by some 100 us at most.
constexpr int batch = 16;
constexpr int most_per_turn = 4 * batch;

// While packets flow, the program wakes up once per turn, like an interface with interrupt coalescing: at 250 Mb/s a
// packet arrives every 48 us, and sleeping and waking up for each one costs more than carrying it.
constexpr Time turn = std::chrono::microseconds{100};

Time now()
{
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// Asks for timers that fire on time, and for the processor as soon as they do. Both are optional: without the privilege
// the link works, only later under load, which the statistics show.
bool prepare_scheduling(bool realtime)
{
  prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  if (!realtime) {
    return false;
  }
  sched_param parameters{};
  parameters.sched_priority = 1;
  return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0;
}

void sleep(std::span<pollfd> polled, std::optional<Time> longest)
{
  timespec timeout{};
  if (longest) {
    timeout.tv_sec = *longest / std::chrono::seconds{1};
    timeout.tv_nsec = (*longest % std::chrono::seconds{1}).count();
  }
  if (ppoll(polled.data(), polled.size(), longest ? &timeout : nullptr, nullptr) < 0 && errno != EINTR) {
    throw SystemError{errno, "ppoll"};
  }
}

void print(const std::string& text)
{
  if (std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) == EOF) {
    throw SystemError{errno, "write to standard output"};
  }
}

std::int64_t microseconds(Time time)
{
  return time / std::chrono::microseconds{1};
}

} // namespace

Emulator::Emulator(const Options& options)
    : a_{options.a}
    , b_{options.b}
    , down_{"down", b_, a_, Link{options.down, now()}}
    , up_{"up", a_, b_, Link{options.up, now()}}
    , signals_{SIGTERM, SIGINT, SIGUSR1, SIGUSR2}
    , queue_log_interval_{options.queue_log_interval}
    , start_{now()}
    , next_log_{start_}
{
  if (!options.queue_log.empty()) {
    queue_log_.reset(std::fopen(options.queue_log.c_str(), "we"));
    if (!queue_log_) {
      throw SystemError{errno, "open " + options.queue_log};
    }
    fmt::print(queue_log_.get(), "seconds,down_queue_bytes,up_queue_bytes,down_delivered_bytes,up_delivered_bytes\n");
  }
  realtime_ = prepare_scheduling(options.realtime);
}

void Emulator::run(const std::function<void()>& ready)
{
  ready();
  while (!signalled_ || handle_signals()) {
    const Time turn_start = now();
    const int moved = carry(down_) + carry(up_);
    log_queues();
    if (moved > 0) {
      pause(turn_start + turn - now());
    } else {
      wait();
    }
  }
  print(statistics());
}

int Emulator::carry(Direction& direction)
{
  int moved = 0;
  int last_moved = 0;
  do {
    last_moved = take_arrivals(direction) + hand_over(direction);
    moved += last_moved;
  } while (last_moved >= batch && moved < most_per_turn);
  return moved;
}

int Emulator::take_arrivals(Direction& direction)
{
  for (int i = 0; i < batch; ++i) {
    const auto space = direction.link.space();
    const auto size = space.empty() ? 0 : direction.from.read(space);
    if (size == 0) {
      return i;
    }
    direction.link.arrive(now(), size);
  }
  return batch;
}

int Emulator::hand_over(Direction& direction)
{
  for (int i = 0; i < batch; ++i) {
    const Time time = now();
    const auto packet = direction.link.due(time);
    if (!packet) {
      return i;
    }
    direction.lateness.add(time - direction.link.due_time());
    direction.write_failures += direction.to.write(*packet) ? 0 : 1;
    direction.link.deliver();
  }
  return batch;
}

bool Emulator::handle_signals()
{
  signalled_ = false;
  while (const int signal = signals_.take()) {
    switch (signal) {
    case SIGUSR1:
      print(statistics());
      break;
    case SIGUSR2:
      down_.link.restart_schedule(now());
      up_.link.restart_schedule(now());
      break;
    default:
      return false;
    }
  }
  return true;
}

std::optional<Time> Emulator::next_event()
{
  std::optional<Time> next;
  const auto consider = [&next](std::optional<Time> time) { next = time && (!next || *time < *next) ? time : next; };
  consider(down_.link.next_event());
  consider(up_.link.next_event());
  if (queue_log_) {
    consider(next_log_);
  }
  return next;
}

void Emulator::pause(Time rest)
{
  std::array<pollfd, 1> polled{{{signals_.number(), POLLIN, 0}}};
  sleep(polled, std::max(rest, Time{}));
  signalled_ = polled[0].revents != 0;
}

void Emulator::wait()
{
  const auto wants = [](Direction& direction) { return direction.link.has_space() ? short{POLLIN} : short{0}; };
  std::array<pollfd, 3> polled{
      {{b_.descriptor(), wants(down_), 0}, {a_.descriptor(), wants(up_), 0}, {signals_.number(), POLLIN, 0}}};
  const auto next = next_event();
  sleep(polled, next ? std::optional{std::max(*next - now(), Time{})} : std::nullopt);
  signalled_ = polled[2].revents != 0;
}

void Emulator::log_queues()
{
  if (!queue_log_ || now() < next_log_) {
    return;
  }
  const Time time = now();
  fmt::print(queue_log_.get(), "{:.4f},{},{},{},{}\n", std::chrono::duration<double>(time - start_).count(),
             down_.link.queued_bytes(time), up_.link.queued_bytes(time), down_.link.counters().delivered_bytes,
             up_.link.counters().delivered_bytes);
  next_log_ += queue_log_interval_ * ((time - next_log_) / queue_log_interval_ + 1);
}

std::string Emulator::statistics_line(Direction& direction, bool realtime)
{
  direction.link.due(now()); // updates the counters
  const auto& counters = direction.link.counters();
  return fmt::format(
      "direction={} offered_packets={} offered_bytes={} packets={} bytes={} queue_drops={} random_losses={} "
      "outage_losses={} peak_queue_bytes={} device_overruns={} write_failures={} late_us_p50={} "
      "late_us_p99={} late_us_max={} realtime={}\n",
      direction.name, counters.offered_packets, counters.offered_bytes, counters.delivered_packets,
      counters.delivered_bytes, counters.queue_drops, counters.random_losses, counters.outage_losses,
      counters.peak_queue_bytes, direction.from.overruns(), direction.write_failures,
      microseconds(direction.lateness.quantile(0.5)), microseconds(direction.lateness.quantile(0.99)),
      microseconds(direction.lateness.max()), realtime ? "yes" : "no");
}

std::string Emulator::statistics()
{
  return statistics_line(down_, realtime_) + statistics_line(up_, realtime_);
}

} // namespace pepsal::satsim
