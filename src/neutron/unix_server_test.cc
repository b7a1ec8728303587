// Hostile and broken clients: whatever they do, the others are served.
#include "neutron/unix_server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "neutron/command.h"
#include "os/loop_thread.h"
#include "testing/temp_directory.h"

namespace neutron {
namespace {

using ::testing::HasSubstr;

class UnixServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    loop_.start();
    settings_.path = directory_.file("s");
    settings_.users = {::geteuid()};
  }
  void TearDown() override {
    server_.reset();
    loop_.stop();
  }
  void start() {
    auto server = UnixServer::start(
        settings_, loop_.loop(), log_,
        {.request =
             [this](const HttpRequest& request, const HttpRespond& respond) {
               ++requests_;
               if (request.path == "/never") return;
               respond({.status = 200,
                        .body = request.method + " " + request.path + " " + std::to_string(request.body.size())});
             },
         .closed = [this](ConnectionId) { ++closed_; }});
    ASSERT_TRUE(server) << server.error().text();
    server_ = *std::move(server);
  }
  base::Fd connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, settings_.path.c_str(), settings_.path.size() + 1);
    base::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
    return fd;
  }
  static void say(const base::Fd& fd, const std::string& bytes) {
    [[maybe_unused]] const auto sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // Until the server closes.
  static std::string hear(const base::Fd& fd) {
    std::string text;
    char buffer[4096];
    while (true) {
      const auto n = ::recv(fd.get(), buffer, sizeof(buffer), 0);
      if (n <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(n));
    }
  }
  void expect_served() {
    const auto reply = ask_socket(settings_.path, "POST", "/x?q", "abc");
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "POST /x 3");
  }

  testing::TempDirectory directory_;
  os::LoopThread loop_{"test"};
  base::NullLog log_;
  UnixServerSettings settings_;
  std::unique_ptr<UnixServer> server_;
  std::atomic<int> requests_ = 0;
  std::atomic<int> closed_ = 0;
};

TEST_F(UnixServerTest, ServesAndKeepsTheConnection) {
  start();
  expect_served();
  const base::Fd fd = connect();
  say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  char first[512];
  ASSERT_GT(::recv(fd.get(), first, sizeof(first), 0), 0);
  say(fd, "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(hear(fd), HasSubstr("GET /b 0"));
}

TEST_F(UnixServerTest, WrongUserIsTurnedAway) {
  settings_.users = {::geteuid() + 1};
  start();
  const base::Fd fd = connect();
  say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(hear(fd), HasSubstr("403"));
  EXPECT_EQ(requests_, 0);
}

TEST_F(UnixServerTest, SocketHasItsMode) {
  settings_.mode = 0600;
  start();
  struct stat info{};
  ASSERT_EQ(::stat(settings_.path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(UnixServerTest, OversizedBodyIsRefusedUnread) {
  start();
  const base::Fd fd = connect();
  say(fd, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_THAT(hear(fd), HasSubstr("413"));
  const base::Fd chunked = connect();
  say(chunked, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::thread reader([&] { EXPECT_THAT(hear(chunked), HasSubstr("413")); });
  const std::string chunk = "100000\r\n" + std::string(0x100000, 'x') + "\r\n";
  for (int i = 0; i < 20; ++i) say(chunked, chunk);
  ::shutdown(chunked.get(), SHUT_WR);
  reader.join();
  EXPECT_EQ(requests_, 0);
  expect_served();
}

TEST_F(UnixServerTest, OversizedHeaderIsRefused) {
  start();
  const base::Fd fd = connect();
  say(fd, "GET /x HTTP/1.1\r\nX: " + std::string(20000, 'a') + "\r\n\r\n");
  EXPECT_THAT(hear(fd), HasSubstr("431"));
  expect_served();
}

TEST_F(UnixServerTest, NoiseIsAnswered) {
  start();
  const base::Fd fd = connect();
  say(fd, std::string("\x16\x03\x01\x00\xff\xff noise \r\n\r\n", 17));
  EXPECT_THAT(hear(fd), HasSubstr("400"));
  expect_served();
}

TEST_F(UnixServerTest, HalfARequestIsDroppedInTime) {
  settings_.request_timeout = std::chrono::seconds(1);
  start();
  const base::Fd header = connect();
  say(header, "POST /x HTTP/1.1\r\nHost");
  const base::Fd body = connect();
  say(body, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  expect_served();
  hear(header);  // returns when the server has closed
  hear(body);
  EXPECT_EQ(requests_, 1);
}

TEST_F(UnixServerTest, ClientThatLeavesDuringItsRequestIsNoticed) {
  start();
  {
    const base::Fd fd = connect();
    say(fd, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    while (requests_ == 0) std::this_thread::yield();
  }
  while (closed_ == 0) std::this_thread::yield();
  expect_served();
}

TEST_F(UnixServerTest, AThousandConnectionsHarmNobody) {
  settings_.most_connections = 100;
  start();
  std::vector<base::Fd> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(connect());
    if (i % 100 == 99) expect_served();
  }
  std::size_t open = 0;
  for (const auto& fd : idle) {
    if (fd) ++open;
  }
  EXPECT_GT(open, 900u);  // they got in; most were closed again to make room
  expect_served();
}

TEST_F(UnixServerTest, AThousandHalfRequestsHarmNobody) {
  settings_.most_connections = 100;
  start();
  std::vector<base::Fd> halves;
  for (int i = 0; i < 1000; ++i) {
    halves.push_back(connect());
    say(halves.back(), i % 2 == 0 ? "GE" : "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{");
    if (i % 100 == 99) expect_served();
  }
}

TEST_F(UnixServerTest, ManyLargeBodiesAtOnceAreTurnedAway) {
  start();
  std::vector<base::Fd> large;
  for (std::size_t i = 0; i < UnixServer::kMostLargeBodies; ++i) {
    large.push_back(connect());
    say(large.back(), "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
  }
  // Their headers have been read when one more is refused.
  while (true) {
    const base::Fd fd = connect();
    say(fd, "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n" +
                std::string(1000000, 'x'));
    const std::string heard = hear(fd);
    if (heard.find("503") != std::string::npos) break;
  }
  expect_served();
  large.clear();
}

TEST_F(UnixServerTest, LiveSocketIsNotStolenAndDeadOneIsReplaced) {
  start();
  const auto second = UnixServer::start(settings_, loop_.loop(), log_, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), base::ErrorKind::kExists);
  expect_served();
  server_.reset();
  EXPECT_NE(::access(settings_.path.c_str(), F_OK), 0);
  {
    base::Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, settings_.path.c_str(), settings_.path.size() + 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  start();
  expect_served();
}

}  // namespace
}  // namespace neutron
