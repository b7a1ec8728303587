#include "node/bird_report.h"

#include <gtest/gtest.h>

namespace node {
namespace {

bgp::Reply reply_of(std::string_view text) {
  bgp::ReplyReader reader;
  reader.feed(text);
  return reader.next().value_or(bgp::Reply{});
}

TEST(BirdReport, Sessions) {
  const auto sessions = parse_sessions(reply_of(
      "2002-Name       Proto      Table      State  Since         Info\n"
      "1002-device1    Device     ---        up     10:00:01      \n"
      "1006-\n"
      "1002-Mesh_192_0_2_12 BGP        ---        up     2026-02-03 10:00:04  Established   \n"
      "1006-  Description:    Calico peer\n   BGP state:          Established\n     Neighbor address: 192.0.2.12\n \n"
      "1002-Node_fd00__14_port_1179 BGP        ---        start  2026-02-03    Idle          BGP Error: Bad peer AS\n"
      "1006-  BGP state:          Idle\n     Neighbor address: fd00::14\n \n"
      "1002-Mesh_192_0_2_15 BGP        ---        down   10:00:01      Error: No listening socket\n"
      "1006-  BGP state:          Down\n \n"
      "1002-uplink     BGP        ---        up     10:00:09.123  Established   \n"
      "1006-  BGP state:          Established\n     Neighbor address: fe80::1%eth1\n \n"
      "1002-Local_Workload_10_65_3_7 BGP        ---        start  10:00:01      Passive       \n"
      "0000 \n"));
  ASSERT_EQ(sessions.size(), 5U);
  EXPECT_EQ(sessions[0].address, "192.0.2.12");
  EXPECT_EQ(sessions[0].since, "2026-02-03 10:00:04");
  EXPECT_EQ(sessions[0].session, "Established");
  EXPECT_EQ(peer_type(sessions[0]), "node-to-node mesh");
  EXPECT_EQ(sessions[1].address, "[fd00::14]:1179");
  EXPECT_EQ(sessions[1].info, "Idle BGP Error: Bad peer AS");
  EXPECT_FALSE(sessions[1].is_v4);
  EXPECT_EQ(resource_peer_type(sessions[1]), "NodePeer");
  EXPECT_EQ(sessions[2].address, "192.0.2.15") << "from the name: a protocol that is down has no other";
  EXPECT_EQ(sessions[2].session, "");
  EXPECT_EQ(sessions[3].address, "fe80::1%eth1");
  EXPECT_EQ(peer_type(sessions[3]), "-");
  EXPECT_EQ(sessions[4].address, "10.65.3.7");
  EXPECT_EQ(resource_peer_type(sessions[4]), "");
}

TEST(BirdReport, Routes) {
  const auto routes = parse_routes(
      reply_of("1007-Table master4:\n 10.65.0.5/32         unicast [kernel4 10:00:02] * (150)\n \tdev tap1\n"
               "1008-\tType: inherit univ\n1012-\tKernel.source: 3\n \tKernel.metric: 1024\n"
               "1007-10.65.9.0/26         unicast [Node_192_0_2_13 10:00:05 from 192.0.2.13] ! (100/?) [i]\n"
               " \tvia 192.0.2.1 on eth0 weight 1\n \tvia 192.0.2.2 on eth1 weight 1\n"
               "1008-\tType: BGP univ\n"
               "1007-                     unicast [Mesh_192_0_2_12 10:00:06] (100) [i]\n \tvia 192.0.2.1 on eth0\n"
               "1007-10.65.3.0/26         blackhole [blocks4 10:00:01] * (200)\n"
               "1007-\n Table master6:\n 2001:db8:1:2:3:4:5:6/128 unicast [kernel6 10:00:02] * (10)\n \tdev tap1\n"
               "0000 \n"));
  ASSERT_EQ(routes.size(), 5U);
  EXPECT_EQ(routes[0].destination, "10.65.0.5/32");
  EXPECT_EQ(routes[0].interface, "tap1");
  EXPECT_EQ(routes[0].gateway, "");
  EXPECT_TRUE(routes[1].primary) << "! stands in place of *";
  EXPECT_EQ(routes[1].gateway, "192.0.2.1");
  EXPECT_EQ(routes[1].interface, "eth0");
  EXPECT_EQ(routes[2].destination, "10.65.9.0/26") << "another route to the same";
  EXPECT_FALSE(routes[2].primary);
  EXPECT_EQ(routes[3].interface, "blackhole");
  EXPECT_EQ(routes[4].destination, "2001:db8:1:2:3:4:5:6/128");
}

TEST(BirdReport, RoutesOfBird16) {
  const auto routes =
      parse_routes(reply_of("1007-10.1.0.0/26 via 10.0.0.2 on eth0 [Mesh_10_0_0_2 10:00:00] * (100/0) [i]\n"
                            " 10.2.0.0/26 dev cali1 [kernel1 10:00:00] * (10)\n0000 \n"));
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].gateway, "10.0.0.2");
  EXPECT_EQ(routes[0].interface, "eth0");
  EXPECT_EQ(routes[1].interface, "cali1");
}

}  // namespace
}  // namespace node
