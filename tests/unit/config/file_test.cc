#include "config/file.hh"

#include <filesystem>
#include <fstream>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "command_words.hh"

namespace pepsal::test {
namespace {

// A configuration file for one test.
class ConfigFileTest : public testing::Test
{
protected:
  ~ConfigFileTest() override { std::filesystem::remove(path_); }
  ConfigFileTest() = default;
  ConfigFileTest(const ConfigFileTest&) = delete;
  ConfigFileTest& operator=(const ConfigFileTest&) = delete;

  Words with_file(const std::string& text, const Words& words = {})
  {
    std::ofstream{path_} << text;
    Words result{"--config", path_.c_str()};
    result.insert(result.end(), words.begin(), words.end());
    return result;
  }

  const std::string path_ = fmt::format("{}pepsal{}.conf", testing::TempDir(), ::getpid());
};

TEST_F(ConfigFileTest, KeysAreTheLongOptions)
{
  const auto config =
      config_of(with_file("port = 81\nqueue = 1:3\nverbose = true\nlink = sat0 rate=50/10 rtt=600 side=gateway\n"
                          "source = own\npending-lifetime = 9\n"));
  EXPECT_EQ(config.port, 81);
  EXPECT_EQ(config.last_queue, 3);
  EXPECT_TRUE(config.verbose);
  ASSERT_EQ(config.links.size(), 1U);
  EXPECT_EQ(to_string(config.links[0]), "sat0 rate=50/10 rtt=600 side=gateway");
  EXPECT_EQ(config.source, Source::own);
  EXPECT_EQ(config.pending_lifetime.count(), 9);
}

TEST_F(ConfigFileTest, CommandLineComesFirst)
{
  const auto config = config_of(with_file("port = 81\nspare-proxies = 3\n", {"-p", "82"}));
  EXPECT_EQ(config.port, 82);
  EXPECT_EQ(config.spare_proxies, 3);
}

TEST_F(ConfigFileTest, CommandLineReplacesWhatItNamesOfALink)
{
  const auto config = config_of(with_file("link = sat0 rate=50/10 rtt=600 side=gateway\nlink = sat1\n",
                                          {"--link", "sat0 rate=30/10", "--link", "sat2"}));
  ASSERT_EQ(config.links.size(), 3U);
  EXPECT_EQ(to_string(config.links[0]), "sat0 rate=30/10 rtt=600 side=gateway");
  EXPECT_EQ(config.links[2].interface, "sat2");
}

TEST_F(ConfigFileTest, CommentsBlanksAndQuotesAreLeftOut)
{
  const auto config =
      config_of(with_file("# port = 1\n\n  port\t=  81   # not 82\nlink = \"sat0\" #\nuser='no#body'\n"));
  EXPECT_EQ(config.port, 81);
  EXPECT_EQ(config.links.at(0).interface, "sat0");
  EXPECT_EQ(config.user, "no#body");
}

struct WrongFile
{
  std::string text;
  std::string told; // after the file's name
};

// In the name of the test.
void PrintTo(const WrongFile& file, std::ostream* stream)
{
  *stream << testing::PrintToString(file.text);
}

class WrongFileTest : public ConfigFileTest, public testing::WithParamInterface<WrongFile>
{};

TEST_P(WrongFileTest, IsToldWithItsLine)
{
  const auto complaint = complaint_about(with_file(GetParam().text));
  EXPECT_TRUE(complaint.starts_with(path_ + GetParam().told)) << complaint;
  EXPECT_EQ(complaint.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(
    Config, WrongFileTest,
    testing::Values(
        WrongFile{"\n#\nprot = 81\n", ":3: unknown key 'prot'"}, WrongFile{"config = /x\n", ":1: unknown key"},
        WrongFile{"port = http\n", ":1: port: 'http' is not a number from 1 to 65535"},
        WrongFile{"port =\n", ":1: port: needs a value"}, WrongFile{"port\n", ":1: 'port' is not 'key = value'"},
        WrongFile{"verbose = yes\n", ":1: verbose: 'yes' is not true or false"},
        WrongFile{"port = 1\nport = 1\n", ":2: 'port' is already in line 1"},
        WrongFile{"link = sat0\n\nlink = sat1\nlink = sat0 rtt=5\n", ":4: 'link sat0' is already in line 1"},
        WrongFile{"link = sat0 rate=5/5\n", ":1: link: 'sat0 rate=5/5' lacks rtt=MS"},
        WrongFile{"link = sat0 rate=5\n", ":1: link: 'rate=5' is not rate=DOWN/UP"},
        WrongFile{"\nfastopen = true\n", ":2: fastopen: has no effect without a link"},
        WrongFile{"satellite-pacing = 5\n", ":1: satellite-pacing: has no effect without a link"},
        WrongFile{"connect-timeout = 600\nterrestrial-user-timeout = 60\n", ":1: connect-timeout: 600 s"},
        WrongFile{"\xef\xbb\xbfport = 1\n", ":1: begins with a byte-order mark"},
        WrongFile{"verbose = true\nport = 1\r\n", ":2: ends in a carriage return"},
        WrongFile{std::string{"port = 1\n\x7f"
                              "ELF\x01\0\0\n",
                              16},
                  ":2: byte 0x"},
        WrongFile{"[link]\nport = 1\n", ":1: '[link]': there are no sections"}));

TEST(Config, FolderIsNoFile)
{
  EXPECT_EQ(complaint_about({"--config", "/tmp"}), "/tmp: is a folder; --config takes a file");
}

TEST(Config, FileThatIsNotThereIsNamed)
{
  EXPECT_NE(complaint_about({"--config", "/nowhere.conf"}).find("/nowhere.conf"), std::string::npos);
}

} // namespace
} // namespace pepsal::test
