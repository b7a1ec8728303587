// The golden translations: spec openstack §2.4 to §2.8 by example.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "neutron/translate/address_pairs.h"
#include "neutron/translate/answer.h"
#include "neutron/translate/cluster.h"
#include "neutron/translate/port.h"
#include "neutron/translate/security_group.h"
#include "neutron/translate/subnet.h"

namespace neutron {
namespace {

const Stamp kStamp{.time = "2026-01-31T09:00:00Z", .uid = "0d6b"};

Region region(std::string_view name = {}) { return *Region::make(name); }
json::value parse(std::string_view text) { return json::parse(to_json(text)); }
json::object object(std::string_view text) { return parse(text).as_object(); }

TEST(Names, RegionsHaveNamespaces) {
  EXPECT_EQ(region().ns(), "openstack");
  EXPECT_EQ(region().subnet_prefix(), "/calico/dhcp/v2/no-region/subnet/");
  EXPECT_EQ(region("east").ns(), "openstack-region-east");
  EXPECT_EQ(region("east").election_key(), "/calico/openstack/v2/region-east/neutron_election");
  for (const std::string_view bad : {"East", "-a", "a-", "a.b", "a_b"}) EXPECT_FALSE(Region::make(bad)) << bad;
  EXPECT_TRUE(Region::make(std::string(46, 'a')));
  EXPECT_FALSE(Region::make(std::string(47, 'a')));
}

TEST(Names, EndpointNamesDoubleDashes) {
  EXPECT_EQ(endpoint_name({"cmp-1", "b6d8a3c4-9674", "9a7e-0868"}), "cmp--1-openstack-b6d8a3c4--9674-9a7e--0868");
  const auto parts = parse_endpoint_name("cmp--1-openstack-b6d8a3c4--9674-9a7e--0868");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->host, "cmp-1");
  EXPECT_EQ(parts->device, "b6d8a3c4-9674");
  EXPECT_EQ(parts->port, "9a7e-0868");
  for (const std::string_view bad : {"", "a-b-c", "a-k8s-c-d", "a-openstack-b-c-d"}) {
    EXPECT_FALSE(parse_endpoint_name(bad)) << bad;
  }
  EXPECT_EQ(parse_endpoint_name("my--openstack--host-openstack-d-p")->host, "my-openstack-host");
}

TEST(Names, LabelsAreSanitised) {
  EXPECT_EQ(sanitised("Dan's Project", 63), "Dan_s_Project");
  EXPECT_EQ(sanitised("_-+.934abc%_-", 63), "934abc");
  EXPECT_EQ(sanitised("é-web", 63), "web");
  EXPECT_EQ(sanitised("grün", 63), "gr_n");
  EXPECT_EQ(sanitised("12345678901234567890123456.890", 27), "12345678901234567890123456");  // cut, then stripped
  EXPECT_EQ(sanitised("%%%", 63), "");
}

TEST(Names, KeysTellTheirOwner) {
  const Region r = region();
  EXPECT_EQ(r.owner(r.endpoint_prefix() + "h-openstack-d-p--1"), (ObjectId{Kind::kPort, "p-1"}));
  EXPECT_EQ(r.owner(r.policy_key("g")), (ObjectId{Kind::kSecurityGroup, "g"}));
  EXPECT_EQ(r.owner(r.network_set_key("a")), (ObjectId{Kind::kAddressGroup, "a"}));
  EXPECT_EQ(r.owner(r.subnet_prefix() + "s"), (ObjectId{Kind::kSubnet, "s"}));
  EXPECT_FALSE(r.owner(r.policy_prefix() + "allow-ssh"));
  EXPECT_FALSE(r.owner(r.open_policy_key()));
  EXPECT_FALSE(r.owner("/calico/resources/v3/projectcalico.org/workloadendpoints/openstack-region-x/h-openstack-d-p"));
}

// --- Ports ---

constexpr std::string_view kAnswer = R"j({
  "networks": [{"id": "net-id", "name": "calico", "admin_state_up": true}, {"id": "net-off", "admin_state_up": false}],
  "subnets": [{"id": "s4", "gateway_ip": "10.65.0.1"}, {"id": "s4b", "gateway_ip": null}, {"id": "s6", "gateway_ip": "fd00::1"}],
  "security_groups": [{"id": "SGID", "name": "web"}, {"id": "SG2", "name": "%%"}],
  "floatingips": [{"port_id": "11111111-aaaa-bbbb", "fixed_ip_address": "10.65.0.2", "floating_ip_address": "192.168.0.1"}],
  "projects": [{"id": "pid", "name": "shop", "parent_id": "default"}]})j";

