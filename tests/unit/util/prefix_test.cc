#include "util/prefix.hh"

#include <gtest/gtest.h>

using namespace pepsal;

namespace {

bool has(const char* prefix, const char* address)
{
  return Prefix::parse(prefix).value().contains(Endpoint::parse(address, 80).value());
}

} // namespace

TEST(Prefix, ContainsItsAddressesAndNoOthers)
{
  EXPECT_TRUE(has("10.81.0.0/16", "10.81.255.3"));
  EXPECT_FALSE(has("10.81.0.0/16", "10.82.0.0"));
  EXPECT_TRUE(has("10.81.128.0/17", "10.81.128.1"));
  EXPECT_FALSE(has("10.81.128.0/17", "10.81.127.255"));
  EXPECT_TRUE(has("10.81.1.2", "10.81.1.2"));
  EXPECT_FALSE(has("10.81.1.2", "10.81.1.3"));
  EXPECT_TRUE(has("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(has("2001:db8::/33", "2001:db8:8000::1"));
}

TEST(Prefix, AllOfOneFamilyIsNotTheOther)
{
  EXPECT_TRUE(has("0.0.0.0/0", "192.0.2.7"));
  EXPECT_FALSE(has("0.0.0.0/0", "2001:db8::1"));
  EXPECT_TRUE(has("::/0", "2001:db8::1"));
}

TEST(Prefix, IsWrittenAsItWasRead)
{
  for (const auto* text : {"10.81.0.0/16", "0.0.0.0/0", "10.81.1.2/32", "2001:db8::/32", "::/0"}) {
    EXPECT_EQ(Prefix::parse(text).value().to_string(), text);
  }
}

TEST(Prefix, OtherTextIsNone)
{
  for (const auto* text : {"", "/", "10.81.0.0/", "10.81.0.0/33", "10.81.0.0/-1", "10.81.0.0/16x", "10.81.0.1/16",
                           "10.81/16", "2001:db8::/129", "2001:db8::1/64", "host/16", "10.81.0.0/16/8"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}
