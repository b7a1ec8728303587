#include "model/resource.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace model {
namespace {

using ::testing::HasSubstr;

base::Result<Resource> decode_yaml(std::string_view text) {
  const auto document = parse_document(text);
  if (!document) return base::fail(document.error());
  return decode_document(*document);
}

// The stored bytes after defaulting, or the error text.
std::string stored(std::string_view yaml) {
  auto resource = decode_yaml(yaml);
  if (!resource) return resource.error().text();
  Problems problems;
  complete(*resource, WriteReason::kCreate, problems);
  validate(*resource, problems);
  if (!problems.empty()) return to_string(problems.take());
  store_policy_name(*resource);
  return encode_stored(*resource);
}

// The specification's example of a stored global policy, byte for byte (spec datamodel §2.1).
TEST(ResourceEncoding, GlobalPolicyIsByteExact) {
  EXPECT_EQ(stored(R"(
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: allow-ssh
  uid: 0c2f3f2e-3f86-4f0c-8a51-3a5e3d6f8f10
  creationTimestamp: "2026-01-15T10:20:30Z"
spec:
  order: 100
  selector: role == "bastion"
  ingress:
  - action: Allow
    protocol: TCP
    destination:
      ports: [22]
)"),
            R"({"kind":"GlobalNetworkPolicy","apiVersion":"projectcalico.org/v3","metadata":{"name":"allow-ssh",)"
            R"("uid":"0c2f3f2e-3f86-4f0c-8a51-3a5e3d6f8f10","creationTimestamp":"2026-01-15T10:20:30Z",)"
            R"("labels":{"projectcalico.org/tier":"default"},"annotations":{"projectcalico.org/metadata":)"
            R"("{\"name\":\"allow-ssh\"}"}},"spec":{"tier":"default","order":100,"ingress":[{"action":"Allow",)"
            R"("protocol":"TCP","source":{},"destination":{"ports":[22]}}],"selector":"role == \"bastion\"",)"
            R"("types":["Ingress"]}})");
}

struct EncodingCase {
  std::string_view name, yaml, spec;  // `spec` is what follows "spec": in the stored value
};

constexpr EncodingCase kEncodings[] = {
    {"a node status before its first report",
     "kind: CalicoNodeStatus\nmetadata: {name: s}\nspec: {node: h1, classes: [BGP], updatePeriodSeconds: 10}\n",
     R"({"node":"h1","classes":["BGP"],"updatePeriodSeconds":10},"status":{"lastUpdated":null,)"
     R"("agent":{"birdV4":{},"birdV6":{}},"bgp":{"numberEstablishedV4":0,"numberNotEstablishedV4":0,)"
     R"("numberEstablishedV6":0,"numberNotEstablishedV6":0},"routes":{}}})"},
    {"tier defaults and empty status", "kind: Tier\nmetadata: {name: t}\nspec: {}\n",
     R"({"order":1000000,"defaultAction":"Deny"},"status":{}})"},
    {"fractional order", "kind: Tier\nmetadata: {name: t}\nspec: {order: 10.50}\n",
     R"({"order":10.5,"defaultAction":"Deny"},"status":{}})"},
    {"huge and tiny orders", "kind: Tier\nmetadata: {name: t}\nspec: {order: 1e21}\n",
     R"({"order":1e+21,"defaultAction":"Deny"},"status":{}})"},
    {"IPv4 pool defaults",
     "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.65.0.0/16, natOutgoing: true, disabled: false}\n",
     R"({"cidr":"10.65.0.0/16","vxlanMode":"Never","ipipMode":"Never","natOutgoing":true,"blockSize":26,)"
     R"j("nodeSelector":"all()","allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic"}})j"},
    {"IPv6 pool is normalised", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 'FD00:0065::/112'}\n",
     R"j({"cidr":"fd00:65::/112","vxlanMode":"Never","ipipMode":"Never","blockSize":122,"nodeSelector":"all()",)j"
     R"("allowedUses":["Workload","Tunnel"],"assignmentMode":"Automatic"}})"},
    {"filter in upstream's order of members",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {importV4: [{operations: [{setPriority: {value: 512}}, "
     "{prependASPath: "
     "{prefix: ['1.10', 7]}}, {addCommunity: {value: '1:2'}}], action: Accept, priority: 100, asPathPrefix: [1], "
     "communities: {values: ['1:2:3']}, peerType: eBGP, matchOperator: In, interface: 'eth*', source: RemotePeers, "
     "prefixLength: {max: 28, min: 0}, cidr: 10.0.0.0/8}], exportV6: [{action: Reject}]}\n",
     R"({"importV4":[{"cidr":"10.0.0.0/8","prefixLength":{"min":0,"max":28},"source":"RemotePeers","interface":"eth*",)"
     R"("matchOperator":"In","peerType":"eBGP","communities":{"values":["1:2:3"]},"asPathPrefix":[1],"priority":100,)"
     R"("action":"Accept","operations":[{"setPriority":{"value":512}},{"prependASPath":{"prefix":[65546,7]}},)"
     R"({"addCommunity":{"value":"1:2"}}]}],"exportV6":[{"action":"Reject"}]}})"},
    {"AS number in dotted form", "kind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: 192.0.2.1, asNumber: '1.10'}\n",
     R"({"peerIP":"192.0.2.1","asNumber":65546}})"},
    {"pointer members keep false and zero",
     "kind: BGPConfiguration\nmetadata: {name: default}\nspec: {nodeToNodeMeshEnabled: false, asNumber: 64512}\n",
     R"({"logSeverityScreen":"Info","nodeToNodeMeshEnabled":false,"asNumber":64512,)"
     R"("serviceLoadBalancerAggregation":"Enabled"}})"},
    {"Felix defaults, canonical durations, empty failsafe list",
     "kind: FelixConfiguration\nmetadata: {name: default}\n"
     "spec: {reportingInterval: 125s, failsafeInboundHostPorts: [], ipv6Support: false}\n",
     R"({"ipv6Support":false,"reportingInterval":"2m5s","failsafeInboundHostPorts":[],"nftablesMode":"Auto",)"
     R"("bpfLogLevel":"","bpfConnectTimeLoadBalancing":"TCP","bpfHostNetworkedNATWithoutCTLB":"Enabled",)"
     R"("floatingIPs":"Disabled"}})"},
    {"legacy BPF setting decides the two that replace it",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {bpfConnectTimeLoadBalancingEnabled: false}\n",
     R"({"nftablesMode":"Auto","bpfLogLevel":"","bpfConnectTimeLoadBalancingEnabled":false,)"
     R"("bpfConnectTimeLoadBalancing":"Disabled","bpfHostNetworkedNATWithoutCTLB":"Disabled","floatingIPs":"Disabled"}})"},
    {"node with empty status", "kind: Node\nmetadata: {name: n}\nspec: {bgp: {ipv4Address: 10.0.0.5/24}}\n",
     R"({"bgp":{"ipv4Address":"10.0.0.5/24"}},"status":{}})"},
    {"host endpoint port is written in full",
     "kind: HostEndpoint\nmetadata: {name: h}\n"
     "spec: {node: host, interfaceName: '*', ports: [{name: http, protocol: TCP, port: 80}]}\n",
     R"({"node":"host","interfaceName":"*","ports":[{"name":"http","protocol":"TCP","port":80}]}})"},
    {"member names in any case, numbers as text, YAML words as booleans",
     "kind: HostEndpoint\nmetadata: {name: h}\nspec: {Node: 0x10, interfacename: eth0, profiles: [1.50, no]}\n",
     R"({"node":"16","interfaceName":"eth0","profiles":["1.5","false"]}})"},
    {"HTML characters are escaped",
     "kind: GlobalNetworkSet\nmetadata: {name: s, annotations: {note: '<a&b>'}}\nspec: {nets: [10.0.0.1]}\n",
     R"({"nets":["10.0.0.1"]}})"},
    {"policy types follow the rules that are there",
     "kind: NetworkPolicy\nmetadata: {name: p, namespace: ns}\nspec: {egress: [{action: Deny}]}\n",
     R"({"tier":"default","egress":[{"action":"Deny","source":{},"destination":{}}],"types":["Egress"]}})"},
    {"policy with rules both ways, port range and name",
     "kind: NetworkPolicy\nmetadata: {name: p, namespace: ns}\n"
     "spec: {ingress: [{action: Allow, protocol: '17', source: {ports: ['53', '1:1024', dns]}}], egress: [{action: "
     "Pass}]}\n",
     R"({"tier":"default","ingress":[{"action":"Allow","protocol":17,"source":{"ports":[53,"1:1024","dns"]},)"
     R"("destination":{}}],"egress":[{"action":"Pass","source":{},"destination":{}}],"types":["Ingress","Egress"]}})"},
};

TEST(ResourceEncoding, SpecsAreByteExact) {
  for (const EncodingCase& c : kEncodings) {
    const std::string text = stored("apiVersion: projectcalico.org/v3\n" + std::string(c.yaml));
    const auto at = text.find(R"("spec":)");
    ASSERT_NE(at, text.npos) << c.name << ": " << text;
    EXPECT_EQ(text.substr(at + 7), c.spec) << c.name;
  }
}

TEST(ResourceEncoding, EscapesAndForcedLabelsOfWorkloadEndpoint) {
  EXPECT_EQ(stored(R"(
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: openstack, annotations: {note: "<&>"}}
spec: {node: cmp-01, orchestrator: openstack, workload: inst-1, endpoint: p1, interfaceName: tapp1, ipNetworks: [10.65.0.7/32]}
)"),
            R"({"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{)"
            R"("name":"cmp--01-openstack-inst--1-p1","namespace":"openstack","labels":{)"
            R"("projectcalico.org/namespace":"openstack","projectcalico.org/orchestrator":"openstack"},)"
            R"("annotations":{"note":"\u003c\u0026\u003e"}},"spec":{"orchestrator":"openstack","workload":"inst-1",)"
            R"("node":"cmp-01","endpoint":"p1","ipNetworks":["10.65.0.7/32"],"interfaceName":"tapp1"}})");
}

// Neutron's spacing, order and extra member survive a rewrite; the Go order of the known members is taken.
TEST(ResourceEncoding, UnknownMembersSurvive) {
  const auto resource =
      decode_stored(kinds::kWorkloadEndpoint, R"({"kind": "WorkloadEndpoint", "apiVersion": "projectcalico.org/v3",
    "metadata": {"name": "n", "namespace": "openstack", "future": 1}, "extra": [1],
    "spec": {"endpoint": "e", "allowedIps": ["10.0.0.9/32"], "workload": "w"}})");
  ASSERT_TRUE(resource) << resource.error().text();
  EXPECT_EQ(
      encode_stored(*resource),
      R"({"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":"n",)"
      R"("namespace":"openstack","future":1},"spec":{"workload":"w","endpoint":"e","allowedIps":["10.0.0.9/32"]},)"
      R"("extra":[1]})");

  Resource replacement = make_resource(kinds::kWorkloadEndpoint, "n", "openstack");
  replacement.spec()["workload"] = "other";
  carry_unknown_members(*resource, replacement);
  EXPECT_THAT(encode_stored(replacement), HasSubstr(R"("spec":{"workload":"other","allowedIps":["10.0.0.9/32"]})"));
}

TEST(ResourceEncoding, StoredValuesRoundTrip) {
  for (const EncodingCase& c : kEncodings) {
    const std::string first = stored("apiVersion: projectcalico.org/v3\n" + std::string(c.yaml));
    const Kind* kind = find_kind(first.substr(9, first.find('"', 9) - 9));
    ASSERT_NE(kind, nullptr) << first;
    const auto again = decode_stored(*kind, first);
    ASSERT_TRUE(again) << c.name << again.error().text();
    EXPECT_EQ(encode_stored(*again), first) << c.name;
  }
}

struct ErrorCase {
  std::string_view name, yaml, text;
};

// What the upstream test-suite looks for (spec cli §2.2, §7, §14 #24).
constexpr ErrorCase kDecodeErrors[] = {
    {"wrong boolean",
     "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/8, disabled: 'True'}",
     "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go struct field "
     "IPPoolSpec.spec.disabled of type bool"},
    {"AS number too large",
     "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {asNumber: 4294967296}",
     "cannot unmarshal number into Go struct field BGPPeerSpec.spec.asNumber of type string"},
    {"AS number not a number",
     "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {aaa: 1, asNumber: x}",
     "invalid AS Number format (x)"},
    {"port too large",
     "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, "
     "destination: {ports: [65536]}}]}",
     "cannot unmarshal number 65536 into Go struct field EntityRule.spec.ingress.destination.ports of type uint16"},
    {"port range too large",
     "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: "
     "{ports: ['1:65536']}}]}",
     "invalid maximum port number in range (1:65536)"},
    {"port range reversed",
     "apiVersion: projectcalico.org/v3\nkind: Profile\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: "
     "{ports: ['65535:1']}}]}",
     "minimum port number (65535) is greater than maximum port number (1) in port range"},
    {"unknown member", "apiVersion: projectcalico.org/v3\nkind: BGPPeer\nmetadata: {name: p}\nspec: {unknown: 1}",
     "unknown field \"unknown\""},
    {"wrong version", "apiVersion: v7\nkind: BGPPeer\nmetadata: {name: p}",
     "unknown resource type (BGPPeer) and/or version (v7)"},
    {"no kind", "apiVersion: projectcalico.org/v3\nmetadata: {name: p}",
     "unknown resource type () and/or version (projectcalico.org/v3)"},
    {"empty document", "# nothing\n", "unknown resource type () and/or version ()"},
    {"repeated member", "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: a, name: b}",
     "already set in map"},
    {"bad duration",
     "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: p}\nspec: {reportingInterval: 5}",
     "cannot unmarshal number into Go struct field FelixConfigurationSpec.spec.reportingInterval of type string"},
    {"bad duration text",
     "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: p}\nspec: {reportingInterval: 5 "
     "apples}",
     "time: invalid duration \"5 apples\""},
    {"a list where an object belongs", "apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: p}\nspec: []",
     "cannot unmarshal array into Go struct field Node.spec of type v3.NodeSpec"},
};

TEST(ResourceDecoding, ReportsWhatUpstreamReports) {
  for (const ErrorCase& c : kDecodeErrors) {
    const auto resource = decode_yaml(c.yaml);
    ASSERT_FALSE(resource) << c.name;
    EXPECT_THAT(resource.error().text(), HasSubstr(c.text)) << c.name;
  }
}

constexpr ErrorCase kValidationErrors[] = {
    {"peer address", "kind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: 999.1.1.1, asNumber: 1}",
     "error with field PeerIP = '999.1.1.1' (Reason: failed to validate Field: PeerIP because of Tag: IP:port )"},
    {"empty name", "kind: Node\nmetadata: {}\nspec: {}",
     "error with field Metadata.Name = '' (name must consist of lower case"},
    {"policy name gets both rules", "kind: GlobalNetworkPolicy\nmetadata: {name: Abc}\nspec: {}",
     "error with the following fields:\n-  Metadata.Name = 'Abc' (name must consist of lower case alphanumeric "
     "characters, '-' or '.' "},
    {"three labels in a policy name", "kind: NetworkPolicy\nmetadata: {name: a.b.c, namespace: n}\nspec: {}",
     "name must consist of lower case alphanumeric characters or '-' (regex: "},
    {"action", "kind: Profile\nmetadata: {name: p}\nspec: {ingress: [{action: jump}]}",
     "Action = 'jump' (Reason: failed to validate Field: Action because of Tag: action )"},
    {"interface too long", "kind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n, interfaceName: abcdefghijklmnop}",
     "InterfaceName = 'abcdefghijklmnop' (Reason: failed to validate Field: InterfaceName because of Tag: interface )"},
    {"neither interface nor address", "kind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n}",
     "no interface or expected IPs have been specified"},
    {"no node", "kind: HostEndpoint\nmetadata: {name: h}\nspec: {interfaceName: eth0}", "no node has been specified"},
    {"bad selector", "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {selector: 'a ='}",
     "Selector = 'a =' (Reason: failed to validate Field: Selector because of Tag: selector )"},
    {"ports without protocol",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, protocol: ICMP, source: {ports: "
     "[1]}}]}",
     "Source.Ports = '[1]' (rules that specify ports must set protocol to TCP or UDP or SCTP)"},
    {"bare address in a rule",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: {nets: [10.0.0.1]}}]}",
     "error with field Source.Nets = '10.0.0.1' (invalid CIDR)"},
    {"two families in a rule",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: {nets: [10.0.0.0/8, "
     "'fd00::/8']}}]}",
     "rule contains both IPv4 and IPv6 CIDRs"},
    {"catch-all in notNets",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: {notNets: "
     "[0.0.0.0/0]}}]}",
     "catch-all CIDR in negation creates logical contradiction (matches no traffic)"},
    {"ICMP code without type",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, protocol: ICMP, icmp: {code: "
     "3}}]}",
     "ICMP code specified without an ICMP type"},
    {"ICMP type too large",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, protocol: ICMP, icmp: {type: "
     "256}}]}",
     "Type = '256' (Reason: failed to validate Field: Type because of Tag: lte )"},
    {"preDNAT with egress",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {preDNAT: true, applyOnForward: true, egress: [{action: "
     "Allow}]}",
     "PreDNAT PolicySpec cannot have any EgressRules"},
    {"applyOnForward missing", "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {doNotTrack: true}",
     "applyOnForward must be true if either preDNAT or doNotTrack is true"},
    {"type twice", "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {types: [Ingress, Ingress]}",
     "'Ingress' type specified more than once"},
    {"fixed tier", "kind: Tier\nmetadata: {name: default}\nspec: {order: 5}",
     "TierSpec.Order = '5' (default tier order must be 1e+06)"},
    {"tier name with a dot", "kind: Tier\nmetadata: {name: a.b}\nspec: {}",
     "name must consist of lower case alphanumeric characters or '-'"},
    {"empty node BGP", "kind: Node\nmetadata: {name: n}\nspec: {bgp: {}}",
     "error with field BGP (Spec.BGP should not be empty)"},
    {"pool with host bits", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 'fd5f::1/120'}",
     "error with field IPPool.Spec.CIDR = 'fd5f::/120' (IPPool CIDR is not strictly masked)"},
    {"pool too small", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/27}",
     "IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the block size."},
    {"pool without CIDR", "kind: IPPool\nmetadata: {name: p}\nspec: {}",
     "IPPool.Spec.CIDR = '' (IPPool CIDR must be specified)"},
    {"pool CIDR nonsense", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.256/24}",
     "(IPPool CIDR must be a valid subnet)"},
    {"link-local pool", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 169.254.1.0/24}",
     "IPPool CIDR overlaps with IPv4 Link Local range 169.254.0.0/16"},
    {"both encapsulations",
     "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.0.0.0/16, ipipMode: Always, vxlanMode: Always}",
     "Cannot enable both VXLAN and IPIP on the same IPPool"},
    {"IPIP on IPv6", "kind: IPPool\nmetadata: {name: p}\nspec: {cidr: 'fd00::/112', ipipMode: Always}",
     "IPIP is not supported on an IPv6 IP pool"},
    {"mesh setting outside default", "kind: BGPConfiguration\nmetadata: {name: other}\nspec: {asNumber: 1}",
     "error with field BGPConfiguration.Spec.ASNumber = '1' (Cannot set ASNumber on a non default BGP Configuration.)"},
    {"unused communities",
     "kind: BGPConfiguration\nmetadata: {name: default}\nspec: {communities: [{name: a, value: '1:2'}]}",
     "communities are defined but not used in Spec.PrefixAdvertisement[]."},
    {"node and selector",
     "kind: BGPPeer\nmetadata: {name: p}\nspec: {node: n, nodeSelector: all(), peerIP: 1.2.3.4, asNumber: 1}",
     "node and nodeSelector cannot both be set"},
    {"enumeration", "kind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: 1.2.3.4, asNumber: 1, nextHopMode: Never}",
     "error with field spec.nextHopMode (Unsupported value: \"Never\": supported values: \"Auto\", \"Self\", "
     "\"Keep\")"},
    {"filter rule without action", "kind: BGPFilter\nmetadata: {name: f}\nspec: {importV4: [{source: RemotePeers}]}",
     "action"},
    {"filter with half a prefix",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {importV4: [{action: Accept, cidr: 10.0.0.0/8}]}",
     "MatchOperator cannot be empty when CIDR is set"},
    {"filter of the other family",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {importV6: [{action: Accept, cidr: 10.0.0.0/8, matchOperator: In}]}",
     "because of Tag: netv6"},
    {"filter interface",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {exportV4: [{action: Reject, interface: 'e th'}]}",
     "because of Tag: bgpFilterInterface"},
    {"operation with Reject",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {exportV4: [{action: Reject, operations: [{setPriority: {value: "
     "1}}]}]}",
     "operations can only be used with action Accept"},
    {"two operations in one",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {exportV4: [{action: Accept, operations: [{setPriority: {value: 1}, "
     "addCommunity: {value: '1:1'}}]}]}",
     "exactly one of addCommunity, prependASPath and setPriority"},
    {"community of more than 16 bits",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {exportV4: [{action: Accept, communities: {values: ['65536:1']}}]}",
     "invalid community value or format used."},
    {"set with reserved label",
     "kind: GlobalNetworkSet\nmetadata: {name: s, labels: {projectcalico.org/namespace: x}}\nspec: {}",
     "projectcalico.org/namespace is not a valid label name"},
    {"bad label", "kind: GlobalNetworkSet\nmetadata: {name: s, labels: {'a b': x}}\nspec: {}",
     "Metadata.Labels (label) = 'a b'"},
    {"Felix selector on default", "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {nodeSelector: all()}",
     "nodeSelector must not be set on the 'default' or per-node ('node.*') FelixConfiguration"},
    {"Felix region", "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {openstackRegion: Region/1}",
     "must be a valid DNS label"},
    {"Felix word", "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {defaultEndpointToHostAction: drop}",
     "DefaultEndpointToHostAction = 'drop' (Reason: failed to validate Field: DefaultEndpointToHostAction because of "
     "Tag: dropAcceptReturn )"},
    {"endpoint name",
     "kind: WorkloadEndpoint\nmetadata: {name: x, namespace: n}\nspec: {node: a, orchestrator: o, workload: w, "
     "endpoint: e, interfaceName: t}",
     "error with field Name = 'x' (the WorkloadEndpoint name does not match the primary identifiers assigned in the "
     "Spec: expected name a-o-w-e)"},
    {"endpoint without node",
     "kind: WorkloadEndpoint\nmetadata: {name: x, namespace: n}\nspec: {orchestrator: o, workload: w, endpoint: e, "
     "interfaceName: t}",
     "error with field node (field should be assigned)"},
    {"endpoint without workload",
     "kind: WorkloadEndpoint\nmetadata: {name: x, namespace: n}\nspec: {node: a, orchestrator: o, endpoint: e, "
     "interfaceName: t}",
     "error with field workload = '' (field should be assigned)"},
    {"endpoint network",
     "kind: WorkloadEndpoint\nmetadata: {namespace: n}\nspec: {node: a, orchestrator: o, workload: w, endpoint: e, "
     "interfaceName: t, ipNetworks: [10.0.0.0/24]}",
     "IP network contains multiple addresses"},
    {"named port of a host endpoint without ports",
     "kind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n, interfaceName: eth0, ports: [{name: a, protocol: ICMP, "
     "port: 1}]}",
     "error with field Port.Protocol = 'ICMP' (a named port needs protocol TCP, UDP or SCTP)"},
    {"named port of a workload without ports",
     "kind: WorkloadEndpoint\nmetadata: {namespace: n}\nspec: {node: a, orchestrator: o, workload: w, endpoint: e, "
     "interfaceName: t, ports: [{name: a, protocol: UDPLite, port: 1}]}",
     "error with field Port.Protocol = 'UDPLite'"},
    {"http over a protocol number",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, protocol: 6, http: {methods: "
     "[GET]}}]}",
     "rules with HTTP match must set protocol to TCP"},
    {"annotation of a rule",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, metadata: {annotations: {'a b': "
     "c}}}]}",
     "error with field Metadata.Annotations (key) = 'a b'"},
    {"global() for service accounts",
     "kind: NetworkPolicy\nmetadata: {name: p, namespace: n}\nspec: "
     "{serviceAccountSelector: global()}",
     "error with field ServiceAccountSelector = 'global()'"},
    {"global() for the namespaces of a policy",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {namespaceSelector: global()}",
     "error with field NamespaceSelector = 'global()'"},
    {"bare address to announce",
     "kind: BGPConfiguration\nmetadata: {name: default}\nspec: {serviceClusterIPs: [{cidr: 10.0.0.0}]}",
     "error with field CIDR = '10.0.0.0' (invalid CIDR value.)"},
    {"bare address in a filter",
     "kind: BGPFilter\nmetadata: {name: f}\nspec: {exportV4: [{action: Accept, cidr: 10.0.0.0, matchOperator: In}]}",
     "CIDR = '10.0.0.0' (invalid CIDR value.)"},
    {"negative Felix duration",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {routeRefreshInterval: -5s}",
     "spec.routeRefreshInterval in body should match"},
    {"Felix duration below a millisecond",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {reportingTTL: 5us}",
     "spec.reportingTTL in body should match"},
    {"negative timeout",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {healthTimeoutOverrides: [{name: a, timeout: -5s}]}",
     "must not be negative"},
    {"timeout of nothing",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {healthTimeoutOverrides: [{name: '', timeout: 5s}]}",
     "name must be set"},
};

TEST(ResourceValidation, ReportsWhatUpstreamReports) {
  for (const ErrorCase& c : kValidationErrors) {
    EXPECT_THAT(stored("apiVersion: projectcalico.org/v3\n" + std::string(c.yaml)), HasSubstr(c.text)) << c.name;
  }
}

constexpr ErrorCase kAccepted[] = {
    {"unparsed Felix selector", "kind: FelixConfiguration\nmetadata: {name: scoped}\nspec: {nodeSelector: 'x =='}", ""},
    {"unchecked failsafe ports",
     "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {failsafeOutboundHostPorts: [{protocol: XYZ, net: "
     "x}]}",
     ""},
    {"fractional duration", "kind: FelixConfiguration\nmetadata: {name: default}\nspec: {reportingInterval: 1500ms}",
     ""},
    {"AS number above 2^31",
     "kind: BGPPeer\nmetadata: {name: p}\nspec: {peerIP: '[2001:db8::1]:1790', asNumber: 4200000000}", ""},
    {"long label in a policy name",
     "kind: GlobalNetworkPolicy\nmetadata: {name: "
     "a123456789-b123456789-c123456789-d123456789-e123456789-f123456789-g.x}"
     "\nspec: {}",
     ""},
    {"host endpoint's port by protocol number",
     "kind: HostEndpoint\nmetadata: {name: h}\nspec: {node: n, interfaceName: eth0, ports: [{name: a, protocol: 132, "
     "port: 1}]}",
     ""},
    {"MAC address with dots",
     "kind: WorkloadEndpoint\nmetadata: {namespace: n}\nspec: {node: a, orchestrator: o, workload: w, endpoint: e, "
     "interfaceName: t, mac: fa16.3e00.1122}",
     ""},
    {"generated policy name",
     "kind: NetworkPolicy\nmetadata: {name: ossg.default.8f1c0d5a-5b0e, namespace: openstack}\nspec: {}", ""},
    {"named port without protocol",
     "kind: GlobalNetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{action: Allow, source: {ports: [http]}}]}", ""},
};

TEST(ResourceValidation, AcceptsWhatUpstreamAccepts) {
  for (const ErrorCase& c : kAccepted) {
    EXPECT_THAT(stored("apiVersion: projectcalico.org/v3\n" + std::string(c.yaml)), testing::StartsWith("{\"kind\""))
        << c.name;
  }
}

TEST(Resource, PolicyNameAnnotationIsRemovedOnRead) {
  auto policy = decode_stored(
      kinds::kGlobalNetworkPolicy,
      R"({"metadata":{"name":"default.p","annotations":{"projectcalico.org/metadata":"{\"name\":\"p\"}"}},"spec":{}})");
  ASSERT_TRUE(policy && restore_policy_name(*policy));
  EXPECT_EQ(policy->name(), "p");
  EXPECT_EQ(policy->annotations(), nullptr);

  auto legacy = decode_stored(kinds::kGlobalNetworkPolicy, R"({"metadata":{"name":"default.p"},"spec":{}})");
  ASSERT_TRUE(legacy && restore_policy_name(*legacy));
  EXPECT_EQ(legacy->name(), "p");

  auto neutron = decode_stored(kinds::kNetworkPolicy,
                               R"({"metadata":{"name":"ossg.default.a","namespace":"openstack"},"spec":{}})");
  ASSERT_TRUE(neutron && restore_policy_name(*neutron));
  EXPECT_EQ(neutron->name(), "ossg.default.a");

  auto broken =
      decode_stored(kinds::kGlobalNetworkPolicy,
                    R"({"metadata":{"name":"p","annotations":{"projectcalico.org/metadata":"{"}},"spec":{}})");
  ASSERT_TRUE(broken);
  EXPECT_FALSE(restore_policy_name(*broken));
}

TEST(Resource, PoolChangesAreRefused) {
  const auto pool = [](std::string_view spec) {
    return *decode_stored(kinds::kIpPool, R"({"metadata":{"name":"p"},"spec":)" + std::string(spec) + "}");
  };
  Problems problems;
  kinds::kIpPool.check_change(pool(R"({"cidr":"10.0.0.0/16","blockSize":26})"),
                              pool(R"({"cidr":"10.1.0.0/16","blockSize":27})"), problems);
  EXPECT_EQ(to_string(problems.take()),
            "error with the following fields:\n-  IPPool.Spec.CIDR = '10.1.0.0/16' (IPPool CIDR cannot be modified)\n"
            "-  IPPool.Spec.BlockSize = '27' (IPPool BlockSize cannot be modified)\n");
  kinds::kIpPool.check_change(pool(R"({"cidr":"FD00::/112","blockSize":122})"),
                              pool(R"({"cidr":"fd00::/112","blockSize":122})"), problems);
  EXPECT_TRUE(problems.empty());
}

TEST(Resource, KeysAreParsed) {
  EXPECT_EQ(resource_key(kinds::kNetworkPolicy, "openstack", "p"),
            "/calico/resources/v3/projectcalico.org/networkpolicies/openstack/p");
  EXPECT_EQ(resource_key(kinds::kIpPool, "ignored", "p"), "/calico/resources/v3/projectcalico.org/ippools/p");
  const auto key = parse_resource_key("/calico/resources/v3/projectcalico.org/networkpolicies/openstack/p");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->kind, &kinds::kNetworkPolicy);
  EXPECT_EQ(key->ns, "openstack");
  EXPECT_EQ(key->name, "p");
  EXPECT_FALSE(parse_resource_key("/calico/resources/v3/projectcalico.org/ippools/a/b"));
  EXPECT_FALSE(parse_resource_key("/calico/ipam/v2/config"));
}

TEST(Resource, KindsAreSortedDescribedAndFound) {
  for (std::size_t i = 1; i < all_kinds().size(); ++i) EXPECT_LT(all_kinds()[i - 1]->name, all_kinds()[i]->name);
  for (const Kind* kind : all_kinds()) {
    EXPECT_FALSE(kind->doc.empty()) << kind->name;
    for (const Field& field : kind->spec->fields) EXPECT_FALSE(field.doc.empty()) << kind->name << "." << field.name;
  }
  EXPECT_EQ(find_kind_by_alias("Pols"), &kinds::kNetworkPolicy);
  EXPECT_EQ(find_kind_by_alias("netset"), nullptr);
  EXPECT_EQ(find_kind_by_alias(""), nullptr);
}

TEST(Resource, ExplainsKindsAndFields) {
  const auto pool = explain(kinds::kIpPool, "");
  ASSERT_TRUE(pool);
  EXPECT_THAT(*pool, HasSubstr("  cidr  <string>\n"));
  const auto as_number = explain(kinds::kNode, "spec.BGP.asNumber");
  ASSERT_TRUE(as_number);
  EXPECT_THAT(*as_number, HasSubstr("AS number of the node."));
  EXPECT_EQ(explain(kinds::kNode, "bgp.nothing").error().text(), "Node has no field 'bgp.nothing'");
}

}  // namespace
}  // namespace model
