#include "bgp/resources.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/strings.h"

namespace bgp {
namespace {

namespace json = boost::json;
using base::Error;
using base::fail;
using base::Result;

constexpr std::uint32_t kMaxPriority = 2147483646;  // spec §3.5: 2147483647 − metric must stay positive
// The wire field of graceful restart has 12 bits; BIRD takes larger values and sends nonsense (spec §2.5).
constexpr std::chrono::seconds kMaxRestartTime{4095};
constexpr std::chrono::seconds kMaxKeepalive{65535};

// Reads the members of one `spec` and remembers whether any of them was bad.
class Reader {
 public:
  Reader(std::string object, const json::object& resource, Diagnostics& out) : object_(std::move(object)), out_(out) {
    const json::value* spec = resource.if_contains("spec");
    if (spec != nullptr && spec->is_object()) {
      spec_ = &spec->get_object();
    } else if (spec != nullptr && !spec->is_null()) {
      report("spec", "is not an object");
    }
  }

  bool clean() const { return clean_; }

  void report(std::string_view field, std::string_view problem) {
    clean_ = false;
    out_.push_back({object_, std::string(field), std::string(problem)});
  }

  const json::value* find(std::string_view field) const {
    const json::value* value = spec_ != nullptr ? spec_->if_contains(field) : nullptr;
    return value != nullptr && value->is_null() ? nullptr : value;
  }

  // Reads `field` with `parse`, which returns Result<T>; absent or bad gives nothing.
  template <typename Parse>
  auto read(std::string_view field, Parse parse) -> std::optional<typename decltype(parse(json::value()))::value_type> {
    const json::value* value = find(field);
    if (value == nullptr) return std::nullopt;
    auto parsed = parse(*value);
    if (!parsed) {
      report(fmt::format("spec.{}", field), parsed.error().text());
      return std::nullopt;
    }
    return std::move(*parsed);
  }

 private:
  std::string object_;
  Diagnostics& out_;
  const json::object* spec_ = nullptr;
  bool clean_ = true;
};

Result<std::string> as_string(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not a string"));
  return std::string(value.get_string());
}

Result<bool> as_bool(const json::value& value) {
  if (!value.is_bool()) return fail(Error::invalid("is neither true nor false"));
  return value.get_bool();
}

auto as_int(std::int64_t low, std::int64_t high) {
  return [low, high](const json::value& value) -> Result<std::int64_t> {
    boost::system::error_code bad;
    const auto number = value.to_number<std::int64_t>(bad);
    if (bad || number < low || number > high) {
      return fail(Error::invalid(fmt::format("is not a whole number from {} to {}", low, high)));
    }
    return number;
  };
}

Result<std::chrono::seconds> as_duration(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not a duration such as \"30s\""));
  return parse_duration(value.get_string());
}

Result<base::IpAddress> as_address(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not an address"));
  return base::parse_address(value.get_string());
}

Result<SecretRef> as_secret(const json::value& value) {
  const json::object* outer = value.if_object();
  const json::value* inner = outer != nullptr ? outer->if_contains("secretKeyRef") : nullptr;
  const json::object* ref = inner != nullptr ? inner->if_object() : nullptr;
  SecretRef secret;
  if (ref != nullptr) {
    if (const auto* name = ref->if_contains("name"); name != nullptr && name->is_string())
      secret.name = name->get_string();
    if (const auto* key = ref->if_contains("key"); key != nullptr && key->is_string()) secret.key = key->get_string();
  }
  if (!is_secret_name(secret.name) || !is_secret_name(secret.key)) {
    return fail(Error::invalid("needs secretKeyRef with a name and a key, each usable as a file name"));
  }
  return secret;
}

Result<Debug> as_debug(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not a log level"));
  const std::string level = base::to_lower(value.get_string());
  if (level == "debug") return Debug::kAll;
  if (level == "info") return Debug::kStates;
  for (const std::string_view other : {"trace", "warning", "error", "fatal"}) {
    if (level == other) return Debug::kNone;
  }
  return fail(Error::invalid("is none of Trace, Debug, Info, Warning, Error, Fatal", level));
}

