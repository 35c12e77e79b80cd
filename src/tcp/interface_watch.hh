#pragma once

#include "util/socket.hh"

namespace pepsal {

// Tells that interfaces have come, gone or changed (rtnetlink(7), RTMGRP_LINK).
class InterfaceWatch
{
public:
  // Throws SystemError.
  InterfaceWatch();

  int number() const { return socket_.number(); } // readable when something has changed
  // Forgets what has been told so far.
  void forget();

private:
  Socket socket_;
};

} // namespace pepsal
