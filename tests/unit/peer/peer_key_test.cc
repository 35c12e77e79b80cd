#include "peer/peer_key.hh"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace pepsal;

namespace {

class KeyFile : public testing::Test
{
protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }

  void TearDown() override
  {
    ::unlink(path().c_str());
    ::rmdir(folder_.c_str());
  }

  std::string path() const { return folder_ + "/key"; }

  std::string write(const std::string& content, mode_t mode = 0600) const
  {
    std::ofstream{path(), std::ios::binary} << content;
    ::chmod(path().c_str(), mode);
    return path();
  }

  // The error from loading, or "loaded".
  std::string attempt() const
  {
    try {
      PeerKey::load(path());
      return "loaded";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

private:
  std::string folder_{"/tmp/pepsal-key-XXXXXX"};
};

bool equal(const PeerKey& a, const PeerKey& b)
{
  return std::equal(a.digest().begin(), a.digest().end(), b.digest().begin());
}

const std::string secret(64, 'k');

} // namespace

TEST_F(KeyFile, SameSecretGivesTheSameKeyWhateverEndsTheLine)
{
  const auto key = PeerKey::load(write(secret));
  EXPECT_TRUE(equal(key, PeerKey::load(write(secret + "\n"))));
  EXPECT_TRUE(equal(key, PeerKey::load(write(secret + "\r\n"))));
  EXPECT_FALSE(equal(key, PeerKey::load(write(secret + "k"))));
}

TEST_F(KeyFile, MissingOneIsNamed)
{
  EXPECT_NE(attempt().find("No such file"), std::string::npos) << attempt();
  EXPECT_NE(attempt().find(path()), std::string::npos) << attempt();
}

TEST_F(KeyFile, MayBeNobodyElses)
{
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0666U}) {
    write(secret, mode);
    EXPECT_NE(attempt().find("chmod 600"), std::string::npos) << attempt();
  }
  write(secret, 0400);
  EXPECT_EQ(attempt(), "loaded");
}

TEST_F(KeyFile, HasALength)
{
  auto too_short = std::string(PeerKey::least_file_bytes - 1, 'k');
  too_short += '\n';
  write(too_short);
  EXPECT_NE(attempt().find("32 to 4096 bytes"), std::string::npos) << attempt();
  write("");
  EXPECT_NE(attempt().find("32 to 4096 bytes"), std::string::npos) << attempt();
  write(std::string(PeerKey::most_file_bytes + 1, 'k'));
  EXPECT_NE(attempt().find("32 to 4096 bytes"), std::string::npos) << attempt();
  write(std::string(PeerKey::most_file_bytes, 'k'));
  EXPECT_EQ(attempt(), "loaded");
}

TEST_F(KeyFile, IsAFile)
{
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_NE(attempt().find("not a regular file"), std::string::npos) << attempt();
}
