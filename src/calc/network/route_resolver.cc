#include "calc/network/route_resolver.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"

namespace calc {
namespace {

base::Prefix shortened(const base::Prefix& prefix, std::uint8_t length) {
  return base::Prefix{prefix.address, length}.masked();
}

bool is_unspecified(const base::IpAddress& address) {
  return std::all_of(address.bytes(), address.bytes() + address.size(), [](std::uint8_t byte) { return byte == 0; });
}

template <typename Lengths>
void count_length(Lengths& lengths, std::uint8_t length, bool more) {
  if (more) {
    ++lengths[length];
  } else if (--lengths[length] == 0) {
    lengths.erase(length);
  }
}

}  // namespace

void RouteResolver::begin(RouteSource source) {
  CHECK(source_ == RouteSource::kNone);
  source_ = source;
  for (const auto& [prefix, site] : sites_) dirty_.insert(prefix);
}

// --- Workloads and blocks

void RouteResolver::put(const model::WorkloadEndpointKey& key, const model::WorkloadEndpoint& endpoint) {
  if (source_ == RouteSource::kNone || (source_ == RouteSource::kIpam && !is_local(endpoint.node))) return erase(key);
  const auto [known, is_new] = workloads_.try_emplace(key);
  Workload& workload = known->second;
  workload.generation = generation_;
  if (!is_new && workload.node == endpoint.node && workload.addresses == endpoint.membership.addresses) return;
  // New claims before old ones go: an address that stays does not lose its site in between.
  const Workload before = std::exchange(workload, {endpoint.node, endpoint.membership.addresses, generation_});
  for (const base::IpAddress& address : workload.addresses) claim(address, workload.node, ClaimKind::kWorkload);
  for (const base::IpAddress& address : before.addresses) unclaim(address, before.node, ClaimKind::kWorkload);
}

void RouteResolver::erase(const model::WorkloadEndpointKey& key) {
  const auto known = workloads_.find(key);
  if (known == workloads_.end()) return;
  for (const base::IpAddress& address : known->second.addresses) {
    unclaim(address, known->second.node, ClaimKind::kWorkload);
  }
  workloads_.erase(known);
}

void RouteResolver::put(const model::IpamBlockKey& key, const model::IpamBlock& block) {
  if (source_ != RouteSource::kIpam) return;
  if (const auto known = blocks_.find(key); known != blocks_.end()) {
    known->second.generation = generation_;
    if (known->second.block == block) return;
    erase(key);
  }
  blocks_[key] = {block, generation_};
  Site& site = sites_[key.cidr];
  site.block_node = block.affinity_host;
  site.is_block = true;
  count_length(block_lengths_, key.cidr.length, true);
  mark_inside(key.cidr);
  for (const auto& [address, node] : block.borrowed) claim(address, node, ClaimKind::kWorkload);
}

void RouteResolver::erase(const model::IpamBlockKey& key) {
  const auto known = blocks_.find(key);
  if (known == blocks_.end()) return;
  for (const auto& [address, node] : known->second.block.borrowed) unclaim(address, node, ClaimKind::kWorkload);
  mark_inside(key.cidr);
  Site& site = sites_[key.cidr];
  site.block_node = {};
  site.is_block = false;
  drop_if_empty(key.cidr);
  count_length(block_lengths_, key.cidr.length, false);
  blocks_.erase(known);
}

void RouteResolver::end_resync() {
  const auto stale = [this](const auto& table) {
    std::vector<typename std::decay_t<decltype(table)>::key_type> keys;
    for (const auto& [key, entry] : table) {
      if (entry.generation != generation_) keys.push_back(key);
    }
    return keys;
  };
  for (const auto& key : stale(workloads_)) erase(key);
  for (const auto& key : stale(blocks_)) erase(key);
}

void RouteResolver::claim(const base::IpAddress& address, Symbol node, ClaimKind kind) {
  const base::Prefix prefix = base::Prefix::host(address);
  dirty_.insert(prefix);
  std::vector<Claim>& claims = sites_[prefix].claims;
  const auto place = std::find_if(claims.begin(), claims.end(), [&](const Claim& other) {
    return std::tie(other.node, other.kind) >= std::tie(node, kind);
  });
  if (place != claims.end() && place->node == node && place->kind == kind) {
    ++place->count;
  } else {
    claims.insert(place, {node, kind, 1});
  }
}

void RouteResolver::unclaim(const base::IpAddress& address, Symbol node, ClaimKind kind) {
  const base::Prefix prefix = base::Prefix::host(address);
  dirty_.insert(prefix);
  std::vector<Claim>& claims = sites_[prefix].claims;
  const auto place = std::find_if(claims.begin(), claims.end(),
                                  [&](const Claim& other) { return other.node == node && other.kind == kind; });
  if (--place->count == 0) claims.erase(place);
  drop_if_empty(prefix);
}

void RouteResolver::drop_if_empty(const base::Prefix& prefix) {
  const auto site = sites_.find(prefix);
  if (!site->second.is_block && site->second.claims.empty()) sites_.erase(site);
}

// --- Pools and nodes

RouteResolver::NodeInfo RouteResolver::info_of(const model::Node& node) {
  NodeInfo info;
  info.v4 = {node.bgp_ipv4, node.host_ipv4};
  info.v6 = {node.bgp_ipv6, node.host_ipv6};
  const auto add = [&](const std::optional<base::IpAddress>& address, ClaimKind kind) {
    if (address) info.tunnels.emplace_back(*address, kind);
  };
  add(node.ipip_tunnel, ClaimKind::kIpipTunnel);
  add(node.vxlan_tunnel_v4, ClaimKind::kVxlanTunnel);
  add(node.vxlan_tunnel_v6, ClaimKind::kVxlanTunnel);
  return info;
}

void RouteResolver::take_pool(const base::Prefix& cidr, std::optional<PoolInfo> now) {
  const auto known = pools_.find(cidr);
  if (!now) {
    if (known == pools_.end()) return;
    pools_.erase(known);
    count_length(pool_lengths_, cidr.length, false);
  } else {
    if (known != pools_.end() && known->second == *now) return;
    if (known == pools_.end()) count_length(pool_lengths_, cidr.length, true);
    pools_.insert_or_assign(cidr, *now);
  }
  mark_inside(cidr);
}

void RouteResolver::take_node(Symbol name, NodeInfo now) {
  NodeInfo& known = nodes_[name];
  const NodeInfo before = std::exchange(known, std::move(now));
  if (before == known) return;
  for (const auto& [address, kind] : known.tunnels) claim(address, name, kind);
  for (const auto& [address, kind] : before.tunnels) unclaim(address, name, kind);
  const bool self = is_local(name);
  if (self) self_ = known;
  if (before.v4 != known.v4 || before.v6 != known.v6) {
    for (const auto& [prefix, route] : announced_) {
      if (self || route.node == name) dirty_.insert(prefix);
    }
  }
  if (known == NodeInfo{}) nodes_.erase(name);
}

void RouteResolver::mark_inside(const base::Prefix& cidr) {
  for (auto site = sites_.lower_bound(cidr); site != sites_.end() && cidr.contains(site->first); ++site) {
    dirty_.insert(site->first);
  }
}

// --- Decisions

const RouteResolver::PoolInfo* RouteResolver::pool_of(const base::Prefix& prefix) const {
  for (const auto& [length, count] : pool_lengths_) {
    if (length > prefix.length) continue;
    if (const auto found = pools_.find(shortened(prefix, length)); found != pools_.end()) return &found->second;
  }
  return nullptr;
}

Symbol RouteResolver::covering_block_node(const base::Prefix& prefix) const {
  for (const auto& [length, count] : block_lengths_) {
    if (length >= prefix.length) continue;
    const auto found = sites_.find(shortened(prefix, length));
    if (found != sites_.end() && !found->second.block_node.empty()) return found->second.block_node;
  }
  return {};
}

std::optional<ClusterRoute> RouteResolver::resolve_claims(const base::Prefix& prefix, const Site& site,
                                                          PoolKind pool) const {
  const auto counts = [pool](const Claim& claim) {
    return claim.kind == ClaimKind::kWorkload || (claim.kind == ClaimKind::kVxlanTunnel && pool == PoolKind::kVxlan) ||
           (claim.kind == ClaimKind::kIpipTunnel && pool == PoolKind::kIpip);
  };
  const auto first = std::find_if(site.claims.begin(), site.claims.end(), counts);
  if (first == site.claims.end()) return std::nullopt;
  const Symbol node = first->node;
  bool workload = false;
  bool tunnel = false;
  for (const Claim& claim : site.claims) {
    if (counts(claim) && claim.node == node) (claim.kind == ClaimKind::kWorkload ? workload : tunnel) = true;
  }
  ClusterRoute route;
  route.node = node;
  if (!tunnel) return route;
  // The block's own route leads to the tunnel address as to any other address of that host.
  if (!workload && !site.is_block && covering_block_node(prefix) == node) return std::nullopt;
  route.kind = ClusterRoute::Kind::kRemoteTunnel;
  return route;
}

std::optional<ClusterRoute> RouteResolver::resolve(const base::Prefix& prefix) const {
  const auto found = sites_.find(prefix);
  const PoolInfo* const pool = pool_of(prefix);
  if (found == sites_.end() || pool == nullptr) return std::nullopt;
  const Site& site = found->second;
  if (prefix.is_host() && is_unspecified(prefix.address)) return std::nullopt;
  if (std::any_of(site.claims.begin(), site.claims.end(),
                  [this](const Claim& claim) { return is_local(claim.node); })) {
    return std::nullopt;
  }
  std::optional<ClusterRoute> route = resolve_claims(prefix, site, pool->kind);
  if (!route) {
    if (site.block_node.empty()) return std::nullopt;
    route.emplace();
    route->node = site.block_node;
    if (is_local(site.block_node)) {
      if (prefix.is_host()) return std::nullopt;
      route->kind = ClusterRoute::Kind::kLocalBlock;
    }
  }
  route->pool = pool->kind;
  const auto node = nodes_.find(route->node);
  if (node != nodes_.end()) route->node_address = node->second.of(prefix.family()).address;
  const auto& subnet = self_.of(prefix.family()).subnet;
  route->same_subnet = pool->cross_subnet && subnet && route->node_address && subnet->contains(*route->node_address);
  return route;
}

void RouteResolver::collect(Changes& changes) {
  for (const base::Prefix& cidr : changes.pools_removed) take_pool(cidr, std::nullopt);
  for (const auto& [cidr, pool] : changes.pools) {
    const bool vxlan = pool.vxlan != model::EncapMode::kNever;
    const bool ipip = pool.ipip != model::EncapMode::kNever;
    const model::EncapMode mode = vxlan ? pool.vxlan : pool.ipip;
    take_pool(cidr, PoolInfo{vxlan  ? PoolKind::kVxlan
                             : ipip ? PoolKind::kIpip
                                    : PoolKind::kNoEncap,
                             mode == model::EncapMode::kCrossSubnet});
  }
  for (const Symbol name : changes.nodes_removed) take_node(name, {});
  for (const auto& [name, node] : changes.nodes) take_node(name, info_of(node));
  if (source_ == RouteSource::kNone) return dirty_.clear();
  for (const base::Prefix& prefix : std::exchange(dirty_, {})) {
    const auto known = announced_.find(prefix);
    const auto now = resolve(prefix);
    if (!now) {
      if (known == announced_.end()) continue;
      announced_.erase(known);
      changes.routes_removed.insert(prefix);
    } else if (known == announced_.end() || known->second != *now) {
      announced_.insert_or_assign(prefix, *now);
      changes.routes.emplace(prefix, *now);
    }
  }
}

}  // namespace calc
