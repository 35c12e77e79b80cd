#pragma once

#include <string>
#include <vector>

#include "manager/children.hh"
#include "manager/handover.hh"
#include "tcp/listener.hh"

namespace pepsal {

// The program that replaces this one at a restart: whatever is at its path by then.
struct Program
{
  std::string path;
  std::vector<const char*> arguments; // as main() got them, the program's name first
};

// Words in the form that execv(3) takes, which does not modify them, with a null pointer at the end. They must outlive
// it.
std::vector<char*> exec_arguments(const std::vector<const char*>& words);

// Runs the program with --check. Throws std::runtime_error with its output if it would not start.
void require_sound(const Program& program);

// For the handover.
std::vector<Handover::Child> children_for(const Children& children);
std::vector<Handover::Listener> listeners_for(std::span<const Listener> listeners);
// Adopts all of them at once: with the same table they keep their numbers, with another one they get new ones.
void adopt_children(Children& children, const Handover& before, bool same_table);
// The listeners that can still be used: those with the same address and port.
std::vector<Listener> adopt_listeners(const Handover& before, const Config& config);

} // namespace pepsal