constexpr std::string_view kPort = R"j({
  "id": "11111111-aaaa-bbbb", "revision_number": 7, "project_id": "pid", "network_id": "net-id", "device_owner": "compute:nova",
  "device_id": "vm1", "mac_address": "fa:16:3e:00:00:01", "admin_state_up": true, "status": "ACTIVE",
  "fixed_ips": [{"subnet_id": "s4", "ip_address": "10.65.0.2"}], "security_groups": ["SGID"],
  "allowed_address_pairs": [{"ip_address": "23.23.23.2", "mac_address": "fa:16:3e:00:00:01"}],
  "port_security_enabled": true, "binding:host_id": "cmp1", "binding:vif_type": "tap", "binding:vnic_type": "normal",
  "dns_assignment": [{"fqdn": "vm1.example.org."}]})j";

class PortTest : public ::testing::Test {
 protected:
  // The port with members replaced.
  Translation translate(std::string_view changes = "{}", PortSettings settings = {}) {
    port_ = object(kPort);
    for (auto& [name, value] : object(changes)) port_[name] = value;
    data_ = parse(kAnswer);
    return translate_port(port_, Answer(data_), region(), settings);
  }
  const Desired& only(const Translation& translation) {
    EXPECT_EQ(translation.keys.size(), 1u);
    return translation.keys.begin()->second;
  }
  std::string member_of_spec(std::string_view changes, json::string_view name, PortSettings settings = {}) {
    const Translation translation = translate(changes, settings);
    const auto* value = only(translation).spec.if_contains(name);
    return value == nullptr ? "-" : json::serialize(*value);
  }

  json::object port_;
  json::value data_;
};

TEST_F(PortTest, CompleteExample) {
  const Translation translation = translate();
  EXPECT_EQ(
      translation.keys.begin()->first,
      "/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/cmp1-openstack-vm1-11111111--aaaa--bbbb");
  const Merged merged = merge({}, only(translation), kStamp);
  const json::value expected = parse(R"j({
    "kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3",
    "metadata":{"name":"cmp1-openstack-vm1-11111111--aaaa--bbbb","namespace":"openstack",
     "creationTimestamp":"2026-01-31T09:00:00Z","uid":"0d6b","generation":7,
     "annotations":{"openstack.projectcalico.org/network-id":"net-id","openstack.projectcalico.org/fqdn":"vm1.example.org."},
     "labels":{"sg.projectcalico.org/openstack-SGID":"web","sg-name.projectcalico.org/openstack-web":"SGID",
      "projectcalico.org/namespace":"openstack","projectcalico.org/orchestrator":"openstack",
      "projectcalico.org/openstack-project-id":"pid","projectcalico.org/openstack-project-name":"shop",
      "projectcalico.org/openstack-project-parent-id":"default","projectcalico.org/openstack-network-name":"calico"}},
    "spec":{"orchestrator":"openstack","workload":"vm1","node":"cmp1","endpoint":"11111111-aaaa-bbbb",
     "interfaceName":"tap11111111-aa","mac":"fa:16:3e:00:00:01",
     "ipNetworks":["10.65.0.2/32","23.23.23.2/32"],"allowedIps":["23.23.23.2/32"],
     "ipv4Gateway":"10.65.0.1","ipNATs":[{"internalIP":"10.65.0.2","externalIP":"192.168.0.1"}]}})j");
  ASSERT_TRUE(merged.value);
  EXPECT_EQ(parse(*merged.value), expected);
}

