// Which SYNs are intercepted; this is decided only here. A new rule is a new Decision, with its own counter.

#include "queuer/decision.hh"

#include "util/destination.hh"

namespace pepsal {

Counter counter_of(Decision decision)
{
  switch (decision) {
  case Decision::intercept:
    return Counter::verdicts_intercept;
  case Decision::bypass_full:
    return Counter::verdicts_bypass_full;
  case Decision::bypass_client:
    return Counter::verdicts_bypass_client;
  case Decision::bypass_draining:
    return Counter::verdicts_bypass_draining;
  case Decision::bypass_overloaded:
    return Counter::verdicts_bypass_overloaded;
  case Decision::bypass_authentication:
    return Counter::verdicts_bypass_authentication;
  case Decision::bypass_joining:
    return Counter::verdicts_bypass_joining;
  case Decision::bypass_server:
    return Counter::verdicts_bypass_server;
  case Decision::bypass_waiting:
    return Counter::verdicts_bypass_waiting;
  case Decision::bypass_crossing:
    return Counter::verdicts_bypass_crossing;
  case Decision::bypass_destination:
    break;
  }
  return Counter::verdicts_bypass_destination;
}

Decision decide(const Connection& connection, bool draining, bool overloaded)
{
  switch (connection.syn.unsplittable) {
  case Unsplittable::nothing:
    break;
  case Unsplittable::authentication:
    return Decision::bypass_authentication;
  case Unsplittable::joining:
    return Decision::bypass_joining;
  }
  if (!forbidden_destination(connection.server).empty()) {
    return Decision::bypass_destination;
  }
  if (draining) {
    return Decision::bypass_draining;
  }
  return overloaded ? Decision::bypass_overloaded : Decision::intercept;
}

} // namespace pepsal
