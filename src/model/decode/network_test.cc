#include "model/decode/decoder_fixture.h"

namespace model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PoolTest : public DecoderFixture {};

TEST_F(PoolTest, Reads) {
  const auto pool = decode<IpPoolChange>("ippools/p", R"j({"spec": {"cidr": "10.65.0.0/16", "ipipMode": "CrossSubnet",
      "vxlanMode": "Never", "natOutgoing": true, "disabled": true, "disableBGPExport": true, "blockSize": 28,
      "nodeSelector": "all()"}})j");
  ASSERT_TRUE(pool) << diagnostics();
  EXPECT_EQ(*pool,
            (IpPool{cidr("10.65.0.0/16"), EncapMode::kCrossSubnet, EncapMode::kNever, true, true, true, 28, "all()"}));
}

TEST_F(PoolTest, Defaults) {
  const auto v4 = decode<IpPoolChange>("ippools/p", R"j({"spec": {"cidr": "10.65.0.1/16"}})j");
  ASSERT_TRUE(v4);
  EXPECT_EQ(*v4, (IpPool{cidr("10.65.0.0/16"), EncapMode::kNever, EncapMode::kNever, false, false, false, 26, ""}));
  EXPECT_EQ(
      decode<IpPoolChange>("ippools/p", R"j({"spec": {"cidr": "fd00::/48", "vxlanMode": "Always"}})j")->block_size,
      122);
}

TEST_F(PoolTest, Refusals) {
  for (const auto& [spec, field] : {std::pair{R"j({})j", "spec.cidr"},
                                    {R"j({"cidr": "10.0.0.1"})j", "spec.cidr"},
                                    {R"j({"cidr": "10.0.0.0/8", "ipipMode": "always"})j", "spec.ipipMode"},
                                    {R"j({"cidr": "10.0.0.0/8", "vxlanMode": "Sometimes"})j", "spec.vxlanMode"},
                                    {R"j({"cidr": "10.0.0.0/8", "blockSize": 33})j", "spec.blockSize"}}) {
    EXPECT_FALSE(decode<IpPoolChange>("ippools/p", std::string(R"j({"spec": )j").append(spec).append("}"))) << spec;
    ASSERT_EQ(last.diagnostics.size(), 1u) << spec;
    EXPECT_EQ(last.diagnostics[0].field, field);
  }
}

class NodeTest : public DecoderFixture {};

TEST_F(NodeTest, Reads) {
  const auto node = decode<NodeChange>("nodes/Compute-01", R"j({"metadata": {"labels": {"rack": "r1"}}, "spec": {
      "bgp": {"ipv4Address": "10.0.0.1/24", "ipv6Address": "fd00::1/64", "asNumber": "1.10", "ipv4IPIPTunnelAddr": "10.65.0.1",
              "routeReflectorClusterID": "244.0.0.1"},
      "ipv4VXLANTunnelAddr": "10.65.0.2", "vxlanTunnelMACAddr": "66:00:00:00:00:01",
      "ipv6VXLANTunnelAddr": "fd00:65::2", "vxlanTunnelMACAddrV6": "66:00:00:00:00:02",
      "addresses": [{"address": "10.9.9.9", "type": "InternalIP"}]}, "status": {}})j");
  ASSERT_TRUE(node) << diagnostics();
  EXPECT_EQ(diagnostics(), "");
  EXPECT_TRUE(node->has_bgp);
  EXPECT_EQ(*node->bgp_ipv4, *base::parse_interface_cidr("10.0.0.1/24"));
  EXPECT_EQ(*node->bgp_ipv6, *base::parse_interface_cidr("fd00::1/64"));
  EXPECT_EQ(node->as_number, 65546u);
  EXPECT_EQ(node->route_reflector_cluster_id, "244.0.0.1");
  EXPECT_EQ(node->ipip_tunnel, address("10.65.0.1"));
  EXPECT_EQ(node->vxlan_tunnel_v4, address("10.65.0.2"));
  EXPECT_EQ(node->vxlan_tunnel_v6, address("fd00:65::2"));
  EXPECT_EQ(node->vxlan_mac_v4, "66:00:00:00:00:01");
  EXPECT_EQ(node->vxlan_mac_v6, "66:00:00:00:00:02");
  EXPECT_EQ(node->host_ipv4, address("10.0.0.1"));
  EXPECT_EQ(node->host_ipv6, address("fd00::1"));
  EXPECT_EQ(node->labels, labels({{"rack", "r1"}}));
  EXPECT_EQ(node->label_texts.at("rack"), "r1");
}

TEST_F(NodeTest, HostAddressFallsBackToTheList) {
  const auto node = decode<NodeChange>("nodes/n", R"j({"metadata": {"labels": {}}, "spec": {"addresses": [
      {"address": "192.0.2.1", "type": "ExternalIP"}, {"address": "10.0.0.9/24", "type": "InternalIP"},
      {"address": "10.0.0.10", "type": "InternalIP"}, {"address": "fd00::9", "type": "ExternalIP"},
      {"address": "10.0.0.11", "type": "CalicoNodeIP"}, {"address": "junk", "type": "InternalIP"}]}})j");
  ASSERT_TRUE(node) << diagnostics();
  EXPECT_FALSE(node->has_bgp);
  EXPECT_EQ(node->host_ipv4, address("10.0.0.9"));
  EXPECT_EQ(node->host_ipv6, address("fd00::9"));
}

