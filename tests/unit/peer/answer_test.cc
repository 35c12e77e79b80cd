#include "peer/answer.hh"

#include <gtest/gtest.h>

using namespace pepsal;

TEST(PeerAnswer, SaysTheSameBack)
{
  using Kind = PeerAnswer::Kind;
  for (const auto kind : {Kind::connected, Kind::dial_failed, Kind::refused, Kind::retired}) {
    const PeerAnswer answer{.kind = kind, .error = 0x1234};
    EXPECT_EQ(PeerAnswer::parse(answer.encode()), answer);
  }
}

TEST(PeerAnswer, IsNotReadFromOtherBytes)
{
  auto record = PeerAnswer{}.encode();
  record[1] = std::byte{4};
  EXPECT_FALSE(PeerAnswer::parse(record));
  record = PeerAnswer{}.encode();
  record[0] = std::byte{'H'};
  EXPECT_FALSE(PeerAnswer::parse(record));
}
