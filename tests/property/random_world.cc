#include "random_world.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include <boost/json.hpp>

#include "base/check.h"

namespace property {
namespace {

constexpr const char* kSelectors[] = {
    "all()",
    "has(a)",
    "has(b)",
    "!has(a)",
    "a == 'x'",
    "a == 'y'",
    "b == 'x'",
    "a != 'x'",
    "a in {'x', 'y'}",
    "b in {}",
    "c not in {'x'}",
    "b starts with 'x'",
    "a == 'x' && has(b)",
    "a == 'x' && a == 'y'",
    "a == 'x' || b == 'y'",
    "(has(a) || has(c)) && !(b == 'z')",
    "a contains 'x' && !has(c)",
    "inherited == 'x'",
    "has(inherited) && a != 'y'",
};

constexpr const char* kAddresses[] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1",
                                      "10.1.0.1", "fd00::1",  "fd00::2",  "fd00:1::1"};
constexpr const char* kNets[] = {"0.0.0.0/0",   "0.0.0.0/1", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.1/32",
                                 "10.0.1.0/24", "::/0",      "fd00::/64",  "fd00::1/128"};

template <typename Map>
const auto& any_of(testing::Rng& rng, const Map& map) {
  return *std::next(map.begin(), static_cast<std::ptrdiff_t>(rng.index(map.size())));
}

template <typename Change, typename Map>
void append_all(const Map& map, std::vector<model::Update>& out) {
  for (const auto& [key, value] : map) out.push_back(Change{key, value});
}

model::DocumentChange services_of(const std::vector<base::Prefix>& ranges) {
  boost::json::array list;
  for (const base::Prefix& range : ranges) list.push_back(boost::json::object{{"cidr", base::to_string(range)}});
  boost::json::object document{{"spec", {{"serviceClusterIPs", std::move(list)}}}};
  return {{model::DocumentKind::kBgpConfiguration, "default"},
          std::make_shared<const boost::json::object>(std::move(document))};
}

}  // namespace

RandomWorld::RandomWorld(testing::Rng& rng, base::Interner& interner) : rng_(rng), interner_(interner) {
  for (const char* text : kSelectors) {
    auto selector = model::Selector::parse(text, interner_);
    CHECK(selector.has_value());
    selectors_.push_back(std::move(*selector));
  }
}

model::Symbol RandomWorld::pick(std::initializer_list<std::string_view> texts) {
  return sym(*(texts.begin() + rng_.below(texts.size())));
}

base::IpAddress RandomWorld::address() {
  return base::parse_address(kAddresses[rng_.index(std::size(kAddresses))]).value();
}
base::Prefix RandomWorld::net() { return base::parse_cidr(kNets[rng_.index(std::size(kNets))]).value(); }
model::Selector RandomWorld::selector() { return rng_.pick(selectors_); }

model::Labels RandomWorld::labels() {
  model::Labels labels;
  for (std::uint64_t n = rng_.below(4); n > 0; --n) {
    labels.push_back({pick({"a", "b", "c", "inherited"}), pick({"x", "y", "z"})});
  }
  model::normalise(labels);
  return labels;
}

std::vector<model::Symbol> RandomWorld::profiles() {
  std::vector<model::Symbol> profiles;
  for (std::uint64_t n = rng_.below(4); n > 1; --n) {
    profiles.push_back(pick({"p1", "p2", "p3", "p1", "p2", model::kDefaultAllowProfile}));
  }
  return profiles;
}

model::Membership RandomWorld::membership() {
  model::Membership m;
  m.labels = labels();
  m.profiles = profiles();
  for (std::uint64_t n = rng_.below(4); n > 0; --n) m.addresses.push_back(address());
  for (std::uint64_t n = rng_.below(3); n > 0; --n) {
    const std::uint8_t protocols[] = {6, 17, 132};
    m.ports.push_back(
        {pick({"http", "dns"}), protocols[rng_.index(3)], static_cast<std::uint16_t>(80 + rng_.below(2))});
  }
  return m;
}

model::Protocol RandomWorld::protocol() {
  switch (rng_.below(5)) {
    case 0: return {sym("tcp"), 6};
    case 1: return {sym("udp"), 17};
    case 2: return {sym("sctp"), 132};
    case 3: return {{}, 6};
    default: return {sym("icmp"), 1};
  }
}

