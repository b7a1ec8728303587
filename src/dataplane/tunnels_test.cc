#include "dataplane/tunnels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/device_fake.h"
#include "kernel/neighbour_fake.h"
#include "kernel/route_fake.h"
#include "testing/sim_loop.h"

namespace dataplane {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

base::IpAddress address(std::string_view text) { return *base::parse_address(text); }

class Lines final : public base::Log {
 public:
  bool enabled(base::LogLevel) const override { return true; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields) override {
    lines.push_back(std::string(event) + ": " + std::string(text));
  }
  std::vector<std::string> lines;
};

// This host and another, in one subnet; eth0 leads to it.
struct World {
  explicit World(bool vxlan = true, bool ipip = false) {
    cleaner.slow = false;
    settings.hostname = "here";
    settings.vxlan_v4 = vxlan;
    settings.ipip = ipip;
    settings.vxlan_mtu_v4 = 1450;
    settings.ipip_mtu = 1480;
    settings.vxlan_address_v4 = address("10.65.0.1");
    settings.ipip_address = address("10.65.0.3");
    devices.on_change = [this](const reconcile::DeviceState& d) { changed.push_back(d); };
    devices.on_gone = [this](const reconcile::DeviceState& d) { gone.push_back(d.name); };
  }

  void start() {
    reconcile::RouteOwnership ownership;
    ownership.own_interfaces = {"vxlan.calico"};
    ownership.hand_over = Tunnels::kHandOver;
    routes.emplace(route_kernel, cleaner, loop, ownership);
    arp.emplace(neighbour_kernel, reconcile::NeighbourOwnership{base::Family::kIpv4, {"tap"}, {"vxlan.calico"}});
    tunnels.emplace(settings, Tunnels::Parts{*routes, nullptr, *arp, neighbour_kernel, fdb, devices}, loop, log,
                    metrics);
    link({.name = "eth0", .index = 2, .admin_up = true, .running = true, .mtu = 1500});
    tunnels->host_interfaces({{"eth0", {address("192.0.2.1")}}, {"lo", {address("127.0.0.1")}}});
    calc::Changes changes;
    changes.nodes[names.intern("here")] = node("192.0.2.1/24", "10.65.0.1");
    changes.nodes[names.intern("there")] = node("192.0.2.2/24", "10.65.1.1");
    changes.routes[*base::parse_cidr("10.65.1.0/26")] = cluster(calc::PoolKind::kVxlan);
    tunnels->update(changes, true);
    tunnels->guard(tunnels->rules());
  }
  // Another set of tunnels; the rules follow.
  void change() {
    tunnels->change(settings);
    tunnels->guard(tunnels->rules());
  }
  static model::Node node(std::string_view interface, std::string_view tunnel) {
    model::Node out;
    out.bgp_ipv4 = *base::parse_interface_cidr(interface);
    out.host_ipv4 = out.bgp_ipv4->address;
    out.ipip_tunnel = address(tunnel);
    out.vxlan_tunnel_v4 = address(tunnel);
    return out;
  }
  calc::ClusterRoute cluster(calc::PoolKind pool, bool same_subnet = false) {
    return {.kind = calc::ClusterRoute::Kind::kRemoteWorkload,
            .pool = pool,
            .same_subnet = same_subnet,
            .node = names.intern("there"),
            .node_address = address("192.0.2.2")};
  }
  void change_route(const calc::ClusterRoute& route) {
    calc::Changes changes;
    changes.routes[*base::parse_cidr("10.65.1.0/26")] = route;
    tunnels->update(changes, false);
  }
  void link(const kernel::Link& link) {
    tunnels->link(link);
    routes->interface_present(link.name, link.index, link.running);
    arp->interface_present(link.name, link.index, link.running);
  }
  // One turn, and what the monitor would say afterwards.
  kernel::ApplyReport turn() {
    kernel::ApplyReport report = tunnels->apply();
    arp->apply();
    routes->apply();
    for (const auto& device : std::exchange(changed, {})) {
      link(
          {.name = device.name, .index = device.index, .admin_up = device.up, .running = device.up, .mtu = device.mtu});
    }
    for (const std::string& name : std::exchange(gone, {})) {
      tunnels->link_gone(name);
      routes->interface_gone(name);
    }
    return report;
  }
  void settle() {
    turn();
    turn();
    loop.advance(Tunnels::kListenFirst);
    turn();
  }
  std::vector<std::string> route_texts() const {
    std::vector<std::string> out;
    for (const auto& route : route_kernel.routes) out.push_back(reconcile::to_string(route));
    return out;
  }

