// How parameters and pools decide about tunnels.
#include <gtest/gtest.h>

#include "agent/settings_map.h"

namespace agent {
namespace {

config::Resolved parameters(config::RawMap file) {
  config::RawSources sources;
  sources.set(config::Source::kFile, std::move(file));
  return config::resolve(sources, "compute-01", {}).resolved;
}

constexpr config::Encapsulation kNone{};
constexpr config::Encapsulation kIpip{.ipip = true, .vxlan_v4 = false, .vxlan_v6 = false};
constexpr config::Encapsulation kVxlan{.ipip = false, .vxlan_v4 = true, .vxlan_v6 = false};

TEST(TunnelSettings, RoutesAreCalculatedOnlyWhereTheAgentMakesThem) {
  const config::RawMap openstack = {{"InterfacePrefix", "tap"}};
  EXPECT_EQ(route_source(parameters(openstack), kNone), calc::RouteSource::kNone);
  EXPECT_EQ(route_source(parameters(openstack), kIpip), calc::RouteSource::kNone) << "BIRD makes these";
  EXPECT_EQ(route_source(parameters(openstack), kVxlan), calc::RouteSource::kWorkloads) << "no blocks in OpenStack";
  EXPECT_EQ(route_source(parameters({}), kVxlan), calc::RouteSource::kIpam);
  EXPECT_EQ(route_source(parameters({{"InterfacePrefix", "tap"}, {"RouteSource", "CalicoIPAM"}}), kVxlan),
            calc::RouteSource::kIpam);
  EXPECT_EQ(route_source(parameters({{"RouteSource", "WorkloadIPs"}}), kVxlan), calc::RouteSource::kWorkloads);
  EXPECT_EQ(route_source(parameters({{"ProgramClusterRoutes", "Enabled"}}), kNone), calc::RouteSource::kIpam);
}

TEST(TunnelSettings, MtusFollowTheHostUnlessSet) {
  const kernel::Mtus by_host = mtus(parameters({}), kIpip, 1500);
  EXPECT_EQ(by_host.ipip, 1480u);
  EXPECT_EQ(by_host.workload, 1480u) << "what guests get";
  EXPECT_EQ(mtus(parameters({}), kVxlan, 9000).workload, 8950u);
  EXPECT_EQ(mtus(parameters({}), kNone, 9000).workload, 9000u);
  const kernel::Mtus set = mtus(parameters({{"IpInIpMtu", "1400"}, {"VXLANMTU", "1300"}}), kIpip, 1500);
  EXPECT_EQ(set.ipip, 1400u);
  EXPECT_EQ(set.workload, 1400u) << "VXLAN is not in use";
}

TEST(TunnelSettings, AreReadFromTheParameters) {
  const dataplane::TunnelSettings settings = tunnel_settings(parameters({{"VXLANVNI", "7"},
                                                                         {"VXLANPort", "8472"},
                                                                         {"ProgramClusterRoutes", "Enabled"},
                                                                         {"IpInIpEnabled", "false"},
                                                                         {"IPv4VXLANTunnelAddr", "10.65.0.1"},
                                                                         {"DeviceRouteProtocol", "99"}}),
                                                             kVxlan, {});
  EXPECT_EQ(settings.hostname, "compute-01");
  EXPECT_EQ(settings.vni, 7u);
  EXPECT_EQ(settings.port, 8472);
  EXPECT_TRUE(settings.program_cluster_routes);
  EXPECT_TRUE(settings.vxlan_v4);
  EXPECT_FALSE(settings.ipip);
  EXPECT_FALSE(settings.retire_ipip) << "somebody has said that tunl0 is not ours";
  EXPECT_EQ(settings.vxlan_address_v4, base::parse_address("10.65.0.1").value());
  EXPECT_EQ(settings.route_protocol, 99);
  EXPECT_TRUE(tunnel_settings(parameters({}), kNone, {}).retire_ipip);
}

}  // namespace
}  // namespace agent
