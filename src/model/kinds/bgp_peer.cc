// BGPPeer (spec datamodel §4.15; spec cli §6.7, §7.5), and the secret reference it shares with BGPConfiguration.

#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kKeyFields[] = {
    {.name = "name", .doc = "Name of the secret.", .strict_text = true},
    {.name = "key", .doc = "Key within the secret.", .presence = Presence::kAlways},
    {.name = "optional",
     .type = FieldType::kBool,
     .doc = "Whether the secret may be missing.",
     .presence = Presence::kOmitAbsent},
};
constexpr Field kReferenceFields[] = {
    {.name = "secretKeyRef",
     .type = FieldType::kStruct,
     .doc = "Where the password is kept.",
     .members = &kSecretKeyRef,
     .presence = Presence::kOmitAbsent},
};

constexpr Field kSpecFields[] = {
    {.name = "node",
     .doc = "Node that peers; all nodes if neither node nor nodeSelector is given.",
     .check = Check::kName,
     .max_length = 253},
    {.name = "nodeSelector", .doc = "Nodes that peer.", .check = Check::kSelector, .max_length = 4096},
    {.name = "peerIP",
     .doc = "Address of the peer, with port if it is not 179: 192.0.2.1, 192.0.2.1:1790, [2001:db8::1]:1790.",
     .check = Check::kIpPort,
     .max_length = 64},
    {.name = "asNumber", .type = FieldType::kAsNumber, .doc = "AS number of the peer."},
    {.name = "localASNumber",
     .type = FieldType::kAsNumber,
     .doc = "AS number the node uses towards this peer.",
     .presence = Presence::kOmitAbsent},
    {.name = "peerSelector",
     .doc = "Nodes to peer with, in place of peerIP and asNumber.",
     .check = Check::kSelector,
     .max_length = 4096},
    {.name = "keepOriginalNextHop", .type = FieldType::kBool, .doc = "Deprecated: use nextHopMode: Keep."},
    {.name = "nextHopMode",
     .doc = "Next hop of announced routes.",
     .presence = Presence::kOmitAbsent,
     .words = "Auto/Self/Keep"},
    {.name = "password",
     .type = FieldType::kStruct,
     .doc = "TCP MD5 password of the session.",
     .members = &kSecretReference,
     .presence = Presence::kOmitAbsent},
    {.name = "sourceAddress",
     .doc = "Whether the node's BGP address is used as source.",
     .check = Check::kSourceAddress,
     .words = "UseNodeIP/None",
     .when_absent = "UseNodeIP"},
    {.name = "maxRestartTime",
     .type = FieldType::kDuration,
     .doc = "How long the peer keeps our routes while we restart.",
     .presence = Presence::kOmitAbsent},
    {.name = "keepaliveTime",
     .type = FieldType::kDuration,
     .doc = "Interval of keepalive messages.",
     .presence = Presence::kOmitAbsent},
    {.name = "numAllowedLocalASNumbers",
     .type = FieldType::kInt,
     .doc = "How often our own AS number may stand in a received path.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kInt32},
    {.name = "ttlSecurity",
     .type = FieldType::kInt,
     .doc = "Most hops to the peer, checked by TTL (RFC 5082).",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kUint8,
     .go_name = "TTLSecurity"},
    {.name = "reachableBy", .doc = "Gateway through which the peer is reached; needs peerIP.", .check = Check::kIp},
    {.name = "filters",
     .doc = "BGPFilters that apply to the session, in this order.",
     .list = true,
     .check = Check::kName},
    {.name = "localWorkloadSelector",
     .doc = "Workloads of the node to peer with.",
     .check = Check::kSelector,
     .max_length = 4096},
    {.name = "reversePeering",
     .doc = "Whether a peering selected by peerSelector is configured on the other node, too.",
     .presence = Presence::kOmitAbsent,
     .words = "Auto/Manual",
     .when_absent = "Auto"},
};
constexpr Struct kSpec = {.go_type = "BGPPeerSpec", .fields = kSpecFields};

std::string node_cell(const Resource& resource, std::string_view) {
  const std::string_view node = text_of(resource.spec(), "node");
  if (!node.empty()) return std::string(node);
  const std::string_view selector = text_of(resource.spec(), "nodeSelector");
  return std::string(selector.empty() ? "(global)" : selector);
}

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "PEERIP", .path = "spec.peerIP"},
    {.heading = "NODE", .style = CellStyle::kCustom, .cell = node_cell},
    {.heading = "ASN", .path = "spec.asNumber", .style = CellStyle::kZero},
};

