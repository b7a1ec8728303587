#include "model/decode/decode.h"
#include "model/decode/decoder_fixture.h"

namespace model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kOwnName = "workloadendpoints/openstack/compute--01-openstack-3c1d--77-9a0b--12";
constexpr std::string_view kOtherName = "workloadendpoints/openstack/compute--02-openstack-3c1d--77-9a0b--12";

// As Neutron's driver writes it, spec datamodel §2.1 and openstack §2.4.
constexpr std::string_view kNeutron =
    R"j({"kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3",
 "metadata": {"name": "compute--01-openstack-3c1d--77-9a0b--12", "namespace": "openstack",
  "creationTimestamp": "2026-01-15T10:20:30Z", "uid": "6f1c7b4e-6c0c-4a4c-8a0c-6f5b8c1d2e3f",
  "annotations": {"openstack.projectcalico.org/network-id": "5c0e-net"},
  "labels": {"sg.projectcalico.org/openstack-aa11": "default", "sg-name.projectcalico.org/openstack-default": "aa11",
   "projectcalico.org/namespace": "openstack", "projectcalico.org/orchestrator": "openstack",
   "projectcalico.org/openstack-project-id": "p1", "projectcalico.org/openstack-project-name": "",
   "projectcalico.org/openstack-project-parent-id": null, "projectcalico.org/openstack-network-name": "net1"}},
 "spec": {"orchestrator": "openstack", "workload": "3c1d-77", "node": "compute-01", "endpoint": "9a0b-12",
  "interfaceName": "tap9a0b-12", "mac": "fa:16:3e:00:11:22", "ipv4Gateway": "10.65.0.1", "ipv6Gateway": "fd00:65::1",
  "ipNetworks": ["10.65.0.7/32", "fd00:65::7/128", "23.23.23.2/32"], "allowedIps": ["23.23.23.2/32"],
  "ipNATs": [{"internalIP": "10.65.0.7", "externalIP": "192.168.0.1"}],
  "qosControls": {"egressBandwidth": 1000000, "egressBurst": 4294967296, "egressMaxConnections": 4294967295, "dscp": "AF41"}}})j";

class WorkloadTest : public DecoderFixture {
 protected:
  std::optional<WorkloadEndpoint> other(std::string_view spec, std::string_view metadata = "{}") {
    return decode<WorkloadEndpointChange>(kOtherName, std::string("{\"metadata\": ")
                                                          .append(metadata)
                                                          .append(", \"spec\": {\"interfaceName\": \"tap1\"")
                                                          .append(spec)
                                                          .append("}}"));
  }
};

TEST_F(WorkloadTest, OfThisHostKeepsItsInterface) {
  const auto endpoint = decode<WorkloadEndpointChange>(kOwnName, kNeutron);
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(diagnostics(), "");
  EXPECT_EQ(std::get<WorkloadEndpointChange>(last.updates[0]).key,
            (WorkloadEndpointKey{symbol("openstack"), "compute--01-openstack-3c1d--77-9a0b--12"}));
  EXPECT_EQ(endpoint->node, symbol("compute-01"));
  EXPECT_EQ(endpoint->membership.labels, labels({{"sg.projectcalico.org/openstack-aa11", "default"},
                                                 {"sg-name.projectcalico.org/openstack-default", "aa11"},
                                                 {"projectcalico.org/namespace", "openstack"},
                                                 {"projectcalico.org/orchestrator", "openstack"},
                                                 {"projectcalico.org/openstack-project-id", "p1"},
                                                 {"projectcalico.org/openstack-project-name", ""},
                                                 {"projectcalico.org/openstack-project-parent-id", ""},
                                                 {"projectcalico.org/openstack-network-name", "net1"}}));
  EXPECT_THAT(endpoint->membership.addresses,
              ElementsAre(address("10.65.0.7"), address("fd00:65::7"), address("23.23.23.2")));
  ASSERT_TRUE(endpoint->interface);
  WorkloadInterface expected;
  expected.orchestrator = "openstack";
  expected.workload = "openstack/3c1d-77";
  expected.endpoint = "9a0b-12";
  expected.name = "tap9a0b-12";
  expected.mac = *base::parse_mac("fa:16:3e:00:11:22");
  expected.addresses = endpoint->membership.addresses;
  expected.ipv4_gateway = address("10.65.0.1");
  expected.ipv6_gateway = address("fd00:65::1");
  expected.nats = {{address("192.168.0.1"), address("10.65.0.7")}};
  expected.annotations = {{"openstack.projectcalico.org/network-id", "5c0e-net"}};
  expected.qos = {
      {"egressBandwidth", 1000000}, {"egressBurst", 4294967296}, {"egressMaxConnections", 4294967295}, {"dscp", 34}};
  EXPECT_EQ(*endpoint->interface, expected);
}