model::Port RandomWorld::port() {
  if (maybe()) return {0, 0, pick({"http", "dns"})};
  const auto first = static_cast<std::uint16_t>(79 + rng_.below(3));
  return {first, static_cast<std::uint16_t>(first + rng_.below(2)), {}};
}

model::RuleEntity RandomWorld::entity(bool has_ports) {
  model::RuleEntity entity;
  if (rng_.one_in(2)) entity.selector = selector();
  if (rng_.one_in(4)) entity.not_selector = selector();
  if (rng_.one_in(4)) entity.nets.push_back(net());
  if (rng_.one_in(8)) entity.nets.push_back(net());
  if (rng_.one_in(8)) entity.not_nets.push_back(net());
  if (has_ports) {
    for (std::uint64_t n = rng_.below(3); n > 0; --n) entity.ports.push_back(port());
    if (rng_.one_in(4)) entity.not_ports.push_back(port());
  }
  if (rng_.one_in(32)) entity.service = "default/dns";
  return entity;
}

model::Rule RandomWorld::rule() {
  model::Rule rule;
  const model::RuleAction actions[] = {model::RuleAction::kAllow, model::RuleAction::kDeny, model::RuleAction::kPass,
                                       model::RuleAction::kLog, model::RuleAction::kAllow};
  rule.action = actions[rng_.index(std::size(actions))];
  if (rng_.one_in(8)) rule.ip_version = maybe() ? base::Family::kIpv4 : base::Family::kIpv6;
  if (rng_.one_in(2)) rule.protocol = protocol();
  if (rng_.one_in(8)) rule.not_protocol = protocol();
  if (rule.protocol && rule.protocol->number == 1 && maybe()) {
    rule.icmp = model::IcmpMatch{8, maybe() ? std::optional<std::uint8_t>(0) : std::nullopt};
  }
  if (rule.protocol && rule.protocol->number == 1 && rng_.one_in(4)) rule.not_icmp = model::IcmpMatch{8, std::nullopt};
  if (rng_.one_in(8)) rule.annotations = {{"ticket", "17"}, {"why", ""}};
  const bool has_ports = !rule.protocol || rule.protocol->number != 1;
  rule.source = entity(has_ports && rng_.one_in(4));
  rule.destination = entity(has_ports && maybe());
  return rule;
}

std::vector<model::Rule> RandomWorld::rules() {
  std::vector<model::Rule> rules;
  for (std::uint64_t n = rng_.below(3); n > 0; --n) rules.push_back(rule());
  return rules;
}

std::optional<double> RandomWorld::order() {
  const std::optional<double> orders[] = {std::nullopt, 1.0, 2.0, -1.5};
  return orders[rng_.index(std::size(orders))];
}

model::Update RandomWorld::workload() {
  const auto number = std::to_string(rng_.below(8));
  model::WorkloadEndpointKey key{pick({"ns1", "ns2"}), "wep-" + number};
  if (rng_.one_in(4)) return model::WorkloadEndpointChange{key, std::nullopt};
  model::WorkloadEndpoint value;
  value.membership = membership();
  value.node = pick({kHostname, "there"});
  if (value.node.view() == kHostname) {
    auto interface = std::make_shared<model::WorkloadInterface>();
    interface->name = "tap" + number;
    interface->addresses = value.membership.addresses;
    interface->active = !rng_.one_in(16);
    value.interface = std::move(interface);
  }
  return model::WorkloadEndpointChange{key, value};
}

model::Update RandomWorld::host_endpoint() {
  model::HostEndpointKey key{pick({"hep1", "hep2", "hep3"})};
  if (rng_.one_in(4)) return model::HostEndpointChange{key, std::nullopt};
  model::HostEndpoint value;
  value.membership = membership();
  value.node = pick({kHostname, kHostname, "there"});
  value.is_local = value.node.view() == kHostname;
  value.interface_name = std::string(pick({"", "*", "eth0"}).view());
  if (rng_.one_in(4)) value.dscp = std::uint8_t{46};
  return model::HostEndpointChange{key, value};
}