TEST_F(PortTest, WhoIsAnEndpoint) {
  struct Case {
    std::string_view changes;
    bool endpoint;
  };
  constexpr Case kCases[] = {{"{}", true},
                             {R"j({"device_owner":"kuryr:container:x"})j", true},
                             {R"j({"device_owner":"network:router_interface"})j", false},
                             {R"j({"device_owner":""})j", false},
                             {R"j({"binding:host_id":""})j", false},
                             {R"j({"binding:vif_type":"binding_failed"})j", true},
                             {R"j({"device_id":"a/b"})j", false},
                             {R"j({"device_id":"a%b"})j", true},
                             {R"j({"admin_state_up":false})j", false},
                             {R"j({"network_id":"net-off"})j", false}};
  for (const Case& c : kCases) EXPECT_EQ(!translate(c.changes).keys.empty(), c.endpoint) << c.changes;
}

TEST_F(PortTest, DhcpOptionsAreAnAnnotation) {
  const auto written = [&](std::string_view options) {
    const Translation translation = translate(R"j({"extra_dhcp_opts":)j" + std::string(options) + "}");
    const auto* value = only(translation).annotations.if_contains("openstack.projectcalico.org/dhcp-options");
    return (value == nullptr ? "-" : std::string(text(only(translation).annotations, model::kDhcpOptionsAnnotation))) +
           " " + std::to_string(translation.notes.size());
  };
  EXPECT_EQ(written("[]"), "- 0");
  EXPECT_EQ(
      written(
          R"j([{"opt_name":"bootfile-name","opt_value":"x","ip_version":4},{"opt_name":"59","opt_value":"y","ip_version":6},
                         {"opt_name":"66","opt_value":null}])j"),
      R"j([{"name":"66","value":"","ip_version":4},{"name":"bootfile-name","value":"x","ip_version":4},)j"
      R"j({"name":"59","value":"y","ip_version":6}] 0)j");
  // From the time before they were checked.
  EXPECT_EQ(written(R"j([{"opt_name":"nonsense","opt_value":"x","ip_version":4}])j"), "- 1");
}

TEST_F(PortTest, UnboundWithHostIsKeptButNotCreated) {
  EXPECT_TRUE(only(translate(R"j({"binding:vif_type":"unbound"})j")).only_update);
  EXPECT_FALSE(only(translate()).only_update);
}

