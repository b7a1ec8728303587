// Every topology with a full matrix of real packets, and the uplinks watched: a tunnel is used when, and only when, it
// should be. Suite Wrong proves that each of these checks can fail.
#include <chrono>
#include <future>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test_lab.h"

namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// One suite a test of CTest's, because each takes the machine for itself.
class Mesh : public NeedsRoot {};
class Reflectors : public NeedsRoot {};
class Racks : public NeedsRoot {};
class Vxlan : public NeedsRoot {};
class Wrong : public NeedsRoot {};
class TunnelDemo : public NeedsRoot {};
class Convergence : public NeedsRoot {};

// Everybody reaches everybody over IPv4 and IPv6, and the uplinks saw what they should.
void expect_all_reach(const TestLab& lab, int flows, const std::string& uplinks) {
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  const Said matrix = matrix_soon(lab);
  EXPECT_EQ(matrix.status, 0) << matrix.text;
  const std::string all = std::to_string(flows);
  EXPECT_THAT(matrix.text, HasSubstr(all + " flows, " + all + " of them allowed, 0 differ"));
  EXPECT_THAT(matrix.text, ContainsRegex(uplinks));
}

const std::string kAllDirect =
    "IPv4: [1-9][0-9]* direct, 0 IP-in-IP, 0 VXLAN; on the uplinks, IPv6: [1-9][0-9]* direct, 0 IP-in-IP, 0 VXLAN";
const std::string kAllVxlan =
    "IPv4: 0 direct, 0 IP-in-IP, [1-9][0-9]* VXLAN; on the uplinks, IPv6: 0 direct, 0 IP-in-IP, [1-9][0-9]* VXLAN";
const std::string kBoth =
    "IPv4: [1-9][0-9]* direct, 0 IP-in-IP, [1-9][0-9]* VXLAN; on the uplinks, IPv6: [1-9][0-9]* direct, 0 IP-in-IP, "
    "[1-9][0-9]* VXLAN";

TEST_F(Mesh, OfThree) { expect_all_reach(TestLab("test-mesh", {"--topology", "mesh"}), 240, kAllDirect); }

TEST_F(Mesh, OfThreeWithPools) {
  expect_all_reach(TestLab("test-mesh", {"--topology", "mesh", "--pool-mode", "direct"}), 240, kAllDirect);
}

TEST_F(Mesh, OfTen) {
  expect_all_reach(TestLab("test-mesh", {"--topology", "mesh", "--hosts", "10"}), 720, kAllDirect);
}

TEST_F(Reflectors, APairForFourHosts) {
  const TestLab lab("test-rr", {"--topology", "reflectors", "--hosts", "4", "--pool-mode", "direct"});
  expect_all_reach(lab, 448, kAllDirect);
  // A client peers with the two reflectors and nobody else, and reaches the other client's guests all the same.
  const std::string peers = lab.in("host-c", {"birdc", "show", "protocols"}).text;
  EXPECT_THAT(peers, HasSubstr("Node_192_168_10_11"));
  EXPECT_THAT(peers, HasSubstr("Node_192_168_10_12"));
  EXPECT_THAT(peers, Not(HasSubstr("Node_192_168_10_14")));
  EXPECT_THAT(lab.in("host-c", {"ip", "route"}).text, HasSubstr("10.65.0.14 via 192.168.10.14 dev eth0"));
}

TEST_F(Racks, EachWithItsOwnAs) {
  const TestLab lab("test-racks", {"--topology", "racks", "--hosts", "4"});
  expect_all_reach(lab, 448, kAllDirect);
  // Another rack is behind the router, and the path has every AS on the way.
  EXPECT_THAT(lab.in("host-a", {"ip", "route"}).text, HasSubstr("10.65.0.13 via 192.168.10.1 dev eth0"));
  EXPECT_THAT(lab.in("host-a", {"birdc", "show", "route", "10.65.0.13/32", "all"}).text,
              HasSubstr("BGP.as_path: 4200000001 4200000002 65002"));
  EXPECT_THAT(lab.in("host-a", {"ip", "route"}).text, HasSubstr("10.65.0.12 via 192.168.10.12 dev eth0"));
}

