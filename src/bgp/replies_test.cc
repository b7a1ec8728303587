#include "bgp/replies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bgp {
namespace {

Reply whole(std::string_view bytes) {
  ReplyReader reader;
  reader.feed(bytes);
  auto reply = reader.next();
  EXPECT_TRUE(reply.has_value());
  return reply.value_or(Reply{});
}

constexpr std::string_view kProtocols =
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-device1    Device     ---        up     10:00:01      \n"
    " kernel4    Kernel     master4    up     10:00:01      \n"
    " Mesh_192_0_2_12 BGP        ---        up     10:00:04      Established   \n"
    " Global_192_0_2_1 BGP        ---        start  10:00:01      Active        Socket: Connection refused\n"
    " Mesh_192_0_2_15 BGP        ---        down   10:00:01      Error: No listening socket\n"
    " mine BGP        ---        up     10:00:04      Established   \n"
    "0000 \n";

TEST(Replies, ProtocolTable) {
  const auto rows = parse_protocols(whole(kProtocols));
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].name, "device1");
  EXPECT_FALSE(rows[0].is_calico_session());
  EXPECT_TRUE(rows[2].established());
  EXPECT_TRUE(rows[2].is_calico_session());
  EXPECT_EQ(rows[3].session, "Active");
  EXPECT_EQ(rows[3].detail, "Socket: Connection refused");
  EXPECT_EQ(rows[4].session, "");
  EXPECT_EQ(rows[4].detail, "Error: No listening socket");
  EXPECT_FALSE(rows[5].is_calico_session());
}

TEST(Replies, StatusWithRecovery) {
  const DaemonStatus status = parse_status(whole(
      "1000-BIRD 2.0.12\n1011-Router ID is 192.0.2.11\n Hostname is node-a\n Last reboot on 2026-02-01 08:00:00\n"
      "0024-Graceful restart recovery in progress\n   Waiting for 2 channels to recover\n   Wait timer is 36.670/60\n"
      "0013 Daemon is up and running\n"));
  EXPECT_EQ(status.version, "2.0.12");
  EXPECT_EQ(status.router_id, "192.0.2.11");
  EXPECT_EQ(status.last_reboot, "2026-02-01 08:00:00");
  EXPECT_TRUE(status.recovering);
  EXPECT_TRUE(status.running);
}

TEST(Replies, BytesArriveInAnyPieces) {
  ReplyReader reader;
  std::vector<Reply> replies;
  const std::string stream = "0001 BIRD 2.0.12 ready.\n0002-Reading configuration from /x\n0003 Reconfigured\n";
  for (char c : stream) {
    reader.feed({&c, 1});
    while (auto reply = reader.next()) replies.push_back(*reply);
  }
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[1].back(), (ReplyLine{reply_code::kReconfigured, "Reconfigured"}));
}

TEST(Replies, SomethingElseIsNotBird) {
  for (std::string_view bytes : {"HTTP/1.1 200 OK\n", "\n", "12 x\n", "abcd x\n"}) {
    ReplyReader reader;
    reader.feed(bytes);
    EXPECT_FALSE(reader.next()) << bytes;
    EXPECT_TRUE(reader.malformed()) << bytes;
  }
}

TEST(Replies, SessionsByFamily) {
  for (const char* name : {"Mesh_192_0_2_12", "Global_192_0_2_1_port_1179", "Node_10_0_0_1"}) {
    EXPECT_TRUE(ProtocolRow{.name = name}.is_v4_session()) << name;
  }
  for (const char* name : {"Mesh_2001_db8_1__12", "Global_2001__1_port_50", "Node_1_2_3_4_5_6_7_8", "Mesh_fd00__1"}) {
    EXPECT_FALSE(ProtocolRow{.name = name}.is_v4_session()) << name;
  }
}

ProtocolRow session(std::string name, std::string state) {
  return {.name = std::move(name), .session = std::move(state)};
}