TEST_F(PortTest, Addresses) {
  struct Case {
    std::string_view changes, member, expected;
    bool spoofing = false;
  };
  constexpr Case kCases[] = {
      {R"j({"fixed_ips":[{"subnet_id":"s4","ip_address":"10.65.0.9"},{"subnet_id":"s4","ip_address":"10.65.0.100"}],
           "allowed_address_pairs":[]})j",
       "ipNetworks", R"j(["10.65.0.100/32","10.65.0.9/32"])j"},
      {R"j({"fixed_ips":[],"allowed_address_pairs":[]})j", "ipNetworks", "[]"},
      {R"j({"allowed_address_pairs":[]})j", "allowedIps", "[]"},
      {R"j({"fixed_ips":[{"subnet_id":"s6","ip_address":"fd00::2"}],"allowed_address_pairs":[]})j", "ipNetworks",
       R"j(["fd00::2/128"])j"},
      {R"j({"fixed_ips":[{"subnet_id":"s6","ip_address":"fd00::2"}]})j", "ipv6Gateway", R"j("fd00::1")j"},
      {R"j({"fixed_ips":[{"subnet_id":"s4b","ip_address":"10.66.0.2"}]})j", "ipv4Gateway", "-"},
      // Ordered by MAC, then address; capitals and duplicates stay.
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.1","mac_address":"b"},{"ip_address":"10.0.0.2","mac_address":"a"},
           {"ip_address":"10.0.0.1","mac_address":"a"},{"ip_address":"FD00::A","mac_address":"c"}]})j",
       "allowedIps", R"j(["10.0.0.1/32","10.0.0.2/32","10.0.0.1/32","FD00::A/128"])j"},
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.0/30"}]})j", "allowedIps",
       R"j(["10.0.0.0/32","10.0.0.1/32","10.0.0.2/32","10.0.0.3/32"])j"},
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.7/32"}]})j", "allowedIps", R"j(["10.0.0.7/32"])j"},
      {R"j({"allowed_address_pairs":[{"ip_address":"fd00::ff/127"}]})j", "allowedIps",
       R"j(["fd00::fe/128","fd00::ff/128"])j"},
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.0/8"}]})j", "allowedIps", "[]"},
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.0/8"}]})j", "allowSpoofedSourcePrefixes", "-"},
      {R"j({"allowed_address_pairs":[{"ip_address":"10.0.0.0/8"}]})j", "allowSpoofedSourcePrefixes",
       R"j(["10.0.0.0/8"])j", true},
      {R"j({"port_security_enabled":false})j", "allowSpoofedSourcePrefixes", R"j(["0.0.0.0/0","::/0"])j", true},
      {R"j({"port_security_enabled":false})j", "allowSpoofedSourcePrefixes", "-"},
      {R"j({"id":"other"})j", "ipNATs", "-"},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(member_of_spec(c.changes, to_json(c.member), {.spoofing_allowed = c.spoofing}), c.expected) << c.changes;
  }
}

TEST_F(PortTest, Labels) {
  const auto label = [&](std::string_view changes, json::string_view name) {
    const Translation translation = translate(changes);
    const auto* value = only(translation).labels.if_contains(name);
    return value == nullptr ? "-" : json::serialize(*value);
  };
  EXPECT_EQ(label(R"j({"security_groups":["SG2"]})j", "sg.projectcalico.org/openstack-SG2"), R"j("")j");
  EXPECT_EQ(label(R"j({"security_groups":["SG2"]})j", "sg-name.projectcalico.org/openstack-"), "-");
  EXPECT_EQ(label(R"j({"project_id":null,"tenant_id":"pid"})j", "projectcalico.org/openstack-project-name"),
            R"j("shop")j");
  EXPECT_EQ(label(R"j({"project_id":"other"})j", "projectcalico.org/openstack-project-name"), "-");
  EXPECT_EQ(label(R"j({"port_security_enabled":false})j", kPortSecurityLabel), R"j("off")j");
  EXPECT_EQ(label("{}", kPortSecurityLabel), "-");
}

TEST_F(PortTest, ConnectionLimits) {
  EXPECT_EQ(member_of_spec("{}", "qosControls"), "-");
  EXPECT_EQ(member_of_spec("{}", "qosControls", {.max_ingress_connections = 5, .max_egress_connections = 1LL << 40}),
            R"j({"ingressMaxConnections":5,"egressMaxConnections":4294967295})j");
}

// --- Values that are there ---

TEST(Merge, KeepsWhatOthersWroteIntoMetadata) {
  Desired desired{.kind = "NetworkPolicy", .name = "ossg.default.g", .ns = "openstack"};
  desired.spec = object(R"j({"ingress":[],"egress":[],"selector":"x"})j");
  const std::string stored =
      R"j({"kind":"NetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"ossg.default.g","namespace":"openstack",
          "uid":"u","creationTimestamp":"t","color":"red"},"spec":{"selector":"y"}})j";
  const Merged merged = merge(stored, desired, kStamp);
  ASSERT_TRUE(merged.value);
  const json::value result = parse(*merged.value);
  EXPECT_EQ(result.at("metadata").at("uid"), "u");
  EXPECT_EQ(result.at("metadata").at("color"), "red");
  EXPECT_EQ(result.at("spec"), desired.spec);
  EXPECT_FALSE(merge(*merged.value, desired, kStamp).value);
}

