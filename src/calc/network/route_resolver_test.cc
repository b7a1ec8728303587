#include "calc/network/route_resolver.h"

#include <gtest/gtest.h>

#include "calc/calculator.h"
#include "calc/print.h"

namespace calc {
namespace {

base::Prefix cidr(std::string_view text) { return *base::parse_cidr_or_address(text); }
base::IpAddress address(std::string_view text) { return *base::parse_address(text); }

// Three hosts in two subnets, one pool; the tests say which blocks and guests there are.
struct World {
  explicit World(RouteSource source = RouteSource::kIpam, model::EncapMode vxlan = model::EncapMode::kAlways)
      : calculator("here", source) {
    pool("10.65.0.0/16", vxlan);
    node("here", "192.0.2.1/24", "10.65.9.1");
    node("near", "192.0.2.2/24", "10.65.9.2");
    node("far", "198.51.100.3/24", "10.65.9.3");
    calculator.in_sync();
  }
  void pool(std::string_view prefix, model::EncapMode vxlan, model::EncapMode ipip = model::EncapMode::kNever) {
    model::IpPool value;
    value.cidr = cidr(prefix);
    value.vxlan = vxlan;
    value.ipip = ipip;
    calculator.update(model::IpPoolChange{{std::string(prefix)}, value});
  }
  void node(std::string_view name, std::string_view interface, std::string_view tunnel) {
    model::Node value;
    value.bgp_ipv4 = *base::parse_interface_cidr(interface);
    value.host_ipv4 = value.bgp_ipv4->address;
    if (!tunnel.empty()) value.vxlan_tunnel_v4 = address(tunnel);
    calculator.update(model::NodeChange{{names.intern(name)}, value});
  }
  void block(std::string_view prefix, std::string_view owner,
             std::vector<std::pair<std::string, std::string>> borrowed = {}) {
    model::IpamBlock value;
    value.cidr = cidr(prefix);
    value.affinity_host = names.intern(owner);
    for (const auto& [who, host] : borrowed) value.borrowed.emplace_back(address(who), names.intern(host));
    calculator.update(model::IpamBlockChange{{value.cidr}, value});
  }
  void guest(const std::string& name, std::string_view host, std::string_view with, std::string_view also = {}) {
    model::WorkloadEndpoint value;
    value.node = names.intern(host);
    value.membership.addresses = {address(with)};
    if (!also.empty()) value.membership.addresses.push_back(address(also));
    if (host == "here") {
      auto interface = std::make_shared<model::WorkloadInterface>();
      interface->name = "tap-" + name;
      value.interface = std::move(interface);
    }
    calculator.update(model::WorkloadEndpointChange{{names.intern("openstack"), name}, value});
  }
  // "a" on near and "b" on far, which have no tunnel addresses; their routes have been told.
  void start_with_two_guests() {
    node("near", "192.0.2.2/24", "");
    node("far", "198.51.100.3/24", "");
    guest("a", "near", "10.65.0.1");
    guest("b", "far", "10.65.0.2");
    routes();
  }
  void no_guest(const std::string& name) {
    calculator.update(model::WorkloadEndpointChange{{names.intern("openstack"), name}, std::nullopt});
  }
  std::string routes() {
    if (const auto output = calculator.flush()) apply(state, *output);
    std::string text;
    for (const auto& [prefix, route] : state.routes) text += base::to_string(prefix) + " " + to_string(route) + "\n";
    return text;
  }

