#include "render/objects.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace render {
namespace {

std::vector<TierStep> steps_of(const std::vector<calc::TierPolicies>& tiers, Direction direction) {
  std::vector<TierStep> steps;
  for (const calc::TierPolicies& tier : tiers) {
    const auto& policies = direction == Direction::kIngress ? tier.ingress : tier.egress;
    if (!policies.empty()) steps.push_back({tier.tier, tier.default_action, policies});
  }
  return steps;
}

const std::vector<calc::TierPolicies>& tiers_of(const calc::LocalHostEndpoint& endpoint, Stage stage) {
  switch (stage) {
    case Stage::kNormal: return endpoint.tiers;
    case Stage::kForward: return endpoint.forward_tiers;
    case Stage::kPreDnat: return endpoint.pre_dnat_tiers;
    case Stage::kUntracked: return endpoint.untracked_tiers;
  }
  CHECK(false);
}

// The identity that decides between two endpoints of one interface (spec §16.7).
auto rank(const model::WorkloadInterface& i) { return std::tie(i.orchestrator, i.workload, i.endpoint); }

bool uses_nat(const Settings& settings, const calc::LocalWorkload* endpoint) {
  return endpoint != nullptr && !endpoint->interface->nats.empty() &&
         (settings.floating_ips || endpoint->interface->orchestrator == "openstack");
}

std::optional<std::uint8_t> dscp_of(const calc::LocalWorkload* endpoint) {
  if (endpoint == nullptr) return std::nullopt;
  const auto found = endpoint->interface->qos.find("dscp");
  if (found == endpoint->interface->qos.end() || found->second < 0 || found->second > 63) return std::nullopt;
  return static_cast<std::uint8_t>(found->second);
}

bool textually_less(const base::IpAddress& a, const base::IpAddress& b) {
  return base::to_string(a) < base::to_string(b);
}

// Keeps the textually smallest of several claims.
void claim(std::map<base::IpAddress, base::IpAddress>& map, const base::IpAddress& key, const base::IpAddress& value) {
  const auto [at, fresh] = map.try_emplace(key, value);
  if (!fresh && textually_less(value, at->second)) at->second = value;
}

// hash:net cannot hold a prefix of length 0; two halves mean the same.
void insert_net(std::set<base::Prefix>& nets, const base::Prefix& net) {
  if (net.length != 0) {
    nets.insert(net);
    return;
  }
  std::uint8_t high[16] = {0x80};
  nets.insert({net.address, 1});
  nets.insert({base::IpAddress::from_bytes(net.family(), high), 1});
}

std::vector<calc::SetMember> as_members(const std::set<base::Prefix>& nets) {
  std::vector<calc::SetMember> members;
  members.reserve(nets.size());
  for (const base::Prefix& net : nets) members.push_back({net, 0, 0});
  return members;
}

std::vector<calc::SetMember> of_family(const std::vector<calc::SetMember>& members, Family family) {
  std::vector<calc::SetMember> mine;
  for (const calc::SetMember& member : members) {
    if (member.prefix.family() == family) mine.push_back(member);
  }
  return mine;
}

SetKind kind_of(calc::SetType type) { return type == calc::SetType::kNet ? SetKind::kNet : SetKind::kIpPort; }

template <typename Map>
void note_keys(const Map& map, std::set<typename Map::key_type>& keys) {
  for (const auto& [key, value] : map) keys.insert(key);
}

bool same(const HostProgram& a, const HostProgram& b) { return a.key == b.key && *a.endpoint == *b.endpoint; }

}  // namespace

PolicyList policy_list(const calc::LocalWorkload& endpoint, Direction direction) {
  return {direction, Stage::kNormal, steps_of(endpoint.tiers, direction), endpoint.profiles, !endpoint.tiers.empty()};
}

PolicyList policy_list(const calc::LocalHostEndpoint& endpoint, Stage stage, Direction direction) {
  const auto& tiers = tiers_of(endpoint, stage);
  PolicyList list{direction, stage, steps_of(tiers, direction), {}, !tiers.empty()};
  if (stage == Stage::kNormal) list.profiles = endpoint.profiles;
  return list;
}