TEST(Merge, BadValuesAreReplaced) {
  Desired desired{.kind = "NetworkPolicy", .name = "n", .ns = "openstack"};
  desired.spec = object(R"j({"selector":"x"})j");
  for (const std::string stored : {"", "{", "[]", "7", R"j({"metadata":{}})j", R"j({"spec":{}})j",
                                   R"j({"metadata":[],"spec":{"selector":"x"}})j"}) {
    const Merged merged = merge(stored, desired, kStamp);
    ASSERT_TRUE(merged.value) << stored;
    EXPECT_EQ(parse(*merged.value).at("metadata").at("uid"), "0d6b") << stored;
  }
}

TEST(Merge, EmptyMapsLeaveTheOldOnes) {
  Desired desired{.kind = "X", .name = "n"};
  desired.spec = object("{}");
  EXPECT_FALSE(merge(R"j({"metadata":{"labels":{"a":"b"}},"spec":{}})j", desired, kStamp).value);
  desired.labels = object(R"j({"c":"d"})j");
  const Merged merged = merge(R"j({"metadata":{"labels":{"a":"b"}},"spec":{}})j", desired, kStamp);
  EXPECT_EQ(parse(*merged.value).at("metadata").at("labels"), desired.labels);
}

TEST(Merge, OldRevisionIsStale) {
  Desired desired{.kind = "X", .name = "n"};
  desired.spec = object(R"j({"a":1})j");
  desired.generation = 4;
  const Merged merged = merge(R"j({"metadata":{"generation":5},"spec":{"a":2}})j", desired, kStamp);
  EXPECT_TRUE(merged.stale);
  EXPECT_FALSE(merge(R"j({"metadata":{"generation":4},"spec":{"a":2}})j", desired, kStamp).stale);
  EXPECT_FALSE(merge(R"j({"metadata":{"generation":5},"spec":{"a":1}})j", desired, kStamp).stale);
}

TEST(Merge, ProjectLabelsSurviveAnUnreachableKeystone) {
  Desired desired{.kind = "X", .name = "n"};
  desired.labels = object(R"j({"a":"b"})j");
  desired.kept_labels = {"project"};
  EXPECT_FALSE(merge(R"j({"metadata":{"labels":{"a":"b","project":"p"}},"spec":{}})j", desired, kStamp).value);
  EXPECT_TRUE(merge(R"j({"metadata":{"labels":{"a":"b","other":"p"}},"spec":{}})j", desired, kStamp).value);
}

// --- Security groups ---

struct RuleCase {
  std::string_view rule, expected;  // expected: the Calico rule, or "-" for one that is left out
};