TEST_F(WorkloadTest, OfAnotherHostKeepsMembershipOnlyAndNoSlack) {
  const auto endpoint = decode<WorkloadEndpointChange>(kOtherName, kNeutron);
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(endpoint->node, symbol("compute-02"));
  EXPECT_EQ(endpoint->interface, nullptr);
  EXPECT_EQ(endpoint->membership.labels.capacity(), 8u);
  EXPECT_EQ(endpoint->membership.addresses.capacity(), 3u);
  EXPECT_EQ(endpoint->membership.profiles.capacity(), 0u);
  EXPECT_EQ(endpoint->membership.ports.capacity(), 0u);
}

TEST_F(WorkloadTest, OrderAndUnknownMembersDoNotMatter) {
  const auto endpoint = other(R"j(, "future": {"x": [1]}, "ipNetworks": ["10.0.0.1", "10.0.0.2/32"])j",
                              R"j({"labels": {"a": "1", "a": "2"}, "managedFields": [{"f": {"g": {}}}]})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(endpoint->membership.labels, labels({{"a", "2"}}));
  EXPECT_THAT(endpoint->membership.addresses, ElementsAre(address("10.0.0.1"), address("10.0.0.2")));
}

TEST_F(WorkloadTest, LabelsOfProfilesAreRemovedAndTheServiceAccountAdded) {
  const auto endpoint =
      other(R"j(, "ipNetworks": ["10.0.0.1/32"], "serviceAccountName": "web", "profiles": ["kns.x", "p"])j",
            R"j({"labels": {"pcns.a": "b", "a": "b", "pcsa.c": "d"}})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(endpoint->membership.labels, labels({{"a", "b"}, {"projectcalico.org/serviceaccount", "web"}}));
  EXPECT_EQ(endpoint->membership.labels.capacity(), 2u);
  EXPECT_THAT(endpoint->membership.profiles, ElementsAre(symbol("kns.x"), symbol("p")));
}

TEST_F(WorkloadTest, OnlyNamedPortsCount) {
  const auto endpoint = other(R"j(, "ipNetworks": ["10.0.0.1/32"], "ports": [
      {"name": "http", "protocol": "TCP", "port": 80, "hostPort": 0, "hostIP": ""},
      {"name": "", "protocol": "TCP", "port": 81, "hostPort": 81, "hostIP": ""},
      {"name": "dns", "protocol": "udp", "port": 53}])j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_THAT(endpoint->membership.ports,
              ElementsAre(EndpointPort{symbol("http"), 6, 80}, EndpointPort{symbol("dns"), 17, 53}));
}

TEST_F(WorkloadTest, WithoutAddressesIsAbsentWithoutComplaint) {
  EXPECT_FALSE(other(""));
  EXPECT_FALSE(other(R"j(, "ipNetworks": [])j"));
  EXPECT_FALSE(other(R"j(, "ipNetworks": null)j"));
  EXPECT_EQ(diagnostics(), "");
}

struct RefusedSpec {
  std::string_view spec, field, text;
};

TEST_F(WorkloadTest, Refusals) {
  const RefusedSpec kCases[] = {
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.0/24/32"])j", "spec.ipNetworks[0]",
       "'10.0.0.0/24/32' is not a CIDR"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1", null])j", "spec.ipNetworks[1]", "is null"},
      {R"j("ipNetworks": ["10.0.0.1"])j", "spec.interfaceName", "is no interface name"},
      {R"j("interfaceName": "tap/../../x", "ipNetworks": ["10.0.0.1"])j", "spec.interfaceName", "is no interface name"},
      {R"j("interfaceName": "..", "ipNetworks": ["10.0.0.1"])j", "spec.interfaceName", "is no interface name"},
      {R"j("interfaceName": "tap4567890123456", "ipNetworks": ["10.0.0.1"])j", "spec.interfaceName", "at most 15"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "mac": "fa:16")j", "spec.mac",
       "'fa:16' is not a MAC address"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ipv4Gateway": "x")j", "spec.ipv4Gateway",
       "'x' is not an IP"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ipv4Gateway": "fd00::1")j", "spec.ipv4Gateway",
       "other address family"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ipv6Gateway": "10.0.0.1")j", "spec.ipv6Gateway",
       "other address family"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "allowSpoofedSourcePrefixes": ["10.0.0.0/8"])j",
       "spec.allowSpoofedSourcePrefixes", "set WorkloadSourceSpoofing to Any"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ports": [{"name": "a", "protocol": 6, "port": 80}])j",
       "spec.ports[0].protocol", "by name"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ports": [{"name": "a", "protocol": "ICMP", "port": 80}])j",
       "spec.ports[0].protocol", "by name"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ports": [{"name": "a", "protocol": "TCP", "port": 0}])j",
       "spec.ports[0].port", "from 1 to 65535"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "ports": [{"name": "a", "protocol": "TCP"}])j",
       "spec.ports[0]", "has no port number"},
      {R"j("interfaceName": "t", "ipNetworks": ["10.0.0.1"], "profiles": [""])j", "spec.profiles[0]",
       "names no profile"},
  };
  for (const RefusedSpec& c : kCases) {
    EXPECT_FALSE(decode<WorkloadEndpointChange>(kOtherName, std::string("{\"spec\": {").append(c.spec).append("}}")))
        << c.spec;
    ASSERT_GE(last.diagnostics.size(), 1u) << c.spec;
    EXPECT_EQ(last.diagnostics[0].field, c.field);
    EXPECT_THAT(last.diagnostics[0].text, HasSubstr(c.text));
    EXPECT_THAT(last.diagnostics[0].text, HasSubstr("counts as absent and gets no traffic"));
  }
}

