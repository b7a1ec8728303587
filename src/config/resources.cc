#include "config/resources.h"

#include <algorithm>
#include <tuple>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/strings.h"

namespace config {
namespace {

namespace json = boost::json;

constexpr std::string_view kAnnotationPrefix = "config.projectcalico.org/";

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

const json::object* object_in(const json::object& parent, std::string_view name) {
  const json::value* member = parent.if_contains(name);
  return member != nullptr ? member->if_object() : nullptr;
}

std::string text_in(const json::object& parent, std::string_view name) {
  const json::value* member = parent.if_contains(name);
  const json::string* text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? std::string(view(*text)) : std::string();
}

// Scalars as Calico prints them: true, 4789, 0.5.
std::optional<std::string> scalar_text(const json::value& value) {
  if (const json::string* text = value.if_string()) return std::string(view(*text));
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_int64()) return std::to_string(value.get_int64());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  if (value.is_double()) return fmt::format("{}", value.get_double());
  return std::nullopt;
}

bool is_duration(const ParameterInfo& parameter) {
  return parameter.type.kind == Kind::kSeconds || parameter.type.kind == Kind::kMilliseconds;
}

// Written as text in the resource; a number or truth value in its place is a mistake that must not become a name.
bool is_text(const ParameterInfo& parameter) {
  switch (parameter.type.kind) {
    case Kind::kOneOf:
    case Kind::kText:
    case Kind::kFile:
    case Kind::kExistingFile:
    case Kind::kProgram:
    case Kind::kHostname:
    case Kind::kHostAddress:
    case Kind::kRegion:
    case Kind::kAuthority:
    case Kind::kInterfaceParameter:
    case Kind::kLogRate:
    case Kind::kRegex:
    case Kind::kDatastoreType:
    case Kind::kIpv4:
    case Kind::kIpv6:
    case Kind::kEndpointList:
    case Kind::kInterfaceList:
    case Kind::kInterfaceParameterList:
    case Kind::kInterfaceRegexList:
    case Kind::kCidrList: return true;
    case Kind::kBoolean:
    case Kind::kOptionalBoolean:
    case Kind::kInteger:
    case Kind::kSeconds:
    case Kind::kMilliseconds:
    case Kind::kMarkMask:
    case Kind::kDscp:
    case Kind::kPortList:
    case Kind::kPortRange:
    case Kind::kPortRangeList:
    case Kind::kRouteTableRange:
    case Kind::kRouteTableRanges:
    case Kind::kKeyValues:
    case Kind::kKeyDurations: break;
  }
  return false;
}

// Turns one FelixConfiguration into raw parameters.
class SpecReader {
 public:
  SpecReader(Source source, ResourceParameters& out) : source_(source), out_(out) {}

  void field(std::string_view name, const json::value& value) {
    if (name == "nodeSelector" || value.is_null()) return;
    const ParameterInfo* parameter = find_field(name);
    if (parameter == nullptr) return report(name, json::serialize(value), "there is no such field; it is ignored");
    std::optional<std::string> text;
    if (parameter->type.kind == Kind::kPortList) {
      text = port_list(*parameter, value);
    } else if (parameter->type.kind == Kind::kRouteTableRange || parameter->type.kind == Kind::kRouteTableRanges) {
      text = table_ranges(value);
    } else if (parameter->type.kind == Kind::kKeyDurations) {
      text = timeouts(value);
    } else if (const json::array* list = value.if_array()) {
      text = joined(*parameter, *list);
    } else if (const json::object* object = value.if_object()) {
      text = pairs(*parameter, *object);
    } else {
      text = scalar(*parameter, value);
    }
    // Not ignored: the default may be the opposite of what was meant, such as the prefix of the guests' interfaces.
    if (!text) {
      return report(name, json::serialize(value), "has the wrong form",
                    "use " + expectation(parameter->type) + ", as `percalectl explain FelixConfiguration` says",
                    Severity::kError);
    }
    if (!text->empty()) out_.raw[std::string(parameter->name)] = *std::move(text);
  }