constexpr RuleCase kRules[] = {
    {R"j({"direction":"egress","ethertype":"IPv4"})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"egress","ethertype":"IPv6"})j", R"j({"action":"Allow","ipVersion":6})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"tcp"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":6})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"udp","port_range_min":53,"port_range_max":53})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":17,"destination":{"ports":[53]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"sctp","port_range_min":1,"port_range_max":65535})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":132,"destination":{"ports":["1:65535"]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"6","port_range_min":22,"port_range_max":22})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"6","destination":{"ports":[22]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":6})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":6})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"112"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"112"})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"vrrp"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":112})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"0"})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":0})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"ip"})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"ingress","ethertype":"IPv6","protocol":"hopopt"})j", R"j({"action":"Allow","ipVersion":6})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"any"})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":-1})j", R"j({"action":"Allow","ipVersion":4})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"icmp"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"ICMP"})j"},
    {R"j({"direction":"ingress","ethertype":"IPv6","protocol":"icmp"})j",
     R"j({"action":"Allow","ipVersion":6,"protocol":"ICMPv6"})j"},
    {R"j({"direction":"ingress","ethertype":"IPv6","protocol":"ipv6-icmp"})j",
     R"j({"action":"Allow","ipVersion":6,"protocol":"ICMPv6"})j"},
    {R"j({"direction":"ingress","ethertype":"IPv6","protocol":"icmpv6"})j",
     R"j({"action":"Allow","ipVersion":6,"protocol":58})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_min":8,"port_range_max":0})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"ICMP","icmp":{"type":8,"code":0}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_min":8,"port_range_max":-1})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"ICMP","icmp":{"type":8}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"1","port_range_min":8,"port_range_max":null})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"ICMP","icmp":{"type":8}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"1"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":"1"})j"},
    {R"j({"direction":"ingress","ethertype":"IPv6","protocol":"58","port_range_min":128})j",
     R"j({"action":"Allow","ipVersion":6,"protocol":"ICMPv6","icmp":{"type":128}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_min":255})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_max":3})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"tcp","port_range_min":-1,"port_range_max":-1})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":6})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"dccp"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":33})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"dccp","port_range_min":5,"port_range_max":5})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"136","port_range_min":5,"port_range_max":5})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","port_range_min":5,"port_range_max":5})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"007"})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"256"})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"quic"})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"tcp","port_range_min":5,"port_range_max":4})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"tcp","port_range_min":5})j", "-"},
    {R"j({"direction":"sideways","ethertype":"IPv4"})j", "-"},
    {R"j({"direction":"ingress"})j", "-"},
    {R"j({"direction":"ingress","ethertype":"IPv4","remote_ip_prefix":"10.3.4.5/16"})j",
     R"j({"action":"Allow","ipVersion":4,"source":{"nets":["10.3.4.5/16"]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","remote_ip_prefix":"10.3.4.5/99"})j", "-"},
    {R"j({"direction":"egress","ethertype":"IPv4","protocol":"tcp","port_range_min":80,"port_range_max":81,"remote_ip_prefix":"10.0.0.0/8"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":6,"destination":{"ports":["80:81"],"nets":["10.0.0.0/8"]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","protocol":"tcp","port_range_min":22,"port_range_max":22,"remote_group_id":"g2"})j",
     R"j({"action":"Allow","ipVersion":4,"protocol":6,"source":{"selector":"has(sg.projectcalico.org/openstack-g2)"},"destination":{"ports":[22]}})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","remote_address_group_id":"a1"})j",
     R"j({"action":"Allow","ipVersion":4,"source":{"selector":"has(ag.projectcalico.org/openstack-a1)"}
})j"},
    {R"j({"direction":"ingress","ethertype":"IPv4","remote_address_group_id":"a1","remote_group_id":"g"})j", "-"},
};

TEST(SecurityGroup, EveryRuleField) {
  for (const RuleCase& c : kRules) {
    const auto translated = translate_rule(object(c.rule));
    if (c.expected == "-") {
      EXPECT_FALSE(translated) << c.rule;
      continue;
    }
    ASSERT_TRUE(translated) << c.rule << translated.error().text();
    EXPECT_EQ(json::value(translated->rule), parse(c.expected)) << c.rule << json::serialize(translated->rule);
    EXPECT_EQ(translated->ingress, c.rule.find("ingress") != std::string_view::npos) << c.rule;
  }
}

TEST(SecurityGroup, OneBadRuleIsLeftOutAndTheOthersStay) {
  const json::object group = object(R"j({"id":"aa11","name":"web","revision_number":3,"security_group_rules":[
    {"id":"r1","direction":"ingress","ethertype":"IPv4","protocol":"tcp","remote_group_id":"bb22"},
    {"id":"r2","direction":"ingress","ethertype":"IPv4","protocol":"icmp","port_range_min":255},
    {"id":"r3","direction":"egress","ethertype":"IPv4"}, 5]})j");
  const Translation translation = translate_security_group(group, region());
  ASSERT_EQ(translation.keys.size(), 1u);
  const auto& [key, desired] = *translation.keys.begin();
  EXPECT_EQ(key, "/calico/resources/v3/projectcalico.org/networkpolicies/openstack/ossg.default.aa11");
  EXPECT_EQ(json::value(desired.spec), parse(R"j({"ingress":[{"action":"Allow","ipVersion":4,"protocol":6,
    "source":{"selector":"has(sg.projectcalico.org/openstack-bb22)"
}
}],"egress":[{"action":"Allow","ipVersion":4}],
    "selector":"has(sg.projectcalico.org/openstack-aa11)"
})j"));
  EXPECT_TRUE(desired.labels.empty());
  EXPECT_EQ(desired.generation, 3);
  EXPECT_THAT(translation.notes, ::testing::ElementsAre(::testing::HasSubstr("rule r2 is left out")));
  EXPECT_THAT(translation.refers_to, ::testing::ElementsAre(ObjectId{Kind::kSecurityGroup, "bb22"}));
}

