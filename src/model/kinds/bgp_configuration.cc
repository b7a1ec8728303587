// BGPConfiguration (spec datamodel §4.15; spec cli §6.3, §7.4).

#include <set>
#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "model/resource_text.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kCidrFields[] = {
    {.name = "cidr", .doc = "Addresses to announce.", .check = Check::kNet},
};

// The validator takes a bare address, the schema's format does not.
void check_cidr_block(const json::object& value, Problems& problems) {
  const std::string cidr(text_of(value, "cidr"));
  if (base::parse_address(cidr)) problems.add("CIDR", cidr, "invalid CIDR value.");
}
constexpr Struct kCidrBlock = {.go_type = "ServiceIPBlock", .fields = kCidrFields, .check = check_cidr_block};

constexpr Field kCommunityFields[] = {
    {.name = "name", .doc = "Name to use in prefixAdvertisements.", .required = true},
    {.name = "value", .doc = "a:b with 16-bit or a:b:c with 32-bit numbers.", .required = true},
};
constexpr Struct kCommunity = {.go_type = "Community", .fields = kCommunityFields};

constexpr Field kAdvertisementFields[] = {
    {.name = "cidr", .doc = "Routes within this CIDR carry the communities.", .required = true},
    {.name = "communities", .doc = "Values, or names defined in communities.", .list = true},
};
constexpr Struct kAdvertisement = {.go_type = "PrefixAdvertisement", .fields = kAdvertisementFields};

constexpr Field kSpecFields[] = {
    {.name = "logSeverityScreen",
     .doc = "Log level of the BGP daemon.",
     .check = Check::kLogLevel,
     .words = "Trace/Debug/Info/Warning/Error/Fatal",
     .words_ignore_case = true,
     .default_json = "\"Info\""},
    {.name = "nodeToNodeMeshEnabled",
     .type = FieldType::kBool,
     .doc = "Every node peers with every other node. Only in `default`.",
     .presence = Presence::kOmitAbsent,
     .when_absent = "true"},
    {.name = "asNumber",
     .type = FieldType::kAsNumber,
     .doc = "AS number of nodes that have none of their own. Only in `default`.",
     .presence = Presence::kOmitAbsent,
     .when_absent = "64512"},
    {.name = "serviceLoadBalancerIPs",
     .type = FieldType::kStruct,
     .doc = "Kubernetes load balancer addresses to announce. Only in `default`.",
     .members = &kCidrBlock,
     .list = true},
    {.name = "serviceExternalIPs",
     .type = FieldType::kStruct,
     .doc = "Kubernetes external addresses to announce. Only in `default`.",
     .members = &kCidrBlock,
     .list = true},
    {.name = "serviceClusterIPs",
     .type = FieldType::kStruct,
     .doc = "Kubernetes cluster addresses to announce. Only in `default`.",
     .members = &kCidrBlock,
     .list = true},
    {.name = "serviceLoadBalancerAggregation",
     .doc = "Whether load balancer addresses are announced as their CIDR.",
     .presence = Presence::kOmitAbsent,
     .words = "Enabled/Disabled",
     .default_json = "\"Enabled\""},
    {.name = "communities",
     .type = FieldType::kStruct,
     .doc = "Named communities.",
     .members = &kCommunity,
     .list = true},
    {.name = "prefixAdvertisements",
     .type = FieldType::kStruct,
     .doc = "Communities to attach to announced routes.",
     .members = &kAdvertisement,
     .list = true},
    {.name = "listenPort",
     .type = FieldType::kInt,
     .doc = "Port the BGP daemon listens on.",
     .width = IntWidth::kUint16,
     .min = 1,
     .max = 65535,
     .when_absent = "179"},
    {.name = "nodeMeshPassword",
     .type = FieldType::kStruct,
     .doc = "TCP MD5 password of the mesh. Only in `default`, with the mesh enabled.",
     .members = &kSecretReference,
     .presence = Presence::kOmitAbsent},
    {.name = "nodeMeshMaxRestartTime",
     .type = FieldType::kDuration,
     .doc = "How long mesh peers keep routes of a restarting node. Only in `default`, with the mesh enabled.",
     .presence = Presence::kOmitAbsent},
    {.name = "bindMode",
     .doc = "None: listen on all addresses. NodeIP: on the node's BGP address only.",
     .presence = Presence::kOmitAbsent,
     .words = "None/NodeIP",
     .when_absent = "None"},
    {.name = "ignoredInterfaces",
     .doc = "Interfaces whose addresses are not announced; * is a wildcard.",
     .list = true,
     .check = Check::kIgnoredInterface},
    {.name = "localWorkloadPeeringIPV4", .doc = "Address that workloads peer with.", .check = Check::kIpV4},
    {.name = "localWorkloadPeeringIPV6", .doc = "IPv6 address that workloads peer with.", .check = Check::kIpV6},
    {.name = "programClusterRoutes",
     .doc = "Whether the BGP daemon programs routes between nodes into the kernel.",
     .presence = Presence::kOmitAbsent,
     .words = "Enabled/Disabled",
     .when_absent = "Enabled"},
    {.name = "ipv4NormalRoutePriority",
     .type = FieldType::kInt,
     .doc = "Kernel metric of IPv4 workload routes.",
     .presence = Presence::kOmitAbsent,
     .min = 1,
     .max = 2147483646,
     .when_absent = "1024"},
    {.name = "ipv6NormalRoutePriority",
     .type = FieldType::kInt,
     .doc = "Kernel metric of IPv6 workload routes.",
     .presence = Presence::kOmitAbsent,
     .min = 1,
     .max = 2147483646,
     .when_absent = "1024"},
};
constexpr Struct kSpec = {.go_type = "BGPConfigurationSpec", .fields = kSpecFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "LOGSEVERITY", .path = "spec.logSeverityScreen"},
    {.heading = "MESHENABLED", .path = "spec.nodeToNodeMeshEnabled", .style = CellStyle::kDash},
    {.heading = "ASNUMBER", .path = "spec.asNumber", .style = CellStyle::kDash},
};

