#pragma once

#include "util/socket.hh"

namespace pepsal {

// Reports that interfaces have appeared, disappeared or changed (rtnetlink(7), RTMGRP_LINK).
class InterfaceWatch
{
public:
  // Throws SystemError.
  InterfaceWatch();

  int number() const { return socket_.number(); } // readable when something has changed
  // Discards what has been reported so far.
  void forget();

private:
  Socket socket_;
};

} // namespace pepsal
