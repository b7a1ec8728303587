// The rule of policies and profiles (spec datamodel §4.1), and what a rule list of a policy may not contain.

#include <string>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "model/resource_text.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kIcmpFields[] = {
    {.name = "type",
     .type = FieldType::kInt,
     .doc = "ICMP type, 0-254.",
     .presence = Presence::kOmitAbsent,
     .min = 0,
     .max = 254},
    {.name = "code",
     .type = FieldType::kInt,
     .doc = "ICMP code, 0-255; needs a type.",
     .presence = Presence::kOmitAbsent,
     .min = 0,
     .max = 255},
};

void check_icmp(const json::object& value, Problems& problems) {
  // The two limits are field validators upstream; the schema repeats them.
  const auto type = number_of(value, "type");
  const auto code = number_of(value, "code");
  if (type && (*type < 0 || *type > 254)) problems.add_tag("Type", std::to_string(*type), *type < 0 ? "gte" : "lte");
  if (code && (*code < 0 || *code > 255)) problems.add_tag("Code", std::to_string(*code), *code < 0 ? "gte" : "lte");
  if (code && !type) problems.add("Code", std::to_string(*code), "ICMP code specified without an ICMP type");
}
constexpr Struct kIcmp = {.go_type = "ICMPFields", .fields = kIcmpFields, .check = check_icmp};

constexpr Field kServiceFields[] = {
    {.name = "name", .doc = "Name of the Kubernetes service."},
    {.name = "namespace", .doc = "Namespace of the Kubernetes service."},
};
constexpr Struct kService = {.go_type = "ServiceMatch", .fields = kServiceFields};

constexpr Field kServiceAccountFields[] = {
    {.name = "names", .doc = "Names of service accounts.", .list = true},
    {.name = "selector", .doc = "Selects service accounts by their labels.", .check = Check::kSelector},
};
constexpr Struct kServiceAccount = {.go_type = "ServiceAccountMatch", .fields = kServiceAccountFields};

constexpr Field kEntityFields[] = {
    {.name = "nets", .doc = "Addresses must lie in one of these CIDRs.", .list = true, .check = Check::kNet},
    {.name = "selector",
     .doc = "Endpoints and network sets that match this selector.",
     .check = Check::kSelector,
     .max_length = 4096},
    {.name = "namespaceSelector",
     .doc = "Restricts `selector` to namespaces that match; global() means no namespace.",
     .check = Check::kSelector,
     .max_length = 4096},
    {.name = "services",
     .type = FieldType::kStruct,
     .doc = "A Kubernetes service; matches nothing without Kubernetes.",
     .members = &kService,
     .presence = Presence::kOmitAbsent},
    {.name = "ports",
     .type = FieldType::kPort,
     .doc = "Ports, ranges (\"min:max\") or named ports; any of them matches.",
     .list = true},
    {.name = "notNets", .doc = "Addresses must lie in none of these CIDRs.", .list = true, .check = Check::kNet},
    {.name = "notSelector",
     .doc = "Endpoints and network sets that match this selector do not match.",
     .check = Check::kSelector,
     .max_length = 4096},
    {.name = "notPorts", .type = FieldType::kPort, .doc = "Ports that do not match.", .list = true},
    {.name = "serviceAccounts",
     .type = FieldType::kStruct,
     .doc = "Endpoints that run under one of these service accounts.",
     .members = &kServiceAccount,
     .presence = Presence::kOmitAbsent},
};
constexpr Struct kEntity = {.go_type = "EntityRule", .fields = kEntityFields};

constexpr Field kPathFields[] = {
    {.name = "exact", .doc = "The path itself.", .max_length = 1024},
    {.name = "prefix", .doc = "The beginning of the path.", .max_length = 1024},
};

