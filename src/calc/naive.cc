#include "calc/naive.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>

namespace calc {
namespace {

using model::Labels;

// Anything whose labels can put it into an IP set.
struct Contributor {
  Labels labels;
  std::vector<base::Prefix> nets;
  std::vector<model::EndpointPort> ports;
};

// A local endpoint with its effective labels; `profiles` as listed.
struct Local {
  Labels labels;
  std::vector<Symbol> profiles;
};

class Naive {
 public:
  Naive(const World& world, std::string_view hostname) : world_(world), hostname_(hostname) {
    list_contributors();
    list_locals();
  }

  State run() {
    for (const auto& [key, policy] : world_.policies) add_policy(key, policy);
    for (const auto& [key, endpoint] : world_.workloads) add_workload(key, endpoint);
    for (const auto& [key, endpoint] : world_.host_endpoints) add_host_endpoint(key, endpoint);
    for (const Local& local : locals_) {
      for (const Symbol profile : local.profiles) add_profile(profile);
    }
    for (const auto& [key, pool] : world_.pools) {  // by name, so the lowest comes first and stays
      state_.pools.try_emplace(pool.cidr,
                               Pool{pool.ipip, pool.vxlan, pool.nat_outgoing, pool.disabled, pool.disable_bgp_export});
    }
    for (const auto& [key, node] : world_.nodes) state_.nodes.emplace(key.name, node);
    state_.service_ranges = world_.service_ranges;
    return std::move(state_);
  }

 private:
  bool is_local(const model::WorkloadEndpoint& e) const { return e.interface && e.node.view() == hostname_; }
  bool is_local(const model::HostEndpoint& e) const { return e.node.view() == hostname_; }

  Labels labels_of(const Labels& own, const std::vector<Symbol>& profiles) const {
    return effective_labels(world_, own, profiles);
  }

  void add_contributor(const model::Membership& member) {
    Contributor contributor{labels_of(member.labels, member.profiles), {}, member.ports};
    for (const base::IpAddress& address : member.addresses) contributor.nets.push_back(base::Prefix::host(address));
    contributors_.push_back(std::move(contributor));
  }

  void list_contributors() {
    for (const auto& [key, endpoint] : world_.workloads) add_contributor(endpoint.membership);
    for (const auto& [key, endpoint] : world_.host_endpoints) add_contributor(endpoint.membership);
    for (const auto& [key, set] : world_.network_sets) {
      Contributor contributor{labels_of(set.labels, set.profiles), {}, {}};
      for (const base::Prefix& net : set.nets) {
        if (net.length != 0) {
          contributor.nets.push_back(net);
        } else if (net.family() == base::Family::kIpv4) {
          contributor.nets.push_back(base::parse_cidr("0.0.0.0/1").value());
          contributor.nets.push_back(base::parse_cidr("128.0.0.0/1").value());
        } else {
          contributor.nets.push_back(base::parse_cidr("::/1").value());
          contributor.nets.push_back(base::parse_cidr("8000::/1").value());
        }
      }
      contributors_.push_back(std::move(contributor));
    }
  }

  void list_locals() {
    const auto add = [&](const model::Membership& m) {
      locals_.push_back({labels_of(m.labels, m.profiles), m.profiles});
    };
    for (const auto& [key, endpoint] : world_.workloads) {
      if (is_local(endpoint)) add(endpoint.membership);
    }
    for (const auto& [key, endpoint] : world_.host_endpoints) {
      if (is_local(endpoint)) add(endpoint.membership);
    }
  }

  // --- rules and sets
  // -------------------------------------------------------------------------------------------------------

  struct Filter {
    std::optional<model::Selector> positive, negative;
    bool matches(const Labels& labels) const {
      return (!positive || positive->matches(labels)) && (!negative || !negative->matches(labels));
    }
    std::string id() const {
      if (!positive) return model::Selector().unique_id();
      if (!negative) return positive->unique_id();
      return model::hashed_id("s:", "(" + positive->canonical() + " && !" + negative->canonical() + ")");
    }
  };

  SetId net_set(const SetId& id, const Filter& filter) {
    std::set<SetMember> members;
    for (const Contributor& c : contributors_) {
      if (!filter.matches(c.labels)) continue;
      for (const base::Prefix& net : c.nets) members.insert({.prefix = net});
    }
    state_.sets[id] = {SetType::kNet, {members.begin(), members.end()}};
    return id;
  }

