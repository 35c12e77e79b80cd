#pragma once

#include <string>
#include <vector>

#include "manager/children.hh"
#include "manager/handover.hh"
#include "tcp/listener.hh"

namespace pepsal {

// The program that takes this one's place at a restart: what stands at the path of this one by then.
struct Program
{
  std::string path;
  std::vector<const char*> arguments; // as main got them, its name first
};

// Words as execv(3) takes them, which leaves them alone, with a null pointer at their end. They must outlive it.
std::vector<char*> exec_arguments(const std::vector<const char*>& words);

// Runs the program with --check. Throws std::runtime_error with its words when it would not start.
void require_sound(const Program& program);

// For the handover, and back.
std::vector<Handover::Child> children_for(const Children& children);
std::vector<Handover::Listener> listeners_for(std::span<const Listener> listeners);
// All of them in one go: numbers of the same table stay, of another one's are given new.
void adopt_children(Children& children, const Handover& before, bool same_table);
// Those that still fit: of the same address and port.
std::vector<Listener> adopt_listeners(const Handover& before, const Config& config);

} // namespace pepsal