void check_selectors(const json::object& spec, Problems& problems) {
  const auto has = [&](std::string_view member) { return !text_of(spec, member).empty(); };
  const bool has_as_number = number_of(spec, "asNumber").value_or(0) != 0;
  if (has("node") && has("nodeSelector")) {
    problems.add("Node", std::string(text_of(spec, "node")), "Cannot specify both node and nodeSelector");
    problems.add_schema("spec", "node and nodeSelector cannot both be set");
  }
  if (has("peerIP") && has("peerSelector")) {
    problems.add("PeerIP", std::string(text_of(spec, "peerIP")), "Cannot specify both peerIP and peerSelector");
    problems.add_schema("spec", "peerIP and peerSelector cannot both be set");
  }
  if (has_as_number && has("peerSelector")) {
    problems.add("ASNumber", std::to_string(*number_of(spec, "asNumber")),
                 "ASNumber must be empty when peerSelector is specified");
    problems.add_schema("spec", "asNumber must be empty when peerSelector is set");
  }
  if (!has("localWorkloadSelector")) return;
  for (const std::string_view other : {"peerIP", "peerSelector"}) {
    if (has(other)) {
      problems.add("LocalWorkloadSelector", std::string(text_of(spec, "localWorkloadSelector")),
                   "Cannot specify both localWorkloadSelector and " + std::string(other));
    }
  }
  if (!has_as_number)
    problems.add("ASNumber", "0", "ASNumber must be specified when localWorkloadSelector is specified");
}

void check_peer(const Resource& resource, Problems& problems) {
  const json::object& spec = resource.spec();
  check_selectors(spec, problems);
  if (flag_of(spec, "keepOriginalNextHop") && !text_of(spec, "nextHopMode").empty()) {
    problems.add("KeepOriginalNextHop", "true", "Cannot set both keepOriginalNextHop and nextHopMode");
  }
  const std::string reachable(text_of(spec, "reachableBy"));
  if (reachable.empty()) return;
  const std::string_view peer = text_of(spec, "peerIP");
  if (peer.empty()) {
    problems.add("ReachableBy", reachable, "reachableBy needs peerIP");
    return;
  }
  const bool peer_v6 =
      peer.starts_with("[") || base::parse_address(peer).value_or(base::IpAddress()).family() == base::Family::kIpv6;
  const auto gateway = base::parse_address(reachable);
  if (gateway && (gateway->family() == base::Family::kIpv6) != peer_v6) {
    problems.add("ReachableBy", reachable, "reachableBy and peerIP must be of one IP version");
  }
}

}  // namespace

const Struct kSecretKeyRef = {.go_type = "SecretKeySelector", .fields = kKeyFields};
const Struct kSecretReference = {.go_type = "BGPPassword", .fields = kReferenceFields};

const Kind kBgpPeer = {
    .name = "BGPPeer",
    .plural = "bgppeers",
    .aliases = "bgppeer bgppeers bgpp bgpps bp bps",
    .doc = "A BGP session between nodes and a router, or among nodes.",
    .spec = &kSpec,
    .columns = kColumns,
    .ps = "NAME PEERIP NODE ASN",
    .wide = "NAME PEERIP NODE ASN",
    .check = check_peer,
};

}  // namespace model::kinds
