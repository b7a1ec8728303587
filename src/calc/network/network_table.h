// network_table.h: pools, nodes and the ranges of services, which pass through the calculation nearly unchanged.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "calc/network/host_census.h"
#include "calc/output.h"
#include "model/update.h"

namespace calc {

Pool to_pool(const model::IpPool& pool);

class NetworkTable {
 public:
  // Nodes with an address enter the census, which outlives the table.
  explicit NetworkTable(HostCensus& census) : census_(census) {}

  void put(const model::IpPoolKey& key, const model::IpPool& pool);
  void erase(const model::IpPoolKey& key);
  void put(const model::NodeKey& key, model::Node node);
  void erase(const model::NodeKey& key);
  void put_services(std::vector<base::Prefix> ranges);

  void collect(Changes& changes);

  void begin_resync() { ++generation_; }
  void keep(const model::IpPoolKey& key);  // counts as put
  void keep(const model::NodeKey& key);
  void keep_services() { services_generation_ = generation_; }
  void end_resync();

 private:
  struct PoolEntry {
    model::IpPool pool;
    std::uint8_t generation = 0;
  };
  struct NodeEntry {
    model::Node node;
    std::uint8_t generation = 0;
  };

  HostCensus& census_;
  std::map<model::IpPoolKey, PoolEntry> pools_;
  // Two pools of one CIDR: the one with the lowest name counts until it goes (spec datamodel §6.4).
  std::map<base::Prefix, std::set<model::IpPoolKey>> by_cidr_;
  std::map<base::Prefix, Pool> announced_pools_;
  std::set<base::Prefix> dirty_pools_;

  std::map<model::NodeKey, NodeEntry> nodes_;
  std::set<Symbol> announced_nodes_;
  std::set<Symbol> dirty_nodes_;

  std::vector<base::Prefix> services_;
  std::vector<base::Prefix> announced_services_;
  std::uint8_t services_generation_ = 0;
  std::uint8_t generation_ = 0;
};

}  // namespace calc
