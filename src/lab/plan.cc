#include "lab/plan.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/core.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/strings.h"

namespace lab {
namespace {

base::IpAddress address(std::string_view text) {
  auto parsed = base::parse_address(text);
  CHECK(parsed.has_value());
  return *parsed;
}

base::Prefix interface_cidr(const std::string& text) {
  auto parsed = base::parse_interface_cidr(text);
  CHECK(parsed.has_value());
  return *parsed;
}

// Looks like a random UUID and is the same for the same name, so that runs can be compared.
std::string uuid_of(std::string_view text) {
  const base::Sha256 hash = base::sha256(text);
  std::string hex;
  for (std::size_t i = 0; i < 16; ++i) hex += fmt::format("{:02x}", hash[i]);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

constexpr int kMaxHosts = 26;  // they are named by letters
constexpr int kHostsPerRack = 2;
constexpr int kGuestsEverywhereTwice = 4;  // up to so many hosts have two guests each, more have one

template <typename T>
struct Named {
  T value;
  std::string_view name;
};
constexpr Named<Fabric> kFabrics[] = {{Fabric::kReflector, "reflector"},
                                      {Fabric::kMesh, "mesh"},
                                      {Fabric::kReflectors, "reflectors"},
                                      {Fabric::kRacks, "racks"}};
constexpr Named<PoolMode> kPoolModes[] = {
    {PoolMode::kNone, "none"},   {PoolMode::kDirect, "direct"},
    {PoolMode::kIpip, "ipip"},   {PoolMode::kIpipCrossSubnet, "ipip-cross-subnet"},
    {PoolMode::kVxlan, "vxlan"}, {PoolMode::kVxlanCrossSubnet, "vxlan-cross-subnet"}};

template <typename T, std::size_t N>
std::string_view name_of(const Named<T> (&all)[N], T value) {
  for (const Named<T>& one : all) {
    if (one.value == value) return one.name;
  }
  return "";
}

template <typename T, std::size_t N>
std::optional<T> value_of(const Named<T> (&all)[N], std::string_view name) {
  for (const Named<T>& one : all) {
    if (one.name == name) return one.value;
  }
  return std::nullopt;
}

bool is_vxlan(PoolMode mode) { return mode == PoolMode::kVxlan || mode == PoolMode::kVxlanCrossSubnet; }

// Hosts in subnets of equal size. A fabric whose router knows no guest has more than one only if a tunnel crosses it.
int segments_of(const Topology& topology) {
  switch (topology.fabric) {
    case Fabric::kReflector: return 2;
    case Fabric::kRacks: return (topology.hosts + kHostsPerRack - 1) / kHostsPerRack;
    case Fabric::kMesh:
    case Fabric::kReflectors: return is_vxlan(topology.pool) ? 2 : 1;
  }
  return 1;
}

Segment make_segment(const Topology& topology, int index) {
  const int subnet = 10 * (index + 1);
  Segment segment{.name = fmt::format("s{}", index + 1),
                  .router = std::string(kRouterNode),
                  .v4 = interface_cidr(fmt::format("192.168.{}.1/24", subnet)),
                  .v6 = interface_cidr(fmt::format("fd00:{}::1/64", subnet))};
  if (topology.fabric == Fabric::kRacks) {
    segment.router = fmt::format("tor-{}", index + 1);
    segment.host_as = bgp::AsNumber(65001 + index);
    segment.router_as = bgp::AsNumber(4200000001 + static_cast<unsigned>(index));
  }
  return segment;
}

Host make_host(const Segment& segment, int subnet, int n, int index) {
  return {.name = fmt::format("host-{}", static_cast<char>('a' + index)),
          .segment = segment.name,
          .v4 = interface_cidr(fmt::format("192.168.{}.{}/24", subnet, n)),
          .v6 = interface_cidr(fmt::format("fd00:{}::{}/64", subnet, n)),
          .router_v4 = segment.v4.address,
          .router_v6 = segment.v6.address,
          .management = address(fmt::format("172.31.255.{}", 11 + index)),
          .as = segment.host_as};
}

void add_guests(Plan& plan) {
  const bool twice = plan.hosts.size() <= kGuestsEverywhereTwice;
  for (std::size_t i = 0; i < plan.hosts.size(); ++i) {
    const int n = 11 + static_cast<int>(i);
    const std::string& host = plan.hosts[i].name;
    plan.guests.push_back(make_guest(fmt::format("web{}", i + 1), host, "web", 65, n));
    if (!twice) continue;
    // The standard lab has a third kind of guest, for the demo.
    const bool cache = plan.topology.fabric == Fabric::kReflector && i == 2;
    plan.guests.push_back(cache ? make_guest("cache1", host, "cache", 66, n)
                                : make_guest(fmt::format("db{}", i + 1), host, "db", 66, n));
  }
}

}  // namespace

Guest make_guest(std::string name, std::string host, std::string role, int network, int n) {
  Guest guest;
  guest.name = std::move(name);
  guest.host = std::move(host);
  guest.role = std::move(role);
  guest.network = fmt::format("net-{}", network);
  guest.v4 = interface_cidr(fmt::format("10.{}.0.{}/24", network, n));
  guest.v6 = address(fmt::format("fd00:{}::{}", network, n));
  guest.gateway_v4 = address(fmt::format("10.{}.0.1", network));
  guest.port_id = uuid_of("port " + guest.name);
  guest.device_id = uuid_of("device " + guest.name);
  guest.tap = "tap" + guest.port_id.substr(0, 11);
  guest.mac = fmt::format("fa:16:3e:00:{:02x}:{:02x}", network, n);
  guest.tap_mac = fmt::format("fe:16:3e:00:{:02x}:{:02x}", network, n);
  return guest;
}

std::string_view to_string(Fabric fabric) { return name_of(kFabrics, fabric); }
std::string_view to_string(PoolMode mode) { return name_of(kPoolModes, mode); }
std::optional<Fabric> parse_fabric(std::string_view text) { return value_of(kFabrics, text); }
std::optional<PoolMode> parse_pool_mode(std::string_view text) { return value_of(kPoolModes, text); }

std::string_view to_string(Encapsulation encapsulation) {
  switch (encapsulation) {
    case Encapsulation::kDirect: return "direct";
    case Encapsulation::kIpip: return "IP-in-IP";
    case Encapsulation::kVxlan: return "VXLAN";
  }
  return "";
}

std::string problem_of(const Topology& topology) {
  if (topology.hosts < 2 || topology.hosts > kMaxHosts) return fmt::format("a lab has 2 to {} hosts", kMaxHosts);
  if (topology.fabric == Fabric::kReflector && topology.hosts != Topology{}.hosts) {
    return "the fabric \"reflector\" has 3 hosts; mesh, reflectors and racks have as many as you want";
  }
  return {};
}

Plan make_plan(const Topology& topology) {
  Plan plan;
  plan.topology = topology;
  plan.etcd = address("172.31.255.1");
  const int segments = segments_of(topology);
  const int per_segment = (topology.hosts + segments - 1) / segments;
  for (int i = 0; i < segments; ++i) plan.segments.push_back(make_segment(topology, i));
  for (int i = 0; i < topology.hosts; ++i) {
    const int segment = i / per_segment;
    Host host =
        make_host(plan.segments[static_cast<std::size_t>(segment)], 10 * (segment + 1), 11 + i % per_segment, i);
    host.reflector = topology.fabric == Fabric::kReflectors && i < 2;
    plan.hosts.push_back(std::move(host));
  }
  add_guests(plan);
  return plan;
}

Plan standard_plan() { return make_plan({}); }

Encapsulation expected_encapsulation(const Plan& plan, const Host& from, const Host& to, base::Family family) {
  const bool same_subnet = from.segment == to.segment;
  switch (plan.topology.pool) {
    case PoolMode::kNone:
    case PoolMode::kDirect: return Encapsulation::kDirect;
    case PoolMode::kIpip: return family == base::Family::kIpv4 ? Encapsulation::kIpip : Encapsulation::kDirect;
    case PoolMode::kIpipCrossSubnet:
      return family == base::Family::kIpv4 && !same_subnet ? Encapsulation::kIpip : Encapsulation::kDirect;
    case PoolMode::kVxlan: return Encapsulation::kVxlan;
    case PoolMode::kVxlanCrossSubnet: return same_subnet ? Encapsulation::kDirect : Encapsulation::kVxlan;
  }
  return Encapsulation::kDirect;
}

const Segment& Plan::segment_of(const Host& host) const {
  const auto found = std::ranges::find(segments, host.segment, &Segment::name);
  CHECK(found != segments.end());
  return *found;
}

std::vector<std::string> Plan::routers() const {
  std::vector<std::string> names;
  for (const Segment& segment : segments) {
    if (std::ranges::find(names, segment.router) == names.end()) names.push_back(segment.router);
  }
  return names;
}

std::vector<std::string> Plan::speakers() const {
  const bool speak = topology.fabric == Fabric::kReflector || topology.fabric == Fabric::kRacks;
  return speak ? routers() : std::vector<std::string>{};
}

const Host* Plan::host(std::string_view name) const {
  const std::string wanted = base::to_lower(name);
  const auto found =
      std::ranges::find_if(hosts, [&](const Host& h) { return h.name == wanted || h.name == "host-" + wanted; });
  return found == hosts.end() ? nullptr : &*found;
}

const Guest* Plan::guest(std::string_view name) const {
  const auto found = std::ranges::find(guests, name, &Guest::name);
  return found == guests.end() ? nullptr : &*found;
}

const base::IpAddress& router_id() {
  static const base::IpAddress kAddress = address("192.168.10.1");
  return kAddress;
}

const base::IpAddress& router_id_v6() {
  static const base::IpAddress kAddress = address("fd00:10::1");
  return kAddress;
}

base::IpAddress link_local(const base::MacAddress& mac) {
  const auto& m = mac.bytes;
  const std::array<std::uint8_t, 16> bytes = {
      0xFE, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xFF, 0xFE, m[3], m[4], m[5]};
  return base::IpAddress::from_bytes(base::Family::kIpv6, bytes.data());
}

bool is_lab_name(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace lab
