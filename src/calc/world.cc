#include "calc/world.h"

#include <span>

#include "model/service_ranges.h"

namespace calc {
namespace {

template <typename Change>
void apply_to(std::map<typename Change::Key, typename Change::Value>& table, const Change& change) {
  if (change.value) {
    table.insert_or_assign(change.key, *change.value);
  } else {
    table.erase(change.key);
  }
}

struct Applier {
  World& world;
  void operator()(const model::WorkloadEndpointChange& c) const { apply_to(world.workloads, c); }
  void operator()(const model::HostEndpointChange& c) const { apply_to(world.host_endpoints, c); }
  void operator()(const model::NetworkSetChange& c) const { apply_to(world.network_sets, c); }
  void operator()(const model::PolicyChange& c) const { apply_to(world.policies, c); }
  void operator()(const model::TierChange& c) const { apply_to(world.tiers, c); }
  void operator()(const model::ProfileChange& c) const {
    if (c.key.name.view() != model::kDefaultAllowProfile) apply_to(world.profiles, c);
  }
  void operator()(const model::IpPoolChange& c) const { apply_to(world.pools, c); }
  void operator()(const model::NodeChange& c) const { apply_to(world.nodes, c); }
  void operator()(const model::IpamBlockChange& c) const { apply_to(world.blocks, c); }
  void operator()(const model::DocumentChange& c) const {
    if (auto ranges = model::service_ranges(c)) world.service_ranges = *std::move(ranges);
  }
};

}  // namespace

void apply(World& world, const model::Update& update) { std::visit(Applier{world}, update); }

model::Labels effective_labels(const World& world, const model::Labels& own,
                               const std::vector<model::Symbol>& profiles) {
  std::vector<std::span<const model::Label>> parents;
  for (const model::Symbol name : profiles) {
    if (const auto known = world.profiles.find({name}); known != world.profiles.end()) {
      parents.emplace_back(known->second.labels_to_apply);
    }
  }
  return model::inherit(own, parents);
}

}  // namespace calc
