#include "bgp/reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bgp {
namespace {

Reply whole(std::string_view bytes) {
  ReplyReader reader;
  reader.feed(bytes);
  return reader.next().value_or(Reply{});
}

constexpr std::string_view kProtocolsTwo =
    "1002-Mesh_192_0_2_12 BGP        ---        up     10:00:04      Established   \n"
    "1006-  Description:    Connection to BGP peer\n"
    "   BGP state:          Established\n"
    "     Neighbor address: 192.0.2.12\n"
    "     Neighbor AS:      64512\n"
    "     Local capabilities\n"
    "       Route refresh\n"
    "       Graceful restart\n"
    "         Restart time: 120\n"
    "     Neighbor capabilities\n"
    "       Route refresh\n"
    "       Graceful restart\n"
    "         Restart time: 90\n"
    "     Session:          internal multihop AS4\n"
    "     Source address:   192.0.2.11\n"
    "   Channel ipv4\n"
    "     State:          UP\n"
    "     Table:          master4\n"
    "     Routes:         7 imported, 1 exported, 6 preferred\n"
    " \n"
    "1002-Mesh_2001_db8__12 BGP        ---        start  10:00:04      Active        Socket: Connection refused\n"
    "1006-  BGP state:          Active\n"
    "     Neighbor address: 2001:db8::12\n"
    "     Local capabilities\n"
    "       Route refresh\n"
    "     Neighbor graceful restart active\n"
    "     Last error:       Socket: Connection refused\n"
    "   Channel ipv6\n"
    "     State:          START\n"
    "     GR recovery:    waiting\n"
    " \n"
    "0000 \n";

TEST(Reports, ProtocolsOfBirdTwo) {
  const auto reports = parse_protocol_reports(whole(kProtocolsTwo));
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].row.name, "Mesh_192_0_2_12");
  EXPECT_TRUE(reports[0].row.established());
  EXPECT_EQ(reports[0].detail("Neighbor address"), "192.0.2.12");
  EXPECT_EQ(reports[0].detail("Restart time"), "120");  // our own
  EXPECT_EQ(reports[0].channels, (std::vector<ChannelReport>{{"ipv4", "UP", 7, 1, 6, false}}));
  EXPECT_EQ(reports[0].detail("Table"), "");
  EXPECT_FALSE(reports[0].peer_restarting());
  EXPECT_TRUE(reports[0].peer_refreshes);
  EXPECT_FALSE(reports[1].peer_refreshes);  // what we can do does not count
  EXPECT_TRUE(reports[1].peer_restarting());
  EXPECT_EQ(reports[1].detail("Last error"), "Socket: Connection refused");
  EXPECT_TRUE(reports[1].channels.at(0).recovering);
}

// What BIRD 3 adds, by its source (nest/proto.c of the 3.x branch): when a protocol was made and last restarted by
// itself; the states of both directions of a channel; two columns of statistics; `GR recovery` for every channel while
// the daemon recovers, with nothing after it where the channel is not concerned; limits that are hit.
TEST(Reports, ProtocolsOfBirdThree) {
  const auto reports = parse_protocol_reports(
      whole("1002-Node_192_0_2_13 BGP        ---        up     10:00:04.250  Established   \n"
            "1006-  Description:        Connection to BGP peer\n"
            "   Created:            10:00:01.100\n"
            "   Last autorestart:   10:00:03.000\n"
            "   BGP state:          Established\n"
            "     Neighbor address: 192.0.2.13\n"
            "     Neighbor AS:      64512\n"
            "   Channel ipv4\n"
            "     State:          UP\n"
            "     Import state:   UP\n"
            "     Export state:   READY\n"
            "     Table:          master4\n"
            "     Preference:     100\n"
            "     Input filter:   bgp_in4\n"
            "     Output filter:  bgp_out4_same\n"
            "     GR recovery:    pending waiting\n"
            "     Import limit:   1000 [HIT]\n"
            "       Action:       disable\n"
            "     Routes:         2 imported, 0 filtered, 3 exported, 1 preferred\n"
            "     Route change stats:     received   rejected   filtered    ignored   RX limit      limit   accepted\n"
            "       Import updates:              9          0          7          0          0          0          2\n"
            "       Export updates:              8          0          0          5        ---          0          3\n"
            "     BGP Next hop:   192.0.2.11\n"
            "     Pending 0 attribute sets with total 0 prefixes to send\n"
            " \n"
            "1002-calico_own4 Pipe       ---        up     10:00:01.100  master4 <=> own4\n"
            "1006-  Created:            10:00:01.100\n"
            "   Channel main\n"
            "     Table:          master4\n"
            "     Peer table:     own4\n"
            "     Import state:   READY\n"
            "     Export state:   READY\n"
            "     Routes:         4 imported, 0 exported\n"
            " \n"
            "0000 \n"));
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].detail("Neighbor address"), "192.0.2.13");
  EXPECT_EQ(reports[0].detail("Created"), "10:00:01.100");
  EXPECT_EQ(reports[0].channels, (std::vector<ChannelReport>{{"ipv4", "UP", 2, 3, 1, true}}));
  EXPECT_FALSE(reports[1].row.is_calico_session());
  EXPECT_EQ(reports[1].channels.at(0).imported, 4u);
}