  testing::SimLoop loop;
  Lines log;
  base::MetricRegistry metrics;
  base::Interner names;
  kernel::FakeRoutes route_kernel;
  kernel::FakeConntrackCleaner cleaner;
  kernel::FakeNeighbours neighbour_kernel;
  kernel::FakeFdb fdb;
  kernel::FakeDevices devices;
  TunnelSettings settings;
  std::optional<kernel::RouteSyncer> routes;
  std::optional<kernel::NeighbourSyncer> arp;
  std::optional<Tunnels> tunnels;
  std::vector<reconcile::DeviceState> changed;
  std::vector<std::string> gone;
};

constexpr const char* kTunnelRoute = "10.65.1.0/26 via 10.65.1.1 dev 100 proto 3 metric 0 mtu 1450 onlink";
constexpr const char* kDirectRoute = "10.65.1.0/26 via 192.0.2.2 dev 2 proto 80 metric 0 onlink";

TEST(Tunnels, ANewDeviceListensBeforeRoutesLeadIntoIt) {
  World w;
  w.start();
  EXPECT_TRUE(w.turn().clean());
  EXPECT_THAT(w.devices.log,
              ElementsAre("create vxlan.calico", "add address 10.65.0.1/32 to vxlan.calico", "set vxlan.calico up"));
  const kernel::ApplyReport report = w.turn();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.retry_after, Tunnels::kListenFirst);
  EXPECT_FALSE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), IsEmpty());
  EXPECT_EQ(w.fdb.entries.size(), 1u);
  ASSERT_EQ(w.neighbour_kernel.entries.size(), 1u);
  EXPECT_EQ(reconcile::to_string(w.neighbour_kernel.entries[0]),
            "10.65.1.1 lladdr " + base::to_string(vxlan_mac("", "there", base::Family::kIpv4)) + " dev 100 permanent");
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
}

TEST(Tunnels, ARestartFindsEverythingAndWritesNothing) {
  World w;
  w.start();
  w.settle();
  w.devices.log.clear();
  w.route_kernel.log.clear();
  const auto fdb = w.fdb.entries;
  World& again = w;
  const auto device = w.devices.devices.at("vxlan.calico");
  again.start();
  again.link({.name = device.name, .index = device.index, .admin_up = true, .running = true, .mtu = device.mtu});
  again.turn();
  EXPECT_TRUE(again.tunnels->ready()) << "a device that was there has no need to listen first";
  EXPECT_THAT(w.devices.log, IsEmpty());
  EXPECT_THAT(w.route_kernel.log, IsEmpty());
  EXPECT_EQ(w.fdb.entries, fdb);
  EXPECT_EQ(w.tunnels->writes(), 0u);
}

TEST(Tunnels, SomebodyTakesTheDeviceAway) {
  World w;
  w.start();
  w.settle();
  ASSERT_TRUE(
      w.devices.apply({.kind = reconcile::DeviceEdit::Kind::kRemove, .spec = {.name = "vxlan.calico"}, .address = {}}));
  w.fdb.entries.clear();
  w.route_kernel.routes.clear();
  w.turn();  // hears that it is gone
  w.turn();
  w.turn();
  EXPECT_TRUE(w.devices.devices.at("vxlan.calico").up);
  EXPECT_EQ(w.fdb.entries.size(), 1u);
  EXPECT_THAT(w.route_texts(), ElementsAre("10.65.1.0/26 via 10.65.1.1 dev 101 proto 3 metric 0 mtu 1450 onlink"))
      << "at once: the others go on sending";
}

TEST(Tunnels, ModesChangeWithoutAMomentWithoutARoute) {
  World w;
  w.start();
  w.settle();
  w.route_kernel.log.clear();
  w.change_route(w.cluster(calc::PoolKind::kVxlan, true));  // CrossSubnet
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kDirectRoute));
  w.change_route(w.cluster(calc::PoolKind::kVxlan, false));  // Always
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
  for (const std::string& line : w.route_kernel.log) EXPECT_THAT(line, HasSubstr("replace"));

  w.change_route(w.cluster(calc::PoolKind::kNoEncap));  // Never: BIRD's from now on, and BIRD takes its time
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
  w.loop.advance(Tunnels::kHandOver - seconds(1));
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
  w.loop.advance(seconds(1));
  w.turn();
  EXPECT_THAT(w.route_texts(), IsEmpty());
  EXPECT_THAT(w.cleaner.asked, IsEmpty());
}