 private:
  // Durations are stored as "1m30s"; parameters count seconds, one counts milliseconds. Text that is no duration goes
  // on as it is: resolving it names the parameter and uses the default.
  std::optional<std::string> scalar(const ParameterInfo& parameter, const json::value& value) {
    if (is_duration(parameter) && value.is_string()) {
      const auto duration = parse_duration(view(value.get_string()));
      if (duration) return seconds_text(parameter.type.kind == Kind::kMilliseconds ? *duration * 1000 : *duration);
    }
    return item_text(parameter, value);
  }

  static std::optional<std::string> item_text(const ParameterInfo& parameter, const json::value& value) {
    if (is_text(parameter) && !value.is_string()) return std::nullopt;
    return scalar_text(value);
  }

  std::optional<std::string> joined(const ParameterInfo& parameter, const json::array& list) {
    std::vector<std::string> items;
    for (const json::value& item : list) {
      auto text = item_text(parameter, item);
      if (!text) return std::nullopt;
      items.push_back(*std::move(text));
    }
    return base::join(items, ",");
  }

  std::optional<std::string> pairs(const ParameterInfo& parameter, const json::object& object) {
    std::string out;
    for (const auto& [key, item] : object) {
      auto text = scalar_text(item);
      if (!text) return std::nullopt;
      std::string name(key.data(), key.size());
      // The one map that is a structure: its members begin with a small letter in JSON.
      if (parameter.id == Parameter::kBPFConntrackTimeouts && !name.empty()) {
        name[0] = name[0] >= 'a' && name[0] <= 'z' ? static_cast<char>(name[0] - 'a' + 'A') : name[0];
      }
      out.append(name).append("=").append(*text).append(",");
    }
    return out;
  }

  std::optional<std::string> timeouts(const json::value& value) {
    const json::array* list = value.if_array();
    if (list == nullptr) return std::nullopt;
    std::vector<std::string> items;
    for (const json::value& item : *list) {
      const json::object* entry = item.if_object();
      if (entry == nullptr) return std::nullopt;
      items.push_back(text_in(*entry, "name") + "=" + text_in(*entry, "timeout"));
    }
    return base::join(items, ",");
  }

  std::optional<std::string> table_range(const json::value& value) {
    const json::object* range = value.if_object();
    const json::value* low = range != nullptr ? range->if_contains("min") : nullptr;
    const json::value* high = range != nullptr ? range->if_contains("max") : nullptr;
    if (low == nullptr || high == nullptr) return std::nullopt;
    const auto first = scalar_text(*low);
    const auto last = scalar_text(*high);
    return first && last ? std::optional(*first + "-" + *last) : std::nullopt;
  }

  std::optional<std::string> table_ranges(const json::value& value) {
    const json::array* list = value.if_array();
    if (list == nullptr) return table_range(value);
    std::vector<std::string> items;
    for (const json::value& item : *list) {
      auto text = table_range(item);
      if (!text) return std::nullopt;
      items.push_back(*std::move(text));
    }
    return base::join(items, ",");
  }

  // An entry the parameter could not hold is left out, because one of them would stop every agent it reaches.
  std::optional<std::string> port_list(const ParameterInfo& parameter, const json::value& value) {
    const json::array* list = value.if_array();
    if (list == nullptr) return std::nullopt;
    std::vector<std::string> items;
    for (const json::value& item : *list) {
      auto text = port(item);
      if (text && parse_value(parameter.type, *text, Probe{})) {
        items.push_back(*std::move(text));
      } else {
        report(parameter.field, json::serialize(item), "this entry is not supported and is left out",
               "use protocol TCP or UDP, a port from 0 to 65535 and, if wanted, a network");
      }
    }
    return items.empty() ? "none" : base::join(items, ",");
  }