TrafficLimits traffic_limits(const model::WorkloadInterface& interface, Direction direction) {
  const auto value = [&](const char* ingress, const char* egress) -> std::int64_t {
    const auto found = interface.qos.find(direction == Direction::kIngress ? ingress : egress);
    return found == interface.qos.end() ? 0 : found->second;
  };
  return {value("ingressPacketRate", "egressPacketRate"), value("ingressPacketBurst", "egressPacketBurst"),
          value("ingressMaxConnections", "egressMaxConnections")};
}

HostDispatch resolve_host_endpoints(
    const std::map<model::HostEndpointKey, std::shared_ptr<const calc::LocalHostEndpoint>>& endpoints,
    const HostInterfaces& interfaces) {
  HostDispatch dispatch;
  // Keys are visited in alphabetical order, so the first match is the one that wins.
  for (const auto& [key, endpoint] : endpoints) {
    if (endpoint->interface_name == "*" && !dispatch.wildcard) dispatch.wildcard = HostProgram{key, endpoint};
  }
  for (const auto& [name, addresses] : interfaces) {
    for (const auto& [key, endpoint] : endpoints) {
      if (endpoint->interface_name == "*") continue;
      const bool governs = endpoint->interface_name.empty()
                               ? std::any_of(endpoint->expected_addresses.begin(), endpoint->expected_addresses.end(),
                                             [&own = addresses](const base::IpAddress& a) { return own.contains(a); })
                               : endpoint->interface_name == name;
      if (!governs) continue;
      dispatch.by_interface.emplace(name, HostProgram{key, endpoint});
      break;
    }
  }
  return dispatch;
}

ObjectBuilder::ObjectBuilder(Settings settings) : settings_(std::move(settings)) {}

ObjectChanges ObjectBuilder::apply(const calc::Snapshot& snapshot) {
  ObjectChanges out;
  note_keys(objects_.policies, out.policies);
  note_keys(objects_.profiles, out.profiles);
  note_keys(objects_.workloads, out.workloads);
  note_keys(objects_.hosts.by_interface, out.hosts);
  out.host_wildcard = true;
  objects_ = {};
  workloads_.clear();
  claims_.clear();
  host_endpoints_.clear();
  pools_.clear();
  nodes_.clear();
  own_sets_ = {};
  for (const Family family : kFamilies) {
    out.nat[family] = out.dscp[family] = out.spoof[family] = out.nat_outgoing[family] = true;
    out.service_ranges[family] = true;
    out.sets[family].complete = true;
  }

  apply_sets(snapshot.all, out);
  apply_rules(snapshot.all, out);
  (void)apply_workloads(snapshot.all, out);  // everything is rebuilt below
  host_endpoints_ = snapshot.all.host_endpoints;
  apply_network(snapshot.all, out);
  apply_hosts(out);
  rebuild_nat(out);
  rebuild_dscp(out);
  refresh_pool_sets(out);
  refresh_host_sets(out);
  refresh_this_host(out);
  return out;
}

ObjectChanges ObjectBuilder::apply(const calc::Delta& delta) {
  ObjectChanges out;
  const calc::Changes& changes = delta.changes;
  apply_sets(changes, out);
  apply_rules(changes, out);
  Touched touched = apply_workloads(changes, out);
  if (!changes.host_endpoints.empty() || !changes.host_endpoints_removed.empty()) {
    for (const auto& key : changes.host_endpoints_removed) host_endpoints_.erase(key);
    for (const auto& [key, endpoint] : changes.host_endpoints) host_endpoints_[key] = endpoint;
    apply_hosts(out);
    touched.dscp = true;
  }
  if (touched.nat) rebuild_nat(out);
  if (touched.dscp) rebuild_dscp(out);
  apply_network(changes, out);
  return out;
}

ObjectChanges ObjectBuilder::set_host_interfaces(HostInterfaces interfaces) {
  ObjectChanges out;
  std::erase_if(interfaces, [&](const auto& entry) { return settings_.is_workload_interface(entry.first); });
  if (interfaces == host_interfaces_) return out;
  host_interfaces_ = std::move(interfaces);
  apply_hosts(out);
  refresh_this_host(out);
  return out;
}

