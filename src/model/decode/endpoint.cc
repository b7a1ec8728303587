#include "base/strings.h"
#include "model/decode/decode.h"

namespace model::decode {
namespace {

constexpr std::string_view kLabelRemedy =
    "label names are [domain/]name, values at most 63 letters, digits, '-', '_' and '.'";

void add_label(const Field& field, std::string_view name, std::string_view value, Context& context, Labels& labels) {
  // Symbols stay for ever, so what is too long does not become one.
  if (name.size() > LabelSyntax::kLongestName || value.size() > LabelSyntax::kLongestValue) {
    return field.refuse("is longer than a label may be", kLabelRemedy);
  }
  const Label label{context.interner.intern(name), context.interner.intern(value)};
  if (!context.label_syntax.is_name(label.name)) {
    return field.refuse(quoted(name).append(" is not a label name"), kLabelRemedy);
  }
  if (!context.label_syntax.is_value(label.value)) return field.refuse_text("is not a label value", kLabelRemedy);
  labels.push_back(label);
}

// These come from Kubernetes namespaces and service accounts through profiles; an endpoint must not claim them itself.
bool is_profile_label(std::string_view name) { return name.starts_with("pcns.") || name.starts_with("pcsa."); }

Labels read_workload_labels(const Field& map, std::string_view service_account, Context& context) {
  Labels labels;
  const json::object* const members = map.object();
  // Exactly as many as there will be: a hundred thousand endpoints keep what is reserved here.
  labels.reserve((members == nullptr ? 0 : members->size()) + (service_account.empty() ? 0 : 1));
  map.each_text([&](const Field& field, std::string_view name, std::string_view value) {
    if (!is_profile_label(name)) add_label(field, name, value, context, labels);
  });
  if (!service_account.empty()) {
    add_label(map, "projectcalico.org/serviceaccount", service_account, context, labels);
  }
  normalise(labels);
  labels.shrink_to_fit();
  return labels;
}

std::vector<Symbol> read_profiles(const Field& list, Context& context) {
  std::vector<Symbol> profiles;
  profiles.reserve(list.size());
  list.each([&](const Field& element) {
    const std::string_view name = element.text();
    if (name.empty()) return element.refuse("names no profile", "name a profile or remove the entry");
    profiles.push_back(context.interner.intern(name));
  });
  return profiles;
}

// Only ports with a name take part in policy.
std::vector<EndpointPort> read_endpoint_ports(const Field& list, Context& context) {
  std::vector<EndpointPort> ports;
  list.each([&](const Field& element) {
    const std::string_view name = element.member("name").text();
    if (name.empty()) return;
    const Field protocol_field = element.member("protocol");
    const auto protocol = read_protocol(protocol_field, context.interner);
    const auto port = element.member("port").integer(1, 65535);
    if (!protocol && protocol_field.present()) return;  // reported already
    const std::string_view protocol_name = protocol ? protocol->name.view() : std::string_view();
    if (protocol_name != "tcp" && protocol_name != "udp" && protocol_name != "sctp") {
      return protocol_field.refuse("is no protocol for a named port", "use TCP, UDP or SCTP by name");
    }
    if (!port) return element.refuse("has no port number", "set port to a number from 1 to 65535");
    ports.push_back({context.interner.intern(name), protocol->number, static_cast<std::uint16_t>(*port)});
  });
  ports.shrink_to_fit();
  return ports;
}

// The prefix length is dropped, as everywhere where endpoints are concerned; a network stands for its first address.
std::vector<base::IpAddress> read_networks(const Field& list) {
  std::vector<base::IpAddress> addresses;
  addresses.reserve(list.size());
  list.each([&](const Field& element) {
    if (!element.present()) return element.refuse("is null", "write address/32 or address/128");
    if (const auto prefix = read_prefix(element)) addresses.push_back(prefix->address);
  });
  return addresses;
}

std::vector<NatMapping> read_nats(const Field& list) {
  std::vector<NatMapping> nats;
  list.each([&](const Field& element) {
    const auto internal = base::parse_address(element.member("internalIP").text());
    const auto external = base::parse_address(element.member("externalIP").text());
    if (internal && external && internal->family() == external->family()) {
      nats.push_back({*external, *internal});
    } else {
      element.leave_out("is not a pair of addresses of one family and is left out",
                        "give internalIP and externalIP without prefix length");
    }
  });
  return nats;
}

std::map<std::string, std::int64_t> read_qos(const Field& controls) {
  constexpr std::string_view kNumbers[] = {
      "ingressBandwidth", "ingressBurst",      "ingressPeakrate",       "ingressMinburst",     "egressBandwidth",
      "egressBurst",      "egressPeakrate",    "egressMinburst",        "ingressPacketRate",   "ingressPacketBurst",
      "egressPacketRate", "egressPacketBurst", "ingressMaxConnections", "egressMaxConnections"};
  std::map<std::string, std::int64_t> qos;
  for (const std::string_view name : kNumbers) {
    if (const auto value = controls.member(name).integer(0, INT64_MAX)) qos.emplace(name, *value);
  }
  const Field dscp = controls.member("dscp");
  if (!dscp.is_text()) {
    if (const auto value = dscp.integer(0, 63)) qos.emplace("dscp", *value);
  } else if (const auto value = parse_dscp(dscp.text())) {
    qos.emplace("dscp", *value);
  } else {
    dscp.refuse_text("is no DSCP value", "use a number from 0 to 63 or a name such as AF41");
  }
  return qos;
}

// What upstream checks of any endpoint, wherever it runs: one that is refused on its own host is refused everywhere.
struct Checked {
  std::optional<base::MacAddress> mac;
  std::optional<base::IpAddress> ipv4_gateway;
  std::optional<base::IpAddress> ipv6_gateway;
  std::vector<base::Prefix> allowed_source_prefixes;
};

Checked check_workload(const Field& spec, Context& context) {
  Checked checked;
  const Field interface = spec.member("interfaceName");
  if (!is_interface_name(interface.text())) {
    interface.refuse_text("is no interface name", "name the workload's interface on its host, at most 15 characters");
  }
  checked.mac = read_mac(spec.member("mac"));
  checked.ipv4_gateway = read_address(spec.member("ipv4Gateway"), base::Family::kIpv4);
  checked.ipv6_gateway = read_address(spec.member("ipv6Gateway"), base::Family::kIpv6);
  const Field spoofed = spec.member("allowSpoofedSourcePrefixes");
  checked.allowed_source_prefixes = read_prefixes(spoofed);
  if (spoofed.size() > 0 && !context.options.allow_source_spoofing) {
    spoofed.refuse("asks to send from addresses that are not its own, which this host does not allow",
                   "remove it, or set WorkloadSourceSpoofing to Any on every host");
  }
  return checked;
}

// The interface side, for endpoints of this host only.
std::shared_ptr<const WorkloadInterface> read_interface(const Field& document, const Field& spec, std::string_view ns,
                                                        WorkloadName name, Checked checked,
                                                        const std::vector<base::IpAddress>& addresses) {
  auto side = std::make_shared<WorkloadInterface>();
  side->orchestrator = std::move(name.orchestrator);
  side->workload = std::string(ns).append("/").append(name.workload);
  side->endpoint = std::move(name.endpoint);
  side->name = spec.member("interfaceName").text();
  side->mac = checked.mac;
  side->addresses = addresses;
  side->ipv4_gateway = checked.ipv4_gateway;
  side->ipv6_gateway = checked.ipv6_gateway;
  side->nats = read_nats(spec.member("ipNATs"));
  side->allowed_source_prefixes = std::move(checked.allowed_source_prefixes);
  side->qos = read_qos(spec.member("qosControls"));
  const Field metadata = document.member("metadata");
  metadata.member("annotations").each_text([&](const Field&, std::string_view key, std::string_view text) {
    side->annotations.emplace(key, text);
  });
  return side;
}

}  // namespace

std::optional<WorkloadName> split_workload_name(std::string_view name) {
  std::string parts[4];
  std::size_t part = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '-') {
      parts[part] += name[i];
    } else if (i > 0 && i + 1 < name.size() && name[i + 1] == '-') {
      parts[part] += '-';
      ++i;
    } else if (++part == 4) {
      return std::nullopt;
    }
  }
  for (const std::string& text : parts) {
    if (text.empty() || text.front() == '-' || text.back() == '-') return std::nullopt;
  }
  return WorkloadName{std::move(parts[0]), std::move(parts[1]), std::move(parts[2]), std::move(parts[3])};
}