TEST_F(Vxlan, AlwaysOverTwoSubnets) {
  const TestLab lab("test-vxlan", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan"});
  expect_all_reach(lab, 448, kAllVxlan);
  const Said tunnel = lab.tunnel();
  EXPECT_EQ(tunnel.status, 0) << tunnel.text;
}

TEST_F(Vxlan, CrossSubnetOnlyBetweenSubnets) {
  const TestLab lab("test-vxlan", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan-cross-subnet"});
  expect_all_reach(lab, 448, kBoth);
  const Said tunnel = lab.tunnel();
  EXPECT_EQ(tunnel.status, 0) << tunnel.text;
}

// The pool that tunnel addresses come from is replaced while a guest pings another: the device, routes, BIRD's
// configuration and the Nodes follow, and the agents stay.
TEST_F(Vxlan, AnotherPoolForTunnels) {
  const std::vector<std::string> hosts = {"host-a", "host-b", "host-c"};
  const TestLab lab("test-pool", {"--topology", "mesh", "--pool-mode", "vxlan"});
  expect_all_reach(lab, 240, kAllVxlan);
  std::map<std::string, std::string> agents;
  for (const std::string& host : hosts) agents[host] = lab.agent(host);
  auto pings = std::async(std::launch::async, [&lab] {
    return lab.in("web1", {"ping", "-q", "-i", "0.005", "-c", "3000", "-W", "1", "10.65.0.12"});
  });
  const Said made = lab.apply(
      "{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: other}, spec: {cidr: 10.98.0.0/24, "
      "vxlanMode: Always, ipipMode: Never, allowedUses: [Tunnel]}}\n");
  ASSERT_EQ(made.status, 0) << made.text;
  const Said deleted = lab.in("etcd", {PERCALECTL, "delete", "ippool", "lab-tunnels-v4"});
  ASSERT_EQ(deleted.status, 0) << deleted.text;
  const auto moved = [&](const std::string& host) {
    const std::string device = lab.in(host, {"ip", "-4", "-o", "addr", "show", "dev", "vxlan.calico"}).text;
    const std::string routes = lab.in(host, {"ip", "-4", "route", "show", "dev", "vxlan.calico"}).text;
    const std::string bird = lab.in(host, {"cat", "/etc/bird/bird.conf"}).text;
    const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
    return has(device, "inet 10.98.0.") && !has(device, "10.99.") && has(routes, "via 10.98.0.") &&
           !has(routes, "10.99.") && has(bird, "10.98.0.0/24") && !has(bird, "10.99.0.0/20");
  };
  for (const std::string& host : hosts) {
    for (int i = 0; i < 50 && !moved(host); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_TRUE(moved(host)) << host << lab.in(host, {"ip", "-4", "addr"}).text << lab.in(host, {"ip", "route"}).text;
  }
  const Said said = pings.get();
  std::smatch counts;
  ASSERT_TRUE(std::regex_search(said.text, counts, std::regex("([0-9]+) packets transmitted, ([0-9]+) received")))
      << said.text;
  const int lost = std::stoi(counts[1]) - std::stoi(counts[2]);
  std::cout << "another pool for tunnels: " << lost << " of " << counts[1] << " lost\n";
  EXPECT_LE(lost, 2);
  for (const std::string& host : hosts) {
    EXPECT_NE(lab.agent(host), "gone") << host;
    EXPECT_EQ(lab.agent(host), agents[host]) << host;
  }
  expect_all_reach(lab, 240, kAllVxlan);
}

TEST_F(TunnelDemo, Vxlan) {
  const Said demo = percalectl({"lab", "demo", "test-demo-vxlan", "--tunnel", "vxlan"});
  EXPECT_EQ(demo.status, 0) << demo.text;
  EXPECT_THAT(demo.text, Not(HasSubstr("WRONG")));
}

TEST_F(TunnelDemo, NoticesThatThereIsNoTunnel) {
  const Said demo = percalectl({"lab", "demo", "test-demo-none", "--tunnel", "vxlan", "--agent", "none"});
  EXPECT_EQ(demo.status, 1);
  for (const char* step : {"(2)", "(3)", "(7)"}) EXPECT_THAT(demo.text, HasSubstr(step));
  std::size_t wrong = 0;
  for (auto at = demo.text.find("WRONG: "); at != demo.text.npos; at = demo.text.find("WRONG: ", at + 1)) ++wrong;
  EXPECT_EQ(wrong, 4u) << "Always, the tunnel's checks, CrossSubnet, Always again" << demo.text;
  EXPECT_THAT(demo.text, HasSubstr("travelled direct, expected VXLAN"));
}

const std::vector<std::string> kFour = {"host-a", "host-b", "host-c", "host-d"};

TEST_F(Wrong, PacketsBesideTheTunnelAreNoticed) {
  const TestLab lab("test-beside", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents(kFour);
  ASSERT_EQ(lab.in("host-a", {"ip", "route", "replace", "10.65.0.12/32", "via", "192.168.10.12", "dev", "eth0"}).status,
            0);
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text,
              ContainsRegex("host-a -> host-b IPv4: [0-9]+ packets of guests travelled direct, expected VXLAN"));
  EXPECT_THAT(matrix.text, Not(HasSubstr("expected to pass"))) << "they did arrive";
}

TEST_F(Wrong, TunnelWhereNoneShouldBeIsNoticed) {
  const TestLab lab("test-inside", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan-cross-subnet"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents(kFour);
  const Said device = lab.in("host-b", {"ip", "-4", "-o", "addr", "show", "dev", "vxlan.calico"});
  std::smatch end;
  ASSERT_TRUE(std::regex_search(device.text, end, std::regex("inet ([0-9.]+)/32"))) << device.text;
  const Said replaced = lab.in(
      "host-a", {"ip", "route", "replace", "10.65.0.12/32", "via", end[1].str(), "dev", "vxlan.calico", "onlink"});
  ASSERT_EQ(replaced.status, 0) << replaced.text;
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text,
              ContainsRegex("host-a -> host-b IPv4: [0-9]+ packets of guests travelled VXLAN, expected direct"));
}

TEST_F(Wrong, OpenDoorForStrangersIsNoticed) {
  const TestLab lab("test-door", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents(kFour);
  for (const std::string& host : kFour) {
    ASSERT_EQ(lab.in(host, {"iptables-nft", "-I", "INPUT", "1", "-p", "udp", "--dport", "4789", "-j", "ACCEPT"}).status,
              0);
  }
  const Said tunnel = lab.tunnel();
  EXPECT_EQ(tunnel.status, 1);
  EXPECT_THAT(tunnel.text, HasSubstr("20 of 20 from a stranger"));
}

TEST_F(Wrong, SizeThatDoesNotFitIsNoticed) {
  const TestLab lab("test-size", {"--topology", "mesh", "--hosts", "4", "--pool-mode", "vxlan"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents(kFour);
  const Said limited =
      lab.in("host-a", {"iptables-nft", "-I", "FORWARD", "1", "-m", "length", "--length", "1400:65535", "-j", "DROP"});
  ASSERT_EQ(limited.status, 0) << limited.text;
  const Said tunnel = lab.tunnel();
  EXPECT_EQ(tunnel.status, 1);
  EXPECT_THAT(tunnel.text, HasSubstr("1430 bytes DO NOT pass, 1431 bytes: vanishes"));
}

TEST_F(Wrong, MissingSessionIsNoticed) {
  const TestLab lab("test-session", {"--topology", "racks", "--hosts", "4"});
  ASSERT_EQ(lab.up().status, 0) << lab.up().text;
  lab.freeze_agents(kFour);
  ASSERT_EQ(lab.in("tor-1", {"ip", "link", "set", "spine0", "down"}).status, 0);
  const Said matrix = lab.matrix();
  EXPECT_EQ(matrix.status, 1);
  EXPECT_THAT(matrix.text, HasSubstr("web1 -> web3 IPv4 icmp: expected to pass"));
  EXPECT_THAT(matrix.text, Not(HasSubstr("web1 -> web2")));
}

// The whole measurement, except the four minutes of the hold time. What it takes is `./dev bench`'s business.
TEST_F(Convergence, NothingIsLostAndBfdIsFast) {
  const Said measured = percalectl({"lab", "convergence", "test-conv", "--quick", "--guests", "3"});
  EXPECT_EQ(measured.status, 0) << measured.text;
  EXPECT_THAT(measured.text, HasSubstr("guest appears -> first packet"));
  EXPECT_THAT(measured.text, ContainsRegex("BIRD of a host killed.* 0 of [0-9]+ packets lost"));
}

TEST_F(Convergence, DeadRouteIsNoticed) {
  const Said measured = percalectl({"lab", "convergence", "test-conv", "--quick", "--guests", "1", "--agent", "none"});
  EXPECT_EQ(measured.status, 1) << measured.text;
}

}  // namespace
