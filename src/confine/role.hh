#pragma once

namespace pepsal {

// The roles of processes for confinement. docs/SECURITY.md has a table of what each may still do.
enum class Role
{
  manager,
  queuer,
  keeper,
  dialler,
  proxy,         // waits for a connection, finds its destination, dials
  session,       // the same process while it copies, if no other connection follows
  paced_session, // one whose congestion control is selected again (ProbeGuard)
};

} // namespace pepsal