TEST_F(WorkloadTest, LabelSyntax) {
  const std::string long_part(64, 'a');
  struct Case {
    std::string name, value;
    bool good;
  };
  const Case kCases[] = {{"a", "", true},
                         {"A_.-9", "x", true},
                         {"sg.projectcalico.org/openstack-5e6a0000-0000-4000-8000-000000000001", "g1", true},
                         {"a", "A.b_c-9", true},
                         {std::string(63, 'a'), std::string(63, 'b'), true},
                         {"", "x", false},
                         {long_part, "x", false},
                         {"a", long_part, false},
                         {std::string(320, 'a'), "x", false},
                         {"-a", "x", false},
                         {"a-", "x", false},
                         {"a", "-x", false},
                         {"a", "x y", false},
                         {"a b", "x", false},
                         {"/a", "x", false},
                         {"a/", "x", false},
                         {"a/b/c", "x", false},
                         {"Upper.org/a", "x", false},
                         {"a..b/a", "x", false},
                         {"-a.b/a", "x", false},
                         {"a-.b/a", "x", false},
                         {"a.b-/a", "x", false}};
  for (const Case& c : kCases) {
    const auto endpoint =
        other(R"j(, "ipNetworks": ["10.0.0.1/32"])j", "{\"labels\": {\"" + c.name + "\": \"" + c.value + "\"}}");
    EXPECT_EQ(endpoint.has_value(), c.good) << c.name << "=" << c.value << " " << diagnostics();
  }
}

TEST_F(WorkloadTest, BadNatPairsAreLeftOut) {
  const auto endpoint =
      decode<WorkloadEndpointChange>(kOwnName, R"j({"spec": {"interfaceName": "t", "ipNetworks": ["10.0.0.1"],
      "ipNATs": [{"internalIP": "10.0.0.1", "externalIP": "x"}, {"internalIP": "10.0.0.1", "externalIP": "fd00::1"},
                 {"internalIP": "10.0.0.1", "externalIP": "192.168.0.1"}]}})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_THAT(endpoint->interface->nats, ElementsAre(NatMapping{address("192.168.0.1"), address("10.0.0.1")}));
  ASSERT_EQ(last.diagnostics.size(), 2u);
  EXPECT_EQ(last.diagnostics[1].field, "spec.ipNATs[1]");
  EXPECT_THAT(last.diagnostics[0].text, HasSubstr("is left out"));
}

