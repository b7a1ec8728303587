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
  sites_.for_each([this](const base::Prefix& prefix, const Site&) { dirty_.push_back(prefix); });
}

// --- Workloads and blocks

template <typename Visitor>
void RouteResolver::for_each_address(const Workload& workload, Visitor visit) {
  if (workload.others.empty()) return visit(base::IpAddress::v4(workload.only_v4));
  for (const base::IpAddress& address : workload.others.items()) visit(address);
}

void RouteResolver::put(EndpointNumber number, const model::WorkloadEndpoint& endpoint) {
  const std::vector<base::IpAddress>& addresses = endpoint.membership.addresses;
  const bool matters = source_ == RouteSource::kWorkloads || (source_ == RouteSource::kIpam && is_local(endpoint.node));
  if (!matters || addresses.empty()) return erase(number);
  Workload now;
  now.node = endpoint.node;
  if (addresses.size() == 1 && addresses[0].is_v4()) {
    now.only_v4 = addresses[0].v4_host_order();
  } else {
    now.others = CompactArray<base::IpAddress>(addresses);
  }
  const bool is_new = workloads_.insert(number);
  Workload& known = *workloads_.find(number);
  if (!is_new && known.node == now.node && known.only_v4 == now.only_v4 &&
      std::ranges::equal(known.others.items(), now.others.items())) {
    return;
  }
  const Workload before = std::exchange(known, std::move(now));
  // New claims before old ones go: an address that stays does not lose its site in between.
  for (const base::IpAddress& address : addresses) claim(address, endpoint.node, ClaimKind::kWorkload);
  if (is_new) return;
  for_each_address(before,
                   [&](const base::IpAddress& address) { unclaim(address, before.node, ClaimKind::kWorkload); });
}

void RouteResolver::erase(EndpointNumber number) {
  const Workload* const known = workloads_.find(number);
  if (known == nullptr) return;
  for_each_address(*known,
                   [&](const base::IpAddress& address) { unclaim(address, known->node, ClaimKind::kWorkload); });
  workloads_.erase(number);
}

void RouteResolver::put(const model::IpamBlockKey& key, const model::IpamBlock& block) {
  if (source_ != RouteSource::kIpam) return;
  if (const auto known = blocks_.find(key); known != blocks_.end()) {
    known->second.generation = generation_;
    if (known->second.block == block) return;
    erase(key);
  }
  blocks_[key] = {block, generation_};
  sites_.insert(key.cidr);
  count_length(block_lengths_, key.cidr.length, true);
  mark_inside(key.cidr);
  for (const auto& [address, node] : block.borrowed) claim(address, node, ClaimKind::kWorkload);
}

void RouteResolver::erase(const model::IpamBlockKey& key) {
  const auto known = blocks_.find(key);
  if (known == blocks_.end()) return;
  for (const auto& [address, node] : known->second.block.borrowed) unclaim(address, node, ClaimKind::kWorkload);
  mark_inside(key.cidr);
  count_length(block_lengths_, key.cidr.length, false);
  blocks_.erase(known);
}

void RouteResolver::keep(const model::IpamBlockKey& key) {
  if (const auto known = blocks_.find(key); known != blocks_.end()) known->second.generation = generation_;
}

void RouteResolver::end_resync() {
  std::vector<model::IpamBlockKey> stale;
  for (const auto& [key, entry] : blocks_) {
    if (entry.generation != generation_) stale.push_back(key);
  }
  for (const model::IpamBlockKey& key : stale) erase(key);
}

// --- Claims

RouteResolver::Claims RouteResolver::claims_of(const base::Prefix& prefix, const Site& site) const {
  switch (site.claimed) {
    case Site::Claimed::kNo: break;
    case Site::Claimed::kOnce: return {Claim{site.claimed_by, site.claim_kind, 1}};
    case Site::Claimed::kContested: return contested_.at(prefix);
  }
  return {};
}

void RouteResolver::set_claims(const base::Prefix& prefix, Site& site, const Claims& claims) {
  if (site.claimed == Site::Claimed::kContested) contested_.erase(prefix);
  site.claimed_by = {};
  if (claims.empty()) {
    site.claimed = Site::Claimed::kNo;
  } else if (claims.size() == 1 && claims.front().count == 1) {
    site.claimed = Site::Claimed::kOnce;
    site.claimed_by = claims.front().node;
    site.claim_kind = claims.front().kind;
  } else {
    site.claimed = Site::Claimed::kContested;
    contested_.insert_or_assign(prefix, claims);
  }
}

void RouteResolver::claim(const base::IpAddress& address, Symbol node, ClaimKind kind) {
  const base::Prefix prefix = base::Prefix::host(address);
  dirty_.push_back(prefix);
  Site& site = sites_[prefix];
  Claims claims = claims_of(prefix, site);
  const auto place = std::find_if(claims.begin(), claims.end(), [&](const Claim& other) {
    return std::tie(other.node, other.kind) >= std::tie(node, kind);
  });
  if (place != claims.end() && place->node == node && place->kind == kind) {
    ++place->count;
  } else {
    claims.insert(place, Claim{node, kind, 1});
  }
  set_claims(prefix, site, claims);
}

