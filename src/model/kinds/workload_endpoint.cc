// WorkloadEndpoint (spec datamodel §4.9, §1.8; spec cli §6.4).

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kNatFields[] = {
    {.name = "internalIP",
     .doc = "Address of the endpoint.",
     .presence = Presence::kAlways,
     .check = Check::kIp,
     .required = true},
    {.name = "externalIP",
     .doc = "Floating address mapped to it.",
     .presence = Presence::kAlways,
     .check = Check::kIp,
     .required = true},
};
constexpr Struct kNat = {.go_type = "IPNAT", .fields = kNatFields};

constexpr Field kPortFields[] = {
    {.name = "name",
     .doc = "Name that rules use in place of a number.",
     .presence = Presence::kAlways,
     .check = Check::kPortName},
    {.name = "protocol", .type = FieldType::kProtocol, .doc = "TCP, UDP or SCTP.", .presence = Presence::kAlways},
    {.name = "port",
     .type = FieldType::kInt,
     .doc = "Port number, 1-65535.",
     .presence = Presence::kAlways,
     .width = IntWidth::kUint16,
     .min = 1,
     .max = 65535},
    {.name = "hostPort",
     .type = FieldType::kInt,
     .doc = "Port of the host mapped to it; not used by the agent.",
     .presence = Presence::kAlways,
     .width = IntWidth::kUint16},
    {.name = "hostIP",
     .doc = "Address of the host for hostPort; not used by the agent.",
     .presence = Presence::kAlways},
};
constexpr Struct kPort = {.go_type = "WorkloadEndpointPort", .fields = kPortFields, .check = check_named_port};

constexpr Field kQosFields[] = {
    {.name = "ingressBandwidth", .type = FieldType::kInt, .doc = "Limit towards the endpoint, bit/s."},
    {.name = "egressBandwidth", .type = FieldType::kInt, .doc = "Limit from the endpoint, bit/s."},
    {.name = "ingressBurst", .type = FieldType::kInt, .doc = "Burst towards the endpoint, bits."},
    {.name = "egressBurst", .type = FieldType::kInt, .doc = "Burst from the endpoint, bits."},
    {.name = "ingressPeakrate", .type = FieldType::kInt, .doc = "Peak rate of a burst towards the endpoint, bit/s."},
    {.name = "egressPeakrate", .type = FieldType::kInt, .doc = "Peak rate of a burst from the endpoint, bit/s."},
    {.name = "ingressMinburst",
     .type = FieldType::kInt,
     .doc = "Smallest burst at the peak rate towards the endpoint, bytes."},
    {.name = "egressMinburst",
     .type = FieldType::kInt,
     .doc = "Smallest burst at the peak rate from the endpoint, bytes."},
    {.name = "ingressPacketRate", .type = FieldType::kInt, .doc = "Limit towards the endpoint, packets/s."},
    {.name = "egressPacketRate", .type = FieldType::kInt, .doc = "Limit from the endpoint, packets/s."},
    {.name = "ingressPacketBurst", .type = FieldType::kInt, .doc = "Burst towards the endpoint, packets."},
    {.name = "egressPacketBurst", .type = FieldType::kInt, .doc = "Burst from the endpoint, packets."},
    {.name = "ingressMaxConnections", .type = FieldType::kInt, .doc = "Most connections to the endpoint at a time."},
    {.name = "egressMaxConnections", .type = FieldType::kInt, .doc = "Most connections from the endpoint at a time."},
    {.name = "dscp",
     .type = FieldType::kDscp,
     .doc = "DSCP mark of packets from the endpoint.",
     .presence = Presence::kOmitAbsent},
};
constexpr Struct kQos = {.go_type = "QoSControls", .fields = kQosFields};

constexpr Field kSpecFields[] = {
    {.name = "orchestrator",
     .doc = "What runs the workload: openstack, k8s, cni, libnetwork, ...",
     .check = Check::kName},
    {.name = "workload", .doc = "The workload, in OpenStack the instance's UUID.", .check = Check::kName},
    {.name = "node", .doc = "Node that hosts the workload.", .check = Check::kName},
    {.name = "containerID", .doc = "Container, with orchestrator cni.", .check = Check::kContainerId},
    {.name = "pod", .doc = "Pod, with orchestrator k8s.", .check = Check::kName},
    {.name = "endpoint", .doc = "The interface of the workload, in OpenStack the port's UUID."},
    {.name = "serviceAccountName", .doc = "Service account the workload runs under."},
    {.name = "ipNetworks",
     .doc = "Addresses of the endpoint, each /32 or /128. Without one the endpoint is ignored.",
     .list = true,
     .check = Check::kNet},
    {.name = "ipNATs",
     .type = FieldType::kStruct,
     .doc = "Floating addresses and the own addresses they map to.",
     .members = &kNat,
     .list = true},
    {.name = "ipv4Gateway", .doc = "Gateway the workload uses for IPv4.", .check = Check::kIpV4},
    {.name = "ipv6Gateway", .doc = "Gateway the workload uses for IPv6.", .check = Check::kIpV6},
    {.name = "profiles", .doc = "Profiles that apply after all policies.", .list = true, .check = Check::kName},
    {.name = "interfaceName", .doc = "Interface on the host's side.", .check = Check::kInterface, .required = true},
    {.name = "mac", .doc = "MAC address of the workload's side.", .check = Check::kMac, .go_name = "MAC"},
    {.name = "ports",
     .type = FieldType::kStruct,
     .doc = "Named ports of the endpoint.",
     .members = &kPort,
     .list = true},
    {.name = "allowSpoofedSourcePrefixes",
     .doc = "Source addresses the workload may use although they are not its own; needs workloadSourceSpoofing: Any.",
     .list = true,
     .check = Check::kCidr},
    {.name = "qosControls",
     .type = FieldType::kStruct,
     .doc = "Limits on bandwidth, packets and connections.",
     .members = &kQos,
     .presence = Presence::kOmitAbsent,
     .go_name = "QoSControls"},
};
constexpr Struct kSpec = {.go_type = "WorkloadEndpointSpec", .fields = kSpecFields};