  SetId port_set(const Filter& filter, Symbol name, const std::optional<model::Protocol>& protocol) {
    std::string text = "any";
    int number = 0;
    if (protocol) {
      number = protocol->number == 17 || protocol->number == 132 ? protocol->number : 6;
      text = number == 17 ? "udp" : number == 132 ? "sctp" : "tcp";
    }
    const SetId id = model::hashed_id("n:", filter.id() + "," + text + "," + std::string(name.view()));
    std::set<SetMember> members;
    for (const Contributor& c : contributors_) {
      if (!filter.matches(c.labels)) continue;
      for (const model::EndpointPort& port : c.ports) {
        if (port.name != name || (number != 0 && number != port.protocol)) continue;
        for (const base::Prefix& net : c.nets) members.insert({net, port.protocol, port.port});
      }
    }
    state_.sets[id] = {SetType::kIpPort, {members.begin(), members.end()}};
    return id;
  }

  RuleSide side(const model::RuleEntity& entity, const std::optional<model::Protocol>& protocol) {
    RuleSide out;
    out.nets = entity.nets;
    out.not_nets = entity.not_nets;
    const Filter filter{entity.selector, entity.selector ? entity.not_selector : std::nullopt};
    bool any_number = false, any_name = false;
    for (const model::Port& port : entity.ports) {
      (port.is_named() ? any_name : any_number) = true;
      if (port.is_named()) {
        out.port_sets.push_back(port_set(filter, port.name, protocol));
      } else {
        out.ports.push_back({port.first, port.last});
      }
    }
    for (const model::Port& port : entity.not_ports) {
      if (port.is_named()) {
        out.not_port_sets.push_back(port_set(filter, port.name, protocol));
      } else {
        out.not_ports.push_back({port.first, port.last});
      }
    }
    if (entity.selector && !(any_name && !any_number)) out.sets.push_back(net_set(filter.id(), filter));
    if (!entity.selector && entity.not_selector) {
      out.not_sets.push_back(net_set(entity.not_selector->unique_id(), {entity.not_selector, std::nullopt}));
    }
    return out;
  }

  std::vector<Rule> rules(const std::vector<model::Rule>& from) {
    std::vector<Rule> out;
    for (const model::Rule& rule : from) {
      out.push_back({.action = rule.action,
                     .ip_version = rule.ip_version,
                     .protocol = rule.protocol,
                     .not_protocol = rule.not_protocol,
                     .icmp = rule.icmp,
                     .not_icmp = rule.not_icmp,
                     .source = side(rule.source, rule.protocol),
                     .destination = side(rule.destination, rule.protocol),
                     .never_matches = !rule.source.service.empty() || !rule.destination.service.empty(),
                     .annotations = rule.annotations});
    }
    return out;
  }

  void add_policy(const model::PolicyKey& key, const model::Policy& policy) {
    const bool matched =
        std::ranges::any_of(locals_, [&](const Local& l) { return policy.selector.matches(l.labels); });
    if (!matched && !policy.needed_on_every_node) return;
    ActivePolicy active{.tier = policy.tier,
                        .selector = policy.selector.canonical(),
                        .ingress = {},
                        .egress = {},
                        .untracked = policy.do_not_track,
                        .pre_dnat = policy.pre_dnat,
                        .force_programmed = policy.needed_on_every_node};
    if (!model::is_staged(key.kind)) {
      active.ingress = rules(policy.ingress);
      active.egress = rules(policy.egress);
    }
    state_.policies.emplace(key, std::make_shared<const ActivePolicy>(std::move(active)));
  }

  void add_profile(Symbol name) {
    if (state_.profiles.contains(name)) return;
    ActiveProfile active;
    if (const auto known = world_.profiles.find({name}); known != world_.profiles.end()) {
      active = {rules(known->second.ingress), rules(known->second.egress)};
    } else {
      Rule all;
      all.action = name.view() == model::kDefaultAllowProfile ? model::RuleAction::kAllow : model::RuleAction::kDeny;
      active = {{all}, {all}};
    }
    state_.profiles.emplace(name, std::make_shared<const ActiveProfile>(std::move(active)));
  }

  // --- endpoints
  // ------------------------------------------------------------------------------------------------------------

  static constexpr double kLast = std::numeric_limits<double>::infinity();

  // Everything that decides a policy's place, as one comparable value.
  auto place(const model::PolicyKey& key, const model::Policy& policy) const {
    const auto tier = world_.tiers.find({policy.tier});
    const bool present = tier != world_.tiers.end();
    return std::tuple(present ? 0 : 1, present ? tier->second.order.value_or(kLast) : kLast,
                      std::string(policy.tier.view()), policy.order.value_or(kLast),
                      std::string(key.name.view()) + "/" + std::string(key.ns.view()) + "/" +
                          std::string(model::to_string(key.kind)));
  }