TEST(Replies, Readiness) {
  using enum ReadinessRule;
  BgpStatus status;
  EXPECT_EQ(why_not_ready(status, kOne, false), "BIRD does not answer");
  status.daemon_up = true;
  for (const ReadinessRule rule : {kOne, kStart, kAll}) EXPECT_FALSE(why_not_ready(status, rule, true));  // no sessions
  status.sessions = {session("Mesh_192_0_2_1", "Established"), session("Mesh_192_0_2_2", "Active")};
  EXPECT_FALSE(why_not_ready(status, kOne, true));
  EXPECT_FALSE(why_not_ready(status, kStart, false));
  EXPECT_EQ(why_not_ready(status, kStart, true), "1 of 2 IPv4 BGP sessions are established");
  EXPECT_TRUE(why_not_ready(status, kAll, false));
  status.sessions[1].session = "Established";
  EXPECT_FALSE(why_not_ready(status, kAll, true));
  // Each family for itself.
  status.sessions.push_back(session("Mesh_2001_db8__1", "Connect"));
  EXPECT_EQ(why_not_ready(status, kOne, false), "0 of 1 IPv6 BGP sessions are established");
  status.sessions.pop_back();
  status.daemon.recovering = true;
  EXPECT_TRUE(why_not_ready(status, kStart, true));
  EXPECT_FALSE(why_not_ready(status, kStart, false));
  status.configuration_error = "line 3";
  EXPECT_EQ(why_not_ready(status, kOne, false), "BIRD refused the configuration: line 3");
}

// BIRD 3. The columns of `show protocols` and the lines of a recovery are those of nest/proto.c on the 3.x branch
// (CZ-NIC's repository, where times come from the running configuration): the same as in BIRD 2. The rest of
// `show status` is printed by nest/cmds.c, whose text has been the same in all versions from 1.4 to the branch from
// which 3.0 was made; 2.0 added the host name. Times have fractions unless the configuration gives a format.
TEST(Replies, BirdThreeSpeaksAlike) {
  const DaemonStatus status =
      parse_status(whole("1000-BIRD 3.0.1\n1011-Router ID is 192.0.2.11\n Hostname is node-a\n"
                         " Current server time is 2026-02-03 10:11:12.345\n Last reboot on 2026-02-01 08:00:00.001\n"
                         " Last reconfiguration on 2026-02-03 10:00:00.002\n0013 Daemon is up and running\n"));
  EXPECT_EQ(status.version, "3.0.1");
  EXPECT_EQ(status.last_reboot, "2026-02-01 08:00:00.001");
  EXPECT_TRUE(status.running);
  EXPECT_FALSE(status.recovering);
  const auto rows = parse_protocols(
      whole("2002-Name       Proto      Table      State  Since         Info\n"
            "1002-device1    Device     ---        up     10:00:01.100  \n"
            " kernel4    Kernel     master4    up     10:00:01.100  \n"
            " calico_own4 Pipe       ---        up     10:00:01.100  master4 <=> own4\n"
            " Mesh_192_0_2_12 BGP        ---        up     10:00:04.250  Established   \n"
            " Mesh_192_0_2_13 BGP        ---        start  10:00:04.250  Active        Socket: Connection refused\n"
            " Mesh_192_0_2_14 BGP        ---        stop   10:00:05.000  Down          Received: Cease\n"
            " Mesh_192_0_2_15 BGP        ---        flush  10:00:05.000  Close         \n"
            "0000 \n"));
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_FALSE(rows[2].is_calico_session());
  EXPECT_EQ(rows[2].detail, "master4 <=> own4");
  EXPECT_TRUE(rows[3].established());
  EXPECT_EQ(rows[4].detail, "Socket: Connection refused");
  EXPECT_EQ(rows[5].state, "stop");
  EXPECT_EQ(rows[6].session, "Close");
}

TEST(Replies, BirdThreeWhileItRecoversAndReconfigures) {
  const DaemonStatus status =
      parse_status(whole("1000-BIRD 3.1.4\n1011-Router ID is 192.0.2.11\n Hostname is node-a\n"
                         "0024-Graceful restart recovery in progress\n   Waiting for 1 channels to recover\n"
                         "   Wait timer is 12.500/60\n0013 Reconfiguration in progress\n"));
  EXPECT_EQ(status.version, "3.1.4");
  EXPECT_TRUE(status.recovering);
  EXPECT_FALSE(status.running);
}

}  // namespace
}  // namespace bgp