const json::array* list_at(const json::object& object, std::string_view name) {
  const json::value* found = object.if_contains(name);
  return found != nullptr && found->is_array() ? &found->get_array() : nullptr;
}

std::string workload_cell(const Resource& resource, std::string_view) {
  const std::string_view workload = text_of(resource.spec(), "workload");
  return std::string(workload.empty() ? text_of(resource.spec(), "pod") : workload);
}

std::string nats_cell(const Resource& resource, std::string_view) {
  std::vector<std::string> cells;
  if (const json::array* nats = list_at(resource.spec(), "ipNATs")) {
    for (const json::value& nat : *nats) {
      cells.push_back("{" + std::string(text_of(nat.get_object(), "internalIP")) + " " +
                      std::string(text_of(nat.get_object(), "externalIP")) + "}");
    }
  }
  return base::join(cells, ",");
}

constexpr Column kColumns[] = {
    {.heading = "NAMESPACE", .path = "metadata.namespace"},
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "WORKLOAD", .style = CellStyle::kCustom, .cell = workload_cell},
    {.heading = "ORCHESTRATOR", .path = "spec.orchestrator"},
    {.heading = "NODE", .path = "spec.node"},
    {.heading = "NETWORKS", .path = "spec.ipNetworks", .style = CellStyle::kJoined},
    {.heading = "INTERFACE", .path = "spec.interfaceName"},
    {.heading = "PROFILES", .path = "spec.profiles", .style = CellStyle::kJoined},
    {.heading = "NATS", .style = CellStyle::kCustom, .cell = nats_cell},
};

// The name follows from the spec, and the two labels from namespace and spec.
void complete_endpoint(Resource& resource, WriteReason, Problems& problems) {
  const auto expected = workload_endpoint_name(resource.spec());
  if (!expected) {
    // The text is a whole message; what stands between "error with field" and the reason is its field.
    std::string text = expected.error().text().substr(std::string_view("error with field ").size());
    const auto open = text.rfind(" (");
    problems.add(text.substr(0, open), {}, text.substr(open + 2, text.size() - open - 3));
    return;
  }
  if (resource.name().empty()) {
    resource.set_metadata("name", *expected);
  } else if (resource.name() != *expected) {
    problems.add(
        "Name", std::string(resource.name()),
        "the WorkloadEndpoint name does not match the primary identifiers assigned in the Spec: expected name " +
            *expected);
  }
  json::value& labels = resource.metadata()["labels"];
  if (!labels.is_object()) labels.emplace_object();
  labels.get_object()["projectcalico.org/namespace"] = resource.ns();
  labels.get_object()["projectcalico.org/orchestrator"] = text_of(resource.spec(), "orchestrator");
}

void check_networks(const json::object& spec, Problems& problems) {
  const json::array* networks = list_at(spec, "ipNetworks");
  std::vector<base::IpAddress> own;
  if (networks != nullptr) {
    for (const json::value& network : *networks) {
      const auto prefix = base::parse_cidr_or_address(network.get_string().c_str());
      if (!prefix) continue;  // reported by the field's validator
      own.push_back(prefix->address);
      if (!prefix->is_host()) {
        problems.add("IPNetworks", network.get_string().c_str(), "IP network contains multiple addresses");
      }
    }
  }
  const json::array* nats = list_at(spec, "ipNATs");
  if (nats == nullptr) return;
  for (const json::value& nat : *nats) {
    const auto internal = base::parse_address(text_of(nat.get_object(), "internalIP"));
    const auto external = base::parse_address(text_of(nat.get_object(), "externalIP"));
    if (!internal || !external) continue;
    if (internal->family() != external->family()) {
      problems.add("InternalIP/ExternalIP", {}, "internal and external IP addresses are of different versions");
    }
    if (std::ranges::find(own, *internal) == own.end()) {
      problems.add("IPNATs", base::to_string(*internal), "NAT is not in the endpoint networks");
    }
  }
}

void check_endpoint(const Resource& resource, Problems& problems) {
  const json::object& spec = resource.spec();
  check_networks(spec, problems);
  const json::array* ports = list_at(spec, "ports");
  if (ports == nullptr) return;
  for (const json::value& port : *ports) {
    const json::object& entry = port.get_object();
    if (text_of(entry, "name").empty() && number_of(entry, "hostPort").value_or(0) == 0) {
      problems.add("Name", "", "a port without name needs a hostPort");
    }
  }
}

}  // namespace

const Kind kWorkloadEndpoint = {
    .name = "WorkloadEndpoint",
    .plural = "workloadendpoints",
    .aliases = "workloadendpoint workloadendpoints wep weps",
    .namespaced = true,
    .doc = "An interface of a virtual machine or container. In OpenStack Neutron's driver owns these objects.",
    .spec = &kSpec,
    .has_schema = false,
    .columns = kColumns,
    .ps = "WORKLOAD NODE NETWORKS INTERFACE",
    .wide = "NAME WORKLOAD NODE NETWORKS INTERFACE PROFILES NATS",
    .complete = complete_endpoint,
    .check = check_endpoint,
};

}  // namespace model::kinds
