// VXLAN on the wire when and only when it should be, and what pools' modes cost when they change.
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <cstring>
#include <iostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fabric.h"
#include "os/files.h"

namespace tunnel_test {
namespace {

using base::Family;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::size_t kA = 0, kB = 1, kC = 2;  // a and b share a subnet

class TunnelsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0) return;
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_TRUE(os::make_directories("/var/lib/calico"));
    ASSERT_EQ(::mount("tmpfs", "/var/lib/calico", "tmpfs", 0, nullptr), 0);
    fabric_ = std::make_unique<Fabric>();
    fabric_->set_mode(Family::kIpv4, "Always");
    fabric_->set_mode(Family::kIpv6, "Always");
    fabric_->start_agents();
    everybody_reached_ = fabric_->wait([] { return reachable(Family::kIpv4) && reachable(Family::kIpv6); });
  }
  static void TearDownTestSuite() { fabric_.reset(); }
  void SetUp() override {
    if (!fabric_) GTEST_SKIP() << "needs root and namespaces";
    ASSERT_TRUE(everybody_reached_) << "not every guest reached every other";
  }

  static bool reachable(Family family) {
    for (std::size_t from = 0; from < kHosts; ++from) {
      for (std::size_t to = 0; to < kHosts; ++to) {
        if (from != to && !fabric_->reaches(from, to, family)) return false;
      }
    }
    return true;
  }
  // What a host's uplink shows while one packet after the other goes from its guest to another.
  static Seen seen_between(std::size_t from, std::size_t to, Family family) {
    Capture capture(*fabric_, from);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(fabric_->reaches(from, to, family));
    return capture.seen();
  }
  static std::string routes(std::size_t host, const std::string& more = "-4") {
    return Fabric::in(fabric_->hosts()[host].netns, "ip " + more + " route show");
  }
  static bool has_route(std::size_t host, const std::string& text) {
    return routes(host).find(text) != std::string::npos;
  }
  static std::string addresses(std::size_t host) {
    return Fabric::in(fabric_->hosts()[host].netns, "ip -4 -o addr show dev vxlan.calico", true);
  }
  // Both streams' fate; what is under way at a change may be lost.
  static void expect_nothing_lost(const std::string& what, Stream& there, Stream& back) {
    const Stream::Result results[] = {there.stop(), back.stop()};
    std::cout << what << ": " << results[0].sent << " and " << results[1].sent << " packets, " << results[0].lost
              << " and " << results[1].lost << " lost\n";
    for (const Stream::Result& result : results) {
      EXPECT_GT(result.sent, 500u);
      EXPECT_LE(result.lost, 2u) << what << ", longest gap " << result.longest_gap;
    }
  }
  static bool has_device(std::size_t host) {
    return Fabric::in(fabric_->hosts()[host].netns, "ip link show").find("vxlan.calico") != std::string::npos;
  }

  static inline std::unique_ptr<Fabric> fabric_;
  static inline bool everybody_reached_ = false;
};

TEST_F(TunnelsTest, AlwaysEncapsulatesEverything) {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    for (const std::size_t to : {kB, kC}) {
      const Seen seen = seen_between(kA, to, family);
      EXPECT_EQ(seen.encapsulated, 5u) << to;
      EXPECT_EQ(seen.plain, 0u) << to;
    }
  }
  const std::string& netns = fabric_->hosts()[kA].netns;
  EXPECT_THAT(routes(kA), HasSubstr("10.65.0.2 via 10.65.255.2 dev vxlan.calico onlink mtu 1450"));
  EXPECT_THAT(Fabric::in(netns, "bridge fdb show dev vxlan.calico"), HasSubstr("dst 198.51.100.3 self permanent"));
  EXPECT_THAT(Fabric::in(netns, "ip neigh show dev vxlan-v6.calico"), HasSubstr("fd00:65:ff::2 lladdr"));
}

// The host itself speaks from its tunnel address, and answers find their way back.
TEST_F(TunnelsTest, HostsReachGuestsElsewhere) { Fabric::in(fabric_->hosts()[kA].netns, "ping -c 1 -W 5 10.65.0.3"); }

TEST_F(TunnelsTest, GuestsGetTheTunnelsMtu) {
  const Host& a = fabric_->hosts()[kA];
  // The smaller of the two families' tunnels counts.
  EXPECT_THAT(Fabric::in(a.netns, "ip link show " + a.interface), HasSubstr("mtu 1430"));
  EXPECT_EQ(os::read_file("/var/lib/calico/mtu").value_or(""), "1430");
  // 1430 bytes with headers pass unfragmented; of one more the sender is told how much does, and by which host.
  const std::string largest = Fabric::in(a.netns, "ping -c 1 -W 5 -M do -s 1402 10.65.0.3", true);
  EXPECT_THAT(largest, HasSubstr("1 received"));
  const std::string larger = Fabric::in(a.netns, "ping -c 1 -W 2 -M do -s 1403 10.65.0.3", true);
  EXPECT_THAT(larger, HasSubstr("0 received"));
  EXPECT_THAT(larger, HasSubstr("From 10.65.255.3"));  // that host's end of the tunnel
  EXPECT_THAT(larger, HasSubstr("mtu = 1430"));
}

