#include "bgp/local_settings.h"

#include <gtest/gtest.h>

namespace bgp {
namespace {

TEST(LocalSettings, Peers) {
  Diagnostics out;
  const auto peers = parse_local_peers("192.0.2.1 as 64512, 2001:db8::1 as 1.10 port 1179  password rr/key,, ", out);
  EXPECT_TRUE(out.empty());
  ASSERT_EQ(peers.size(), 2u);
  EXPECT_EQ(base::to_string(peers[0].address), "192.0.2.1");
  EXPECT_EQ(peers[0].as_number, 64512u);
  EXPECT_EQ(peers[1].as_number, 65546u);
  EXPECT_EQ(peers[1].port, 1179);
  EXPECT_EQ(peers[1].password, (SecretRef{"rr", "key"}));
}

TEST(LocalSettings, BadEntriesAreLeftOutAndSaid) {
  for (const char* bad :
       {"192.0.2.1", "192.0.2.1 as", "192.0.2.1 as 0", "x as 1", "192.0.2.1 as 1 port 0",
        "192.0.2.1 as 1 password ../key", "192.0.2.1 as 1 password x", "192.0.2.1 port 1", "192.0.2.1 as 1 hold 3"}) {
    Diagnostics out;
    EXPECT_EQ(parse_local_peers(std::string(bad) + ", 192.0.2.9 as 1", out).size(), 1u) << bad;
    EXPECT_EQ(out.size(), 1u) << bad;
  }
}

TEST(LocalSettings, TunnelNetworks) {
  Diagnostics out;
  const auto networks =
      parse_tunnel_networks("10.65.1.0/16 Always,10.66.0.0/16 CrossSubnet, fd00::/8 Always, x Never", out);
  ASSERT_EQ(networks.size(), 2u);
  EXPECT_EQ(base::to_string(networks[0].cidr), "10.65.0.0/16");
  EXPECT_EQ(networks[1].mode, model::EncapMode::kCrossSubnet);
  EXPECT_EQ(out.size(), 2u);
}

TEST(LocalSettings, KindsOfLocalFiles) {
  EXPECT_EQ(kind_of_local_file(""), LocalFile::kNone);
  for (const char* text : {"# nothing", "debug protocols all;", "watchdog warning 1 s;\nmrtdump \"/x\";",
                           "function protocol_of_mine() { return 1; }"}) {
    EXPECT_EQ(kind_of_local_file(text), LocalFile::kStatements) << text;
  }
  for (const char* text : {"protocol static { ipv4; }", "debug commands 1;\nprotocol\tbgp x {}", "include \"/x\";",
                           "/* */protocol radv {}", "protocol"}) {
    EXPECT_EQ(kind_of_local_file(text), LocalFile::kProtocols) << text;
  }
}

}  // namespace
}  // namespace bgp
