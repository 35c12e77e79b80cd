// A client that resets its connection and comes back at once from the same port, as NFS and rsh clients do.

#include "fixture.hh"

#include <fmt/format.h>

namespace pepsal::test {

class ReconnectTest : public ConnectionTest
{
protected:
  static constexpr std::uint16_t reserved_port = 700; // below 1024: some servers refuse clients from others

  Connection connect_from(std::uint16_t port, const Listener& listener)
  {
    return Connection::connect(net().client(), listener.local(), Topology::client_address(family(), port));
  }
};

TEST_P(ReconnectTest, FromAReservedPort)
{
  const auto listener = listen_here();
  int others = 0;
  for (int round = 0; round < 50; ++round) {
    auto pair = Pair{.client = connect_from(reserved_port, listener), .server = listener.accept()};
    pair.talk();
    if (GetParam().mode != Mode::redirect) { // where the box's own address is seen
      EXPECT_LT(pair.server.remote().port, 1024) << round;
      others += pair.server.remote().port != reserved_port ? 1 : 0;
    }
    pair.client.reset();
  }
  std::printf("others %d\n", others);
}

// The server has closed by then, and would refuse a SYN that comes before the reset.
TEST_P(ReconnectTest, AfterTheServersEnd)
{
  const auto listener = listen_here();
  int rounds = std::getenv("ROUNDS") ? std::atoi(std::getenv("ROUNDS")) : 100;
  int failed = 0, slow = 0;
  for (int round = 0; round < rounds; ++round) {
    auto t = std::chrono::steady_clock::now();
    try {
      auto pair = Pair{.client = connect_from(reserved_port, listener), .server = listener.accept()};
      if (!std::getenv("NOTALK"))
        pair.talk();
      if (!std::getenv("NOCLOSE")) {
        pair.server.close();
        pair.client.receive_all();
      }
      pair.client.reset();
    } catch (const std::exception& e) {
      std::printf("round %d: %s\n", round, e.what());
      ++failed;
    }
    if (std::chrono::steady_clock::now() - t > std::chrono::milliseconds{500})
      ++slow;
  }
  std::printf("failed %d slow %d\n", failed, slow);
  EXPECT_EQ(failed, 0);
  if (proxied()) {
    std::printf("%s\n", daemon().control("status").c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReconnectTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