  static std::optional<std::string> port(const json::value& item) {
    const json::object* entry = item.if_object();
    const json::value* number = entry != nullptr ? entry->if_contains("port") : nullptr;
    const auto port_text = number != nullptr ? scalar_text(*number) : std::nullopt;
    if (!port_text) return std::nullopt;
    std::string protocol = base::to_lower(text_in(*entry, "protocol"));
    if (protocol.empty()) protocol = "tcp";
    const std::string network = text_in(*entry, "net");
    if (network.empty()) return protocol + ":" + *port_text;
    const bool v6 = network.find(':') != std::string::npos;
    return protocol + (v6 ? ":[" + network + "]:" : ":" + network + ":") + *port_text;
  }

 public:
  void report(std::string_view name, std::string value, std::string problem, std::string remedy = "",
              Severity severity = Severity::kWarning) {
    constexpr std::size_t kLongestShown = 200;
    if (value.size() > kLongestShown) value = value.substr(0, kLongestShown) + "…";
    out_.diagnostics.push_back(
        {severity, source_, std::string(name), std::move(value), std::move(problem), std::move(remedy)});
  }

 private:
  Source source_;
  ResourceParameters& out_;
};

// "10.0.0.1/24" and "10.0.0.1" alike.
std::optional<base::IpAddress> address_without_length(std::string_view text) {
  auto address = base::parse_address(text.substr(0, text.find('/')));
  return address ? std::optional(*address) : std::nullopt;
}

std::optional<base::IpAddress> host_ip_of(const json::object& spec) {
  if (const json::object* bgp = object_in(spec, "bgp")) {
    if (auto address = address_without_length(text_in(*bgp, "ipv4Address"))) return address;
  }
  const json::value* addresses = spec.if_contains("addresses");
  const json::array* list = addresses != nullptr ? addresses->if_array() : nullptr;
  if (list == nullptr) return std::nullopt;
  for (const std::string_view wanted : {"InternalIP", "ExternalIP"}) {
    for (const json::value& item : *list) {
      const json::object* entry = item.if_object();
      if (entry == nullptr || text_in(*entry, "type") != wanted) continue;
      const auto address = address_without_length(text_in(*entry, "address"));
      if (address && address->is_v4()) return address;
    }
  }
  return std::nullopt;
}

void put(RawMap& raw, std::string name, std::string text) {
  if (!text.empty()) raw[std::move(name)] = std::move(text);
}

}  // namespace

ResourceParameters from_felix_configuration(const json::object& resource, Source source) {
  ResourceParameters out;
  SpecReader reader(source, out);
  if (const json::object* spec = object_in(resource, "spec")) {
    for (const auto& [name, value] : *spec) reader.field({name.data(), name.size()}, value);
  } else if (const json::value* other = resource.if_contains("spec"); other != nullptr && !other->is_null()) {
    reader.report("spec", json::serialize(*other), "is not an object", "write the FelixConfiguration again",
                  Severity::kError);
  }
  const json::object* metadata = object_in(resource, "metadata");
  const json::object* annotations = metadata != nullptr ? object_in(*metadata, "annotations") : nullptr;
  if (annotations == nullptr) return out;
  for (const auto& [key, value] : *annotations) {
    const std::string_view name(key.data(), key.size());
    if (!name.starts_with(kAnnotationPrefix) || !value.is_string()) continue;
    const std::string_view wanted = name.substr(kAnnotationPrefix.size());
    const ParameterInfo* parameter = find_parameter(wanted);  // so that it replaces the field whatever its spelling
    out.raw[std::string(parameter != nullptr ? parameter->name : wanted)] = view(value.get_string());
  }
  return out;
}

