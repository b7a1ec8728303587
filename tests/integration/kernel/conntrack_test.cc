// Forgetting connections, with real UDP flows between two namespaces.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/conntrack_netlink.h"
#include "namespace.h"
#include "os/event_loop.h"

namespace kernel_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Conntrack : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    // The test's namespace has addresses .1 to .3, the peer's .9.
    run("ip link set lo up");
    run("ip link add v1 type veth peer name v2");
    netns_.enter();
    {
      const FreshNamespace peer;
      ASSERT_TRUE(peer.entered());
      const std::string path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(peer.fd());
      netns_.enter();
      run("ip link set v2 netns " + path);
      peer.enter();
      run("ip addr add 10.0.0.9/24 dev v2");
      run("ip -6 addr add fd00::9/64 dev v2 nodad");
      run("ip link set v2 up");
      peer_v4_ = bound("10.0.0.9", 5000);
      peer_v6_ = bound("fd00::9", 5000);
      netns_.enter();
    }
    netns_.enter();
    for (const auto* address : {"10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"})
      run(std::string("ip addr add ") + address + " dev v1");
    for (const auto* address : {"fd00::1/64", "fd00::2/64"})
      run(std::string("ip -6 addr add ") + address + " dev v1 nodad");
    run("ip link set v1 up");
    // Connection tracking starts with the first rule that asks for it.
    run("iptables-legacy -A OUTPUT -m conntrack --ctstate INVALID -j DROP");
    run("ip6tables-legacy -A OUTPUT -m conntrack --ctstate INVALID -j DROP");
    auto opened = kernel::NetlinkConntrackCleaner::open(loop_);
    ASSERT_TRUE(opened) << opened.error().text();
    cleaner_ = std::move(*opened);
  }

  template <typename Call>
  static auto with_address(const base::IpAddress& address, std::uint16_t port, Call call) {
    if (address.is_v4()) {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      std::memcpy(&to.sin_addr, address.bytes(), 4);
      return call(reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(port);
    std::memcpy(&to.sin6_addr, address.bytes(), 16);
    return call(reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  static base::Fd bound(const std::string& text, std::uint16_t port) {
    const base::IpAddress address = *base::parse_address(text);
    base::Fd fd(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(
        with_address(address, port, [&](const sockaddr* to, socklen_t size) { return ::bind(fd.get(), to, size); }), 0)
        << text;
    return fd;
  }
  static void send_flow(const std::string& from, const std::string& to, int flows = 1) {
    for (int i = 0; i < flows; ++i) {
      const base::Fd fd = bound(from, static_cast<std::uint16_t>(10'000 + i));
      const auto sent = with_address(*base::parse_address(to), 5000, [&](const sockaddr* address, socklen_t size) {
        return ::sendto(fd.get(), "x", 1, 0, address, size);
      });
      EXPECT_EQ(sent, 1) << from << " " << std::strerror(errno);
    }
  }
  void clean(const std::vector<std::string>& addresses) {
    std::size_t left = addresses.size();
    cleaner_->on_finished([&](const base::IpAddress&) {
      if (--left == 0) loop_.stop();
    });
    for (const std::string& address : addresses) {
      cleaner_->remove(*base::parse_address(address));
      EXPECT_TRUE(cleaner_->busy(*base::parse_address(address)));
    }
    const auto timeout = loop_.after(std::chrono::seconds(5), [&] { loop_.stop(); });
    loop_.run();
    loop_.cancel(timeout);
    EXPECT_EQ(left, 0u);
    for (const std::string& address : addresses) EXPECT_FALSE(cleaner_->busy(*base::parse_address(address)));
  }

  os::EventLoop loop_;
  base::Fd peer_v4_;
  base::Fd peer_v6_;
  std::unique_ptr<kernel::NetlinkConntrackCleaner> cleaner_;
};

TEST_F(Conntrack, OnlyTheAddressesEntriesGo) {
  send_flow("10.0.0.1", "10.0.0.9", 3);
  send_flow("10.0.0.2", "10.0.0.9");
  send_flow("10.0.0.3", "10.0.0.9");
  send_flow("fd00::1", "fd00::9");
  send_flow("fd00::2", "fd00::9");
  ASSERT_THAT(run("conntrack -L -p udp"), HasSubstr("src=10.0.0.1 dst=10.0.0.9"));
  clean({"10.0.0.1", "10.0.0.3", "fd00::1"});
  const std::string left = run("conntrack -L -p udp");
  EXPECT_THAT(left, Not(HasSubstr("10.0.0.1 ")));
  EXPECT_THAT(left, Not(HasSubstr("10.0.0.3 ")));
  EXPECT_THAT(left, HasSubstr("src=10.0.0.2 dst=10.0.0.9"));
  const std::string left_v6 = run("conntrack -L -f ipv6 -p udp");
  EXPECT_THAT(left_v6, Not(HasSubstr("fd00::1 ")));
  EXPECT_THAT(left_v6, HasSubstr("src=fd00::2 dst=fd00::9"));
  EXPECT_EQ(cleaner_->deleted(), 5u);
  EXPECT_EQ(cleaner_->failures(), 0u);
}

TEST_F(Conntrack, TheReplysSourceCountsToo) {
  send_flow("10.0.0.1", "10.0.0.9");
  clean({"10.0.0.9"});
  EXPECT_THAT(run("conntrack -L -p udp"), Not(HasSubstr("10.0.0.9")));
  EXPECT_EQ(cleaner_->deleted(), 1u);
}

TEST_F(Conntrack, AnEmptyTableIsDoneAtOnce) {
  clean({"10.0.0.1"});
  EXPECT_EQ(cleaner_->failures(), 0u);
}

TEST_F(Conntrack, ManyEntriesTakeSeveralTurns) {
  send_flow("10.0.0.2", "10.0.0.9", 2000);
  send_flow("10.0.0.1", "10.0.0.9", 2000);
  int turns = 0;
  std::function<void()> tick = [&] {
    ++turns;
    loop_.post(tick);
  };
  loop_.post(tick);
  clean({"10.0.0.1"});
  EXPECT_GT(turns, 10) << "other work of the loop must get its turns in between";
  EXPECT_EQ(cleaner_->deleted(), 2000u);
}

}  // namespace
}  // namespace kernel_test