  enum class List { kNormal, kUntracked, kPreDnat, kForward };

  static bool is_in(List list, const model::Policy& policy) {
    const bool plain = !policy.do_not_track && !policy.pre_dnat;
    switch (list) {
      case List::kNormal: return plain;
      case List::kForward: return plain && policy.apply_on_forward;
      case List::kUntracked: return policy.do_not_track;
      case List::kPreDnat: return policy.pre_dnat && !policy.do_not_track;
    }
    return false;
  }

  std::vector<TierPolicies> tiers(List list, const model::Membership& member) const {
    const Labels labels = labels_of(member.labels, member.profiles);
    std::vector<std::pair<model::PolicyKey, const model::Policy*>> matching;
    for (const auto& [key, policy] : world_.policies) {
      if (is_in(list, policy) && policy.selector.matches(labels)) matching.emplace_back(key, &policy);
    }
    std::ranges::sort(
        matching, [&](const auto& a, const auto& b) { return place(a.first, *a.second) < place(b.first, *b.second); });
    std::vector<TierPolicies> out;
    for (const auto& [key, policy] : matching) {
      const bool ingress = policy->applies_to_ingress;
      const bool egress = policy->applies_to_egress && list != List::kPreDnat;
      if (!ingress && !egress) continue;
      if (out.empty() || out.back().tier != policy->tier) {
        const auto tier = world_.tiers.find({policy->tier});
        auto action = tier == world_.tiers.end() ? model::TierAction::kDeny : tier->second.default_action;
        if (list == List::kUntracked || list == List::kPreDnat) action = model::TierAction::kPass;
        out.push_back({policy->tier, action, {}, {}});
      }
      if (ingress) out.back().ingress.push_back(key);
      if (egress) out.back().egress.push_back(key);
    }
    return out;
  }

  void add_workload(const model::WorkloadEndpointKey& key, const model::WorkloadEndpoint& endpoint) {
    if (!is_local(endpoint)) return;
    const model::Membership& member = endpoint.membership;
    state_.workloads.emplace(key, std::make_shared<const LocalWorkload>(LocalWorkload{
                                      endpoint.interface, member.profiles, tiers(List::kNormal, member)}));
  }

  void add_host_endpoint(const model::HostEndpointKey& key, const model::HostEndpoint& endpoint) {
    if (!is_local(endpoint)) return;
    const model::Membership& member = endpoint.membership;
    state_.host_endpoints.emplace(key, std::make_shared<const LocalHostEndpoint>(
                                           LocalHostEndpoint{.interface_name = endpoint.interface_name,
                                                             .expected_addresses = member.addresses,
                                                             .profiles = member.profiles,
                                                             .tiers = tiers(List::kNormal, member),
                                                             .untracked_tiers = tiers(List::kUntracked, member),
                                                             .pre_dnat_tiers = tiers(List::kPreDnat, member),
                                                             .forward_tiers = tiers(List::kForward, member),
                                                             .dscp = endpoint.dscp}));
  }

  const World& world_;
  const std::string_view hostname_;
  std::vector<Contributor> contributors_;
  std::vector<Local> locals_;
  State state_;
};

// Every destination against every pool, block, endpoint and node.
class NaiveRoutes {
 public:
  NaiveRoutes(const World& world, std::string_view hostname, RouteSource source)
      : world_(world), hostname_(hostname), source_(source) {}

  std::map<base::Prefix, ClusterRoute> run(const std::map<base::Prefix, Pool>& pools) {
    std::set<base::Prefix> destinations;
    for (const auto& [key, block] : blocks()) destinations.insert(key.cidr);
    for (const Owner& owner : owners()) destinations.insert(base::Prefix::host(owner.address));
    std::map<base::Prefix, ClusterRoute> routes;
    for (const base::Prefix& destination : destinations) {
      const Pool* pool = nullptr;
      for (const auto& [cidr, candidate] : pools) {  // of nested ones the longer sorts later
        if (cidr.contains(destination)) pool = &candidate;
      }
      if (pool == nullptr) continue;
      if (auto route = decide(destination, *pool)) routes.emplace(destination, *route);
    }
    return routes;
  }

