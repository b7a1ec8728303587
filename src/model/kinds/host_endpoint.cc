// HostEndpoint (spec datamodel §4.8), and the named port it shares with nobody else upstream.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

constexpr Field kPortFields[] = {
    {.name = "name",
     .doc = "Name that rules use in place of a number.",
     .presence = Presence::kAlways,
     .check = Check::kPortName,
     .required = true},
    {.name = "protocol",
     .type = FieldType::kProtocol,
     .doc = "TCP, UDP or SCTP.",
     .presence = Presence::kAlways,
     .required = true},
    {.name = "port",
     .type = FieldType::kInt,
     .doc = "Port number, 1-65535.",
     .presence = Presence::kAlways,
     .width = IntWidth::kUint16,
     .min = 1,
     .max = 65535,
     .required = true},
};

constexpr Field kSpecFields[] = {
    {.name = "node", .doc = "Node the interface belongs to.", .check = Check::kName, .max_length = 253},
    {.name = "interfaceName",
     .doc = "Interface, or * for all interfaces of the node.",
     .check = Check::kInterface,
     .max_length = 15},
    {.name = "expectedIPs",
     .doc = "Addresses by which the interface is found if interfaceName is absent.",
     .list = true,
     .check = Check::kIp},
    {.name = "profiles", .doc = "Profiles that apply after all policies.", .list = true, .check = Check::kName},
    {.name = "ports",
     .type = FieldType::kStruct,
     .doc = "Named ports of the endpoint.",
     .members = &kEndpointPort,
     .list = true},
};
constexpr Struct kSpec = {.go_type = "HostEndpointSpec", .fields = kSpecFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "NODE", .path = "spec.node"},
    {.heading = "INTERFACE", .path = "spec.interfaceName"},
    {.heading = "IPS", .path = "spec.expectedIPs", .style = CellStyle::kJoined},
    {.heading = "PROFILES", .path = "spec.profiles", .style = CellStyle::kJoined},
};

void check_endpoint(const Resource& resource, Problems& problems) {
  const boost::json::object& spec = resource.spec();
  const boost::json::value* expected = spec.if_contains("expectedIPs");
  const bool has_expected = expected != nullptr && expected->is_array() && !expected->get_array().empty();
  if (text_of(spec, "interfaceName").empty() && !has_expected) {
    problems.add("InterfaceName", "", "no interface or expected IPs have been specified");
    problems.add_schema("spec", "at least one of interfaceName or expectedIPs must be specified");
  }
  if (text_of(spec, "node").empty()) {
    problems.add("InterfaceName", std::string(text_of(spec, "interfaceName")), "no node has been specified");
    problems.add_schema("spec", "node must be specified");
  }
}

}  // namespace

const Struct kEndpointPort = {.go_type = "EndpointPort", .fields = kPortFields, .check = check_named_port};

const Kind kHostEndpoint = {
    .name = "HostEndpoint",
    .plural = "hostendpoints",
    .aliases = "hostendpoint hostendpoints hep heps",
    .doc = "An interface of a host, so that policy protects the host itself.",
    .spec = &kSpec,
    .columns = kColumns,
    .ps = "NAME NODE",
    .wide = "NAME NODE INTERFACE IPS PROFILES",
    .check = check_endpoint,
};

}  // namespace model::kinds