Result<bool> as_switch(const json::value& value) {
  if (value.is_string()) {
    if (value.get_string() == "Enabled") return true;
    if (value.get_string() == "Disabled") return false;
  }
  return fail(Error::invalid("is neither Enabled nor Disabled"));
}

Result<base::Prefix> as_cidr(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not a CIDR"));
  return base::parse_cidr(value.get_string());
}

// The members of an object list; anything else in it is reported.
template <typename Take>
void each_object(Reader& reader, std::string_view field, Take take) {
  const json::value* list = reader.find(field);
  if (list == nullptr) return;
  const std::string path = fmt::format("spec.{}", field);
  if (!list->is_array()) return reader.report(path, "is not a list");
  for (const json::value& entry : list->get_array()) {
    if (entry.is_object())
      take(entry.get_object(), path);
    else
      reader.report(path, "has an entry that is not an object");
  }
}

// Empty members are allowed and mean nothing (spec §2.2). `ranges_only`: single addresses are announced per service.
std::vector<base::Prefix> read_ranges(Reader& reader, std::string_view field, bool ranges_only) {
  std::vector<base::Prefix> ranges;
  each_object(reader, field, [&](const json::object& entry, const std::string& path) {
    const json::value* text = entry.if_contains("cidr");
    if (text == nullptr || (text->is_string() && text->get_string().empty())) return;
    const auto cidr = as_cidr(*text);
    if (!cidr) return reader.report(path, cidr.error().text());
    if (!ranges_only || !cidr->is_host()) ranges.push_back(*cidr);
  });
  std::ranges::sort(ranges);
  ranges.erase(std::ranges::unique(ranges).begin(), ranges.end());
  return ranges;
}

using CommunityNames = std::map<std::string, Community, std::less<>>;

CommunityNames read_community_names(Reader& reader) {
  CommunityNames names;
  each_object(reader, "communities", [&](const json::object& entry, const std::string& path) {
    const json::value* name = entry.if_contains("name");
    const json::value* value = entry.if_contains("value");
    if (name == nullptr || value == nullptr || !name->is_string() || !value->is_string()) {
      return reader.report(path, "has an entry without name or value");
    }
    const auto community = parse_community(value->get_string());
    if (!community) return reader.report(path, community.error().text());
    names.insert_or_assign(std::string(name->get_string()), *community);
  });
  return names;
}

std::vector<Community> read_community_list(Reader& reader, const json::object& entry, const std::string& path,
                                           const CommunityNames& names) {
  std::vector<Community> result;
  const json::value* list = entry.if_contains("communities");
  const json::array* array = list != nullptr ? list->if_array() : nullptr;
  if (array == nullptr) return result;
  for (const json::value& item : *array) {
    const std::string text = item.is_string() ? std::string(item.get_string()) : std::string();
    if (const auto named = names.find(text); named != names.end()) {
      result.push_back(named->second);
    } else if (const auto community = parse_community(text)) {
      result.push_back(*community);
    } else {
      reader.report(path, "names a community that is neither a:b nor a:b:c nor defined in communities");
    }
  }
  std::ranges::sort(result);
  result.erase(std::ranges::unique(result).begin(), result.end());
  return result;
}

// Two entries of one CIDR are one; the order in the file follows the addresses.
std::optional<std::vector<Advertisement>> read_advertisements(Reader& reader) {
  const CommunityNames names = read_community_names(reader);
  std::map<base::Prefix, std::vector<Community>> found;
  bool any = false;
  each_object(reader, "prefixAdvertisements", [&](const json::object& entry, const std::string& path) {
    any = true;
    const json::value* text = entry.if_contains("cidr");
    const auto cidr = as_cidr(text != nullptr ? *text : json::value());
    if (!cidr) return reader.report(path, cidr.error().text());
    std::vector<Community> communities = read_community_list(reader, entry, path, names);
    std::vector<Community>& all = found[*cidr];
    all.insert(all.end(), communities.begin(), communities.end());
  });
  if (!any) return std::nullopt;
  std::vector<Advertisement> result;
  for (auto& [cidr, communities] : found) {
    std::ranges::sort(communities);
    communities.erase(std::ranges::unique(communities).begin(), communities.end());
    if (!communities.empty()) result.push_back({cidr, std::move(communities)});
  }
  return result;
}