TEST(AddressGroup, BecomesANetworkSet) {
  const Translation translation = translate_address_group(
      object(R"j({"id":"a1","name":"my hosts","addresses":["10.0.0.9/32","10.0.0.0/24","x"]})j"), region());
  const auto& [key, desired] = *translation.keys.begin();
  EXPECT_EQ(key, "/calico/resources/v3/projectcalico.org/networksets/openstack/osag.default.a1");
  EXPECT_EQ(json::serialize(desired.spec), R"j({"nets":["10.0.0.0/24","10.0.0.9/32"]})j");
  EXPECT_EQ(json::serialize(desired.labels), R"j({"ag.projectcalico.org/openstack-a1":"my_hosts"})j");
  EXPECT_EQ(translation.notes.size(), 1u);
}

// --- Subnets: byte for byte ---

TEST(Subnet, BytesAreUpstreams) {
  struct Case {
    std::string_view subnet, expected;
  };
  constexpr Case kCases[] = {
      {R"j({"id":"s","network_id":"n1","cidr":"10.65.0.0/24","host_routes":[],"gateway_ip":"10.65.0.1","enable_dhcp":true,
           "dns_nameservers":["8.8.8.8"]})j",
       R"j({"network_id": "n1", "cidr": "10.65.0.0/24", "host_routes": [], "gateway_ip": "10.65.0.1", "dns_servers": ["8.8.8.8"]})j"},
      {R"j({"id":"s","network_id":"n1","cidr":"10.65.0.0/24","gateway_ip":null,"enable_dhcp":true,"dns_nameservers":[],
           "host_routes":[{"nexthop":"10.65.0.9","destination":"20.0.0.0/8"},{"nexthop":"10.65.0.8","destination":"10.0.0.0/8"}]})j",
       R"j({"network_id": "n1", "cidr": "10.65.0.0/24", "host_routes": [{"destination": "10.0.0.0/8", "nexthop": "10.65.0.8"}, {"destination": "20.0.0.0/8", "nexthop": "10.65.0.9"}], "gateway_ip": null})j"},
      {R"j({"id":"s","network_id":"n1","cidr":"FD00:1:0::/64","host_routes":[],"gateway_ip":"fd00:1::","enable_dhcp":true,
           "ipv6_ra_mode":"slaac","ipv6_address_mode":"slaac"})j",
       R"j({"network_id": "n1", "cidr": "fd00:1::/64", "host_routes": [], "gateway_ip": "fd00:1::", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"})j"},
      {R"j({"id":"s","network_id":"n1","cidr":"fd00::/64","host_routes":[],"gateway_ip":null,"enable_dhcp":true,"ipv6_ra_mode":"slaac"})j",
       R"j({"network_id": "n1", "cidr": "fd00::/64", "host_routes": [], "gateway_ip": null})j"},
  };
  for (const Case& c : kCases) {
    const Translation translation = translate_subnet(object(c.subnet), region("east"));
    ASSERT_EQ(translation.keys.size(), 1u);
    EXPECT_EQ(translation.keys.begin()->first, "/calico/dhcp/v2/region-east/subnet/s");
    EXPECT_EQ(translation.keys.begin()->second.raw, c.expected);
  }
  EXPECT_TRUE(translate_subnet(object(R"j({"id":"s","enable_dhcp":false})j"), region()).keys.empty());
}