TEST(Tunnels, ADestinationThatIsGoneLosesItsRouteAtOnce) {
  World w;
  w.start();
  w.settle();
  calc::Changes changes;
  changes.routes_removed.insert(*base::parse_cidr("10.65.1.0/26"));
  w.tunnels->update(changes, false);
  w.turn();
  EXPECT_THAT(w.route_texts(), IsEmpty());
}

TEST(Tunnels, AHostThatMovesTakesItsRoutesAlong) {
  World w;
  w.start();
  w.settle();
  calc::Changes changes;
  changes.nodes[w.names.intern("there")] = World::node("192.0.2.9/24", "10.65.1.7");
  w.tunnels->update(changes, false);
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre("10.65.1.0/26 via 10.65.1.7 dev 100 proto 3 metric 0 mtu 1450 onlink"));
  ASSERT_EQ(w.fdb.entries.size(), 1u);
  EXPECT_EQ(w.fdb.entries.begin()->host, address("192.0.2.9"));
  changes.nodes.clear();
  changes.nodes_removed.insert(w.names.intern("there"));
  w.tunnels->update(changes, false);
  w.turn();
  EXPECT_THAT(w.fdb.entries, IsEmpty());
  EXPECT_THAT(w.route_texts(), IsEmpty());
}

TEST(Tunnels, ATunnelThatNobodyUsesLingersAndGoes) {
  World w(false);
  w.devices.devices["vxlan.calico"] = {
      .name = "vxlan.calico", .index = 5, .kind = reconcile::DeviceKind::kVxlan, .up = true, .addresses = {}};
  w.devices.devices["tunl0"] = {.name = "tunl0",
                                .index = 6,
                                .kind = reconcile::DeviceKind::kIpip,
                                .up = true,
                                .addresses = {*base::parse_cidr("10.65.0.3/32")}};
  w.start();
  EXPECT_EQ(w.turn().retry_after, Tunnels::kLinger);
  EXPECT_TRUE(w.tunnels->ready());
  w.loop.advance(Tunnels::kLinger - seconds(1));
  w.turn();
  EXPECT_THAT(w.devices.log, IsEmpty());
  w.loop.advance(seconds(1));
  EXPECT_FALSE(w.turn().retry_after);
  EXPECT_THAT(w.devices.log,
              ElementsAre("remove address 10.65.0.3/32 from tunl0", "set tunl0 down", "remove vxlan.calico"));
}

// From direct routes of the agent's own to a tunnel and back, while it runs.
TEST(Tunnels, ASetOfTunnelsChangesWithoutAMomentWithoutARoute) {
  World w(false);
  w.settings.program_cluster_routes = true;
  w.start();
  w.change_route(w.cluster(calc::PoolKind::kNoEncap));
  w.turn();
  ASSERT_THAT(w.route_texts(), ElementsAre(kDirectRoute));
  w.route_kernel.log.clear();

  w.change_route(w.cluster(calc::PoolKind::kVxlan));
  w.settings.vxlan_v4 = true;
  w.tunnels->change(w.settings);
  w.turn();
  EXPECT_THAT(w.devices.log, IsEmpty()) << "nobody would drop what strangers send";
  EXPECT_TRUE(w.tunnels->rules().vxlan_v4);
  EXPECT_THAT(w.route_texts(), ElementsAre(kDirectRoute));
  EXPECT_TRUE(w.tunnels->guard(w.tunnels->rules()));
  EXPECT_FALSE(w.tunnels->guard(w.tunnels->rules()));
  w.turn();
  w.turn();
  EXPECT_TRUE(w.devices.devices.at("vxlan.calico").up);
  EXPECT_FALSE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), ElementsAre(kDirectRoute)) << "others may not be there yet";
  EXPECT_EQ(w.neighbour_kernel.entries.size(), 1u);
  EXPECT_EQ(w.fdb.entries.size(), 1u);
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));

  w.change_route(w.cluster(calc::PoolKind::kNoEncap));
  w.settings.vxlan_v4 = false;
  w.change();
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kDirectRoute));
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_TRUE(w.tunnels->rules().vxlan_v4) << "late hosts are still sending";
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_tunnel_up{device=\"vxlan.calico\"} 1\n")) << "none is as wanted";
  for (const std::string& line : w.route_kernel.log) EXPECT_THAT(line, HasSubstr("replace"));
  w.loop.advance(Tunnels::kLinger);
  w.turn();
  EXPECT_FALSE(w.devices.devices.contains("vxlan.calico"));
  EXPECT_FALSE(w.tunnels->rules().vxlan_v4);
}

