// Node (spec datamodel §4.10; columns spec cli §5).

#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "model/resource_text.h"

namespace model::kinds {
namespace {

constexpr Field kBgpFields[] = {
    {.name = "asNumber",
     .type = FieldType::kAsNumber,
     .doc = "AS number of the node.",
     .presence = Presence::kOmitAbsent,
     .when_absent = "the AS number of BGPConfiguration default, or 64512"},
    {.name = "ipv4Address",
     .doc = "Address the node uses for BGP, with its subnet's prefix length.",
     .check = Check::kCidrV4},
    {.name = "ipv6Address",
     .doc = "IPv6 address the node uses for BGP, with its subnet's prefix length.",
     .check = Check::kCidrV6},
    {.name = "ipv4IPIPTunnelAddr",
     .doc = "Address of the IP-in-IP device; written by the tunnel allocator.",
     .check = Check::kIpV4},
    {.name = "routeReflectorClusterID",
     .doc = "Makes the node a route reflector of this cluster ID.",
     .check = Check::kIpV4},
};
constexpr Struct kBgp = {.go_type = "NodeBGPSpec", .fields = kBgpFields};

constexpr Field kOrchRefFields[] = {
    {.name = "nodeName", .doc = "The node's name there."},
    {.name = "orchestrator", .doc = "Name of the orchestrator.", .presence = Presence::kAlways},
};
constexpr Struct kOrchRef = {.go_type = "OrchRef", .fields = kOrchRefFields};

constexpr Field kWireguardFields[] = {
    {.name = "interfaceIPv4Address", .doc = "IPv4 address of the WireGuard device.", .check = Check::kIpV4},
    {.name = "interfaceIPv6Address", .doc = "IPv6 address of the WireGuard device.", .check = Check::kIpV6},
};
constexpr Struct kWireguard = {.go_type = "NodeWireguardSpec", .fields = kWireguardFields};

// Upstream declares checks on these two lists but does not descend into them.
constexpr Field kAddressFields[] = {
    {.name = "address", .doc = "Address or CIDR.", .presence = Presence::kAlways},
    {.name = "type", .doc = "CalicoNodeIP, InternalIP or ExternalIP."},
};
constexpr Struct kAddress = {.go_type = "NodeAddress", .fields = kAddressFields};
constexpr Field kInterfaceFields[] = {
    {.name = "name", .doc = "Name of the interface."},
    {.name = "addresses", .doc = "Its addresses.", .list = true},
};
constexpr Struct kInterface = {.go_type = "NodeInterface", .fields = kInterfaceFields};

constexpr Field kSpecFields[] = {
    {.name = "bgp",
     .type = FieldType::kStruct,
     .doc = "BGP settings of the node; without them it does not take part in BGP.",
     .members = &kBgp,
     .presence = Presence::kOmitAbsent,
     .go_name = "BGP"},
    {.name = "ipv4VXLANTunnelAddr",
     .doc = "IPv4 address of the VXLAN device; written by the tunnel allocator.",
     .check = Check::kIpV4},
    {.name = "vxlanTunnelMACAddr", .doc = "MAC address of the IPv4 VXLAN device.", .check = Check::kMac},
    {.name = "ipv6VXLANTunnelAddr",
     .doc = "IPv6 address of the VXLAN device; written by the tunnel allocator.",
     .check = Check::kIpV6},
    {.name = "vxlanTunnelMACAddrV6", .doc = "MAC address of the IPv6 VXLAN device.", .check = Check::kMac},
    {.name = "orchRefs",
     .type = FieldType::kStruct,
     .doc = "Names of the node in orchestrators.",
     .members = &kOrchRef,
     .list = true},
    {.name = "wireguard",
     .type = FieldType::kStruct,
     .doc = "WireGuard addresses of the node.",
     .members = &kWireguard,
     .presence = Presence::kOmitAbsent},
    {.name = "addresses",
     .type = FieldType::kStruct,
     .doc = "Addresses of the node.",
     .members = &kAddress,
     .list = true},
    {.name = "interfaces",
     .type = FieldType::kStruct,
     .doc = "Interfaces of the node.",
     .members = &kInterface,
     .list = true},
};
constexpr Struct kSpec = {.go_type = "NodeSpec", .fields = kSpecFields};

constexpr Field kStatusFields[] = {
    {.name = "wireguardPublicKey",
     .doc = "WireGuard key of the node for IPv4; written by the agent.",
     .check = Check::kWireguardPublicKey},
    {.name = "wireguardPublicKeyV6",
     .doc = "WireGuard key of the node for IPv6; written by the agent.",
     .check = Check::kWireguardPublicKey},
    {.name = "podCIDRs", .doc = "Used with Kubernetes only.", .list = true},
};
constexpr Struct kStatus = {.go_type = "NodeStatus", .fields = kStatusFields};

std::string as_number_cell(const Resource& resource, std::string_view default_as_number) {
  const boost::json::value* bgp = resource.spec().if_contains("bgp");
  if (bgp == nullptr) return {};
  const boost::json::value* number = bgp->get_object().if_contains("asNumber");
  return number != nullptr ? to_go_json(*number) : "(" + std::string(default_as_number) + ")";
}

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "ASN", .style = CellStyle::kCustom, .cell = as_number_cell},
    {.heading = "IPV4", .path = "spec.bgp.ipv4Address"},
    {.heading = "IPV6", .path = "spec.bgp.ipv6Address"},
};

void check_node(const Resource& resource, Problems& problems) {
  const boost::json::value* bgp = resource.spec().if_contains("bgp");
  if (bgp != nullptr && bgp->get_object().empty()) problems.add("BGP", {}, "Spec.BGP should not be empty");
}

}  // namespace

const Kind kNode = {
    .name = "Node",
    .plural = "nodes",
    .aliases = "node nodes no nos",
    .doc = "A host that runs the agent: its addresses and its place in BGP.",
    .spec = &kSpec,
    .status = &kStatus,
    .status_presence = Presence::kAlways,
    .has_schema = false,
    .columns = kColumns,
    .ps = "NAME",
    .wide = "NAME ASN IPV4 IPV6",
    .check = check_node,
};

}  // namespace model::kinds