void check_path(const json::object& value, Problems& problems) {
  const std::string_view exact = text_of(value, "exact");
  const std::string_view prefix = text_of(value, "prefix");
  if (exact.empty() == prefix.empty()) {
    problems.add("HTTPPaths", std::string(exact) + std::string(prefix),
                 "exactly one of exact or prefix must be specified");
    return;
  }
  const std::string_view path = exact.empty() ? prefix : exact;
  if (path.front() != '/' || path.find_first_of("? #") != path.npos) {
    problems.add("HTTPPaths", std::string(path), "path must start with '/' and contain no '?', '#' or blank");
  }
}
constexpr Struct kPath = {.go_type = "HTTPPath", .fields = kPathFields, .check = check_path};

constexpr Field kHttpFields[] = {
    {.name = "methods", .doc = "HTTP methods that match.", .list = true, .max_items = 20, .unique = true},
    {.name = "paths",
     .type = FieldType::kStruct,
     .doc = "HTTP paths that match.",
     .members = &kPath,
     .list = true,
     .max_items = 20},
};
constexpr Struct kHttp = {.go_type = "HTTPMatch", .fields = kHttpFields};

constexpr Field kRuleMetadataFields[] = {
    {.name = "annotations",
     .type = FieldType::kStringMap,
     .doc = "Free texts; shown as comments on the rendered rule."},
};
void check_rule_metadata(const json::object& value, Problems& problems) {
  const json::value* annotations = value.if_contains("annotations");
  if (annotations != nullptr && annotations->is_object()) check_annotations(annotations->get_object(), problems);
}
constexpr Struct kRuleMetadata = {
    .go_type = "RuleMetadata", .fields = kRuleMetadataFields, .check = check_rule_metadata};

constexpr Field kRuleFields[] = {
    {.name = "action",
     .doc = "What happens to a packet that matches: Allow, Deny, Log or Pass (to the next tier).",
     .check = Check::kAction,
     .words = "Allow/Deny/Log/Pass",
     .required = true},
    {.name = "ipVersion",
     .type = FieldType::kInt,
     .doc = "4 or 6; both if absent.",
     .presence = Presence::kOmitAbsent,
     .check = Check::kIpVersion,
     .go_name = "IPVersion"},
    {.name = "protocol",
     .type = FieldType::kProtocol,
     .doc = "TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number; any if absent."},
    {.name = "icmp",
     .type = FieldType::kStruct,
     .doc = "ICMP type and code; needs protocol ICMP or ICMPv6.",
     .members = &kIcmp,
     .presence = Presence::kOmitAbsent},
    {.name = "notProtocol", .type = FieldType::kProtocol, .doc = "Any protocol but this."},
    {.name = "notICMP",
     .type = FieldType::kStruct,
     .doc = "Any ICMP type and code but this.",
     .members = &kIcmp,
     .presence = Presence::kOmitAbsent},
    {.name = "source",
     .type = FieldType::kStruct,
     .doc = "Where the packet comes from.",
     .members = &kEntity,
     .presence = Presence::kAlways,
     .hide_empty = true},
    {.name = "destination",
     .type = FieldType::kStruct,
     .doc = "Where the packet goes to.",
     .members = &kEntity,
     .presence = Presence::kAlways,
     .hide_empty = true},
    {.name = "http",
     .type = FieldType::kStruct,
     .doc = "HTTP methods and paths; needs an application-layer proxy.",
     .members = &kHttp,
     .presence = Presence::kOmitAbsent,
     .go_name = "HTTP"},
    {.name = "metadata",
     .type = FieldType::kStruct,
     .doc = "Annotations of the rule.",
     .members = &kRuleMetadata,
     .presence = Presence::kOmitAbsent},
};

const json::object& entity(const json::object& rule, std::string_view side) {
  static const json::object kEmpty;
  const json::value* found = rule.if_contains(side);
  return found != nullptr && found->is_object() ? found->get_object() : kEmpty;
}

const json::array& list(const json::object& object, std::string_view name) {
  static const json::array kEmpty;
  const json::value* found = object.if_contains(name);
  return found != nullptr && found->is_array() ? found->get_array() : kEmpty;
}