 private:
  // Somebody who has one address.
  struct Owner {
    base::IpAddress address;
    Symbol node;
    enum { kGuest, kIpip, kVxlan } kind;
  };

  std::map<model::IpamBlockKey, model::IpamBlock> blocks() const {
    return source_ == RouteSource::kIpam ? world_.blocks : std::map<model::IpamBlockKey, model::IpamBlock>();
  }

  std::vector<Owner> owners() const {
    std::vector<Owner> out;
    for (const auto& [key, endpoint] : world_.workloads) {
      if (source_ == RouteSource::kIpam && endpoint.node.view() != hostname_) continue;
      for (const base::IpAddress& address : endpoint.membership.addresses) {
        out.push_back({address, endpoint.node, Owner::kGuest});
      }
    }
    for (const auto& [key, block] : blocks()) {
      for (const auto& [address, node] : block.borrowed) out.push_back({address, node, Owner::kGuest});
    }
    for (const auto& [key, node] : world_.nodes) {
      if (node.ipip_tunnel) out.push_back({*node.ipip_tunnel, key.name, Owner::kIpip});
      if (node.vxlan_tunnel_v4) out.push_back({*node.vxlan_tunnel_v4, key.name, Owner::kVxlan});
      if (node.vxlan_tunnel_v6) out.push_back({*node.vxlan_tunnel_v6, key.name, Owner::kVxlan});
    }
    return out;
  }

  std::optional<ClusterRoute> decide(const base::Prefix& destination, const Pool& pool) const {
    ClusterRoute route;
    bool cross_subnet = pool.ipip == model::EncapMode::kCrossSubnet;
    if (pool.vxlan != model::EncapMode::kNever) {
      route.pool = PoolKind::kVxlan;
      cross_subnet = pool.vxlan == model::EncapMode::kCrossSubnet;
    } else if (pool.ipip != model::EncapMode::kNever) {
      route.pool = PoolKind::kIpip;
    }

    Symbol own_block;  // the node that the block of exactly this CIDR belongs to
    Symbol outer_block;
    bool is_block = false;
    for (const auto& [key, block] : blocks()) {  // of nested ones the longer sorts later
      if (key.cidr == destination) {
        own_block = block.affinity_host;
        is_block = true;
      } else if (key.cidr.contains(destination) && !block.affinity_host.empty()) {
        outer_block = block.affinity_host;
      }
    }

    std::vector<Owner> here;
    for (const Owner& owner : owners()) {
      if (base::Prefix::host(owner.address) != destination) continue;
      if (owner.node.view() == hostname_) return std::nullopt;
      const bool counts = owner.kind == Owner::kGuest || (owner.kind == Owner::kVxlan ? route.pool == PoolKind::kVxlan
                                                                                      : route.pool == PoolKind::kIpip);
      if (counts) here.push_back(owner);
    }
    if (!here.empty()) {
      route.node = std::ranges::min_element(here, {}, &Owner::node)->node;
      const auto has = [&](bool guest) {
        return std::ranges::any_of(
            here, [&](const Owner& o) { return o.node == route.node && (o.kind == Owner::kGuest) == guest; });
      };
      if (has(false)) {
        if (!has(true) && !is_block && outer_block == route.node) return std::nullopt;
        route.kind = ClusterRoute::Kind::kRemoteTunnel;
      }
    } else if (own_block.empty()) {
      return std::nullopt;
    } else {
      route.node = own_block;
      if (own_block.view() == hostname_) {
        if (destination.is_host()) return std::nullopt;
        route.kind = ClusterRoute::Kind::kLocalBlock;
      }
    }

    const bool v4 = destination.family() == base::Family::kIpv4;
    for (const auto& [key, node] : world_.nodes) {
      if (key.name == route.node) route.node_address = v4 ? node.host_ipv4 : node.host_ipv6;
    }
    for (const auto& [key, node] : world_.nodes) {
      if (key.name.view() != hostname_ || !route.node_address) continue;
      const auto& subnet = v4 ? node.bgp_ipv4 : node.bgp_ipv6;
      route.same_subnet = cross_subnet && subnet && subnet->contains(*route.node_address);
    }
    return route;
  }

  const World& world_;
  const std::string_view hostname_;
  const RouteSource source_;
};

}  // namespace

State calculate_from_scratch(const World& world, std::string_view hostname, RouteSource routes) {
  State state = Naive(world, hostname).run();
  if (routes != RouteSource::kNone) state.routes = NaiveRoutes(world, hostname, routes).run(state.pools);
  return state;
}

}  // namespace calc