ObjectChanges ObjectBuilder::set_tunnels(TunnelRules tunnels) {
  ObjectChanges out;
  settings_.tunnels = tunnels;
  refresh_host_sets(out);
  return out;
}

void ObjectBuilder::apply_sets(const calc::Changes& changes, ObjectChanges& out) const {
  for (const Family family : kFamilies) {
    if (family == Family::kIpv6 && !settings_.ipv6) continue;
    SetChanges& sets = out.sets[family];
    for (const auto& [id, set] : changes.sets_created) {
      sets.created[id] = {kind_of(set.type), of_family(set.members, family)};
    }
    for (const auto& [id, change] : changes.sets_changed) {
      calc::IpSetDelta mine{of_family(change.added, family), of_family(change.removed, family)};
      if (!mine.added.empty() || !mine.removed.empty()) sets.changed[id] = std::move(mine);
    }
    sets.removed.insert(changes.sets_removed.begin(), changes.sets_removed.end());
  }
}

void ObjectBuilder::apply_rules(const calc::Changes& changes, ObjectChanges& out) {
  for (const auto& key : changes.policies_removed) {
    if (objects_.policies.erase(key) > 0) out.policies.insert(key);
  }
  for (const auto& [key, policy] : changes.policies) {
    objects_.policies[key] = policy;
    out.policies.insert(key);
  }
  for (const Symbol name : changes.profiles_removed) {
    if (objects_.profiles.erase(name) > 0) out.profiles.insert(name);
  }
  for (const auto& [name, profile] : changes.profiles) {
    objects_.profiles[name] = profile;
    out.profiles.insert(name);
  }
}

ObjectBuilder::Touched ObjectBuilder::apply_workloads(const calc::Changes& changes, ObjectChanges& out) {
  Touched touched;
  const auto replace = [&](const model::WorkloadEndpointKey& key, std::shared_ptr<const calc::LocalWorkload> endpoint) {
    const auto old = workloads_.find(key);
    const calc::LocalWorkload* before = old == workloads_.end() ? nullptr : old->second.get();
    touched.nat = touched.nat || uses_nat(settings_, before) || uses_nat(settings_, endpoint.get());
    touched.dscp = touched.dscp || dscp_of(before) || dscp_of(endpoint.get());
    replace_workload(key, std::move(endpoint), out);
  };
  for (const auto& key : changes.workloads_removed) replace(key, nullptr);
  for (const auto& [key, endpoint] : changes.workloads) {
    CHECK(endpoint && endpoint->interface);
    // An endpoint that may spoof sources while this host forbids it counts as absent: its interface stays closed (spec
    // §7.1).
    const bool refused = !settings_.workload_source_spoofing && !endpoint->interface->allowed_source_prefixes.empty();
    replace(key, refused ? nullptr : endpoint);
  }
  return touched;
}

void ObjectBuilder::replace_workload(const model::WorkloadEndpointKey& key,
                                     std::shared_ptr<const calc::LocalWorkload> endpoint, ObjectChanges& out) {
  std::set<std::string> interfaces;
  if (const auto old = workloads_.find(key); old != workloads_.end()) {
    const std::string& name = old->second->interface->name;
    interfaces.insert(name);
    auto& claimants = claims_[name];
    claimants.erase(key);
    if (claimants.empty()) claims_.erase(name);
    workloads_.erase(old);
  }
  if (endpoint) {
    const std::string& name = endpoint->interface->name;
    interfaces.insert(name);
    claims_[name].insert(key);
    workloads_[key] = std::move(endpoint);
  }
  for (const std::string& interface : interfaces) elect(interface, out);
}

void ObjectBuilder::elect(const std::string& interface, ObjectChanges& out) {
  out.workloads.insert(interface);
  for (const Family family : kFamilies) {
    if (objects_.spoof[family].erase(interface) > 0) out.spoof[family] = true;
  }
  const auto claim = claims_.find(interface);
  if (claim == claims_.end()) {
    objects_.workloads.erase(interface);
    return;
  }
  const auto winner = std::min_element(claim->second.begin(), claim->second.end(), [&](const auto& a, const auto& b) {
    return rank(*workloads_.at(a)->interface) < rank(*workloads_.at(b)->interface);
  });
  const auto& endpoint = workloads_.at(*winner);
  objects_.workloads[interface] = {*winner, endpoint};
  for (const base::Prefix& prefix : endpoint->interface->allowed_source_prefixes) {
    objects_.spoof[prefix.family()][interface].push_back(prefix);
    out.spoof[prefix.family()] = true;
  }
  for (const Family family : kFamilies) {
    if (const auto found = objects_.spoof[family].find(interface); found != objects_.spoof[family].end()) {
      std::sort(found->second.begin(), found->second.end());
    }
  }
}