std::string shown(const json::array& values) {
  std::string text = "[";
  for (const json::value& value : values) {
    if (text.size() > 1) text += " ";
    text += value.is_string() ? std::string(value.get_string().c_str()) : to_go_json(value);
  }
  return text + "]";
}

// "TCP", "6"; empty if absent.
std::string protocol_of(const json::object& rule, std::string_view name) {
  const json::value* value = rule.if_contains(name);
  if (value == nullptr) return {};
  return value->is_string() ? std::string(value->get_string().c_str()) : to_go_json(*value);
}

bool supports_ports(std::string_view protocol) {
  for (const std::string_view known : {"TCP", "tcp", "UDP", "udp", "SCTP", "sctp", "6", "17", "132"}) {
    if (protocol == known) return true;
  }
  return false;
}

bool has_numeric_port(const json::array& ports) {
  for (const json::value& port : ports) {
    if (!port.is_string()) return true;
    const auto range = parse_port(port.get_string().c_str());
    if (range && range->name.empty()) return true;
  }
  return false;
}

struct Side {
  std::string_view member;
  std::string_view name;
};
constexpr Side kSides[] = {{"source", "Source"}, {"destination", "Destination"}};

void check_ports(const json::object& rule, Problems& problems) {
  const std::string protocol = protocol_of(rule, "protocol");
  if (supports_ports(protocol)) return;
  for (const Side& side : kSides) {
    for (const auto& [member, name] : {std::pair("ports", ".Ports"), std::pair("notPorts", ".NotPorts")}) {
      const json::array& ports = list(entity(rule, side.member), member);
      if (ports.empty()) continue;
      const std::string field = std::string(side.name) + name;
      if (!protocol.empty()) {
        problems.add(field, shown(ports), "rules that specify ports must set protocol to TCP or UDP or SCTP");
      } else if (has_numeric_port(ports)) {
        problems.add(field, shown(ports), "rules that specify numeric ports must set protocol to TCP or UDP or SCTP");
      }
    }
  }
}

void check_icmp_protocol(const json::object& rule, Problems& problems) {
  const std::string protocol = protocol_of(rule, "protocol");
  const json::value* icmp = rule.if_contains("icmp");
  if (icmp != nullptr && protocol != "ICMP" && protocol != "ICMPv6") {
    problems.add("ICMP", to_go_json(*icmp), "rules that specify ICMP fields must set protocol to ICMP");
  }
  const auto version = number_of(rule, "ipVersion");
  if (!version) return;
  const std::string not_protocol = protocol_of(rule, "notProtocol");
  if ((protocol == "ICMP" || not_protocol == "ICMP") && *version != 4) {
    problems.add("IPVersion", std::to_string(*version), "must set ipversion to '4' with protocol 'ICMP'");
  }
  if ((protocol == "ICMPv6" || not_protocol == "ICMPv6") && *version != 6) {
    problems.add("IPVersion", std::to_string(*version), "must set ipversion to '6' with protocol 'ICMPv6'");
  }
}

void check_nets(const json::object& rule, Problems& problems) {
  bool v4 = false, v6 = false;
  for (const Side& side : kSides) {
    for (const auto& [member, name] : {std::pair("nets", ".Nets"), std::pair("notNets", ".NotNets")}) {
      for (const json::value& net : list(entity(rule, side.member), member)) {
        const std::string text = net.get_string().c_str();
        const auto prefix = base::parse_cidr(text);
        const std::string field = std::string(side.name) + name;
        if (!prefix) {
          problems.add(field, text, "invalid CIDR");
          continue;
        }
        (prefix->family() == base::Family::kIpv4 ? v4 : v6) = true;
        if (member == std::string_view("notNets") && prefix->length == 0) {
          problems.add(field, text, "catch-all CIDR in negation creates logical contradiction (matches no traffic)");
        }
      }
    }
  }
  if (v4 && v6) problems.add("Source/Destination.Nets", {}, "rule contains both IPv4 and IPv6 CIDRs");
  const auto version = number_of(rule, "ipVersion");
  if (version && ((*version == 4 && v6) || (*version == 6 && v4))) {
    problems.add("Source/Destination.Nets", {}, "rule IP version doesn't match CIDR version");
  }
}

