#include <algorithm>
#include <array>

#include "model/decode/decode.h"

namespace model::decode {
namespace {

EncapMode read_mode(const Field& field) {
  const std::string_view text = field.text();
  if (text.empty() || text == "Never") return EncapMode::kNever;
  if (text == "Always") return EncapMode::kAlways;
  if (text == "CrossSubnet") return EncapMode::kCrossSubnet;
  field.refuse_text("is not an encapsulation mode", "use Always, CrossSubnet or Never");
  return EncapMode::kNever;
}

// In a Node an unusable address costs only itself (spec §6.4).
template <typename T>
std::optional<T> usable(const Field& field, const base::Result<T>& parsed, std::string_view what) {
  if (parsed) return *parsed;
  field.leave_out(std::string("is not ").append(what).append(" and is left out"), "correct or remove it");
  return std::nullopt;
}

std::optional<base::IpAddress> read_optional_address(const Field& field) {
  const std::string_view text = field.text();
  if (text.empty()) return std::nullopt;
  return usable(field, base::parse_address(text), "an IP address");
}

// With or without prefix length; host bits are kept.
base::Result<base::Prefix> parse_host_cidr(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return base::parse_interface_cidr(text);
  auto address = base::parse_address(text);
  if (!address) return base::fail(std::move(address).error());
  return base::Prefix::host(*address);
}

std::optional<base::Prefix> read_bgp_address(const Field& field, base::Family family) {
  const std::string_view text = field.text();
  if (text.empty()) return std::nullopt;
  const auto prefix = usable(field, parse_host_cidr(text), "an address with prefix length");
  if (!prefix || prefix->family() == family) return prefix;
  field.leave_out("is of the other address family and is left out", "correct or remove it");
  return std::nullopt;
}

std::string read_optional_mac(const Field& field) {
  const std::string_view text = field.text();
  if (text.empty() || !usable(field, base::parse_mac(text), "a MAC address")) return {};
  return std::string(text);
}

// A number, or text in plain or dotted form: 1.10 is 65546 (spec §3.1).
std::optional<std::uint32_t> parse_as_number(std::string_view text) {
  const auto number = [](std::string_view digits, std::uint64_t most) -> std::optional<std::uint32_t> {
    constexpr std::size_t kMostDigits = 10;
    if (digits.empty() || digits.size() > kMostDigits) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = 10 * value + static_cast<std::uint64_t>(c - '0');
    }
    return value <= most ? std::optional(static_cast<std::uint32_t>(value)) : std::nullopt;
  };
  const auto dot = text.find('.');
  if (dot == std::string_view::npos) return number(text, UINT32_MAX);
  const auto high = number(text.substr(0, dot), UINT16_MAX);
  const auto low = number(text.substr(dot + 1), UINT16_MAX);
  return high && low ? std::optional(*high << 16 | *low) : std::nullopt;
}

std::optional<std::uint32_t> read_as_number(const Field& field) {
  if (!field.present()) return std::nullopt;
  std::optional<std::uint32_t> number;
  if (field.is_text()) {
    number = parse_as_number(field.text());
  } else if (const auto value = field.integer(0, UINT32_MAX)) {
    number = static_cast<std::uint32_t>(*value);
  }
  if (!number && field.is_text()) field.refuse_text("is not an AS number", "use a number such as 64512");
  return number;
}

// The first address of a family, those of type InternalIP before those of type ExternalIP.
std::optional<base::IpAddress> read_listed_address(const Field& addresses, base::Family family) {
  std::optional<base::IpAddress> internal;
  std::optional<base::IpAddress> external;
  addresses.each([&](const Field& element) {
    const auto prefix = parse_host_cidr(element.member("address").text());
    if (!prefix || prefix->family() != family) return;
    const std::string_view type = element.member("type").text();
    if (type == "InternalIP" && !internal) internal = prefix->address;
    if (type == "ExternalIP" && !external) external = prefix->address;
  });
  return internal ? internal : external;
}

// Labels decide which configurations apply to a host. With one that breaks the syntax none of them do, but the host's
// addresses stay known: without them its tunnels would be refused everywhere.
void read_node_labels(const Field& map, Context& context, Node& node) {
  bool usable = map.object() != nullptr;
  map.each_text([&](const Field& field, std::string_view name, std::string_view value) {
    const Label label{context.interner.intern(name), context.interner.intern(value)};
    if (!context.label_syntax.is_name(label.name) || !context.label_syntax.is_value(label.value)) {
      usable = false;
      return field.leave_out("is not a valid label, so the node counts as having none", "correct or remove it");
    }
    node.labels.push_back(label);
    node.label_texts.emplace(name, value);
  });
  normalise(node.labels);
  if (usable) return;
  node.labels.clear();
  node.label_texts.clear();
}

}  // namespace