TEST(PythonJson, EscapesAsPythonDoes) {
  EXPECT_EQ(python_json(parse(R"j({"a":"é\n\"\u0001😀","b":[1,true,null]})j")),
            R"j({"a": "\u00e9\n\"\u0001\ud83d\ude00", "b": [1, true, null]})j");
}

// --- ClusterInformation, FelixConfiguration ---

json::value spec_of(const Adjusted& adjusted) { return parse(adjusted.value.value()).at("spec"); }
const std::string kGuid = "0123456789abcdef0123456789abcdef";

TEST(Cluster, FreshDatastore) {
  EXPECT_EQ(
      spec_of(adjust_cluster_information({}, {}, kGuid, kStamp)),
      parse(R"j({"clusterGUID":"0123456789abcdef0123456789abcdef","clusterType":"openstack","datastoreReady":true})j"));
  EXPECT_EQ(spec_of(adjust_felix_configuration({}, kStamp)),
            parse(R"j({"endpointReportingEnabled":true,"interfacePrefix":"tap"})j"));
}

TEST(Cluster, ExistingValuesStay) {
  const auto cluster = adjust_cluster_information(
      R"j({"metadata":{"name":"default"},"spec":{"clusterGUID":"g","clusterType":"k8s,bgp","datastoreReady":false,"calicoVersion":"v"}})j",
      {}, kGuid, kStamp);
  EXPECT_EQ(
      spec_of(cluster),
      parse(R"j({"clusterGUID":"g","clusterType":"k8s,bgp,openstack","datastoreReady":false,"calicoVersion":"v"})j"));
  EXPECT_FALSE(adjust_cluster_information(cluster.value, {}, kGuid, kStamp).value);
  const auto felix = adjust_felix_configuration(
      R"j({"metadata":{"name":"default"},"spec":{"interfacePrefix":"cali","logSeverityScreen":"Info"}})j", kStamp);
  EXPECT_EQ(spec_of(felix),
            parse(R"j({"interfacePrefix":"cali,tap","logSeverityScreen":"Info","endpointReportingEnabled":true})j"));
  EXPECT_FALSE(adjust_felix_configuration(felix.value, kStamp).value);
}

TEST(Cluster, UnreadableTextDoesNotLoseTheGuid) {
  const std::string torn =
      R"j({"kind":"ClusterInformation","spec":{"clusterGUID": "aaaabbbbccccddddaaaabbbbccccdddd","datastoreReady":false)j";
  const auto salvaged = adjust_cluster_information(torn, {}, kGuid, kStamp);
  EXPECT_EQ(spec_of(salvaged).at("clusterGUID"), "aaaabbbbccccddddaaaabbbbccccdddd");
  EXPECT_EQ(spec_of(salvaged).at("datastoreReady"), false);
  EXPECT_TRUE(salvaged.notes.empty());
  const std::string good =
      R"j({"metadata":{},"spec":{"clusterGUID":"ffffbbbbccccddddaaaabbbbccccdddd","datastoreReady":false}})j";
  EXPECT_EQ(spec_of(adjust_cluster_information("#", good, kGuid, kStamp)).at("clusterGUID"),
            "ffffbbbbccccddddaaaabbbbccccdddd");
  const auto fresh = adjust_cluster_information("#", {}, kGuid, kStamp);
  EXPECT_EQ(spec_of(fresh).at("clusterGUID"), to_json(kGuid));
  EXPECT_EQ(fresh.notes.size(), 1u);
}

TEST(Cluster, SpoofingComesFromFelixConfiguration) {
  EXPECT_TRUE(allows_spoofing(R"j({"spec":{"workloadSourceSpoofing":"Any"}})j"));
  EXPECT_FALSE(allows_spoofing(R"j({"spec":{"workloadSourceSpoofing":"Disabled"}})j"));
  EXPECT_FALSE(allows_spoofing({}));
}

}  // namespace
}  // namespace neutron