void check_http(const json::object& rule, Problems& problems) {
  if (!rule.contains("http")) return;
  const std::string protocol = protocol_of(rule, "protocol");
  if (text_of(rule, "action") != "Allow") {
    problems.add("HTTP", {}, "only valid for Allow rules");
  }
  if (!protocol.empty() && protocol != "TCP") {  // the schema would take the number 6, too
    problems.add("HTTP", {}, "rules with HTTP match must set protocol to TCP or leave it unset");
  }
}

void check_services(const json::object& rule, Problems& problems) {
  for (const Side& side : kSides) {
    const json::object& match = entity(rule, side.member);
    const json::value* services = match.if_contains("services");
    if (services == nullptr) continue;
    const std::string field = std::string(side.name) + ".Services";
    if (text_of(services->get_object(), "name").empty()) problems.add(field, {}, "must specify a service name");
    std::vector<std::string_view> excluded = {"nets",        "notNets",           "selector",
                                              "notSelector", "namespaceSelector", "serviceAccounts"};
    if (side.member == "destination") excluded.insert(excluded.end(), {"ports", "notPorts"});
    for (const std::string_view other : excluded) {
      if (match.contains(other))
        problems.add(field, {}, "cannot specify " + std::string(other) + " and services in one rule side");
    }
  }
}

void check_global(const json::object& rule, Problems& problems) {
  for (const Side& side : kSides) {
    const json::object& match = entity(rule, side.member);
    for (const auto& [member, name] : {std::pair("selector", ".Selector"), std::pair("notSelector", ".NotSelector")}) {
      const std::string_view text = text_of(match, member);
      if (selector_uses_global(text))
        problems.add(std::string(side.name) + name, std::string(text), std::string(kGlobalOnlyInNamespaceSelector));
    }
    const std::string_view namespaces = text_of(match, "namespaceSelector");
    if (selector_uses_global(namespaces) && namespaces != "global()") {
      problems.add(std::string(side.name) + ".NamespaceSelector", std::string(namespaces),
                   "global() cannot be combined with other terms");
    }
  }
}

void check_rule(const json::object& rule, Problems& problems) {
  check_ports(rule, problems);
  check_icmp_protocol(rule, problems);
  check_nets(rule, problems);
  check_http(rule, problems);
  check_services(rule, problems);
  check_global(rule, problems);
}

}  // namespace

const Struct kRule = {.go_type = "Rule", .fields = kRuleFields, .check = check_rule};

void check_named_port(const json::object& port, Problems& problems) {
  const std::string protocol = protocol_of(port, "protocol");
  if (!supports_ports(protocol)) {
    problems.add("Port.Protocol", protocol, "a named port needs protocol TCP, UDP or SCTP");
  }
}

void check_policy_rules(const json::object& spec, bool global, Problems& problems) {
  for (const bool ingress : {true, false}) {
    for (const json::value& element : list(spec, ingress ? "ingress" : "egress")) {
      const json::object& rule = element.get_object();
      if (!ingress && rule.contains("http")) problems.add("HTTP", {}, "not allowed in egress rule");
      const Side& wrong = ingress ? kSides[1] : kSides[0];
      if (entity(rule, wrong.member).contains("services")) {
        problems.add(std::string(wrong.name) + ".Services", {},
                     ingress ? "ingress rules may match services only in source"
                             : "egress rules may match services only in destination");
      }
      for (const Side& side : kSides) {
        const json::value* services = entity(rule, side.member).if_contains("services");
        if (global && services != nullptr && text_of(services->get_object(), "namespace").empty()) {
          problems.add(std::string(side.name) + ".Services.Namespace", {}, "must specify a namespace");
        }
      }
    }
  }
}

}  // namespace model::kinds