// Packets with the right number, addresses and ports, from somebody who is no host of the cluster.
TEST_F(TunnelsTest, TunnelPacketsFromStrangersAreDropped) {
  const Host& a = fabric_->hosts()[kA];
  const Host& c = fabric_->hosts()[kC];
  const auto send_from = [&](const std::string& netns) {
    const base::Fd receiver = Fabric::socket_in(a.guest, AF_INET, SOCK_DGRAM, 0);
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_port = htons(6000);
    std::memcpy(&own.sin_addr, a.guest_v4.bytes(), 4);
    EXPECT_EQ(bind(receiver.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    const base::Fd sender = Fabric::socket_in(netns, AF_INET, SOCK_DGRAM, 0);
    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(4789);
    std::memcpy(&target.sin_addr, a.v4.address.bytes(), 4);
    const std::vector<std::uint8_t> packet = forged_packet(a, c.guest_v4);
    EXPECT_EQ(sendto(sender.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&target),
                     sizeof target),
              static_cast<ssize_t>(packet.size()));
    char byte = 0;
    for (int i = 0; i < 50; ++i) {
      if (recv(receiver.get(), &byte, 1, 0) == 1) return true;
      fabric_->pass(milliseconds(2));
    }
    return false;
  };
  EXPECT_TRUE(send_from(c.netns)) << "a known host's packet must get through, or the test proves nothing";
  EXPECT_FALSE(send_from(fabric_->router()));
}

// With ProgramClusterRoutes the agents make the routes of every mode. The stream goes on while a kind of tunnel comes
// or goes, and until what the former mode has left is gone; the agents stay. All the time a stranger tries, and fails.
TEST_F(TunnelsTest, ChangingTheModeLosesNoMoreThanWhatIsUnderWay) {
  enum class Near { kTunnel, kDirect };
  struct Step {
    const char* mode;
    Near near;
    bool tunnel_to_c;
    bool wait_until_device_goes;
  };
  const Step steps[] = {
      {"CrossSubnet", Near::kDirect, true, false}, {"Always", Near::kTunnel, true, false},
      {"Never", Near::kDirect, false, false},      {"Always", Near::kTunnel, true, false},
      {"CrossSubnet", Near::kDirect, true, false}, {"Never", Near::kDirect, false, true},
      {"CrossSubnet", Near::kDirect, true, false}, {"Always", Near::kTunnel, true, false},
  };
  const std::vector<std::uint8_t> forged = forged_packet(fabric_->hosts()[kA], fabric_->hosts()[kC].guest_v4);
  for (const Step& step : steps) {
    const int restarts = fabric_->restarts();
    Stream there(*fabric_, kA, kB);
    Stream back(*fabric_, kB, kA);
    Stranger stranger(*fabric_, kA, forged);
    fabric_->pass(milliseconds(200));
    fabric_->set_mode(Family::kIpv4, step.mode);
    const bool direct = step.near == Near::kDirect;
    const std::string on_a = direct ? "10.65.0.2 via 192.0.2.2 dev eth0" : "10.65.0.2 via 10.65.255.2 dev vxlan.calico";
    const std::string on_b = direct ? "10.65.0.1 via 192.0.2.1 dev eth0" : "10.65.0.1 via 10.65.255.1 dev vxlan.calico";
    EXPECT_TRUE(fabric_->wait([&] { return has_route(kA, on_a) && has_route(kB, on_b); })) << step.mode;
    if (step.tunnel_to_c) {
      EXPECT_TRUE(fabric_->wait([&] {
        return has_route(kC, "10.65.0.1 via 10.65.255.1 dev vxlan.calico") &&
               has_route(kA, "10.65.0.3 via 10.65.255.3 dev vxlan.calico");
      })) << step.mode;
    }
    if (step.wait_until_device_goes) {
      EXPECT_TRUE(fabric_->wait([&] { return !has_device(kA) && !has_device(kB) && !has_device(kC); })) << step.mode;
    }
    fabric_->pass(milliseconds(1000));
    EXPECT_EQ(stranger.stop(), 0u) << step.mode;
    EXPECT_EQ(fabric_->restarts(), restarts) << step.mode;
    expect_nothing_lost(std::string("mode ") + step.mode, there, back);
    const Seen near = seen_between(kA, kB, Family::kIpv4);
    EXPECT_EQ(near.encapsulated, direct ? 0u : 5u) << step.mode;
    EXPECT_EQ(near.plain, direct ? 5u : 0u) << step.mode;
    if (!step.tunnel_to_c) continue;  // without a tunnel nobody carries packets between the subnets
    const Seen far = seen_between(kA, kC, Family::kIpv4);
    EXPECT_EQ(far.encapsulated, 5u) << step.mode;
    EXPECT_EQ(far.plain, 0u) << step.mode;
  }
}

// Another pool for tunnels: the device, routes of other hosts and what they know of this one follow; nobody restarts.
TEST_F(TunnelsTest, AnAddressIsExchangedUnderTraffic) {
  const int restarts = fabric_->restarts();
  const base::IpAddress another = *base::parse_address("10.65.254.2");
  for (const base::IpAddress& next : {another, fabric_->hosts()[kB].tunnel_v4}) {
    const std::string now = base::to_string(next);
    const std::string before = base::to_string(next == another ? fabric_->hosts()[kB].tunnel_v4 : another);
    Stream there(*fabric_, kA, kB);
    Stream back(*fabric_, kB, kA);
    fabric_->pass(milliseconds(200));
    fabric_->set_tunnel_address(kB, next);
    const auto known = [&](std::size_t host) {
      const std::string table = Fabric::in(fabric_->hosts()[host].netns, "ip neigh show dev vxlan.calico");
      return table.find(now + " lladdr") != table.npos && table.find(before + " ") == table.npos;
    };
    EXPECT_TRUE(fabric_->wait([&] {
      return has_route(kA, "10.65.0.2 via " + now + " dev vxlan.calico") &&
             has_route(kC, "10.65.0.2 via " + now + " dev vxlan.calico") && known(kA) && known(kC);
    })) << now;
    EXPECT_TRUE(fabric_->wait([&] { return addresses(kB).find(now + "/32") != std::string::npos; })) << now;
    EXPECT_THAT(addresses(kB), Not(HasSubstr(before)));
    fabric_->pass(milliseconds(1000));
    expect_nothing_lost("address " + now, there, back);
    EXPECT_EQ(seen_between(kA, kB, Family::kIpv4).encapsulated, 5u);
  }
  EXPECT_EQ(fabric_->restarts(), restarts);
}

// Addresses come from IPAM, which hears of a pool when the agents do: one host after the other gets its own, and until
// the last has it nobody sends through the tunnel. All the time a stranger tries, and fails.
TEST_F(TunnelsTest, AddressesThatComeAfterThePoolCostNothing) {
  const std::vector<std::uint8_t> forged = forged_packet(fabric_->hosts()[kA], fabric_->hosts()[kC].guest_v4);
  const int restarts = fabric_->restarts();
  fabric_->set_mode(Family::kIpv4, "Never");
  ASSERT_TRUE(fabric_->wait([] {
    return has_route(kA, "10.65.0.2 via 192.0.2.2 dev eth0") && has_route(kB, "10.65.0.1 via 192.0.2.1 dev eth0");
  }));
  for (const std::size_t host : {kA, kB, kC}) fabric_->set_tunnel_address(host, std::nullopt);
  ASSERT_TRUE(fabric_->wait([] { return !has_device(kA) && !has_device(kB) && !has_device(kC); }));

  Stream there(*fabric_, kA, kB);
  Stream back(*fabric_, kB, kA);
  Stranger stranger(*fabric_, kA, forged);
  fabric_->set_mode(Family::kIpv4, "Always");
  EXPECT_TRUE(fabric_->wait([] {
    const std::string link = Fabric::in(fabric_->hosts()[kA].netns, "ip link show vxlan.calico", true);
    return link.find("UP,LOWER_UP") != std::string::npos;
  })) << "it takes packets before it has an address";
  EXPECT_EQ(addresses(kA), "");
  for (const std::size_t host : {kB, kC, kA}) {
    fabric_->pass(milliseconds(1500));
    EXPECT_TRUE(has_route(kA, "10.65.0.2 via 192.0.2.2 dev eth0"));
    fabric_->set_tunnel_address(host, fabric_->hosts()[host].tunnel_v4);
  }
  EXPECT_TRUE(fabric_->wait([] {
    return has_route(kA, "10.65.0.2 via 10.65.255.2 dev vxlan.calico") &&
           has_route(kB, "10.65.0.1 via 10.65.255.1 dev vxlan.calico") &&
           has_route(kC, "10.65.0.1 via 10.65.255.1 dev vxlan.calico");
  }));
  EXPECT_THAT(addresses(kA), HasSubstr("10.65.255.1/32"));
  fabric_->pass(milliseconds(1000));
  EXPECT_EQ(stranger.stop(), 0u);
  expect_nothing_lost("addresses after the pool", there, back);
  EXPECT_EQ(seen_between(kA, kB, Family::kIpv4).encapsulated, 5u);
  EXPECT_EQ(fabric_->restarts(), restarts);
}

}  // namespace
}  // namespace tunnel_test