ClusterParameters from_cluster_information(const json::object& resource) {
  ClusterParameters out;
  const json::object* spec = object_in(resource, "spec");
  if (spec == nullptr) return out;
  put(out.raw, "ClusterGUID", text_in(*spec, "clusterGUID"));
  put(out.raw, "ClusterType", text_in(*spec, "clusterType"));
  put(out.raw, "CalicoVersion", text_in(*spec, "calicoVersion"));
  put(out.raw, "Variant", text_in(*spec, "variant"));
  const json::value* ready = spec->if_contains("datastoreReady");
  out.datastore_ready = ready != nullptr && ready->is_bool() && ready->get_bool();
  return out;
}

NodeParameters from_node(const json::object& resource) {
  NodeParameters out;
  if (const json::object* metadata = object_in(resource, "metadata")) {
    if (const json::object* labels = object_in(*metadata, "labels")) {
      out.labels.emplace();
      for (const auto& [key, value] : *labels) {
        if (value.is_string()) (*out.labels)[std::string(key.data(), key.size())] = view(value.get_string());
      }
    }
  }
  const json::object* spec = object_in(resource, "spec");
  if (spec == nullptr) return out;
  put(out.raw, "IPv4VXLANTunnelAddr", text_in(*spec, "ipv4VXLANTunnelAddr"));
  put(out.raw, "VXLANTunnelMACAddr", text_in(*spec, "vxlanTunnelMACAddr"));
  put(out.raw, "IPv6VXLANTunnelAddr", text_in(*spec, "ipv6VXLANTunnelAddr"));
  put(out.raw, "VXLANTunnelMACAddrV6", text_in(*spec, "vxlanTunnelMACAddrV6"));
  if (const json::object* bgp = object_in(*spec, "bgp")) {
    put(out.raw, "IpInIpTunnelAddr", text_in(*bgp, "ipv4IPIPTunnelAddr"));
  }
  out.host_ip = host_ip_of(*spec);
  return out;
}

RawMap merged(RawMap first, const RawMap& second) {
  for (const auto& [name, text] : second) first[name] = text;
  return first;
}

bool is_scoped_configuration(std::string_view name) { return name != "default" && !name.starts_with("node."); }

ScopedConfiguration scoped_configuration(const json::object& resource) {
  ScopedConfiguration out;
  out.resource = &resource;
  if (const json::object* metadata = object_in(resource, "metadata")) {
    out.name = text_in(*metadata, "name");
    out.creation_timestamp = text_in(*metadata, "creationTimestamp");
  }
  if (const json::object* spec = object_in(resource, "spec")) out.node_selector = text_in(*spec, "nodeSelector");
  return out;
}

ScopedChoice choose_scoped(const std::vector<ScopedConfiguration>& candidates,
                           const std::optional<std::map<std::string, std::string>>& node_labels,
                           const SelectorPredicate& matches) {
  ScopedChoice choice;
  if (!node_labels) return choice;
  const auto age = [&](std::size_t i) { return std::tie(candidates[i].creation_timestamp, candidates[i].name); };
  std::vector<std::string> matching;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const ScopedConfiguration& candidate = candidates[i];
    if (base::trim(candidate.node_selector).empty()) continue;
    const auto matched = matches(candidate.node_selector, *node_labels);
    if (!matched) {
      choice.diagnostics.push_back(
          {Severity::kWarning, Source::kPerSelector, "FelixConfiguration " + candidate.name, candidate.node_selector,
           "its nodeSelector does not parse: " + matched.error().text() + "; the whole object is ignored",
           "correct the selector"});
      continue;
    }
    if (!*matched) continue;
    matching.push_back(candidate.name);
    if (!choice.index || age(i) < age(*choice.index)) choice.index = i;
  }
  if (matching.size() > 1) {
    choice.diagnostics.push_back({Severity::kWarning, Source::kPerSelector,
                                  "FelixConfiguration " + candidates[*choice.index].name, base::join(matching, ","),
                                  "several objects select this node; only this one, the oldest, is used",
                                  "let at most one nodeSelector match each node"});
  }
  return choice;
}

}  // namespace config