TEST_F(WorkloadTest, SpoofingIsAllowedWhereConfigured) {
  Decoder permissive({.hostname = "compute-01", .allow_source_spoofing = true}, interner);
  Decoder::Output out;
  permissive.put(std::string(kRoot).append(kOwnName), R"j({"spec": {"interfaceName": "t", "ipNetworks": ["10.0.0.1"],
      "allowSpoofedSourcePrefixes": ["10.1.2.3/8", "fd00::1"]}})j",
                 out);
  const auto& endpoint = std::get<WorkloadEndpointChange>(out.updates.at(0)).value;
  ASSERT_TRUE(endpoint);
  EXPECT_THAT(endpoint->interface->allowed_source_prefixes, ElementsAre(cidr("10.0.0.0/8"), cidr("fd00::1/128")));
}

TEST_F(WorkloadTest, QosOfTheWrongTypeRefuses) {
  EXPECT_FALSE(decode<WorkloadEndpointChange>(
      kOwnName,
      R"j({"spec": {"interfaceName": "t", "ipNetworks": ["10.0.0.1"], "qosControls": {"egressBandwidth": "much"}}})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.qosControls.egressBandwidth");
  EXPECT_FALSE(decode<WorkloadEndpointChange>(
      kOwnName, R"j({"spec": {"interfaceName": "t", "ipNetworks": ["10.0.0.1"], "qosControls": {"dscp": "CS7"}}})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.qosControls.dscp");
}

TEST_F(WorkloadTest, Dscp) {
  for (const auto& [text, value] : {std::pair{"0", 0}, {"63", 63}, {" 10 ", 10}, {"ef", 46}, {"CS6", 48}, {"Df", 0}}) {
    EXPECT_EQ(decode::parse_dscp(text), value) << text;
  }
  for (const char* text : {"", "64", "-1", "CS7", "AF1", "1.0"})
    EXPECT_EQ(decode::parse_dscp(text), std::nullopt) << text;
}

TEST_F(WorkloadTest, Names) {
  struct Case {
    std::string_view name;
    bool good;
  };
  for (const Case& c : {Case{"h-o-w-e", true},
                        {"compute--01-openstack-vm--1-p--1", true},
                        {"h-o-w", false},
                        {"h-o-w-e-x", false},
                        {"h-o--w-e", false},
                        {"-o-w-e", false},
                        {"h-o-w-", false},
                        {"", false},
                        {"h---o-w-e", false},
                        {"UPPER-openstack-a-b", true}}) {
    EXPECT_EQ(decode::split_workload_name(c.name).has_value(), c.good) << c.name;
  }
  const auto name = decode::split_workload_name("compute--01-openstack-vm--1-p--1");
  EXPECT_EQ(name->node, "compute-01");
  EXPECT_EQ(name->orchestrator, "openstack");
  EXPECT_EQ(name->workload, "vm-1");
  EXPECT_EQ(name->endpoint, "p-1");
  EXPECT_FALSE(
      decode<WorkloadEndpointChange>("workloadendpoints/ns/short", R"j({"spec": {"ipNetworks": ["10.0.0.1"]}})j"));
  EXPECT_THAT(diagnostics(), HasSubstr("does not have four parts"));
}

class HostEndpointTest : public DecoderFixture {};

TEST_F(HostEndpointTest, Reads) {
  const auto endpoint = decode<HostEndpointChange>("hostendpoints/eth0", R"j({
      "metadata": {"name": "eth0", "labels": {"role": "host"}, "annotations": {"qos.projectcalico.org/dscp": "ef"}},
      "spec": {"node": "compute-01", "interfaceName": "eth0", "expectedIPs": ["10.0.0.1", "fd00::1"], "profiles": ["p"],
               "ports": [{"name": "ssh", "protocol": "TCP", "port": 22}]}})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_EQ(endpoint->node, symbol("compute-01"));
  EXPECT_TRUE(endpoint->is_local);
  EXPECT_EQ(endpoint->interface_name, "eth0");
  EXPECT_EQ(endpoint->dscp, 46);
  EXPECT_EQ(endpoint->membership.labels, labels({{"role", "host"}}));
  EXPECT_THAT(endpoint->membership.addresses, ElementsAre(address("10.0.0.1"), address("fd00::1")));
  EXPECT_THAT(endpoint->membership.profiles, ElementsAre(symbol("p")));
  EXPECT_THAT(endpoint->membership.ports, ElementsAre(EndpointPort{symbol("ssh"), 6, 22}));
}

TEST_F(HostEndpointTest, WildcardAndOtherHosts) {
  const auto endpoint =
      decode<HostEndpointChange>("hostendpoints/all", R"j({"spec": {"node": "x", "interfaceName": "*"}})j");
  ASSERT_TRUE(endpoint) << diagnostics();
  EXPECT_FALSE(endpoint->is_local);
  EXPECT_EQ(endpoint->interface_name, "*");
  EXPECT_TRUE(
      decode<HostEndpointChange>("hostendpoints/a", R"j({"spec": {"node": "x", "expectedIPs": ["10.0.0.1"]}})j"));
}

TEST_F(HostEndpointTest, BadDscpIsLeftOut) {
  const auto endpoint = decode<HostEndpointChange>(
      "hostendpoints/all",
      R"j({"metadata": {"annotations": {"qos.projectcalico.org/dscp": "64"}}, "spec": {"node": "x", "interfaceName": "*"}})j");
  ASSERT_TRUE(endpoint);
  EXPECT_EQ(endpoint->dscp, std::nullopt);
  EXPECT_THAT(diagnostics(), HasSubstr("is no DSCP value and is left out"));
}

TEST_F(HostEndpointTest, Refusals) {
  const RefusedSpec kCases[] = {
      {R"j("interfaceName": "eth0")j", "spec.node", "is missing"},
      {R"j("node": "x")j", "spec", "neither an interface nor an address"},
      {R"j("node": "x", "interfaceName": "../x")j", "spec.interfaceName", "is no interface name"},
      {R"j("node": "x", "expectedIPs": ["10.0.0.1/32"])j", "spec.expectedIPs[0]", "is not an IP address"},
      {R"j("node": "x", "expectedIPs": [null])j", "spec.expectedIPs[0]", "is null"},
      {R"j("node": "x", "interfaceName": "e", "ports": [{"name": "a", "protocol": 6, "port": 1}])j",
       "spec.ports[0].protocol", "by name"},
  };
  for (const RefusedSpec& c : kCases) {
    EXPECT_FALSE(decode<HostEndpointChange>("hostendpoints/e", std::string("{\"spec\": {").append(c.spec).append("}}")))
        << c.spec;
    ASSERT_GE(last.diagnostics.size(), 1u) << c.spec;
    EXPECT_EQ(last.diagnostics[0].field, c.field);
    EXPECT_THAT(last.diagnostics[0].text, HasSubstr(c.text));
  }
}

class NetworkSetTest : public DecoderFixture {};

TEST_F(NetworkSetTest, NamespacedOnesGetLabelAndParent) {
  constexpr std::string_view kValue = R"j({"metadata": {"labels": {"a": "b", "projectcalico.org/namespace": "x"}},
                                          "spec": {"nets": ["10.1.2.3/8", "10.0.0.1", "fd00::/64"]}})j";
  const auto own = decode<NetworkSetChange>("networksets/ns/set", kValue);
  ASSERT_TRUE(own) << diagnostics();
  EXPECT_EQ(own->labels, labels({{"a", "b"}, {"projectcalico.org/namespace", "ns"}}));
  EXPECT_THAT(own->profiles, ElementsAre(symbol("kns.ns")));
  EXPECT_THAT(own->nets, ElementsAre(cidr("10.0.0.0/8"), cidr("10.0.0.1/32"), cidr("fd00::/64")));
  const auto global = decode<NetworkSetChange>("globalnetworksets/set", kValue);
  ASSERT_TRUE(global);
  EXPECT_EQ(global->labels, labels({{"a", "b"}, {"projectcalico.org/namespace", "x"}}));
  EXPECT_TRUE(global->profiles.empty());
}

TEST_F(NetworkSetTest, OneBadNetRefusesTheSet) {
  EXPECT_FALSE(
      decode<NetworkSetChange>("globalnetworksets/set", R"j({"spec": {"nets": ["10.0.0.0/8", "10.0.0.0/33"]}})j"));
  EXPECT_EQ(last.diagnostics.at(0).field, "spec.nets[1]");
}

}  // namespace
}  // namespace model