TEST(Reports, BfdSessions) {
  const auto reports = parse_bfd_reports(
      whole("1020-calico_bfd:\n"
            " IP address                Interface  State      Since         Interval  Timeout\n"
            " 192.0.2.12                eth0       Up         10:00:04.250    0.300    0.900\n"
            " 192.0.2.254               ---        Down       2026-02-03 10:00:07.000    1.000    0.000\n"
            " fe80::1%eth0              eth0       Init       2026-02-03    1.000    3.000\n"
            "1020-other: is not up\n"
            "0000 \n"));
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0],
            (BfdReport{*base::parse_address("192.0.2.12"), "eth0", "Up", "10:00:04.250", "0.300", "0.900"}));
  EXPECT_EQ(reports[1],
            (BfdReport{*base::parse_address("192.0.2.254"), "", "Down", "2026-02-03 10:00:07.000", "1.000", "0.000"}));
  EXPECT_EQ(reports[2].state, "Init");
  EXPECT_EQ(reports[2].since, "2026-02-03");
  EXPECT_TRUE(parse_bfd_reports(whole("0000 \n")).empty());
}

TEST(Reports, RoutesOfBirdTwo) {
  const auto routes = parse_route_reports(
      whole("1007-Table master4:\n"
            " 10.65.0.5/32         unicast [kernel4 10:00:02] * (150)\n"
            " \tdev tap1\n"
            "1008-\tType: inherit univ\n"
            "1012-\tKernel.source: 3\n"
            " \tKernel.metric: 1024\n"
            "1007-10.65.9.0/26         unicast [Node_192_0_2_13 10:00:05 from 192.0.2.13] ! (100/?) [i]\n"
            " \tvia 192.0.2.1 on eth0 weight 1\n"
            " \tvia 192.0.2.2 on tunl0 onlink weight 1\n"
            "1008-\tType: BGP univ\n"
            "1012-\tBGP.next_hop: 198.51.100.20\n"
            "1007-                     unicast [Mesh_192_0_2_12 2026-02-03 10:00:06] (100/?) [AS65100i]\n"
            " \tvia 192.0.2.1 on eth0\n"
            "1007-10.65.3.0/26         blackhole [calico_static4 10:00:01] * (200)\n"
            " \n"
            "1007-Table master6:\n"
            " 2001:db8::/64        unreachable [Mesh_2001_db8__12 10:00:01] * (100/-) [i]\n"
            "0000 \n"));
  ASSERT_EQ(routes.size(), 5u);
  EXPECT_EQ(routes[0].destination, "10.65.0.5/32");
  EXPECT_EQ(routes[0].table, "master4");
  EXPECT_EQ(routes[0].preference, 150);
  EXPECT_EQ(routes[0].next_hops, (std::vector<NextHop>{{std::nullopt, "tap1", false}}));
  EXPECT_EQ(routes[0].attributes.at("kernel_metric"), "1024");
  EXPECT_TRUE(routes[1].primary && routes[1].unsynchronised);
  EXPECT_EQ(base::to_string(routes[1].from.value()), "192.0.2.13");
  ASSERT_EQ(routes[1].next_hops.size(), 2u);
  EXPECT_TRUE(routes[1].next_hops[1].onlink);
  EXPECT_EQ(routes[1].next_hops[1].interface, "tunl0");
  EXPECT_EQ(routes[1].attributes.at("bgp_next_hop"), "198.51.100.20");
  EXPECT_EQ(routes[2].destination, "10.65.9.0/26");
  EXPECT_FALSE(routes[2].primary);
  EXPECT_EQ(routes[3].type, "blackhole");
  EXPECT_EQ(routes[4].table, "master6");
  EXPECT_EQ(routes[4].type, "unreachable");
}

TEST(Reports, RoutesOfBirdThreeAndOfBirdOne) {
  const auto routes = parse_route_reports(
      whole("1007-Table master4:\n"
            " 10.0.0.1/32          unicast [Global_169_254_10_1 07:31:58.426] * (100) [AS64512i]\n"
            " \tvia 169.254.10.1 on vlan1\n"
            " \tpreference: 100\n"
            " \tfrom: 169.254.10.1\n"
            " \tbgp_next_hop: 169.254.10.1\n"
            " \tbgp_local_pref: 100\n"
            "1008-\tInternal route handling values: 0L 8G 0S id 2\n"
            "1007-10.1.0.0/26          via 10.0.0.2 on eth0 [Mesh_10_0_0_2 10:00:00] * (100/0) [i]\n"
            "0000 \n"));
  ASSERT_EQ(routes.size(), 2u);
  EXPECT_EQ(routes[0].protocol, "Global_169_254_10_1");
  EXPECT_EQ(routes[0].attributes.at("bgp_next_hop"), "169.254.10.1");
  EXPECT_EQ(routes[0].next_hops.size(), 1u);
  EXPECT_EQ(routes[1].type, "unicast");
  EXPECT_EQ(base::to_string(routes[1].next_hops.at(0).gateway.value()), "10.0.0.2");
  EXPECT_TRUE(routes[1].primary);
}

}  // namespace
}  // namespace bgp