// The device is still there, but this host may be ahead of those where it is not.
TEST(Tunnels, ATunnelThatIsUsedAgainListensToo) {
  World w;
  w.start();
  w.settle();
  w.change_route(w.cluster(calc::PoolKind::kNoEncap));
  w.settings.vxlan_v4 = false;
  w.change();
  w.turn();
  w.loop.advance(Tunnels::kHandOver);
  w.turn();
  EXPECT_THAT(w.route_texts(), IsEmpty()) << "BIRD's by now";
  w.change_route(w.cluster(calc::PoolKind::kVxlan));
  w.settings.vxlan_v4 = true;
  w.change();
  w.turn();
  EXPECT_FALSE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), IsEmpty());
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
  w.loop.advance(Tunnels::kLinger);
  w.turn();
  EXPECT_TRUE(w.devices.devices.contains("vxlan.calico"));
}

// BIRD waits for the other tunnel, so the routes of this one wait for BIRD.
TEST(Tunnels, FromOneTunnelToAnother) {
  World w;
  w.start();
  w.settle();
  w.change_route(w.cluster(calc::PoolKind::kIpip));
  w.settings.vxlan_v4 = false;
  w.settings.ipip = true;
  w.change();
  w.turn();
  w.turn();
  EXPECT_FALSE(w.tunnels->ready());
  EXPECT_TRUE(w.devices.devices.at("tunl0").up);
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready());
  w.loop.advance(Tunnels::kHandOver - seconds(1));
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute)) << "counted from the moment when BIRD was told";
  w.loop.advance(seconds(1));
  w.turn();
  EXPECT_THAT(w.route_texts(), IsEmpty());
}

// The running kernel of many clouds: no module ipip.
TEST(Tunnels, AKernelWithoutIpipIsSaidOnceWithTheRemedyAndHoldsUpNothing) {
  World w(true, true);
  w.devices.unknown_kinds.insert(reconcile::DeviceKind::kIpip);
  w.start();
  for (int i = 0; i < 5; ++i) {
    const kernel::ApplyReport report = w.turn();
    EXPECT_TRUE(report.clean());
    ASSERT_TRUE(report.retry_after);
    w.loop.advance(Tunnels::kLookAgain);
  }
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute)) << "VXLAN works beside it";
  int told = 0;
  for (const std::string& line : w.log.lines) {
    if (line.starts_with("tunnel.failed")) {
      ++told;
      EXPECT_THAT(line, HasSubstr("create tunl0"));
      EXPECT_THAT(line, HasSubstr("modprobe ipip"));
    }
  }
  EXPECT_EQ(told, 1);
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_tunnel_up{device=\"tunl0\"} 0\n"));
  w.devices.unknown_kinds.clear();  // modprobe ipip
  w.turn();
  EXPECT_TRUE(w.devices.devices.at("tunl0").up);
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_tunnel_up{device=\"tunl0\"} 1\n"));
}

