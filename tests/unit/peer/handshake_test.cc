#include "peer/handshake.hh"

#include <string>

#include <gtest/gtest.h>

using namespace pepsal;

namespace {

PeerKey key_of(const std::string& secret)
{
  return PeerKey::from_secret(std::as_bytes(std::span{secret}));
}

Greeting greeting_with(bool keyed)
{
  return {.keyed = keyed, .nonce = make_nonce()};
}

// Over the wire and back.
Welcome answer(const Greeting& greeting, const PeerKey* key)
{
  return Welcome::parse(welcome(Greeting::parse(greeting.encode()).value(), key).encode()).value();
}

} // namespace

TEST(Handshake, RecordsSayTheSameBack)
{
  const Greeting greeting{.version = 7, .keyed = true, .nonce = make_nonce()};
  EXPECT_EQ(Greeting::parse(greeting.encode()), greeting);
  const Welcome reply{
      .version = 7, .verdict = Welcome::Verdict::key_unknown, .nonce = make_nonce(), .proof = make_nonce()};
  EXPECT_EQ(Welcome::parse(reply.encode()), reply);
}

TEST(Handshake, RecordsOfOthersAreNone)
{
  auto greeting = Greeting{}.encode();
  greeting[3] = std::byte{'W'};
  EXPECT_FALSE(Greeting::parse(greeting));
  auto reply = Welcome{}.encode();
  reply[0] = std::byte{'H'};
  EXPECT_FALSE(Welcome::parse(reply));
  reply = Welcome{}.encode();
  reply[5] = std::byte{4};
  EXPECT_FALSE(Welcome::parse(reply));
}

TEST(Handshake, SameKeyOnBothSidesIsProved)
{
  const auto key = key_of("a key that both sides of the satellite have");
  const auto greeting = greeting_with(true);
  const auto reply = answer(greeting, &key);
  const auto near = answer_welcome(greeting, reply, &key);
  ASSERT_TRUE(near.proof);
  EXPECT_TRUE(is_proved(greeting, reply, *near.proof, &key));
}

TEST(Handshake, OtherKeyIsFoundOutByBothSides)
{
  const auto key = key_of("a key that both sides of the satellite have");
  const auto other = key_of("a key that one side of the satellite has");
  const auto greeting = greeting_with(true);
  EXPECT_FALSE(answer_welcome(greeting, answer(greeting, &other), &key).proof);
  const auto reply = answer(greeting, &key);
  EXPECT_FALSE(is_proved(greeting, reply, prove(other, PeerRole::near, greeting.nonce, reply.nonce), &key));
}

// Neither side's proof is valid for the other's role, for other nonces, or with a bit changed.
TEST(Handshake, ProofIsBoundToRoleAndNonces)
{
  const auto key = key_of("a key that both sides of the satellite have");
  const auto greeting = greeting_with(true);
  const auto reply = answer(greeting, &key);
  EXPECT_FALSE(is_proved(greeting, reply, reply.proof, &key));
  EXPECT_FALSE(is_proved(greeting, reply, Proof{}, &key));
  EXPECT_FALSE(is_proved(greeting, answer(greeting, &key), *answer_welcome(greeting, reply, &key).proof, &key));
  EXPECT_FALSE(is_proved(greeting_with(true), reply, *answer_welcome(greeting, reply, &key).proof, &key));
  auto proof = *answer_welcome(greeting, reply, &key).proof;
  proof[31] ^= std::byte{1};
  EXPECT_FALSE(is_proved(greeting, reply, proof, &key));
}

TEST(Handshake, WithoutKeysThereIsNothingToProve)
{
  const auto greeting = greeting_with(false);
  const auto reply = answer(greeting, nullptr);
  const auto near = answer_welcome(greeting, reply, nullptr);
  ASSERT_TRUE(near.proof);
  EXPECT_TRUE(is_proved(greeting, reply, *near.proof, nullptr));
}

TEST(Handshake, KeyOnOneSideOnlyIsRefusedWithTheReason)
{
  const auto key = key_of("a key that one side of the satellite has");
  auto reply = answer(greeting_with(true), nullptr);
  EXPECT_EQ(reply.verdict, Welcome::Verdict::key_unknown);
  EXPECT_EQ(answer_welcome(greeting_with(true), reply, &key).problem, PeerProblem::key_unknown);
  EXPECT_FALSE(is_proved(greeting_with(true), reply, Proof{}, nullptr));
  reply = answer(greeting_with(false), &key);
  EXPECT_EQ(reply.verdict, Welcome::Verdict::key_required);
  EXPECT_EQ(answer_welcome(greeting_with(false), reply, nullptr).problem, PeerProblem::key_required);
}

TEST(Handshake, OtherVersionIsRefused)
{
  const Greeting greeting{.version = peer_protocol_version + 1};
  const auto reply = answer(greeting, nullptr);
  EXPECT_EQ(reply.verdict, Welcome::Verdict::other_version);
  EXPECT_EQ(reply.version, peer_protocol_version);
  EXPECT_FALSE(answer_welcome(greeting, reply, nullptr).proof);
}
