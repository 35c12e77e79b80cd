// Third-party programs, through the proxy and without it: nginx and curl, iperf3, OpenSSH. Each is configured in the
// sandbox at run time; keys and certificates are generated there and discarded.

#include "fixture.hh"

#include <fmt/format.h>

namespace pepsal::test {

class ProgramTest : public ConnectionTest
{
protected:
  std::string server_text() const { return server_at(0).address_string(); }
  std::string url(const std::string& scheme, std::uint16_t port, const std::string& path) const
  {
    const auto host = family() == Family::ipv4 ? server_text() : "[" + server_text() + "]";
    return fmt::format("{}://{}:{}/{}", scheme, host, port, path);
  }

  // Waits until something on the server accepts connections, without crossing the box.
  bool server_listens(std::uint16_t port)
  {
    return eventually([&] { return error_of([&] { Connection::connect(net().server(), server_at(port)); }) == 0; });
  }
};

class WebTest : public ProgramTest
{
protected:
  static constexpr std::uint16_t http_port = 80;
  static constexpr std::uint16_t https_port = 443;
  static constexpr std::size_t large_bytes = 8'000'000;

  void SetUp() override
  {
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    net().server().must_run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                             "/CN=server.test", "-keyout", Topology::inside("key.pem"), "-out",
                             Topology::inside("cert.pem")});
    large_ = Stream{11}.text(large_bytes);
    net().write_file("large.bin", large_);
    net().write_file("small.txt", "hello through the box\n");
    net().write_file("nginx.conf", configuration());
    nginx_ = std::make_unique<ChildProcess>(net().server().start({"nginx", "-c", Topology::inside("nginx.conf")}));
    ASSERT_TRUE(server_listens(https_port)) << nginx_->err();
  }

  void TearDown() override
  {
    nginx_.reset();
    ProgramTest::TearDown();
  }

  static std::string configuration()
  {
    return R"(daemon off;
user root;
worker_processes 1;
pid /run/sandbox/nginx.pid;
error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  root /run/sandbox;
  client_body_temp_path /run/sandbox/body;
  proxy_temp_path /run/sandbox/proxy;
  fastcgi_temp_path /run/sandbox/fastcgi;
  uwsgi_temp_path /run/sandbox/uwsgi;
  scgi_temp_path /run/sandbox/scgi;
  client_max_body_size 100m;
  server {
    listen 80; listen [::]:80;
    listen 443 ssl http2; listen [::]:443 ssl http2;
    ssl_certificate /run/sandbox/cert.pem;
    ssl_certificate_key /run/sandbox/key.pem;
    location /peer { return 200 "$remote_addr"; }
    location = /upload { client_body_buffer_size 64k; proxy_pass http://127.0.0.1:81; }
  }
  server { listen 127.0.0.1:81; location / { return 200 "$content_length"; } }
}
)";
  }

  std::string curl(std::vector<std::string> arguments)
  {
    arguments.insert(arguments.begin(),
                     {"curl", "--silent", "--show-error", "--fail", "--insecure", "--max-time", "20"});
    return net().client().must_run(arguments);
  }

  std::string large_;

private:
  std::unique_ptr<ChildProcess> nginx_;
};

TEST_P(WebTest, Http1)
{
  const auto small = url("http", http_port, "small.txt");
  EXPECT_EQ(curl({"--http1.1", small, small, small}),
            "hello through the box\nhello through the box\nhello through the box\n");
  EXPECT_TRUE(curl({"--http1.1", url("http", http_port, "large.bin")}) == large_) << "downloaded file differs";
  EXPECT_EQ(curl({"--http1.1", url("http", http_port, "peer")}), expected_source());
  expect_proxied(3);
  expect_closing_lines(3);
}

TEST_P(WebTest, Http2WithTls)
{
  EXPECT_EQ(curl({"--http2", "--output", "/dev/null", "--write-out", "%{http_version}",
                  url("https", https_port, "small.txt")}),
            "2");
  EXPECT_TRUE(curl({"--http2", url("https", https_port, "large.bin")}) == large_) << "downloaded file differs";
  // Several streams in one connection.
  const auto small = url("https", https_port, "small.txt");
  EXPECT_EQ(curl({"--http2", "--parallel", small, small, small, small}).size(),
            4 * std::string{"hello through the box\n"}.size());
  expect_proxied(3);
  expect_closing_lines(3);
}

TEST_P(WebTest, Upload)
{
  EXPECT_EQ(curl({"--http1.1", "--data-binary", "@" + Topology::inside("large.bin"), url("http", http_port, "upload")}),
            std::to_string(large_bytes));
  EXPECT_EQ(curl({"--http2", "--data-binary", "@" + Topology::inside("large.bin"), url("https", https_port, "upload")}),
            std::to_string(large_bytes));
  expect_proxied(2);
}

INSTANTIATE_TEST_SUITE_P(All, WebTest, testing::ValuesIn(every_mode_and_masquerade()), arrangement_name);