struct Endpoint {
  base::IpAddress address;
  std::optional<std::uint16_t> port;
};

// "a.b.c.d", "a.b.c.d:port", "v6", "[v6]:port".
Result<Endpoint> as_endpoint(const json::value& value) {
  if (!value.is_string()) return fail(Error::invalid("is not an address"));
  const std::string_view text = value.get_string();
  if (auto plain = base::parse_address(text)) return Endpoint{*plain, std::nullopt};
  const auto colon = text.rfind(':');
  if (colon == text.npos) return fail(Error::invalid("is neither an address nor address:port", text));
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 1 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  auto address = base::parse_address(host);
  if (!address || address->is_v4() == bracketed) {
    return fail(Error::invalid("is neither an address nor address:port nor [IPv6 address]:port", text));
  }
  std::uint16_t port = 0;
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (bad != std::errc() || end != digits.data() + digits.size() || port == 0) {
    return fail(Error::invalid("has a port outside 1-65535", text));
  }
  return Endpoint{*address, port};
}

template <typename T>
std::optional<T> nonzero(std::optional<T> value) {
  return value && *value != T{} ? value : std::nullopt;
}

void read_interfaces(Reader& reader, Configuration& out) {
  const json::value* list = reader.find("ignoredInterfaces");
  if (list == nullptr) return;
  if (!list->is_array()) return reader.report("spec.ignoredInterfaces", "is not a list");
  for (const json::value& entry : list->get_array()) {
    if (entry.is_string() && is_interface_pattern(entry.get_string())) {
      out.ignored_interfaces.emplace_back(entry.get_string());
    } else {
      reader.report("spec.ignoredInterfaces",
                    "has an entry that is not 1 to 15 of a-z A-Z 0-9 _ . * - (and not just *)");
    }
  }
}

void read_global(Reader& reader, Configuration& out) {
  out.mesh_enabled = reader.read("nodeToNodeMeshEnabled", as_bool);
  out.as_number = nonzero(reader.read("asNumber", parse_as_number));
  if (auto mode = reader.read("bindMode", as_string)) {
    if (*mode == "NodeIP")
      out.bind_mode = BindMode::kNodeIp;
    else if (*mode != "None")
      reader.report("spec.bindMode", "is neither None nor NodeIP");
  }
  read_interfaces(reader, out);
  out.mesh_password = reader.read("nodeMeshPassword", as_secret);
  out.mesh_restart_time = reader.read("nodeMeshMaxRestartTime", as_duration);
  out.cluster_ips = read_ranges(reader, "serviceClusterIPs", false);
  out.external_ips = read_ranges(reader, "serviceExternalIPs", true);
  out.load_balancer_ips = read_ranges(reader, "serviceLoadBalancerIPs", true);
  out.aggregate_load_balancers = reader.read("serviceLoadBalancerAggregation", as_switch).value_or(true);
  out.program_cluster_routes = reader.read("programClusterRoutes", as_switch).value_or(true);
  const auto priority = [&](std::string_view field) {
    return static_cast<std::uint32_t>(reader.read(field, as_int(1, kMaxPriority)).value_or(1024));
  };
  out.normal_priority_v4 = priority("ipv4NormalRoutePriority");
  out.normal_priority_v6 = priority("ipv6NormalRoutePriority");
}

void check_target(Reader& reader, const Peer& peer, bool has_address) {
  if (!peer.node.empty() && !peer.node_selector.empty()) reader.report("spec.nodeSelector", "cannot stand beside node");
  if (reader.find("localWorkloadSelector") != nullptr) {
    reader.report("spec.localWorkloadSelector",
                  "peering with local workloads is not supported; use peerIP or peerSelector");
  } else if (has_address == !peer.peer_selector.empty()) {
    reader.report("spec.peerIP", "exactly one of peerIP and peerSelector is needed");
  } else if (has_address && !peer.as_number) {
    reader.report("spec.asNumber", "is needed with peerIP");
  } else if (!has_address && peer.as_number) {
    reader.report("spec.asNumber", "cannot stand beside peerSelector");
  }
  if (peer.reachable_by && (!has_address || !peer.peer_ip || peer.peer_ip->family() != peer.reachable_by->family())) {
    reader.report("spec.reachableBy", "needs a peerIP of the same address family");
  }
}

