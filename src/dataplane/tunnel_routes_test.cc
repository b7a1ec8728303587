#include "dataplane/tunnel_routes.h"

#include <gtest/gtest.h>

namespace dataplane {
namespace {

using base::Family;
using calc::ClusterRoute;
using calc::PoolKind;
using Kind = ClusterRoute::Kind;

base::IpAddress address(std::string_view text) { return *base::parse_address(text); }

TunnelSettings all_on() {
  TunnelSettings settings;
  settings.hostname = "compute-01";
  settings.ipip = settings.vxlan_v4 = settings.vxlan_v6 = true;
  settings.program_cluster_routes = true;
  settings.ipip_mtu = 1480;
  settings.vxlan_mtu_v4 = 1450;
  settings.vxlan_mtu_v6 = 1430;
  return settings;
}

std::string text_of(const std::optional<PlacedRoute>& placed) {
  if (!placed) return "none";
  return reconcile::to_string(placed->route, placed->interface) + " class " +
         std::to_string(static_cast<int>(placed->owner));
}

struct Case {
  std::string_view name;
  std::string_view destination;
  Kind kind;
  PoolKind pool;
  bool same_subnet;
  std::string_view text;
};

// Spec dataplane §16.2.
constexpr Case kCases[] = {
    {"VXLAN", "10.65.1.0/26", Kind::kRemoteWorkload, PoolKind::kVxlan, false,
     "10.65.1.0/26 via 10.65.1.1 dev vxlan.calico proto 3 metric 0 mtu 1450 onlink class 4"},
    {"VXLAN, the tunnel's end itself", "10.65.9.1/32", Kind::kRemoteTunnel, PoolKind::kVxlan, false,
     "10.65.9.1/32 dev vxlan.calico scope link proto 3 metric 0 mtu 1450 class 4"},
    {"VXLAN CrossSubnet", "10.65.1.0/26", Kind::kRemoteWorkload, PoolKind::kVxlan, true,
     "10.65.1.0/26 via 192.0.2.2 dev eth0 proto 80 metric 0 onlink class 3"},
    {"IPv6 VXLAN", "fd00:65::/122", Kind::kRemoteWorkload, PoolKind::kVxlan, false,
     "fd00:65::/122 via fd00:65::1 dev vxlan-v6.calico proto 3 metric 1024 mtu 1430 onlink class 4"},
    {"IP-in-IP", "10.65.1.0/26", Kind::kRemoteWorkload, PoolKind::kIpip, false,
     "10.65.1.0/26 via 192.0.2.2 dev tunl0 proto 80 metric 0 mtu 1480 onlink class 6"},
    {"IP-in-IP CrossSubnet", "10.65.1.0/26", Kind::kRemoteWorkload, PoolKind::kIpip, true,
     "10.65.1.0/26 via 192.0.2.2 dev eth0 proto 80 metric 0 onlink class 5"},
    {"plain", "10.65.1.0/26", Kind::kRemoteWorkload, PoolKind::kNoEncap, false,
     "10.65.1.0/26 via 192.0.2.2 dev eth0 proto 80 metric 0 onlink class 7"},
    {"own block", "10.65.1.0/26", Kind::kLocalBlock, PoolKind::kVxlan, false,
     "blackhole 10.65.1.0/26 proto 80 metric 0 class 8"},
};

std::optional<PlacedRoute> place(const Case& c, const TunnelSettings& settings,
                                 const std::optional<std::string>& parent = "eth0", bool has_vtep = true) {
  const base::Prefix destination = *base::parse_cidr(c.destination);
  const bool v4 = destination.family() == Family::kIpv4;
  ClusterRoute route{.kind = c.kind, .pool = c.pool, .same_subnet = c.same_subnet, .node = {}, .node_address = {}};
  route.node_address = address(v4 ? "192.0.2.2" : "2001:db8::2");
  const Vtep vtep{address(v4 ? "10.65.1.1" : "fd00:65::1"), {}, *route.node_address};
  return place_route(destination, route, has_vtep ? std::optional(vtep) : std::nullopt, parent, settings);
}

TEST(TunnelRoutes, Places) {
  for (const Case& c : kCases) EXPECT_EQ(text_of(place(c, all_on())), c.text) << c.name;
}

TEST(TunnelRoutes, WhatCannotBeMadeYetIsNotMade) {
  EXPECT_EQ(text_of(place(kCases[0], all_on(), "eth0", false)), "none") << "no tunnel address there";
  EXPECT_EQ(text_of(place(kCases[2], all_on(), std::nullopt)), "none") << "no interface towards it";
}

TEST(TunnelRoutes, BirdMakesTheRest) {
  TunnelSettings settings = all_on();
  settings.program_cluster_routes = false;
  for (const Case& c : kCases) {
    EXPECT_EQ(place(c, settings).has_value(), c.pool == PoolKind::kVxlan) << c.name;
  }
  settings.vxlan_v4 = false;
  EXPECT_EQ(text_of(place(kCases[0], settings)), "none");
  EXPECT_NE(text_of(place(kCases[3], settings)), "none") << "IPv6 has a switch of its own";
}

TEST(TunnelRoutes, ConfiguredProtocolAndSource) {
  TunnelSettings settings = all_on();
  settings.route_protocol = 99;
  settings.route_source_v4 = address("192.0.2.1");
  EXPECT_EQ(text_of(place(kCases[0], settings)),
            "10.65.1.0/26 via 10.65.1.1 dev vxlan.calico proto 99 metric 0 mtu 1450 src 192.0.2.1 onlink class 4");
  EXPECT_EQ(text_of(place(kCases[7], settings)), "blackhole 10.65.1.0/26 proto 99 metric 0 class 8");
}

// Vectors of spec dataplane A.1.
TEST(TunnelRoutes, MacAddresses) {
  EXPECT_EQ(base::to_string(vxlan_mac("", "compute-01", Family::kIpv4)), "66:fd:ed:cb:85:3f");
  EXPECT_EQ(base::to_string(vxlan_mac("", "compute-01", Family::kIpv6)), "66:00:eb:35:10:0f");
  EXPECT_EQ(base::to_string(vxlan_mac("02:00:00:00:00:01", "compute-01", Family::kIpv4)), "02:00:00:00:00:01");
}

TEST(TunnelRoutes, AVtepNeedsBothAddresses) {
  model::Node node;
  node.host_ipv4 = address("192.0.2.2");  // an InternalIP, say
  node.vxlan_tunnel_v4 = address("10.65.1.1");
  EXPECT_FALSE(vtep_of("compute-02", node, Family::kIpv4)) << "only the BGP address counts";
  node.bgp_ipv4 = *base::parse_interface_cidr("192.0.2.2/24");
  const auto vtep = vtep_of("compute-02", node, Family::kIpv4);
  ASSERT_TRUE(vtep);
  EXPECT_EQ(vtep->host, address("192.0.2.2"));
  EXPECT_EQ(vtep->tunnel, address("10.65.1.1"));
  EXPECT_FALSE(vtep_of("compute-02", node, Family::kIpv6));
}

TEST(TunnelRoutes, Devices) {
  TunnelSettings settings = all_on();
  ASSERT_TRUE(ipip_spec(settings));
  EXPECT_FALSE(ipip_spec(settings)->address) << "none yet";
  settings.ipip_address = address("10.65.0.1");
  settings.vxlan_address_v4 = address("10.65.0.2");
  const auto ipip = ipip_spec(settings);
  ASSERT_TRUE(ipip);
  EXPECT_EQ(ipip->name, "tunl0");
  EXPECT_EQ(ipip->mtu, 1480u);
  EXPECT_FALSE(vxlan_spec(settings, Family::kIpv4, address("192.0.2.1"), 0)) << "no parent";
  EXPECT_FALSE(vxlan_spec(settings, Family::kIpv4, std::nullopt, 2)) << "no source of outer packets";
  const auto bare = vxlan_spec(settings, Family::kIpv6, address("2001:db8::1"), 2);
  ASSERT_TRUE(bare);
  EXPECT_EQ(bare->family, Family::kIpv6);
  EXPECT_FALSE(bare->address);
  const auto vxlan = vxlan_spec(settings, Family::kIpv4, address("192.0.2.1"), 2);
  ASSERT_TRUE(vxlan);
  EXPECT_EQ(vxlan->vxlan.vni, 4096u);
  EXPECT_EQ(vxlan->vxlan.port, 4789);
  EXPECT_EQ(base::to_string(vxlan->vxlan.mac), "66:fd:ed:cb:85:3f");
  settings.ipip = settings.vxlan_v4 = false;
  EXPECT_FALSE(ipip_spec(settings));
  EXPECT_FALSE(vxlan_spec(settings, Family::kIpv4, address("192.0.2.1"), 2));
}

}  // namespace
}  // namespace dataplane
