// Keys, values that are no documents, deletions, and resources that pass through as they are.
#include "model/decoder.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "model/decode/decoder_fixture.h"

namespace model {
namespace {

using testing::HasSubstr;

using KeyTest = DecoderFixture;

TEST_F(KeyTest, OthersAreIgnored) {
  for (const char* key : {"",
                          "/",
                          "/calico/resources/v3/projectcalico.org/",
                          "/calico/resources/v3/projectcalico.org/tiers",
                          "/calico/resources/v3/projectcalico.org/tiers/",
                          "/calico/resources/v3/projectcalico.org/tiers/a/b",
                          "/calico/resources/v3/projectcalico.org/workloadendpoints/a",
                          "/calico/resources/v3/projectcalico.org/workloadendpoints//a",
                          "/calico/resources/v3/projectcalico.org/workloadendpoints/ns/",
                          "/calico/resources/v3/projectcalico.org/workloadendpoints/ns/a/b",
                          "/calico/resources/v3/projectcalico.org/livemigrations/openstack/x",
                          "/calico/resources/v3/projectcalico.org/tierss/a",
                          "/calico/resources/v3/projectcalico.org/stagedkubernetesnetworkpolicies/ns/x",
                          "/calico/resources/v3/other.org/tiers/a",
                          "/calico/felix/v2/no-region/host/h/status",
                          "/calico/ipam/v2/config",
                          "/calico/ipam/v2/assignment/ipv4/block/",
                          "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26/x",
                          "/calico/ipam/v2/assignment/ipv5/block/10.0.0.0-26",
                          "/calico/ipam/v2/host/compute-01/ipv4/10.0.0.0-26",
                          "/calico/ipam/v2/host//ipv4/block/10.0.0.0-26",
                          "/other/tiers/a"}) {
    for (const Decoder::Output& out : {put(key, "{}"), put(key, "not json"), erase(key)}) {
      EXPECT_TRUE(out.updates.empty()) << key;
      EXPECT_TRUE(out.diagnostics.empty()) << key;
    }
  }
}

TEST_F(KeyTest, OwnBlockAffinitiesAreDocumentsNamedByTheirBlock) {
  // An empty value is a confirmed affinity.
  for (const auto& [value, size] : std::map<std::string, std::size_t>{{"", 0}, {R"({"state":"pending"})", 1}}) {
    const Decoder::Output out = put("/calico/ipam/v2/host/compute-01/ipv6/block/fd00:0:0:0:0:0:0:40-122", value);
    ASSERT_EQ(out.updates.size(), 1u);
    const auto& change = std::get<DocumentChange>(out.updates[0]);
    EXPECT_EQ(change.key, (DocumentKey{DocumentKind::kBlockAffinity, "fd00::40/122"}));
    ASSERT_TRUE(change.value);
    EXPECT_EQ((*change.value)->size(), size);
  }
  const Decoder::Output gone = erase("/calico/ipam/v2/host/compute-01/ipv4/block/10.65.0.0-26");
  EXPECT_FALSE(std::get<DocumentChange>(gone.updates.at(0)).value);
}

TEST_F(KeyTest, PrefixesCoverEveryKindOnceAndNoStatus) {
  const std::vector<std::string> prefixes = agent_prefixes();
  EXPECT_EQ(prefixes.size(), 18u);
  EXPECT_EQ(prefixes.front(), "/calico/resources/v3/projectcalico.org/clusterinformations/");
  EXPECT_EQ(prefixes.back(), "/calico/ipam/v2/assignment/");
  EXPECT_EQ(agent_prefixes("compute-01").back(), "/calico/ipam/v2/host/compute-01/");
  for (const std::string& prefix : prefixes) {
    EXPECT_EQ(prefix.back(), '/');
    EXPECT_EQ(prefix.find("status"), std::string::npos);
    EXPECT_EQ(std::count(prefixes.begin(), prefixes.end(), prefix), 1);
  }
}

struct KindCase {
  std::string_view key;     // after kRoot, or a whole key
  std::string_view object;  // as diagnostics name it
  std::size_t updates = 1;
};

const KindCase kKinds[] = {
    {"workloadendpoints/openstack/compute--01-openstack-vm-port",
     "WorkloadEndpoint(openstack/compute--01-openstack-vm-port)"},
    {"hostendpoints/eth0", "HostEndpoint(eth0)"},
    {"networksets/openstack/set", "NetworkSet(openstack/set)"},
    {"globalnetworksets/set", "GlobalNetworkSet(set)"},
    {"networkpolicies/openstack/p", "NetworkPolicy(openstack/p)"},
    {"globalnetworkpolicies/p", "GlobalNetworkPolicy(p)"},
    {"stagednetworkpolicies/openstack/p", "StagedNetworkPolicy(openstack/p)"},
    {"stagedglobalnetworkpolicies/p", "StagedGlobalNetworkPolicy(p)"},
    {"tiers/default", "Tier(default)"},
    {"profiles/p", "Profile(p)"},
    {"ippools/pool", "IPPool(pool)"},
    {"nodes/compute-01", "Node(compute-01)", 2},
    {"felixconfigurations/default", "FelixConfiguration(default)"},
    {"clusterinformations/default", "ClusterInformation(default)"},
    {"bgpconfigurations/default", "BGPConfiguration(default)"},
    {"bgppeers/peer", "BGPPeer(peer)"},
    {"bgpfilters/filter", "BGPFilter(filter)"},
    {"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26", "IPAMBlock(10.65.0.0-26)"},
};

bool has_value(const Update& update) {
  return std::visit([](const auto& change) { return change.value.has_value(); }, update);
}

std::string full_key(const KindCase& kind, std::string_view root) {
  return kind.key.starts_with("/") ? std::string(kind.key) : std::string(root).append(kind.key);
}

class MalformedTest : public DecoderFixture {};

TEST_F(MalformedTest, EveryKindReportsAndCountsAsAbsent) {
  const std::string deep = std::string(100'000, '[');
  const std::string_view values[] = {"",
                                     "not json",
                                     "{\"spec\": {",
                                     "[]",
                                     "null",
                                     "7",
                                     "\"text\"",
                                     "{} {}",
                                     "{\"a\": \"\xff\"}",
                                     std::string_view("\0", 1),
                                     deep};
  for (const KindCase& kind : kKinds) {
    for (const std::string_view value : values) {
      const Decoder::Output out = put(full_key(kind, kRoot), value);
      ASSERT_EQ(out.updates.size(), kind.updates) << kind.key << " " << value;
      EXPECT_TRUE(out.refused) << kind.key << " " << value;
      for (const Update& update : out.updates) EXPECT_FALSE(has_value(update)) << kind.key;
      ASSERT_EQ(out.diagnostics.size(), 1u) << kind.key << " " << value;
      EXPECT_EQ(out.diagnostics[0].object, kind.object);
      EXPECT_THAT(out.diagnostics[0].text, HasSubstr("Write the object again"));
      EXPECT_THAT(out.diagnostics[0].text, HasSubstr("Until then"));
    }
  }
}

// A member of the wrong type under every kind that looks into its members.
TEST_F(MalformedTest, WrongTypesAreNamedByTheirField) {
  struct Case {
    std::string_view key, value, field;
  };
  const Case kCases[] = {
      {"workloadendpoints/ns/compute--01-openstack-vm-port", R"j({"spec": []})j", "spec"},
      {"workloadendpoints/ns/compute--01-openstack-vm-port", R"j({"spec": {"ipNetworks": "10.0.0.1/32"}})j",
       "spec.ipNetworks"},
      {"workloadendpoints/ns/compute--01-openstack-vm-port", R"j({"spec": {"ipNetworks": [7]}})j",
       "spec.ipNetworks[0]"},
      {"hostendpoints/eth0", R"j({"spec": {"node": 7}})j", "spec.node"},
      {"networksets/ns/set", R"j({"spec": {"nets": {"a": 1}}})j", "spec.nets"},
      {"globalnetworksets/set", R"j({"metadata": {"labels": ["a"]}})j", "metadata.labels"},
      {"globalnetworksets/set", R"j({"metadata": {"labels": {"a": 1}}})j", "metadata.labels.a"},
      {"networkpolicies/ns/p", R"j({"spec": {"ingress": [{"action": 1}]}})j", "spec.ingress[0].action"},
      {"globalnetworkpolicies/p", R"j({"spec": {"doNotTrack": "yes"}})j", "spec.doNotTrack"},
      {"stagednetworkpolicies/ns/p", R"j({"spec": {"order": "first"}})j", "spec.order"},
      {"stagedglobalnetworkpolicies/p", R"j({"spec": {"selector": 1}})j", "spec.selector"},
      {"tiers/default", R"j({"spec": {"order": "first"}})j", "spec.order"},
      {"tiers/default", R"j({"spec": {"order": 1e400}})j", "spec.order"},
      {"tiers/default", R"j({"spec": {"order": 0e400}})j", "spec.order"},
      {"profiles/p", R"j({"spec": {"labelsToApply": 1}})j", "spec.labelsToApply"},
      {"ippools/pool", R"j({"spec": {"cidr": 1}})j", "spec.cidr"},
      {"nodes/compute-01", R"j({"spec": {"bgp": 1}})j", "spec.bgp"},
      {"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26", R"j({"allocations": {}})j", "allocations"},
  };
  for (const Case& c : kCases) {
    const Decoder::Output out = put(full_key({c.key, ""}, kRoot), c.value);
    ASSERT_GE(out.updates.size(), 1u) << c.key;
    EXPECT_FALSE(has_value(out.updates[0])) << c.key;
    ASSERT_GE(out.diagnostics.size(), 1u) << c.key;
    EXPECT_EQ(out.diagnostics[0].field, c.field);
    EXPECT_THAT(out.diagnostics[0].text, HasSubstr("wrong type"));
  }
}

TEST_F(MalformedTest, DeletionsCarryNoValueAndNoComplaint) {
  for (const KindCase& kind : kKinds) {
    const Decoder::Output out = erase(full_key(kind, kRoot));
    ASSERT_EQ(out.updates.size(), kind.updates) << kind.key;
    for (const Update& update : out.updates) EXPECT_FALSE(has_value(update)) << kind.key;
    EXPECT_TRUE(out.diagnostics.empty()) << kind.key;
  }
}

TEST_F(MalformedTest, ProblemsAreCountedOnlyToALimit) {
  std::string nets;
  for (int i = 0; i < 1000; ++i) nets += (i > 0 ? ",\"x\"" : "\"x\"");
  EXPECT_FALSE(decode<NetworkSetChange>("globalnetworksets/set", R"j({"spec": {"nets": [)j" + nets + "]}}"));
  EXPECT_EQ(last.diagnostics.size(), 8u);
}

TEST_F(MalformedTest, DiagnosticsTellTheWholeStory) {
  EXPECT_FALSE(decode<PolicyChange>("networkpolicies/openstack/p",
                                    R"j({"spec": {"ingress": [{"action": "Allow", "protocol": "tpc"}]}})j"));
  EXPECT_EQ(diagnostics(),
            "NetworkPolicy(openstack/p): spec.ingress[0].protocol: 'tpc' is not a protocol: use TCP, UDP, ICMP, "
            "ICMPv6, SCTP, "
            "UDPLite or a number from 1 to 255. Until then the last good value stays in force; without one, no rule of "
            "the policy is applied.\n");
  EXPECT_TRUE(last.refused);
  (void)decode<PolicyChange>("networkpolicies/openstack/p", R"j({"spec": {"ingress": [{"action": "Allow"}]}})j");
  EXPECT_FALSE(last.refused);
}

class MeasuredCloudTest : public DecoderFixture {};

// As the program that measures agents writes them: a cloud of these is what start-up time is measured with.
TEST_F(MeasuredCloudTest, Decodes) {
  const auto endpoint = decode<WorkloadEndpointChange>(
      "workloadendpoints/openstack/r7-openstack-vm5007-1000138f--aaaa--4bbb--8ccc--000000005007",
      R"j({"kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3",
"metadata": {"name": "r7-openstack-vm5007-1000138f--aaaa--4bbb--8ccc--000000005007",
"creationTimestamp": "2026-01-31T09:00:00Z", "uid": "2265b1f5-0000-4000-8000-d8f191b7584a",
"namespace": "openstack", "labels": {"projectcalico.org/namespace": "openstack",
"projectcalico.org/orchestrator": "openstack", "projectcalico.org/openstack-project-id": "p7",
"projectcalico.org/openstack-network-name": "net",
"sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-000000000007": "g7",
"sg-name.projectcalico.org/openstack-g7": "5e6a0000-0000-4000-8000-000000000007",
"sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-000000000050": "g50",
"sg-name.projectcalico.org/openstack-g50": "5e6a0000-0000-4000-8000-000000000050"}},
"spec": {"orchestrator": "openstack", "workload": "vm5007", "node": "r7",
"endpoint": "1000138f-aaaa-4bbb-8ccc-000000005007", "interfaceName": "tap1000138f-aa",
"mac": "fa:16:3e:00:13:8f", "ipNetworks": ["10.65.20.9/32"], "allowedIps": [], "ipv4Gateway": "169.254.1.1"}})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(endpoint->node, symbol("r7"));
  EXPECT_EQ(endpoint->interface, nullptr);
  EXPECT_EQ(endpoint->membership.labels.size(), 8u);
  EXPECT_EQ(endpoint->membership.addresses, std::vector{address("10.65.20.9")});

  const auto policy =
      decode<PolicyChange>("networkpolicies/openstack/ossg.default.5e6a0000-0000-4000-8000-000000000007",
                           R"j({"kind": "NetworkPolicy", "apiVersion": "projectcalico.org/v3",
"metadata": {"name": "ossg.default.5e6a0000-0000-4000-8000-000000000007",
"creationTimestamp": "2026-01-31T09:00:00Z", "uid": "cd613e30-0000-4000-8000-1027c386bbc4",
"namespace": "openstack"}, "spec": {"ingress": [{"action": "Allow", "ipVersion": 4,
"source": {"selector": "has(sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-000000000007)"}},
{"action": "Allow", "ipVersion": 4, "protocol": 6, "destination": {"ports": [22]},
"source": {"nets": ["10.7.0.0/16"]}}, {"action": "Allow", "ipVersion": 4, "protocol": 6,
"destination": {"ports": ["8000:8008"]}}, {"action": "Allow", "ipVersion": 4, "protocol": "ICMP"},
{"action": "Allow", "ipVersion": 4, "protocol": 17, "destination": {"ports": [20000]}}],
"egress": [{"action": "Allow", "ipVersion": 4}, {"action": "Allow", "ipVersion": 6}],
"selector": "has(sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-000000000007)"}})j");
  ASSERT_TRUE(policy) << diagnostics();
  EXPECT_EQ(diagnostics(), "");
  EXPECT_TRUE(policy->selector.matches(endpoint->membership.labels));
  ASSERT_EQ(policy->ingress.size(), 5u);
  EXPECT_TRUE(policy->ingress[0].source.selector->matches(endpoint->membership.labels));
  EXPECT_EQ(policy->ingress[3].protocol->name.view(), "icmp");
  EXPECT_EQ(policy->ingress[4].destination.ports, (std::vector{Port{20000, 20000, {}}}));
  EXPECT_EQ(policy->egress.size(), 2u);
}

class DocumentTest : public DecoderFixture {};

TEST_F(DocumentTest, PassThroughKeepsEverything) {
  const auto document = decode<DocumentChange>(
      "felixconfigurations/node.compute-01",
      R"j({"kind": "FelixConfiguration", "metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"n": [1, null, 2.5]}})j");
  ASSERT_TRUE(document);
  const auto& change = std::get<DocumentChange>(last.updates[0]);
  EXPECT_EQ(change.key, (DocumentKey{DocumentKind::kFelixConfiguration, "node.compute-01"}));
  // Decoding something else must not disturb it.
  put(std::string(kRoot) + "tiers/t", R"j({"spec": {"order": 1, "filler": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}})j");
  EXPECT_EQ(
      boost::json::serialize(**document),
      R"j({"kind":"FelixConfiguration","metadata":{"name":"x","annotations":{"a":"b"}},"spec":{"n":[1,null,2.5E0]}})j");
}

TEST_F(DocumentTest, KindsAreTold) {
  const std::pair<std::string_view, DocumentKind> kCases[] = {
      {"clusterinformations/default", DocumentKind::kClusterInformation},
      {"bgpconfigurations/default", DocumentKind::kBgpConfiguration},
      {"bgppeers/p", DocumentKind::kBgpPeer},
      {"bgpfilters/f", DocumentKind::kBgpFilter},
      {"nodes/n", DocumentKind::kNode},
  };
  for (const auto& [path, kind] : kCases) {
    ASSERT_TRUE(decode<DocumentChange>(path, "{}")) << path;
    EXPECT_EQ(std::get<DocumentChange>(last.updates.back()).key.kind, kind) << path;
  }
}

TEST_F(DocumentTest, LargeDocumentsDoNotStay) {
  const std::string large = R"j({"spec": {"x": ")j" + std::string(1'000'000, 'x') + R"j("}})j";
  ASSERT_TRUE(decode<DocumentChange>("bgppeers/p", large));
  ASSERT_TRUE(decode<DocumentChange>("bgppeers/p", "{}"));
}

}  // namespace
}  // namespace model