model::Update RandomWorld::network_set() {
  model::NetworkSetKey key{pick({"", "ns1"}), pick({"set1", "set2"})};
  if (rng_.one_in(4)) return model::NetworkSetChange{key, std::nullopt};
  model::NetworkSet value;
  value.labels = labels();
  value.profiles = profiles();
  for (std::uint64_t n = rng_.below(5); n > 0; --n) value.nets.push_back(net());
  return model::NetworkSetChange{key, value};
}

model::Update RandomWorld::policy() {
  model::PolicyKey key;
  const model::PolicyKind kinds[] = {model::PolicyKind::kGlobalNetworkPolicy, model::PolicyKind::kNetworkPolicy,
                                     model::PolicyKind::kStagedGlobalNetworkPolicy};
  key.kind = kinds[rng_.index(std::size(kinds))];
  if (key.kind == model::PolicyKind::kNetworkPolicy) key.ns = pick({"ns1", "ns2"});
  key.name = pick({"pol", "pol-a", "pol.b"});
  if (rng_.one_in(4)) return model::PolicyChange{key, std::nullopt};
  // Often the old value with one thing changed: that is what real updates look like.
  if (const auto known = world_.policies.find(key); known != world_.policies.end() && maybe()) {
    model::Policy value = known->second;
    switch (rng_.below(6)) {
      case 0: value.order = order(); break;
      case 1: value.selector = selector(); break;
      case 2: value.tier = pick({"default", "t1", "t2"}); break;
      case 3: value.ingress = rules(); break;
      case 4: value.applies_to_egress = !value.applies_to_egress; break;
      default: value.needed_on_every_node = !value.needed_on_every_node; break;
    }
    return model::PolicyChange{key, value};
  }
  model::Policy value;
  value.tier = pick({"default", "t1", "t2"});
  value.order = order();
  value.selector = selector();
  value.ingress = rules();
  value.egress = rules();
  value.applies_to_ingress = !rng_.one_in(4);
  value.applies_to_egress = !rng_.one_in(4);
  if (key.kind != model::PolicyKind::kNetworkPolicy) {
    value.apply_on_forward = rng_.one_in(3);
    value.do_not_track = rng_.one_in(6);
    value.pre_dnat = rng_.one_in(6);
  }
  value.needed_on_every_node = rng_.one_in(8);
  return model::PolicyChange{key, value};
}

model::Update RandomWorld::tier() {
  model::TierKey key{pick({"default", "t1", "t2"})};
  if (rng_.one_in(3)) return model::TierChange{key, std::nullopt};
  return model::TierChange{key, model::Tier{order(), maybe() ? model::TierAction::kPass : model::TierAction::kDeny}};
}

model::Update RandomWorld::profile() {
  model::ProfileKey key{pick({"p1", "p2", "p3", "p1", model::kDefaultAllowProfile})};
  if (rng_.one_in(3)) return model::ProfileChange{key, std::nullopt};
  model::Profile value;
  value.ingress = rules();
  value.egress = rules();
  value.labels_to_apply = labels();
  return model::ProfileChange{key, value};
}

model::Update RandomWorld::pool() {
  model::IpPoolKey key{std::string(pick({"pool1", "pool2", "pool3"}).view())};
  if (rng_.one_in(3)) return model::IpPoolChange{key, std::nullopt};
  model::IpPool value;
  value.cidr = net();
  value.nat_outgoing = maybe();
  const model::EncapMode modes[] = {model::EncapMode::kNever, model::EncapMode::kAlways,
                                    model::EncapMode::kCrossSubnet};
  value.ipip = modes[rng_.index(std::size(modes))];
  value.vxlan = modes[rng_.index(std::size(modes))];
  return model::IpPoolChange{key, value};
}

model::Update RandomWorld::services() {
  std::vector<base::Prefix> ranges;
  for (std::uint64_t i = rng_.below(3); i > 0; --i) ranges.push_back(net());
  model::DocumentChange change = services_of(ranges);
  if (rng_.one_in(4)) change.key.name = "node.here";
  if (rng_.one_in(3)) change.value.reset();
  return change;
}