class IperfTest : public ProgramTest
{
protected:
  static constexpr std::uint16_t port = 5201;

  // Runs iperf3 for two seconds and checks its own report about both ends.
  void measure(const std::vector<std::string>& more_arguments)
  {
    auto server = net().server().start({"iperf3", "--server", "--one-off", "--json", "--port", std::to_string(port)});
    ASSERT_TRUE(eventually([&] { return listening(); })) << server.out();
    std::vector<std::string> command{"iperf3", "--client", server_text(), "--port", std::to_string(port),
                                     "--time", "2",        "--json"};
    command.insert(command.end(), more_arguments.begin(), more_arguments.end());
    const auto report = net().client().must_run(command);
    EXPECT_EQ(report.find("\"error\""), std::string::npos) << report;
    const auto at = report.find("\"sum_received\"");
    ASSERT_NE(at, std::string::npos) << report;
    const auto bytes = report.find("\"bytes\":", at);
    ASSERT_NE(bytes, std::string::npos) << report;
    // It stops counting when the sender has sent the last byte, so what is in flight then is not counted.
    EXPECT_GE(std::stol(report.substr(bytes + 8)), 1'000'000) << report;
    EXPECT_EQ(server.wait(), 0) << server.out() << server.err();
    expect_proxied(2); // its control connection and at least one for data
    expect_closing_lines(2);
  }

private:
  // A connection would be taken for the one client that it serves, so the kernel is asked.
  bool listening() { return !net().server().must_run({"ss", "-Hltn", fmt::format("sport = {}", port)}).empty(); }
};

TEST_P(IperfTest, Forward)
{
  measure({});
}

TEST_P(IperfTest, Reverse)
{
  measure({"--reverse"});
}

TEST_P(IperfTest, Bidirectional)
{
  measure({"--bidir"});
}

TEST_P(IperfTest, EightStreams)
{
  measure({"--parallel", "8"});
}

INSTANTIATE_TEST_SUITE_P(All, IperfTest, testing::ValuesIn(every_mode()), arrangement_name);

class SshTest : public ProgramTest
{
protected:
  static constexpr std::uint16_t port = 22;

  void SetUp() override
  {
    ProgramTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    for (const auto* key : {"host_key", "client_key"}) {
      net().server().must_run({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", Topology::inside(key)});
    }
    net().write_file("authorized_keys", net().read_file("client_key.pub"));
    net().write_file("sshd_config", R"(Port 22
HostKey /run/sandbox/host_key
PidFile none
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
AuthorizedKeysFile /run/sandbox/authorized_keys
Subsystem sftp internal-sftp
)");
    // sshd executes itself again for each connection, so it needs its full path.
    sshd_ = std::make_unique<ChildProcess>(
        net().server().start({"/usr/sbin/sshd", "-D", "-e", "-f", Topology::inside("sshd_config")}));
    ASSERT_TRUE(server_listens(port)) << sshd_->err();
  }

  void TearDown() override
  {
    sshd_.reset();
    ProgramTest::TearDown();
  }

  static std::vector<std::string> with_options(const std::string& program)
  {
    return {program,
            "-F",
            "none",
            "-i",
            Topology::inside("client_key"),
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "BatchMode=yes"};
  }

  std::string scp_target(const std::string& file) const
  {
    const auto host = family() == Family::ipv4 ? server_text() : "[" + server_text() + "]";
    return fmt::format("root@{}:{}", host, Topology::inside(file));
  }

private:
  std::unique_ptr<ChildProcess> sshd_;
};

TEST_P(SshTest, ShellCommand)
{
  auto command = with_options("ssh");
  command.insert(command.end(), {"root@" + server_text(), "echo $SSH_CLIENT; wc -c; exit 7"});
  const auto result = net().client().run(command, Stream{12}.text(300'000));
  EXPECT_EQ(result.status, 7) << result.err;
  EXPECT_TRUE(result.out.starts_with(expected_source() + " ")) << result.out;
  EXPECT_NE(result.out.find("\n300000\n"), std::string::npos) << result.out;
  expect_proxied(1);
  expect_closing_lines(1);
}

TEST_P(SshTest, ScpBothWays)
{
  const auto content = Stream{13}.text(5'000'000);
  net().write_file("there.bin", content);
  auto upload = with_options("scp");
  upload.insert(upload.end(), {Topology::inside("there.bin"), scp_target("arrived.bin")});
  net().client().must_run(upload);
  EXPECT_TRUE(net().read_file("arrived.bin") == content) << "uploaded file differs";
  auto download = with_options("scp");
  download.insert(download.end(), {scp_target("arrived.bin"), Topology::inside("back.bin")});
  net().client().must_run(download);
  EXPECT_TRUE(net().read_file("back.bin") == content) << "downloaded file differs";
  expect_proxied(2);
  expect_closing_lines(2);
}

INSTANTIATE_TEST_SUITE_P(All, SshTest, testing::ValuesIn(every_mode()), arrangement_name);

} // namespace pepsal::test