void ObjectBuilder::apply_hosts(ObjectChanges& out) {
  HostDispatch next = resolve_host_endpoints(host_endpoints_, host_interfaces_);
  HostDispatch& now = objects_.hosts;
  for (const auto& [name, program] : now.by_interface) {
    const auto found = next.by_interface.find(name);
    if (found == next.by_interface.end() || !same(found->second, program)) out.hosts.insert(name);
  }
  for (const auto& [name, program] : next.by_interface) {
    if (!now.by_interface.contains(name)) out.hosts.insert(name);
  }
  if (next.wildcard.has_value() != now.wildcard.has_value() ||
      (next.wildcard && !same(*next.wildcard, *now.wildcard))) {
    out.host_wildcard = true;
  }
  now = std::move(next);
}

void ObjectBuilder::apply_network(const calc::Changes& changes, ObjectChanges& out) {
  for (const auto& cidr : changes.pools_removed) pools_.erase(cidr);
  for (const auto& [cidr, pool] : changes.pools) pools_[cidr] = pool;
  if (!changes.pools.empty() || !changes.pools_removed.empty()) refresh_pool_sets(out);
  if (changes.service_ranges) {
    for (const Family family : kFamilies) {
      std::vector<base::Prefix> own;
      for (const base::Prefix& range : *changes.service_ranges) {
        if (range.family() == family) own.push_back(range);
      }
      if (std::exchange(objects_.service_ranges[family], own) != own) out.service_ranges[family] = true;
    }
  }

  bool hosts = false;
  for (const Symbol name : changes.nodes_removed) hosts = nodes_.erase(name) > 0 || hosts;
  for (const auto& [name, node] : changes.nodes) {
    const NodeAddresses addresses{node.host_ipv4, node.host_ipv6, node.vxlan_tunnel_v4.has_value(),
                                  node.vxlan_tunnel_v6.has_value()};
    auto& known = nodes_[name];
    hosts = hosts || known != addresses;
    known = addresses;
  }
  if (hosts) refresh_host_sets(out);
}

void ObjectBuilder::rebuild_nat(ObjectChanges& out) {
  PerFamily<NatMap> next;
  for (const auto& [key, endpoint] : workloads_) {
    if (!uses_nat(settings_, endpoint.get())) continue;
    for (const model::NatMapping& mapping : endpoint->interface->nats) {
      if (mapping.external.family() != mapping.internal.family()) continue;
      NatMap& map = next[mapping.external.family()];
      claim(map.inbound, mapping.external, mapping.internal);
      claim(map.hairpin, mapping.internal, mapping.external);
    }
  }
  for (const Family family : kFamilies) {
    if (next[family] == objects_.nat[family]) continue;
    objects_.nat[family] = std::move(next[family]);
    out.nat[family] = true;
  }
}

void ObjectBuilder::rebuild_dscp(ObjectChanges& out) {
  PerFamily<DscpMap> next;
  const auto add = [&](const std::vector<base::IpAddress>& addresses, std::uint8_t value) {
    for (const base::IpAddress& address : addresses) next[address.family()].try_emplace(address, value);
  };
  // Like NAT entries, from every endpoint, shadowed or not.
  for (const auto& [key, endpoint] : workloads_) {
    if (const auto value = dscp_of(endpoint.get())) add(endpoint->interface->addresses, *value);
  }
  for (const auto& [key, endpoint] : host_endpoints_) {
    if (endpoint->dscp) add(endpoint->expected_addresses, *endpoint->dscp);
  }
  for (const Family family : kFamilies) {
    if (next[family] != objects_.dscp[family]) {
      objects_.dscp[family] = std::move(next[family]);
      out.dscp[family] = true;
    }
    std::set<base::Prefix> sources;
    for (const auto& [address, value] : objects_.dscp[family]) sources.insert(base::Prefix::host(address));
    set_members(family, own_set::kDscpSources, SetKind::kNet, std::move(sources), out);
  }
}

