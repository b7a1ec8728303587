#include "calc/network/network_table.h"

namespace calc {

Pool to_pool(const model::IpPool& pool) {
  return {.ipip = pool.ipip,
          .vxlan = pool.vxlan,
          .nat_outgoing = pool.nat_outgoing,
          .disabled = pool.disabled,
          .disable_bgp_export = pool.disable_bgp_export};
}

void NetworkTable::put(const model::IpPoolKey& key, const model::IpPool& pool) {
  if (const auto known = pools_.find(key); known != pools_.end() && known->second.pool.cidr != pool.cidr) erase(key);
  pools_.insert_or_assign(key, PoolEntry{pool, generation_});
  by_cidr_[pool.cidr].insert(key);
  dirty_pools_.insert(pool.cidr);
}

void NetworkTable::erase(const model::IpPoolKey& key) {
  const auto known = pools_.find(key);
  if (known == pools_.end()) return;
  const base::Prefix cidr = known->second.pool.cidr;
  const auto rivals = by_cidr_.find(cidr);
  rivals->second.erase(key);
  if (rivals->second.empty()) by_cidr_.erase(rivals);
  dirty_pools_.insert(cidr);
  pools_.erase(known);
}

void NetworkTable::put(const model::NodeKey& key, model::Node node) {
  const auto [known, is_new] = nodes_.try_emplace(key);
  known->second.generation = generation_;
  if (!is_new && known->second.node == node) return;
  if (known->second.node.host_ipv4) census_.leave(key.name);
  if (node.host_ipv4) census_.enter(key.name);
  known->second.node = std::move(node);
  dirty_nodes_.insert(key.name);
}

void NetworkTable::erase(const model::NodeKey& key) {
  const auto known = nodes_.find(key);
  if (known == nodes_.end()) return;
  if (known->second.node.host_ipv4) census_.leave(key.name);
  nodes_.erase(known);
  dirty_nodes_.insert(key.name);
}

void NetworkTable::put_services(std::vector<base::Prefix> ranges) {
  services_ = std::move(ranges);
  services_generation_ = generation_;
}

void NetworkTable::collect(Changes& changes) {
  if (services_ != announced_services_) changes.service_ranges = announced_services_ = services_;

  for (const base::Prefix& cidr : dirty_pools_) {
    const auto owners = by_cidr_.find(cidr);
    if (owners == by_cidr_.end()) {
      if (announced_pools_.erase(cidr) > 0) changes.pools_removed.insert(cidr);
      continue;
    }
    const Pool pool = to_pool(pools_.at(*owners->second.begin()).pool);
    const auto announced = announced_pools_.find(cidr);
    if (announced != announced_pools_.end() && announced->second == pool) continue;
    announced_pools_.insert_or_assign(cidr, pool);
    changes.pools.emplace(cidr, pool);
  }
  dirty_pools_.clear();

  for (const Symbol name : dirty_nodes_) {
    const auto known = nodes_.find({name});
    if (known == nodes_.end()) {
      if (announced_nodes_.erase(name) > 0) changes.nodes_removed.insert(name);
      continue;
    }
    announced_nodes_.insert(name);
    changes.nodes.emplace(name, known->second.node);
  }
  dirty_nodes_.clear();
}

void NetworkTable::keep(const model::IpPoolKey& key) {
  if (const auto known = pools_.find(key); known != pools_.end()) known->second.generation = generation_;
}

void NetworkTable::keep(const model::NodeKey& key) {
  if (const auto known = nodes_.find(key); known != nodes_.end()) known->second.generation = generation_;
}

void NetworkTable::end_resync() {
  std::vector<model::IpPoolKey> stale_pools;
  for (const auto& [key, entry] : pools_) {
    if (entry.generation != generation_) stale_pools.push_back(key);
  }
  for (const model::IpPoolKey& key : stale_pools) erase(key);
  std::vector<model::NodeKey> stale_nodes;
  for (const auto& [key, entry] : nodes_) {
    if (entry.generation != generation_) stale_nodes.push_back(key);
  }
  for (const model::NodeKey& key : stale_nodes) erase(key);
  if (services_generation_ != generation_) services_.clear();
}

}  // namespace calc