  base::Interner names;
  Calculator calculator;
  State state;
};

TEST(RouteResolver, BlocksLeadToTheirHosts) {
  World w;
  w.block("10.65.1.0/26", "near");
  w.block("10.65.2.0/26", "here", {{"10.65.2.7", "far"}});
  w.block("10.65.3.0/26", "far", {{"10.65.3.9", "here"}});
  w.block("10.65.4.0/26", "", {{"10.65.4.1", "far"}});  // released while an address of it is still in use
  w.block("10.66.0.0/26", "near");                      // in no pool
  EXPECT_EQ(w.routes(),
            "10.65.1.0/26 workload vxlan node near 192.0.2.2\n"
            "10.65.2.0/26 own-block vxlan node here 192.0.2.1\n"
            "10.65.2.7/32 workload vxlan node far 198.51.100.3\n"
            "10.65.3.0/26 workload vxlan node far 198.51.100.3\n"
            "10.65.4.1/32 workload vxlan node far 198.51.100.3\n"
            "10.65.9.2/32 tunnel vxlan node near 192.0.2.2\n"
            "10.65.9.3/32 tunnel vxlan node far 198.51.100.3\n");
}

TEST(RouteResolver, TunnelAddressesInsideTheirHostsBlockNeedNoRoute) {
  World w;
  w.block("10.65.9.2/31", "near");  // 10.65.9.2 is near's own, 10.65.9.3 far's
  EXPECT_EQ(w.routes(),
            "10.65.9.2/31 workload vxlan node near 192.0.2.2\n"
            "10.65.9.3/32 tunnel vxlan node far 198.51.100.3\n");
  w.block("10.65.9.2/31", "far");
  EXPECT_EQ(w.routes(),
            "10.65.9.2/31 workload vxlan node far 198.51.100.3\n"
            "10.65.9.2/32 tunnel vxlan node near 192.0.2.2\n");
}

// Nothing is kept until somebody asks; then pools and nodes are known, and a resync brings the rest.
TEST(RouteResolver, BeginsWhileItRuns) {
  World w(RouteSource::kNone);
  w.guest("a", "here", "10.65.0.1");
  w.guest("b", "near", "10.65.0.2");
  EXPECT_EQ(w.routes(), "");
  w.calculator.begin_routes(RouteSource::kWorkloads);
  EXPECT_EQ(w.calculator.routes(), RouteSource::kWorkloads);
  w.calculator.resync_begin();
  w.pool("10.65.0.0/16", model::EncapMode::kAlways);
  w.node("here", "192.0.2.1/24", "10.65.9.1");
  w.node("near", "192.0.2.2/24", "10.65.9.2");
  w.guest("a", "here", "10.65.0.1");
  w.guest("b", "near", "10.65.0.2");
  w.calculator.resync_end();
  EXPECT_EQ(w.routes(),
            "10.65.0.2/32 workload vxlan node near 192.0.2.2\n"
            "10.65.9.2/32 tunnel vxlan node near 192.0.2.2\n");
}

TEST(RouteResolver, WorkloadsAsTheSourceLeaveBlocksAlone) {
  World w(RouteSource::kWorkloads);
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.block("10.65.1.0/26", "near");
  w.guest("a", "here", "10.65.0.1");
  w.guest("b", "near", "10.65.0.2");
  w.guest("c", "far", "10.65.0.3");
  w.guest("d", "far", "203.0.113.4");
  EXPECT_EQ(w.routes(),
            "10.65.0.2/32 workload vxlan node near 192.0.2.2\n"
            "10.65.0.3/32 workload vxlan node far 198.51.100.3\n");
  w.guest("c", "near", "10.65.0.3");  // migrated
  EXPECT_EQ(w.routes(),
            "10.65.0.2/32 workload vxlan node near 192.0.2.2\n"
            "10.65.0.3/32 workload vxlan node near 192.0.2.2\n");
}

// A route of ours to another host would beat the guest's own: upstream lets the smaller node name win.
TEST(RouteResolver, AnAddressThatAGuestHereHasIsNeverRoutedAway) {
  World w(RouteSource::kWorkloads);
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.guest("a", "here", "10.65.0.1");
  w.guest("b", "far", "10.65.0.1");
  EXPECT_EQ(w.routes(), "");
  w.guest("a", "near", "10.65.0.1");
  EXPECT_EQ(w.routes(), "10.65.0.1/32 workload vxlan node far 198.51.100.3\n") << "of two others the smallest name";
}

// As during a live migration, and when two ports have one address by mistake.
TEST(RouteResolver, AnAddressStaysUntilItsLastGuestLeaves) {
  World w(RouteSource::kWorkloads);
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.guest("a", "near", "10.65.0.1", "10.65.0.2");
  w.guest("b", "near", "10.65.0.1");
  w.guest("c", "far", "10.65.0.2");
  EXPECT_EQ(w.routes(),
            "10.65.0.1/32 workload vxlan node near 192.0.2.2\n"
            "10.65.0.2/32 workload vxlan node far 198.51.100.3\n");
  w.no_guest("c");
  w.guest("a", "near", "10.65.0.2");
  EXPECT_EQ(w.routes(),
            "10.65.0.1/32 workload vxlan node near 192.0.2.2\n"
            "10.65.0.2/32 workload vxlan node near 192.0.2.2\n");
  w.no_guest("b");
  EXPECT_EQ(w.routes(), "10.65.0.2/32 workload vxlan node near 192.0.2.2\n");
  w.no_guest("a");
  EXPECT_EQ(w.routes(), "");
  w.guest("d", "far", "10.65.0.1");  // has the number that "a" had
  EXPECT_EQ(w.routes(), "10.65.0.1/32 workload vxlan node far 198.51.100.3\n");
}

TEST(RouteResolver, GuestsThatAResyncDoesNotBringBackLoseTheirRoutes) {
  World w(RouteSource::kWorkloads);
  w.start_with_two_guests();
  w.calculator.resync_begin();
  w.pool("10.65.0.0/16", model::EncapMode::kAlways);
  w.node("here", "192.0.2.1/24", "10.65.9.1");
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.guest("b", "far", "10.65.0.2");
  w.calculator.resync_end();
  EXPECT_EQ(w.routes(), "10.65.0.2/32 workload vxlan node far 198.51.100.3\n");
}

TEST(RouteResolver, ANodesNewAddressIsNewsForItsRoutesAlone) {
  World w(RouteSource::kWorkloads);
  w.start_with_two_guests();
  w.node("far", "198.51.100.3/25", "");  // another network: of no interest
  w.node("near", "192.0.2.9/24", "");
  const auto output = w.calculator.flush();
  ASSERT_TRUE(output && std::holds_alternative<Delta>(*output));
  const auto& routes = std::get<Delta>(*output).changes.routes;
  ASSERT_EQ(routes.size(), 1u);
  EXPECT_EQ(base::to_string(routes.begin()->first) + " " + to_string(routes.begin()->second),
            "10.65.0.1/32 workload vxlan node near 192.0.2.9");
}

TEST(RouteResolver, CrossSubnetFollowsTheOwnSubnet) {
  World w(RouteSource::kIpam, model::EncapMode::kCrossSubnet);
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.block("10.65.1.0/26", "near");
  w.block("10.65.3.0/26", "far");
  EXPECT_EQ(w.routes(),
            "10.65.1.0/26 workload vxlan same-subnet node near 192.0.2.2\n"
            "10.65.3.0/26 workload vxlan node far 198.51.100.3\n");
  w.node("here", "192.0.2.1/32", "");  // a host without a network is in nobody's
  EXPECT_EQ(w.routes(),
            "10.65.1.0/26 workload vxlan node near 192.0.2.2\n"
            "10.65.3.0/26 workload vxlan node far 198.51.100.3\n");
}

TEST(RouteResolver, PoolsChangeUnderTheirBlocks) {
  World w;
  w.node("near", "192.0.2.2/24", "");
  w.node("far", "198.51.100.3/24", "");
  w.block("10.65.1.0/26", "near");
  w.pool("10.65.1.0/24", model::EncapMode::kNever, model::EncapMode::kAlways);  // the narrower one counts
  EXPECT_EQ(w.routes(), "10.65.1.0/26 workload ipip node near 192.0.2.2\n");
  w.pool("10.65.1.0/24", model::EncapMode::kNever);
  EXPECT_EQ(w.routes(), "10.65.1.0/26 workload plain node near 192.0.2.2\n");
  w.calculator.update(model::IpPoolChange{{"10.65.1.0/24"}, std::nullopt});
  w.calculator.update(model::NodeChange{{w.names.intern("near")}, std::nullopt});
  EXPECT_EQ(w.routes(), "10.65.1.0/26 workload vxlan node near\n");
  w.calculator.update(model::IpPoolChange{{"10.65.0.0/16"}, std::nullopt});
  EXPECT_EQ(w.routes(), "");
}

TEST(RouteResolver, WithoutASourceThereAreNone) {
  World w(RouteSource::kNone);
  w.block("10.65.1.0/26", "near");
  w.guest("b", "near", "10.65.0.2");
  EXPECT_EQ(w.routes(), "");
}

}  // namespace
}  // namespace calc