TEST_F(NodeTest, UnusableAddressesCostOnlyThemselves) {
  const auto node =
      decode<NodeChange>("nodes/n", R"j({"spec": {"bgp": {"ipv4Address": "10.0.0/24", "ipv6Address": "10.0.0.1/24",
      "ipv4IPIPTunnelAddr": "10.65.0.1"}, "vxlanTunnelMACAddr": "66", "addresses": [{"address": "10.0.0.9", "type": "InternalIP"}]}})j");
  ASSERT_TRUE(node) << diagnostics();
  EXPECT_EQ(node->bgp_ipv4, std::nullopt);
  EXPECT_EQ(node->bgp_ipv6, std::nullopt);
  EXPECT_EQ(node->host_ipv4, address("10.0.0.9"));
  EXPECT_EQ(node->ipip_tunnel, address("10.65.0.1"));
  EXPECT_EQ(node->vxlan_mac_v4, "");
  ASSERT_EQ(last.diagnostics.size(), 3u);
  EXPECT_EQ(last.diagnostics[0].field, "spec.bgp.ipv4Address");
  EXPECT_THAT(last.diagnostics[1].text, HasSubstr("other address family"));
}

TEST_F(NodeTest, BadLabelsCostTheLabelsOnly) {
  const auto node = decode<NodeChange>("nodes/n", R"j({"metadata": {"labels": {"a": "b", "c d": "e"}},
                                                      "spec": {"bgp": {"ipv4Address": "10.0.0.1/24"}}})j");
  ASSERT_TRUE(node);
  EXPECT_TRUE(node->labels.empty());
  EXPECT_EQ(node->host_ipv4, address("10.0.0.1"));
  EXPECT_EQ(last.diagnostics.at(0).field, "metadata.labels.c d");
}

TEST_F(NodeTest, AsNumbers) {
  for (const auto& [text, number] : {std::pair{"64512", 64512u},
                                     {"\"64512\"", 64512u},
                                     {"\"1.10\"", 65546u},
                                     {"4294967295", 4294967295u},
                                     {"\"4294967295\"", 4294967295u}}) {
    const auto node =
        decode<NodeChange>("nodes/n", std::string(R"j({"spec": {"bgp": {"asNumber": )j").append(text).append("}}}"));
    ASSERT_TRUE(node) << text << diagnostics();
    EXPECT_EQ(node->as_number, number);
  }
  for (const char* text : {"-1", "4294967296", "\"\"", "\"x\"", "\"1.70000\"", "\"1.2.3\"", "\"99999999999\"", "1.5"}) {
    EXPECT_FALSE(
        decode<NodeChange>("nodes/n", std::string(R"j({"spec": {"bgp": {"asNumber": )j").append(text).append("}}}")))
        << text;
  }
}

class BlockTest : public DecoderFixture {
 protected:
  std::optional<IpamBlock> block(std::string_view name, std::string_view value) {
    last = put(std::string("/calico/ipam/v2/assignment/").append(name), value);
    return last.updates.empty() ? std::nullopt : std::get<IpamBlockChange>(last.updates[0]).value;
  }
};

TEST_F(BlockTest, Reads) {
  const auto v4 = block("ipv4/block/10.65.0.0-29", R"j({"cidr":"10.65.0.0/29","affinity":"host:compute-01",
      "allocations":[0,null,null,1,null,2,null,3],"unallocated":[1,2],"attributes":[{"handle_id":"x"},
      {"handle_id":"y","secondary":{"node":"compute-02"}},{"secondary":{"node":"compute-01"}},{"secondary":null}],
      "sequenceNumber":18446744073709551615,"sequenceNumberForAllocation":{"0":1768472430000000000},"deleted":false})j");
  ASSERT_TRUE(v4) << diagnostics();
  EXPECT_EQ(v4->cidr, cidr("10.65.0.0/29"));
  EXPECT_EQ(v4->affinity_host.view(), "compute-01");
  ASSERT_EQ(v4->borrowed.size(), 1u);  // of the others nobody else is said to have them
  EXPECT_EQ(v4->borrowed[0].first, address("10.65.0.3"));
  EXPECT_EQ(v4->borrowed[0].second.view(), "compute-02");
  const auto v6 = block("ipv6/block/fd00:65::-122", R"j({"affinity": null, "allocations": [null, 0, 7],
      "attributes": [{"secondary": {"node": "compute-03"}}]})j");
  ASSERT_TRUE(v6) << diagnostics();
  EXPECT_TRUE(v6->affinity_host.empty());
  ASSERT_EQ(v6->borrowed.size(), 1u);  // nobody's block: every address counts; an attribute that is not there does not
  EXPECT_EQ(v6->borrowed[0].first, address("fd00:65::1"));
  EXPECT_TRUE(block("ipv4/block/10.65.0.0-29", R"j({"affinity": "virtual:load-balancer"})j")->affinity_host.empty());
}

TEST_F(BlockTest, DeletedOrTooLongIsAbsent) {
  EXPECT_FALSE(block("ipv4/block/10.65.0.0-31", R"j({"deleted": true})j"));
  EXPECT_EQ(diagnostics(), "");
  EXPECT_FALSE(block("ipv4/block/10.65.0.0-31", R"j({"allocations": [0, 0, 0]})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "allocations");
  EXPECT_FALSE(block("ipv4/block/0.0.0.0-0", R"j({"allocations": [0]})j"));
}

TEST_F(BlockTest, KeyWithoutCidrGivesNoUpdate) {
  EXPECT_FALSE(block("ipv4/block/junk", "{}"));
  EXPECT_TRUE(last.updates.empty());
  EXPECT_THAT(diagnostics(), HasSubstr("does not hold a CIDR"));
}

}  // namespace
}  // namespace model
