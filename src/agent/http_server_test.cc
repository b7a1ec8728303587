#include "agent/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <filesystem>
#include <functional>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/process_metrics.h"
#include "base/fd.h"
#include "os/event_loop.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

base::Fd connect_to(std::uint16_t port) {
  base::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

std::string ask(std::uint16_t port, std::string_view request) {
  const base::Fd fd = connect_to(port);
  std::string reply;
  char buffer[4096];
  if (!fd || ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return "no connection";
  for (ssize_t got = 0; (got = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;)
    reply.append(buffer, static_cast<std::size_t>(got));
  return reply;
}

// The server works on its own thread.
bool wait_until(const std::function<bool()>& holds) {
  os::EventLoop loop;
  int tries = 0;
  std::function<void()> look = [&] {
    if (holds() || ++tries == 2000) return loop.stop();
    loop.after(std::chrono::milliseconds(1), look);
  };
  look();
  loop.run();
  return holds();
}

std::uint16_t wait_for_port(const HttpServer& server, const std::string& name) {
  wait_until([&] { return server.port_of(name) != 0; });
  return server.port_of(name);
}

HttpReply hello(std::string_view path) {
  if (path == "/hello") return {.body = "world"};
  return {.status = 404};
}

TEST(HttpServer, AnswersGetAndHeadOnly) {
  base::NullLog log;
  HttpServer server(log);
  server.serve("test", "localhost", 0, hello);
  const std::uint16_t port = wait_for_port(server, "test");
  ASSERT_NE(port, 0);
  const std::string get = ask(port, "GET /hello?x=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(get, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(get, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(get, HasSubstr("\r\n\r\nworld"));
  EXPECT_THAT(ask(port, "GET /other HTTP/1.0\r\n\r\n"), HasSubstr(" 404 "));
  EXPECT_THAT(ask(port, "DELETE /hello HTTP/1.0\r\n\r\n"), HasSubstr(" 405 "));
  const std::string head = ask(port, "HEAD /hello HTTP/1.0\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("world")));
}

TEST(HttpServer, BadAndOversizedRequestsOnlyCostThemselves) {
  base::NullLog log;
  HttpServer server(log);
  server.serve("test", "127.0.0.1", 0, hello);
  const std::uint16_t port = wait_for_port(server, "test");
  EXPECT_EQ(ask(port, "nonsense\r\n\r\n"), "");
  EXPECT_EQ(ask(port, "GET /" + std::string(20000, 'x') + " HTTP/1.1\r\n\r\n").find("200"), std::string::npos);
  const base::Fd silent = connect_to(port);
  EXPECT_THAT(ask(port, "GET /hello HTTP/1.0\r\n\r\n"), HasSubstr("world"));
}

TEST(HttpServer, SeveralPortsAndAllAddresses) {
  base::NullLog log;
  HttpServer server(log);
  server.serve("a", "", 0, [](std::string_view) { return HttpReply{.body = "A"}; });
  server.serve("b", "127.0.0.1", 0, [](std::string_view) { return HttpReply{.status = 503, .body = "B"}; });
  server.serve("b", "127.0.0.1", 1, hello);  // has no effect
  EXPECT_THAT(ask(wait_for_port(server, "a"), "GET / HTTP/1.0\r\n\r\n"), HasSubstr("\r\n\r\nA"));
  EXPECT_THAT(ask(wait_for_port(server, "b"), "GET / HTTP/1.0\r\n\r\n"), HasSubstr("503"));
}

class Lines final : public base::Log {
 public:
  bool enabled(base::LogLevel) const override { return true; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields) override {
    const std::lock_guard lock(mutex_);
    lines_.append(event).append(" ").append(text).append("\n");
  }
  std::string lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::string lines_;
};

TEST(HttpServer, APortInUseIsReportedAndTakenWhenFree) {
  Lines log;
  auto first = std::make_unique<HttpServer>(log);
  first->serve("one", "127.0.0.1", 0, hello);
  const std::uint16_t port = wait_for_port(*first, "one");
  HttpServer second(log);
  second.serve("two", "127.0.0.1", port, hello);
  wait_until([&] { return log.lines().find("http.bind_failed") != std::string::npos; });
  EXPECT_THAT(log.lines(), HasSubstr("http.bind_failed Cannot serve two: Address already in use"));
  first.reset();
  EXPECT_EQ(wait_for_port(second, "two"), port);
}

TEST(HttpServer, AnUnknownHostIsReported) {
  Lines log;
  HttpServer server(log);
  server.serve("x", "no-such-host.invalid", 0, hello);
  wait_until([&] { return !log.lines().empty(); });
  EXPECT_THAT(log.lines(), HasSubstr("neither an address nor a name in /etc/hosts"));
}

// What openssl's own client gets: files "NAME.pem" and "NAME.key" below `directory`.
class TlsTest : public ::testing::Test {
 protected:
  static std::string openssl(std::vector<std::string> arguments, std::string input = {}) {
    arguments.insert(arguments.begin(), "openssl");
    auto outcome = os::run({.arguments = std::move(arguments), .input = std::move(input)});
    return outcome ? outcome->output + outcome->errors : outcome.error().text();
  }
  void certificate(const std::string& name) {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
             "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", directory_.file(name + ".key"), "-out",
             directory_.file(name + ".pem")});
  }
  // A request as this client, or as none.
  std::string ask_as(std::uint16_t port, const std::string& client, const std::string& more = "") {
    std::vector<std::string> arguments = {"s_client", "-connect", "127.0.0.1:" + std::to_string(port), "-quiet"};
    if (!client.empty()) {
      arguments.insert(arguments.end(),
                       {"-cert", directory_.file(client + ".pem"), "-key", directory_.file(client + ".key")});
    }
    if (!more.empty()) arguments.push_back(more);
    return openssl(std::move(arguments), "GET /hello HTTP/1.0\r\n\r\n");
  }
  HttpTls tls(HttpTls::ClientAuth clients) const {
    return {directory_.file("server.pem"), directory_.file("server.key"), directory_.file("friend.pem"), clients};
  }

  testing::TempDirectory directory_;
  base::NullLog log_;
};

TEST_F(TlsTest, ClientsAreAskedForCertificatesAsConfigured) {
  for (const char* name : {"server", "friend", "stranger"}) certificate(name);
  struct Case {
    HttpTls::ClientAuth clients;
    bool nobody, known, unknown;  // is served
  };
  using Auth = HttpTls::ClientAuth;
  const Case cases[] = {{Auth::kRequireAndVerify, false, true, false},
                        {Auth::kRequireAny, false, true, true},
                        {Auth::kVerifyIfGiven, true, true, false},
                        {Auth::kNone, true, true, true}};
  for (const Case& c : cases) {
    SCOPED_TRACE(static_cast<int>(c.clients));
    HttpServer server(log_);
    server.serve("test", "127.0.0.1", 0, hello, tls(c.clients));
    const std::uint16_t port = wait_for_port(server, "test");
    ASSERT_NE(port, 0);
    const auto served = [](const std::string& answer) { return answer.find("\r\n\r\nworld") != answer.npos; };
    EXPECT_EQ(served(ask_as(port, "")), c.nobody);
    EXPECT_EQ(served(ask_as(port, "friend")), c.known);
    EXPECT_EQ(served(ask_as(port, "stranger")), c.unknown);
    EXPECT_FALSE(served(ask(port, "GET /hello HTTP/1.0\r\n\r\n"))) << "in clear";
    EXPECT_FALSE(served(ask_as(port, "friend", "-tls1_1"))) << "too old";
  }
}

TEST_F(TlsTest, ARenewedCertificateNeedsNoRestartAndABadOneServesNothing) {
  Lines lines;
  HttpServer server(lines);
  server.serve("test", "127.0.0.1", 0, hello, tls(HttpTls::ClientAuth::kNone));
  EXPECT_TRUE(wait_until([&] { return lines.lines().find("server.pem") != std::string::npos; }));
  EXPECT_EQ(server.port_of("test"), 0);
  certificate("server");
  const std::uint16_t port = wait_for_port(server, "test");
  ASSERT_NE(port, 0);
  EXPECT_THAT(ask_as(port, ""), HasSubstr("CN = server"));
  certificate("renewed");
  for (const char* end : {".pem", ".key"}) {
    std::filesystem::rename(directory_.file(std::string("renewed") + end),
                            directory_.file(std::string("server") + end));
  }
  EXPECT_THAT(ask_as(port, ""), HasSubstr("CN = renewed"));
}

TEST(ProcessMetrics, FromProcFiles) {
  ProcFiles files;
  files.stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 5 0 1000 104857600 2560 1844";
  files.limits =
      "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n"
      "Max address space         unlimited            unlimited            bytes\n";
  files.boot_stat = "cpu 1 2\nbtime 1700000000\n";
  files.open_descriptors = 7;
  const std::string text = format_process_metrics(files);
  for (const char* line : {"process_cpu_seconds_total 3\n", "process_max_fds 1024\n", "process_open_fds 7\n",
                           "process_resident_memory_bytes 10485760\n", "process_start_time_seconds 1700000010\n",
                           "process_virtual_memory_bytes 104857600\n", "process_virtual_memory_max_bytes -1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(format_process_metrics({}),
            "# HELP process_open_fds Open file descriptors.\n# TYPE process_open_fds gauge\nprocess_open_fds 0\n");
  EXPECT_THAT(process_metrics(), HasSubstr("process_resident_memory_bytes"));
}

}  // namespace
}  // namespace agent
