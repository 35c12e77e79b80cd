// Restart in place: one program's manager becomes the next one's. Used by the manager on both sides. If the new program
// cannot be executed, the old one gets an exception and continues.

#include "manager/handover.hh"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/restart.hh"
#include "util/system_error.hh"

namespace pepsal {

namespace {

using Json = nlohmann::json;

constexpr auto variable = "PEPSAL_HANDOVER"; // the descriptor's number

void set_close_on_exec(int descriptor, bool close)
{
  check("fcntl F_SETFD", ::fcntl(descriptor, F_SETFD, close ? FD_CLOEXEC : 0));
}

FileDescriptor memory_with(const std::string& text)
{
  FileDescriptor memory{check("memfd_create", ::memfd_create("pepsal-handover", MFD_CLOEXEC))};
  if (::write(memory.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw SystemError{errno, "write to memfd"};
  }
  return memory;
}

std::string text_in(const FileDescriptor& memory)
{
  struct stat facts
  {};
  check("fstat of the handover", ::fstat(memory.number(), &facts));
  std::string text(static_cast<std::size_t>(facts.st_size), '\0');
  const auto bytes = check("read of the handover", ::pread(memory.number(), text.data(), text.size(), 0));
  text.resize(static_cast<std::size_t>(bytes));
  return text;
}

// All numbers here are integers. A fraction might be outside the range of the type to which it would be converted.
bool refuse_fractions(int /*depth*/, Json::parse_event_t event, Json& value)
{
  if (event == Json::parse_event_t::value && value.is_number_float()) {
    throw std::runtime_error{fmt::format("{} is not understood: {} is not a whole number", variable, value.dump())};
  }
  return true;
}

} // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Handover::Child, role, pid, owner, index, started_ns, busy, orphan)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Handover::Listener, descriptor, interface, for_peers)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Handover, version, instance, pidfile, address, port, peer_port, layout, room, table,
                                   pid_folder, pid_file, control, asker, peer_key, rates, listeners, children)

std::string Handover::to_text() const
{
  Json json(*this);
  json["queues"] = queues;
  json["table_to_read"] = table_to_read;
  return json.dump();
}

Handover Handover::from_text(const std::string& text)
{
  try {
    const auto json = Json::parse(text, refuse_fractions);
    auto result = json.get<Handover>();
    result.queues = json.value("queues", result.queues);
    result.table_to_read = json.value("table_to_read", result.table_to_read);
    if (std::ranges::any_of(result.children, [](const Child& child) { return child.pid <= 0; })) { // 0: not there
      throw std::runtime_error{fmt::format("{} is not understood: a child has no pid", variable)};
    }
    return result;
  } catch (const Json::exception& error) {
    throw std::runtime_error{fmt::format("{} is not understood: {}", variable, error.what())};
  }
}

std::vector<int> Handover::descriptors() const
{
  std::vector<int> result{table, table_to_read, pid_folder, pid_file, control, asker, queues};
  for (const auto& listener : listeners) {
    result.push_back(listener.descriptor);
  }
  std::erase(result, -1);
  return result;
}

std::optional<Handover> Handover::receive()
{
  const char* const value = std::getenv(variable);
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::string_view word{value};
  int number = -1;
  std::from_chars(word.data(), word.data() + word.size(), number);
  const FileDescriptor memory{number};
  auto handover = from_text(text_in(memory));
  ::unsetenv(variable);
  for (const int descriptor : handover.descriptors()) {
    set_close_on_exec(descriptor, true);
  }
  return handover;
}

void Handover::execute(const std::string& program, const std::vector<const char*>& arguments) const
{
  const auto memory = memory_with(to_text());
  auto inherited = descriptors();
  inherited.push_back(memory.number());
  for (const int descriptor : inherited) {
    set_close_on_exec(descriptor, false);
  }
  ::setenv(variable, std::to_string(memory.number()).c_str(), 1);
  ::execv(program.c_str(), exec_arguments(arguments).data());
  const int error = errno;
  ::unsetenv(variable);
  for (const int descriptor : inherited) {
    set_close_on_exec(descriptor, true);
  }
  throw SystemError{error, fmt::format("exec {}", program)};
}

} // namespace pepsal