void RouteResolver::unclaim(const base::IpAddress& address, Symbol node, ClaimKind kind) {
  const base::Prefix prefix = base::Prefix::host(address);
  dirty_.push_back(prefix);
  Site& site = sites_[prefix];
  Claims claims = claims_of(prefix, site);
  const auto place = std::find_if(claims.begin(), claims.end(),
                                  [&](const Claim& other) { return other.node == node && other.kind == kind; });
  CHECK(place != claims.end());
  if (--place->count == 0) claims.erase(place);
  set_claims(prefix, site, claims);
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
  if (before.v4.address != known.v4.address) readdressed_.emplace(name, base::Family::kIpv4);
  if (before.v6.address != known.v6.address) readdressed_.emplace(name, base::Family::kIpv6);
  if (before.v4 != known.v4 || before.v6 != known.v6) {
    sites_.for_each([&](const base::Prefix& prefix, const Site& site) {
      if (site.announced.any && (self || site.announced.node == name)) dirty_.push_back(prefix);
    });
  }
  if (known == NodeInfo{}) nodes_.erase(name);
}

void RouteResolver::mark_inside(const base::Prefix& cidr) {
  sites_.for_each_from(cidr, [&](const base::Prefix& prefix, const Site&) {
    if (!cidr.contains(prefix)) return false;
    dirty_.push_back(prefix);
    return true;
  });
}

// --- Decisions

const RouteResolver::PoolInfo* RouteResolver::pool_of(const base::Prefix& prefix) const {
  for (const auto& [length, count] : pool_lengths_) {
    if (length > prefix.length) continue;
    if (const auto found = pools_.find(shortened(prefix, length)); found != pools_.end()) return &found->second;
  }
  return nullptr;
}

const model::IpamBlock* RouteResolver::block_at(const base::Prefix& prefix) const {
  const auto found = blocks_.find({prefix});
  return found == blocks_.end() ? nullptr : &found->second.block;
}

Symbol RouteResolver::covering_block_node(const base::Prefix& prefix) const {
  for (const auto& [length, count] : block_lengths_) {
    if (length >= prefix.length) continue;
    const model::IpamBlock* const block = block_at(shortened(prefix, length));
    if (block != nullptr && !block->affinity_host.empty()) return block->affinity_host;
  }
  return {};
}

std::optional<ClusterRoute> RouteResolver::resolve_claims(const base::Prefix& prefix, const Claims& claims,
                                                          PoolKind pool) const {
  const auto counts = [pool](const Claim& claim) {
    return claim.kind == ClaimKind::kWorkload || (claim.kind == ClaimKind::kVxlanTunnel && pool == PoolKind::kVxlan) ||
           (claim.kind == ClaimKind::kIpipTunnel && pool == PoolKind::kIpip);
  };
  const auto first = std::find_if(claims.begin(), claims.end(), counts);
  if (first == claims.end()) return std::nullopt;
  const Symbol node = first->node;
  bool workload = false;
  bool tunnel = false;
  for (const Claim& claim : claims) {
    if (counts(claim) && claim.node == node) (claim.kind == ClaimKind::kWorkload ? workload : tunnel) = true;
  }
  ClusterRoute route;
  route.node = node;
  if (!tunnel) return route;
  // The block's own route leads to the tunnel address as to any other address of that host.
  if (!workload && block_at(prefix) == nullptr && covering_block_node(prefix) == node) return std::nullopt;
  route.kind = ClusterRoute::Kind::kRemoteTunnel;
  return route;
}

std::optional<ClusterRoute> RouteResolver::resolve(const base::Prefix& prefix, const Claims& claims) const {
  const PoolInfo* const pool = pool_of(prefix);
  if (source_ == RouteSource::kNone || pool == nullptr) return std::nullopt;
  if (prefix.is_host() && is_unspecified(prefix.address)) return std::nullopt;
  if (std::any_of(claims.begin(), claims.end(), [this](const Claim& claim) { return is_local(claim.node); })) {
    return std::nullopt;
  }
  std::optional<ClusterRoute> route = resolve_claims(prefix, claims, pool->kind);
  if (!route) {
    const model::IpamBlock* const block = block_at(prefix);
    if (block == nullptr || block->affinity_host.empty()) return std::nullopt;
    route.emplace();
    route->node = block->affinity_host;
    if (is_local(route->node)) {
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
  std::vector<base::Prefix> dirty = std::exchange(dirty_, {});
  std::ranges::sort(dirty);
  dirty.erase(std::unique(dirty.begin(), dirty.end()), dirty.end());
  for (const base::Prefix& prefix : dirty) announce(prefix, changes);
  readdressed_.clear();
}

void RouteResolver::announce(const base::Prefix& prefix, Changes& changes) {
  Site& site = sites_[prefix];
  const Claims claims = claims_of(prefix, site);
  const auto now = resolve(prefix, claims);
  const Announced before = std::exchange(
      site.announced, now ? Announced{now->node, now->kind, now->pool, now->same_subnet, true} : Announced{});
  if (!now) {
    if (before.any) changes.routes_removed.insert(prefix);
    if (claims.empty() && block_at(prefix) == nullptr) sites_.erase(prefix);
  } else if (before != site.announced || readdressed_.contains({now->node, prefix.family()})) {
    changes.routes.emplace(prefix, *now);
  }
}

}  // namespace calc
