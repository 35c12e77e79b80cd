// pepsalctl metrics --listen: /metrics for Prometheus and /health for load balancers, using libmicrohttpd, in one
// thread, until SIGTERM or SIGINT. Fails with SystemError if the address is not available. A daemon that stops or
// starts meanwhile only changes the answers.

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <cap-ng.h>
#include <fmt/core.h>
#include <microhttpd.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pepsalctl/commands.hh"
#include "pepsalctl/connections.hh"
#include "pepsalctl/health.hh"
#include "pepsalctl/metrics.hh"
#include "util/endpoint.hh"
#include "util/process.hh"
#include "util/socket.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Clock = std::chrono::steady_clock;

struct Answer
{
  unsigned status{MHD_HTTP_OK};
  std::string type{"text/plain; charset=utf-8"};
  std::string body;
};

// The answers, computed at most once a second, so that frequent requests cost little.
class Answers
{
public:
  explicit Answers(std::string instance)
      : instance_{std::move(instance)}
  {}

  Answer health()
  {
    return at_most_once_a_second(health_, [this] {
      const auto now = health_of(instance_);
      return Answer{.status = now.state == Health::State::ready ? static_cast<unsigned>(MHD_HTTP_OK)
                                                                : static_cast<unsigned>(MHD_HTTP_SERVICE_UNAVAILABLE),
                    .body = now.line() + '\n'};
    });
  }

  Answer metrics()
  {
    return at_most_once_a_second(metrics_, [this] {
      try {
        return Answer{.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_of(instance_, memory_)};
      } catch (const std::exception& error) {
        return Answer{.status = MHD_HTTP_INTERNAL_SERVER_ERROR, .body = std::string{error.what()} + '\n'};
      }
    });
  }

private:
  struct Kept
  {
    Answer answer;
    Clock::time_point until{};
  };

  template<typename Make> static Answer at_most_once_a_second(Kept& kept, const Make& make)
  {
    if (Clock::now() >= kept.until) {
      kept.answer = make();
      kept.until = Clock::now() + std::chrono::seconds{1};
    }
    return kept.answer;
  }

  std::string instance_;
  MetricMemory memory_;
  Kept health_;
  Kept metrics_;
};

Answer answer_to(Answers& answers, std::string_view method, std::string_view path)
{
  if (method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) {
    return {.status = MHD_HTTP_METHOD_NOT_ALLOWED, .body = "GET or HEAD\n"};
  }
  if (path == "/metrics") {
    return answers.metrics();
  }
  if (path == "/health") {
    return answers.health();
  }
  return {.status = MHD_HTTP_NOT_FOUND, .body = "/metrics or /health\n"};
}

// An MHD_AccessHandlerCallback. Called from C, so no exception may leave it.
MHD_Result handle(void* context, MHD_Connection* connection, const char* path, const char* method,
                  const char* /*version*/, const char* /*upload*/, std::size_t* upload_size, void** request)
{
  static int has_begun;
  if (*request == nullptr) { // the headers have arrived; an unwanted body may follow
    *request = &has_begun;
    return MHD_YES;
  }
  if (*upload_size != 0) {
    *upload_size = 0;
    return MHD_YES;
  }
  try {
    const auto answer = answer_to(*static_cast<Answers*>(context), method, path);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): it is only copied
    auto* text = const_cast<char*>(answer.body.data());
    auto* response = MHD_create_response_from_buffer(answer.body.size(), text, MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) {
      return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer.type.c_str());
    const auto result = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pepsalctl: %s\n", error.what());
    return MHD_NO;
  }
}

struct StopServer
{
  void operator()(MHD_Daemon* server) const { MHD_stop_daemon(server); }
};
using Server = std::unique_ptr<MHD_Daemon, StopServer>;

Socket listen_at(const Endpoint& endpoint)
{
  const SocketAddress address{endpoint};
  auto result = Socket::create(address.family(), SOCK_STREAM | SOCK_NONBLOCK, 0);
  result.set_option(SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  constexpr int backlog = 16;
  check("bind " + endpoint.to_string(), ::bind(result.number(), address.get(), address.length()));
  check("listen " + endpoint.to_string(), ::listen(result.number(), backlog));
  return result;
}

// Root keeps the capabilities needed to read: the table whoever owns it, proxies' sockets, queues and rules.
void keep_only_what_looks()
{
  if (::geteuid() != 0) {
    return;
  }
  ::capng_clear(CAPNG_SELECT_BOTH);
  const int updated =
      ::capng_updatev(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET),
                      CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_PTRACE, -1);
  if (updated != 0 || ::capng_apply(CAPNG_SELECT_BOTH) != 0) {
    throw std::runtime_error{"cannot give up root's privileges"};
  }
}

Server start_server(Socket listener, Answers& answers)
{
  constexpr unsigned most_connections = 16;
  constexpr unsigned seconds_without_a_word = 10;
  constexpr std::size_t bytes_a_connection = 16 * 1024; // for the request
  Server server{MHD_start_daemon(MHD_USE_EPOLL, 0, nullptr, nullptr, handle, &answers, MHD_OPTION_LISTEN_SOCKET,
                                 listener.number(), MHD_OPTION_CONNECTION_LIMIT, most_connections,
                                 MHD_OPTION_CONNECTION_TIMEOUT, seconds_without_a_word,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, bytes_a_connection, MHD_OPTION_END)};
  if (!server) {
    throw std::runtime_error{"the HTTP server does not start"};
  }
  static_cast<void>(listener.release()); // now owned by the server
  return server;
}

// Runs until a signal arrives.
void run(MHD_Daemon* server, SignalDescriptor& signals)
{
  const auto* info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_EPOLL_FD);
  if (info == nullptr) {
    throw std::runtime_error{"the HTTP server has nothing to wait for"};
  }
  const int epoll = info->epoll_fd;
  while (signals.take() == 0) {
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    const bool has_timeout = MHD_get_timeout(server, &timeout) == MHD_YES;
    constexpr MHD_UNSIGNED_LONG_LONG longest_ms = 60'000;
    std::array<pollfd, 2> watched{pollfd{.fd = epoll, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = signals.number(), .events = POLLIN, .revents = 0}};
    const int ready =
        ::poll(watched.data(), watched.size(), has_timeout ? static_cast<int>(std::min(timeout, longest_ms)) : -1);
    if (ready == -1 && errno != EINTR) {
      throw SystemError{errno, "poll"};
    }
    if (MHD_run(server) != MHD_YES) {
      throw std::runtime_error{"the HTTP server has failed"};
    }
  }
}

} // namespace

void serve_metrics(const CommandOptions& line)
{
  auto listener = listen_at(*line.listen); // before this thread enters the daemon's network namespace
  Answers answers{line.instance};
  SignalDescriptor signals{SIGTERM, SIGINT};
  handle_signal(SIGPIPE, SIG_IGN, true);
  try {
    static_cast<void>(open_running(line.instance)); // to enter its network namespace while that is permitted
  } catch (const std::exception&) {
    // It may be started later.
  }
  keep_only_what_looks();
  const auto server = start_server(std::move(listener), answers);
  fmt::print("serving /metrics and /health at http://{}\n", *line.listen);
  std::fflush(stdout);
  run(server.get(), signals);
}

} // namespace pepsal
