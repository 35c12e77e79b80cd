#pragma once

namespace pepsal {

// What a process is, as far as it is confined. docs/SECURITY.md has the table of what each may still do.
enum class Role
{
  manager,
  queuer,
  keeper,
  dialler,
  proxy,         // waits for a connection, finds its destination, dials
  session,       // the same process while it copies, when no other connection follows
  paced_session, // one whose congestion control is chosen again (ProbeGuard)
};

} // namespace pepsal