std::vector<std::string> read_filters(Reader& reader) {
  std::vector<std::string> names;
  const json::value* filters = reader.find("filters");
  if (filters == nullptr) return names;
  if (!filters->is_array()) {
    reader.report("spec.filters", "is not a list");
    return names;
  }
  for (const json::value& name : filters->get_array()) {
    if (name.is_string())
      names.emplace_back(name.get_string());
    else
      reader.report("spec.filters", "has an entry that is not a name");
  }
  return names;
}

}  // namespace

bool is_secret_name(std::string_view part) {
  return !part.empty() && part.size() <= 255 && part.front() != '.' && part.find('/') == part.npos &&
         part.find('\0') == part.npos;
}

bool is_interface_pattern(std::string_view text) { return text != "*" && is_filter_pattern(text); }

bool is_filter_pattern(std::string_view text) {
  if (text.empty() || text.size() > 15) return false;
  return std::ranges::all_of(text, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
           c == '*' || c == '-';
  });
}

Result<AsNumber> parse_as_number(const json::value& value) {
  const auto bad = [] { return fail(Error::invalid("is not an AS number (0-4294967295, or two 16-bit parts hi.lo)")); };
  const auto part = [](std::string_view text, std::uint64_t limit) -> std::optional<std::uint64_t> {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || number > limit) return std::nullopt;
    return number;
  };
  if (value.is_string()) {
    const std::string_view text = value.get_string();
    const auto dot = text.find('.');
    if (dot == text.npos) {
      const auto whole = part(text, 0xFFFFFFFFu);
      if (!whole) return bad();
      return static_cast<AsNumber>(*whole);
    }
    const auto high = part(text.substr(0, dot), 0xFFFF);
    const auto low = part(text.substr(dot + 1), 0xFFFF);
    if (!high || !low) return bad();
    return static_cast<AsNumber>(*high * 65536 + *low);
  }
  auto number = as_int(0, 0xFFFFFFFFll)(value);
  if (!number) return bad();
  return static_cast<AsNumber>(*number);
}

std::optional<BlockState> parse_affinity(const json::object& value) {
  const json::value* state = value.if_contains("state");
  const json::value* deleted = value.if_contains("deleted");
  if (deleted != nullptr && deleted->is_bool() && deleted->get_bool()) return std::nullopt;
  if (state == nullptr || !state->is_string() || state->get_string().empty() || state->get_string() == "confirmed") {
    return BlockState::kConfirmed;
  }
  if (state->get_string() == "pendingDeletion") return BlockState::kPendingDeletion;
  return std::nullopt;
}

Result<Community> parse_community(std::string_view text) {
  const auto bad = [&] { return fail(Error::invalid("is not a community a:b (16 bits each) or a:b:c", text)); };
  const auto parts = base::split(text, ':');
  if (parts.size() != 2 && parts.size() != 3) return bad();
  const std::uint64_t limit = parts.size() == 2 ? 0xFFFF : 0xFFFFFFFF;
  std::array<std::uint32_t, 3> numbers{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    std::uint64_t number = 0;
    const std::string_view part = parts[i];
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (part.empty() || error != std::errc() || end != part.data() + part.size() || number > limit) return bad();
    numbers.at(i) = static_cast<std::uint32_t>(number);
  }
  Community community{numbers[0], numbers[1], std::nullopt};
  if (parts.size() == 3) community.c = numbers[2];
  return community;
}

std::string to_string(const Community& community) {
  return community.c ? fmt::format("({}, {}, {})", community.a, community.b, *community.c)
                     : fmt::format("({}, {})", community.a, community.b);
}

Result<std::chrono::seconds> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double seconds;
  };
  // Longer names first, so that "ms" is not read as minutes.
  static constexpr Unit kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"h", 3600}, {"m", 60}, {"s", 1}};
  const auto bad = [&] { return fail(Error::invalid("is not a duration such as 30s or 1m30s", text)); };
  if (text == "0") return std::chrono::seconds{0};
  double total = 0;
  std::string_view rest = text;
  if (rest.empty()) return bad();
  while (!rest.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return bad();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const auto* unit = std::ranges::find_if(kUnits, [&](const Unit& u) { return rest.starts_with(u.name); });
    if (unit == std::end(kUnits)) return bad();
    total += number * unit->seconds;
    rest.remove_prefix(unit->name.size());
  }
  constexpr double kLimit = 1e9;  // thirty years
  if (!(total <= kLimit)) return bad();
  return std::chrono::seconds{std::llround(total)};
}