std::optional<IpPool> read_pool(const Field& document) {
  constexpr int kDefaultBlockV4 = 26;
  constexpr int kDefaultBlockV6 = 122;
  const Field spec = document.member("spec");
  IpPool pool;
  const Field cidr = spec.member("cidr");
  // A bare address is refused here, unlike elsewhere (spec §6.4).
  if (auto prefix = base::parse_cidr(cidr.text())) {
    pool.cidr = *prefix;
  } else {
    cidr.refuse_text("is not a CIDR", "write address/length, for example 10.65.0.0/16");
    return std::nullopt;
  }
  pool.ipip = read_mode(spec.member("ipipMode"));
  pool.vxlan = read_mode(spec.member("vxlanMode"));
  pool.nat_outgoing = spec.member("natOutgoing").boolean();
  pool.disabled = spec.member("disabled").boolean();
  pool.disable_bgp_export = spec.member("disableBGPExport").boolean();
  const bool is_v4 = pool.cidr.family() == base::Family::kIpv4;
  const auto size = spec.member("blockSize").integer(0, base::address_bits(pool.cidr.family()));
  pool.block_size = size && *size != 0 ? static_cast<int>(*size) : is_v4 ? kDefaultBlockV4 : kDefaultBlockV6;
  pool.node_selector = spec.member("nodeSelector").text();
  return pool;
}

std::optional<Node> read_node(const Field& document, Context& context) {
  const Field spec = document.member("spec");
  const Field bgp = spec.member("bgp");
  const Field metadata = document.member("metadata");
  const Field labels = metadata.member("labels");
  Node node;
  node.has_bgp = bgp.object() != nullptr;
  node.bgp_ipv4 = read_bgp_address(bgp.member("ipv4Address"), base::Family::kIpv4);
  node.bgp_ipv6 = read_bgp_address(bgp.member("ipv6Address"), base::Family::kIpv6);
  node.as_number = read_as_number(bgp.member("asNumber"));
  node.route_reflector_cluster_id = bgp.member("routeReflectorClusterID").text();
  node.ipip_tunnel = read_optional_address(bgp.member("ipv4IPIPTunnelAddr"));
  node.vxlan_tunnel_v4 = read_optional_address(spec.member("ipv4VXLANTunnelAddr"));
  node.vxlan_tunnel_v6 = read_optional_address(spec.member("ipv6VXLANTunnelAddr"));
  node.vxlan_mac_v4 = read_optional_mac(spec.member("vxlanTunnelMACAddr"));
  node.vxlan_mac_v6 = read_optional_mac(spec.member("vxlanTunnelMACAddrV6"));
  const Field addresses = spec.member("addresses");
  node.host_ipv4 =
      node.bgp_ipv4 ? std::optional(node.bgp_ipv4->address) : read_listed_address(addresses, base::Family::kIpv4);
  node.host_ipv6 =
      node.bgp_ipv6 ? std::optional(node.bgp_ipv6->address) : read_listed_address(addresses, base::Family::kIpv6);
  read_node_labels(labels, context, node);
  return node;
}

namespace {

// The address with this number in a block; the block has at most 16 free bits.
base::IpAddress address_in(const base::Prefix& block, std::uint32_t ordinal) {
  std::array<std::uint8_t, 16> bytes{};
  std::copy_n(block.address.bytes(), block.address.size(), bytes.begin());
  const std::size_t last = block.address.size() - 1;
  bytes[last] = static_cast<std::uint8_t>(bytes[last] | (ordinal & 0xFF));
  bytes[last - 1] = static_cast<std::uint8_t>(bytes[last - 1] | (ordinal >> 8));
  return base::IpAddress::from_bytes(block.family(), bytes.data());
}

// The host of each entry of a block's `attributes`; empty where none is said.
std::vector<std::string_view> attribute_hosts(const Field& attributes) {
  std::vector<std::string_view> hosts;
  attributes.each([&](const Field& element) {
    const Field secondary = element.member("secondary");
    hosts.push_back(secondary.member("node").text());
  });
  return hosts;
}

}  // namespace

std::optional<IpamBlock> read_block(const Field& document, const base::Prefix& cidr, Context& context) {
  if (document.member("deleted").boolean()) return std::nullopt;
  IpamBlock block;
  block.cidr = cidr;
  constexpr std::string_view kHost = "host:";
  std::string_view owner = document.member("affinity").text();
  owner = owner.starts_with(kHost) ? owner.substr(kHost.size()) : std::string_view();
  block.affinity_host = context.interner.intern(owner);

  const Field allocations = document.member("allocations");
  const int bits = base::address_bits(cidr.family()) - cidr.length;
  constexpr int kWidestBlock = 16;  // bits; blocks of more than 65,536 addresses do not exist
  if (bits > kWidestBlock || allocations.size() > std::size_t{1} << bits) {
    allocations.refuse("does not fit the block's CIDR", "release and recreate the block");
    return std::nullopt;
  }
  const Field attributes = document.member("attributes");
  const std::vector<std::string_view> hosts = attribute_hosts(attributes);
  std::uint32_t ordinal = 0;
  allocations.each([&](const Field& element) {
    const std::uint32_t number = ordinal++;
    if (!element.present()) return;
    const auto index = element.integer(0, std::int64_t{1} << kWidestBlock);
    if (!index || static_cast<std::size_t>(*index) >= hosts.size()) return;
    const std::string_view host = hosts[static_cast<std::size_t>(*index)];
    if (host.empty() || host == owner) return;
    block.borrowed.emplace_back(address_in(cidr, number), context.interner.intern(host));
  });
  return block;
}

}  // namespace model::decode