Labels read_labels(const Field& map, Context& context) {
  Labels labels;
  const json::object* const members = map.object();
  labels.reserve(members == nullptr ? 0 : members->size());
  map.each_text([&](const Field& field, std::string_view name, std::string_view value) {
    add_label(field, name, value, context, labels);
  });
  normalise(labels);
  return labels;
}

std::optional<WorkloadEndpoint> read_workload_endpoint(const Field& document, const Key& key, Context& context) {
  auto name = split_workload_name(key.name);
  if (!name) {
    document.refuse("the name does not have four parts",
                    "name it <node>-<orchestrator>-<workload>-<endpoint>, with every "
                    "'-' inside a part doubled");
    return std::nullopt;
  }
  const Field spec = document.member("spec");
  const Field networks = spec.member("ipNetworks");
  WorkloadEndpoint endpoint;
  endpoint.membership.addresses = read_networks(networks);
  if (networks.size() == 0) return std::nullopt;
  Checked checked = check_workload(spec, context);
  endpoint.node = context.interner.intern(name->node);
  const Field metadata = document.member("metadata");
  endpoint.membership.labels =
      read_workload_labels(metadata.member("labels"), spec.member("serviceAccountName").text(), context);
  endpoint.membership.profiles = read_profiles(spec.member("profiles"), context);
  endpoint.membership.ports = read_endpoint_ports(spec.member("ports"), context);
  if (name->node == context.options.hostname) {
    endpoint.interface =
        read_interface(document, spec, key.ns, *std::move(name), std::move(checked), endpoint.membership.addresses);
  }
  return endpoint;
}