Configuration parse_configuration(std::string_view name, const json::object& resource, Diagnostics& out) {
  Reader reader(fmt::format("BGPConfiguration({})", name), resource, out);
  Configuration result;
  result.debug = reader.read("logSeverityScreen", as_debug);
  if (auto port = reader.read("listenPort", as_int(1, 65535))) result.listen_port = static_cast<std::uint16_t>(*port);
  if (name == "default") read_global(reader, result);
  if (name != "default" && !name.starts_with("node.")) {
    reader.report("metadata.name", "is neither default nor node.<name>; the object has no effect");
  }
  result.advertisements = read_advertisements(reader);
  if (result.mesh_restart_time) result.mesh_restart_time = std::min(*result.mesh_restart_time, kMaxRestartTime);
  result.mesh_restart_time = nonzero(result.mesh_restart_time);
  return result;
}

std::optional<Peer> parse_peer(std::string_view name, const json::object& resource, Diagnostics& out) {
  Reader reader(fmt::format("BGPPeer({})", name), resource, out);
  Peer peer;
  peer.node = reader.read("node", as_string).value_or("");
  peer.node_selector = reader.read("nodeSelector", as_string).value_or("");
  peer.peer_selector = reader.read("peerSelector", as_string).value_or("");
  const json::value* address = reader.find("peerIP");
  const bool has_address = address != nullptr && !(address->is_string() && address->get_string().empty());
  if (has_address) {
    if (auto endpoint = reader.read("peerIP", as_endpoint)) {
      peer.peer_ip = endpoint->address;
      peer.peer_port = endpoint->port;
    }
  }
  peer.as_number = nonzero(reader.read("asNumber", parse_as_number));
  peer.local_as = nonzero(reader.read("localASNumber", parse_as_number));
  peer.keep_original_next_hop = reader.read("keepOriginalNextHop", as_bool).value_or(false);
  if (auto mode = reader.read("nextHopMode", as_string); mode && !mode->empty()) {
    if (*mode == "Self")
      peer.next_hop = NextHopMode::kSelf;
    else if (*mode == "Keep")
      peer.next_hop = NextHopMode::kKeep;
    else if (*mode != "Auto")
      reader.report("spec.nextHopMode", "is none of Auto, Self, Keep");
  }
  if (auto source = reader.read("sourceAddress", as_string); source && !source->empty()) {
    peer.source_is_node_address = *source == "UseNodeIP";
    if (*source != "UseNodeIP" && *source != "None")
      reader.report("spec.sourceAddress", "is neither UseNodeIP nor None");
  }
  peer.password = reader.read("password", as_secret);
  peer.restart_time = nonzero(reader.read("maxRestartTime", as_duration));
  if (peer.restart_time) peer.restart_time = std::min(*peer.restart_time, kMaxRestartTime);
  peer.keepalive = nonzero(reader.read("keepaliveTime", as_duration));
  if (peer.keepalive) peer.keepalive = std::min(*peer.keepalive, kMaxKeepalive);
  peer.allowed_local_as = static_cast<int>(reader.read("numAllowedLocalASNumbers", as_int(0, 255)).value_or(0));
  peer.ttl_security = static_cast<int>(reader.read("ttlSecurity", as_int(0, 255)).value_or(0));
  peer.reachable_by = reader.read("reachableBy", as_address);
  if (auto reverse = reader.read("reversePeering", as_string); reverse && !reverse->empty()) {
    peer.reverse_peering = *reverse != "Manual";
    if (*reverse != "Manual" && *reverse != "Auto") reader.report("spec.reversePeering", "is neither Auto nor Manual");
  }
  check_target(reader, peer, has_address);
  peer.filters = read_filters(reader);
  if (!reader.clean()) {
    reader.report("", "the peering is left out until its BGPPeer is corrected");
    return std::nullopt;
  }
  return peer;
}

}  // namespace bgp