void ObjectBuilder::refresh_pool_sets(ObjectChanges& out) {
  for (const Family family : kFamilies) {
    std::set<base::Prefix> all;
    std::set<base::Prefix> nat;
    for (const auto& [cidr, pool] : pools_) {
      if (cidr.family() != family) continue;
      insert_net(all, cidr);
      if (pool.nat_outgoing) insert_net(nat, cidr);
    }
    const bool outgoing = !nat.empty();
    if (outgoing != objects_.nat_outgoing[family]) {
      objects_.nat_outgoing[family] = outgoing;
      out.nat_outgoing[family] = true;
    }
    set_members(family, own_set::kAllPools, SetKind::kNet, std::move(all), out);
    set_members(family, own_set::kNatPools, SetKind::kNet, std::move(nat), out);
  }
}

void ObjectBuilder::refresh_host_sets(ObjectChanges& out) {
  for (const Family family : kFamilies) {
    const bool v4 = family == Family::kIpv4;
    std::set<base::Prefix> external;
    for (const base::Prefix& net : settings_.external_nodes) {
      if (net.family() == family) insert_net(external, net);
    }
    std::set<base::Prefix> hosts = external;
    std::set<base::Prefix> tunnels = external;
    for (const auto& [name, node] : nodes_) {
      const auto& address = v4 ? node.v4 : node.v6;
      if (!address) continue;
      hosts.insert(base::Prefix::host(*address));
      if ((v4 ? node.vxlan_v4 : node.vxlan_v6) && name != settings_.hostname)
        tunnels.insert(base::Prefix::host(*address));
    }
    if ((v4 && settings_.tunnels.ipip) || settings_.nat_exclude_hosts) {
      set_members(family, own_set::kAllHosts, SetKind::kNet, std::move(hosts), out);
    } else {
      drop_set(family, own_set::kAllHosts, out);
    }
    if (settings_.tunnels.vxlan(family)) {
      set_members(family, own_set::kVxlanHosts, SetKind::kNet, std::move(tunnels), out);
    } else {
      drop_set(family, own_set::kVxlanHosts, out);
    }
  }
}

void ObjectBuilder::refresh_this_host(ObjectChanges& out) {
  PerFamily<std::set<base::Prefix>> addresses;
  for (const auto& [name, list] : host_interfaces_) {
    for (const base::IpAddress& address : list) addresses[address.family()].insert(base::Prefix::host(address));
  }
  for (const Family family : kFamilies) {
    set_members(family, own_set::kThisHost, SetKind::kIp, std::move(addresses[family]), out);
  }
}

void ObjectBuilder::drop_set(Family family, std::string_view id, ObjectChanges& out) {
  auto& known = own_sets_[family];
  const auto old = known.find(id);
  if (old == known.end()) return;
  known.erase(old);
  out.sets[family].removed.emplace(id);
}

void ObjectBuilder::set_members(Family family, std::string_view id, SetKind kind, std::set<base::Prefix> members,
                                ObjectChanges& out) {
  if (family == Family::kIpv6 && !settings_.ipv6) return;
  SetChanges& sets = out.sets[family];
  auto& known = own_sets_[family];
  const auto old = known.find(id);
  // Announced whole when new, and when this very change already announces it (two refreshes in one change).
  if (old == known.end() || sets.created.contains(std::string(id))) {
    sets.created[std::string(id)] = {kind, as_members(members)};
    known.insert_or_assign(std::string(id), std::move(members));
    return;
  }
  CHECK(!sets.changed.contains(std::string(id)) || old->second == members);
  calc::IpSetDelta change;
  for (const base::Prefix& net : members) {
    if (!old->second.contains(net)) change.added.push_back({net, 0, 0});
  }
  for (const base::Prefix& net : old->second) {
    if (!members.contains(net)) change.removed.push_back({net, 0, 0});
  }
  if (!change.added.empty() || !change.removed.empty()) sets.changed[std::string(id)] = std::move(change);
  old->second = std::move(members);
}

}  // namespace render