std::optional<HostEndpoint> read_host_endpoint(const Field& document, Context& context) {
  const Field spec = document.member("spec");
  const Field metadata = document.member("metadata");
  HostEndpoint endpoint;
  const Field node = spec.member("node");
  if (node.text().empty()) node.refuse("is missing", "name the host that has the interface");
  endpoint.node = context.interner.intern(node.text());
  endpoint.is_local = node.text() == context.options.hostname;

  const Field interface = spec.member("interfaceName");
  endpoint.interface_name = interface.text();
  if (!endpoint.interface_name.empty() && endpoint.interface_name != "*" &&
      !is_interface_name(endpoint.interface_name)) {
    interface.refuse_text("is no interface name", "name an interface of the host, or * for all of them");
  }
  const Field expected = spec.member("expectedIPs");
  endpoint.membership.addresses.reserve(expected.size());
  expected.each([&](const Field& element) {
    if (!element.present()) return element.refuse("is null", "write an address or remove it");
    if (const auto address = read_address(element)) endpoint.membership.addresses.push_back(*address);
  });
  if (endpoint.interface_name.empty() && expected.size() == 0) {
    spec.refuse("names neither an interface nor an address", "set interfaceName or expectedIPs");
  }

  endpoint.membership.labels = read_labels(metadata.member("labels"), context);
  endpoint.membership.profiles = read_profiles(spec.member("profiles"), context);
  endpoint.membership.ports = read_endpoint_ports(spec.member("ports"), context);
  const Field annotations = metadata.member("annotations");
  const Field dscp = annotations.member("qos.projectcalico.org/dscp");
  if (dscp.present()) {
    endpoint.dscp = parse_dscp(dscp.text());
    if (!endpoint.dscp) {
      dscp.leave_out("is no DSCP value and is left out", "use a number from 0 to 63 or a name such as AF41");
    }
  }
  return endpoint;
}

std::optional<NetworkSet> read_network_set(const Field& document, const Key& key, Context& context) {
  const Field spec = document.member("spec");
  const Field metadata = document.member("metadata");
  NetworkSet set;
  set.nets = read_prefixes(spec.member("nets"));
  set.labels = read_labels(metadata.member("labels"), context);
  if (key.kind == Kind::kNetworkSet) {
    // Later entries win when names repeat, so a label of that name in the object has no effect.
    set.labels.push_back({context.interner.intern("projectcalico.org/namespace"), context.interner.intern(key.ns)});
    normalise(set.labels);
    set.profiles.push_back(context.interner.intern(std::string("kns.").append(key.ns)));
  }
  return set;
}

}  // namespace model::decode