model::Update RandomWorld::node() {
  model::NodeKey key{pick({kHostname, "there", "elsewhere"})};
  if (rng_.one_in(3)) return model::NodeChange{key, std::nullopt};
  model::Node value;
  const auto some_address = [&](base::Family family) -> std::optional<base::IpAddress> {
    const base::IpAddress found = address();
    return found.family() == family ? std::optional(found) : std::nullopt;
  };
  value.host_ipv4 = some_address(base::Family::kIpv4);
  value.host_ipv6 = some_address(base::Family::kIpv6);
  const std::uint8_t lengths[] = {8, 24, 32};
  if (value.host_ipv4 && maybe()) value.bgp_ipv4 = base::Prefix{*value.host_ipv4, lengths[rng_.index(3)]};
  if (value.host_ipv6 && maybe()) value.bgp_ipv6 = base::Prefix{*value.host_ipv6, 64};
  if (maybe()) value.ipip_tunnel = some_address(base::Family::kIpv4);
  if (maybe()) value.vxlan_tunnel_v4 = some_address(base::Family::kIpv4);
  if (maybe()) value.vxlan_tunnel_v6 = some_address(base::Family::kIpv6);
  return model::NodeChange{key, value};
}

// Of several sizes, so that one lies within another; some of one address.
model::Update RandomWorld::block() {
  const base::IpAddress inside = address();
  const std::uint8_t v4_lengths[] = {24, 26, 32};
  const std::uint8_t v6_lengths[] = {64, 122, 128};
  const std::uint8_t length = (inside.is_v4() ? v4_lengths : v6_lengths)[rng_.index(3)];
  const model::IpamBlockKey key{base::Prefix{inside, length}.masked()};
  if (rng_.one_in(3)) return model::IpamBlockChange{key, std::nullopt};
  model::IpamBlock value;
  value.cidr = key.cidr;
  value.affinity_host = pick({"", kHostname, "there", "elsewhere"});
  if (maybe() && key.cidr.contains(inside)) {
    const model::Symbol borrower = pick({kHostname, "there", "elsewhere"});
    if (borrower != value.affinity_host) value.borrowed.emplace_back(inside, borrower);
  }
  return model::IpamBlockChange{key, value};
}

model::Update RandomWorld::next() {
  const auto make = [&]() -> model::Update {
    switch (rng_.below(19)) {
      case 0:
      case 1:
      case 2:
      case 3: return workload();
      case 4: return host_endpoint();
      case 5:
      case 6: return network_set();
      case 7:
      case 8:
      case 9:
      case 10: return policy();
      case 11: return tier();
      case 12:
      case 13: return profile();
      case 14: return pool();
      case 15:
      case 16: return block();
      case 17: return services();
      default: return node();
    }
  };
  model::Update update = make();
  calc::apply(world_, update);
  return update;
}

std::vector<model::Update> RandomWorld::snapshot() {
  std::vector<model::Update> updates;
  append_all<model::WorkloadEndpointChange>(world_.workloads, updates);
  append_all<model::HostEndpointChange>(world_.host_endpoints, updates);
  append_all<model::NetworkSetChange>(world_.network_sets, updates);
  append_all<model::PolicyChange>(world_.policies, updates);
  append_all<model::TierChange>(world_.tiers, updates);
  append_all<model::ProfileChange>(world_.profiles, updates);
  append_all<model::IpPoolChange>(world_.pools, updates);
  append_all<model::NodeChange>(world_.nodes, updates);
  append_all<model::IpamBlockChange>(world_.blocks, updates);
  if (!world_.service_ranges.empty()) updates.push_back(services_of(world_.service_ranges));
  std::shuffle(updates.begin(), updates.end(), rng_);
  return updates;
}

void RandomWorld::lose_one() {
  const auto lose = [&](auto& map) {
    if (!map.empty()) map.erase(any_of(rng_, map).first);
  };
  switch (rng_.below(9)) {
    case 0: lose(world_.workloads); break;
    case 1: lose(world_.host_endpoints); break;
    case 2: lose(world_.network_sets); break;
    case 3: lose(world_.policies); break;
    case 4: lose(world_.tiers); break;
    case 5: lose(world_.profiles); break;
    case 6: lose(world_.pools); break;
    case 7: lose(world_.blocks); break;
    default: lose(world_.nodes); break;
  }
}

}  // namespace property
