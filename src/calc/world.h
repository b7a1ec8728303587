// world.h: everything the datastore holds that the calculation reads, as plain maps. The input of the naive
// calculation, of the evaluator's direct reading and of offline commands; the agent itself never keeps it.
#pragma once

#include <map>
#include <vector>

#include "model/update.h"

namespace calc {

struct World {
  std::map<model::WorkloadEndpointKey, model::WorkloadEndpoint> workloads;
  std::map<model::HostEndpointKey, model::HostEndpoint> host_endpoints;
  std::map<model::NetworkSetKey, model::NetworkSet> network_sets;
  std::map<model::PolicyKey, model::Policy> policies;
  std::map<model::TierKey, model::Tier> tiers;
  std::map<model::ProfileKey, model::Profile> profiles;
  std::map<model::IpPoolKey, model::IpPool> pools;
  std::map<model::NodeKey, model::Node> nodes;
  std::map<model::IpamBlockKey, model::IpamBlock> blocks;
  std::vector<base::Prefix> service_ranges;  // as model::service_ranges() gives them
};

// Kinds that the calculation does not read are ignored.
void apply(World& world, const model::Update& update);

// The labels that selectors see: own ones, then those of the profiles in list order.
model::Labels effective_labels(const World& world, const model::Labels& own,
                               const std::vector<model::Symbol>& profiles);

}  // namespace calc