// A pool begins to ask for a tunnel, and nobody has an address for it yet.
TEST(Tunnels, ItTakesPacketsBeforeItHasAnAddressAndSendsWhenEverybodyHasOne) {
  World w(false);
  w.start();
  const auto there = [&w](std::optional<base::IpAddress> tunnel) {
    calc::Changes changes;
    model::Node node = World::node("192.0.2.2/24", "10.65.1.1");
    node.ipip_tunnel = tunnel;
    changes.nodes[w.names.intern("there")] = node;
    w.tunnels->update(changes, false);
  };
  there(std::nullopt);
  const auto own = std::exchange(w.settings.ipip_address, std::nullopt);
  w.settings.ipip = true;
  w.change();
  w.turn();
  EXPECT_EQ(w.turn().retry_after, Tunnels::kListenFirst);
  EXPECT_THAT(w.devices.log, ElementsAre("create tunl0", "set tunl0 up"));
  EXPECT_FALSE(w.tunnels->rules().ipip_address) << "nothing to masquerade with";
  EXPECT_THAT(w.log.lines, IsEmpty()) << "as it has to be, for a moment";
  w.settings.ipip_address = own;
  w.change();
  w.turn();
  EXPECT_TRUE(w.tunnels->rules().ipip_address);
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_FALSE(w.tunnels->ready()) << "the other host may not have heard of it";
  there(address("10.65.1.1"));
  EXPECT_EQ(w.turn().retry_after, Tunnels::kListenFirst);
  EXPECT_FALSE(w.tunnels->ready());
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_THAT(w.log.lines, ElementsAre(HasSubstr("tunnel.up")));

  w.settings.ipip_address = address("10.65.0.9");
  w.change();
  w.turn();
  EXPECT_TRUE(w.tunnels->ready()) << "only the address is exchanged";
  EXPECT_EQ(w.devices.devices.at("tunl0").addresses, std::vector{base::Prefix::host(address("10.65.0.9"))});
  there(std::nullopt);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready()) << "a tunnel in use waits for nobody";
}

TEST(Tunnels, AHostWithoutAnAddressHoldsUpTheOthersForAWhileOnly) {
  World w(false, false);
  w.settings.program_cluster_routes = true;
  w.start();
  w.change_route(w.cluster(calc::PoolKind::kNoEncap));
  w.turn();
  calc::Changes changes;
  model::Node bare = World::node("192.0.2.2/24", "10.65.1.1");
  bare.vxlan_tunnel_v4.reset();
  changes.nodes[w.names.intern("there")] = bare;
  w.tunnels->update(changes, false);
  w.change_route(w.cluster(calc::PoolKind::kVxlan));
  w.settings.vxlan_v4 = true;
  w.change();
  w.settle();
  EXPECT_FALSE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), ElementsAre(kDirectRoute)) << "it still takes plain packets";
  w.loop.advance(Tunnels::kAddressesDue - Tunnels::kListenFirst);
  w.turn();
  EXPECT_THAT(w.log.lines.back(), HasSubstr("tunnel.addresses_late"));
  w.loop.advance(Tunnels::kListenFirst);
  w.turn();
  EXPECT_TRUE(w.tunnels->ready());
  EXPECT_THAT(w.route_texts(), IsEmpty()) << "no other end";
  changes.nodes[w.names.intern("there")] = World::node("192.0.2.2/24", "10.65.1.1");
  w.tunnels->update(changes, false);
  w.turn();
  EXPECT_THAT(w.route_texts(), ElementsAre(kTunnelRoute));
}

TEST(Tunnels, AnotherHostsNewAddressComesBesideTheOldOneUntilRoutesLeadThere) {
  World w;
  w.start();
  w.settle();
  calc::Changes changes;
  changes.nodes[w.names.intern("there")] = World::node("192.0.2.2/24", "10.65.1.7");
  w.tunnels->update(changes, false);
  EXPECT_EQ(w.turn().retry_after, Tunnels::kForget);
  EXPECT_THAT(w.route_texts(), ElementsAre("10.65.1.0/26 via 10.65.1.7 dev 100 proto 3 metric 0 mtu 1450 onlink"));
  EXPECT_EQ(w.neighbour_kernel.entries.size(), 2u) << "both while the route is replaced";
  w.turn();
  ASSERT_EQ(w.neighbour_kernel.entries.size(), 1u);
  EXPECT_EQ(w.neighbour_kernel.entries[0].neighbour.address, address("10.65.1.7"));
}

TEST(Tunnels, WhatIsMissingIsSaid) {
  World w;
  w.settings.vxlan_address_v4.reset();
  w.start();
  w.settle();
  EXPECT_TRUE(w.tunnels->ready()) << "it holds up nothing";
  EXPECT_THAT(w.devices.log, ElementsAre("create vxlan.calico", "set vxlan.calico up"));
  ASSERT_FALSE(w.log.lines.empty());
  EXPECT_THAT(w.log.lines.back(), HasSubstr("no tunnel address yet"));
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_tunnel_up{device=\"vxlan.calico\"} 0\n"));
}

}  // namespace
}  // namespace dataplane