struct DefaultOnly {
  std::string_view member;
  std::string_view field;
  std::string_view word;  // as the reason spells it
};
constexpr DefaultOnly kDefaultOnly[] = {
    {"nodeToNodeMeshEnabled", "NodeToNodeMeshEnabled", "nodeToNodeMeshEnabled"},
    {"asNumber", "ASNumber", "ASNumber"},
    {"serviceLoadBalancerIPs", "ServiceLoadBalancerIPs", "ServiceLoadBalancerIPs"},
    {"serviceExternalIPs", "ServiceExternalIPs", "ServiceExternalIPs"},
    {"serviceClusterIPs", "ServiceClusterIPs", "ServiceClusterIPs"},
    {"nodeMeshPassword", "NodeMeshPassword", "nodeMeshPassword"},
    {"nodeMeshMaxRestartTime", "NodeMeshMaxRestartTime", "nodeMeshMaxRestartTime"},
};

// Client-level: refused before the validators run.
void complete_configuration(Resource& resource, WriteReason, Problems& problems) {
  if (resource.name() == "default") return;
  for (const DefaultOnly& rule : kDefaultOnly) {
    const json::value* value = resource.spec().if_contains(rule.member);
    if (value == nullptr) continue;
    problems.add("BGPConfiguration.Spec." + std::string(rule.field),
                 value->is_string() ? std::string(value->get_string().c_str()) : to_go_json(*value),
                 "Cannot set " + std::string(rule.word) + " on a non default BGP Configuration.");
  }
}

void check_communities(const json::object& spec, Problems& problems) {
  std::set<std::string> names;
  const json::value* communities = spec.if_contains("communities");
  const json::value* advertisements = spec.if_contains("prefixAdvertisements");
  const bool advertised = advertisements != nullptr && !advertisements->get_array().empty();
  if (communities != nullptr) {
    for (const json::value& community : communities->get_array()) {
      const std::string_view value = text_of(community.get_object(), "value");
      names.emplace(text_of(community.get_object(), "name"));
      if (!is_community(value))
        problems.add("Spec.Communities[].Value", std::string(value), "invalid community value or format used.");
    }
    if (!names.empty() && !advertised) {
      problems.add("Spec.Communities[]", {}, "communities are defined but not used in Spec.PrefixAdvertisement[].");
    }
  }
  if (!advertised) return;
  for (const json::value& advertisement : advertisements->get_array()) {
    const std::string cidr(text_of(advertisement.get_object(), "cidr"));
    if (!base::parse_cidr(cidr)) problems.add("Spec.PrefixAdvertisements[].CIDR", cidr, "invalid CIDR value.");
    const json::value* used = advertisement.get_object().if_contains("communities");
    if (used == nullptr) continue;
    for (const json::value& community : used->get_array()) {
      const std::string text = community.get_string().c_str();
      if (!is_community(text) && !names.contains(text)) {
        problems.add("Spec.PrefixAdvertisements[].Communities[]", text, "community used is invalid or not defined.");
      }
    }
  }
}

void check_configuration(const Resource& resource, Problems& problems) {
  const json::object& spec = resource.spec();
  check_communities(spec, problems);
  const json::value* mesh = spec.if_contains("nodeToNodeMeshEnabled");
  if (mesh == nullptr || !mesh->is_bool() || mesh->get_bool()) return;
  for (const auto& [member, field] : {std::pair("nodeMeshPassword", "NodeMeshPassword"),
                                      std::pair("nodeMeshMaxRestartTime", "NodeMeshMaxRestartTime")}) {
    if (spec.contains(member)) {
      problems.add("spec." + std::string(field), {},
                   "spec." + std::string(field) + " cannot be set if spec.NodeToNodeMesh is disabled");
    }
  }
}

}  // namespace

const Kind kBgpConfiguration = {
    .name = "BGPConfiguration",
    .plural = "bgpconfigurations",
    .aliases = "bgpconfiguration bgpconfigurations bgpconfig bgpconfigs",
    .doc = "BGP settings of all nodes (`default`) or of one (`node.<name>`).",
    .spec = &kSpec,
    .columns = kColumns,
    .ps = "NAME LOGSEVERITY MESHENABLED ASNUMBER",
    .wide = "NAME LOGSEVERITY MESHENABLED ASNUMBER",
    .complete = complete_configuration,
    .check = check_configuration,
};

}  // namespace model::kinds
