#include "calc/output.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace calc {
namespace {

using Members = std::vector<SetMember>;

Members minus(const Members& a, const Members& b) {
  Members out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

Members plus(const Members& a, const Members& b) {
  Members out;
  out.reserve(a.size() + b.size());
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

void apply_delta(Members& members, const IpSetDelta& delta) {
  if (!delta.removed.empty()) members = minus(members, delta.removed);
  if (!delta.added.empty()) members = plus(members, delta.added);
}

// A member that one delta adds and the other removes ends where it began.
IpSetDelta in_sequence(const IpSetDelta& first, const IpSetDelta& second) {
  return {.added = plus(minus(first.added, second.removed), minus(second.added, first.removed)),
          .removed = plus(minus(first.removed, second.added), minus(second.removed, first.added))};
}

template <typename Map, typename Set>
void apply_map(Map& state, const Map& updated, const Set& removed) {
  for (const auto& key : removed) state.erase(key);
  for (const auto& [key, value] : updated) state.insert_or_assign(key, value);
}

template <typename Map, typename Set>
void fold_map(Map& updated, Set& removed, Map&& later_updated, Set&& later_removed) {
  for (const auto& key : later_removed) {
    updated.erase(key);
    removed.insert(key);
  }
  for (auto& [key, value] : later_updated) {
    removed.erase(key);
    updated.insert_or_assign(key, std::move(value));
  }
}

void fold_sets(Changes& pending, Changes& later) {
  for (const SetId& id : later.sets_removed) {
    pending.sets_created.erase(id);
    pending.sets_changed.erase(id);
    pending.sets_removed.insert(id);
  }
  for (auto& [id, set] : later.sets_created) {
    pending.sets_changed.erase(id);
    pending.sets_removed.erase(id);
    pending.sets_created.insert_or_assign(id, std::move(set));
  }
  for (auto& [id, delta] : later.sets_changed) {
    CHECK(!pending.sets_removed.contains(id));
    if (const auto created = pending.sets_created.find(id); created != pending.sets_created.end()) {
      apply_delta(created->second.members, delta);
      continue;
    }
    const auto [known, is_new] = pending.sets_changed.try_emplace(id, delta);
    if (is_new) continue;
    known->second = in_sequence(known->second, delta);
    if (known->second.added.empty() && known->second.removed.empty()) pending.sets_changed.erase(known);
  }
}

void forget_removed(Changes& changes) {
  changes.sets_removed.clear();
  changes.policies_removed.clear();
  changes.profiles_removed.clear();
  changes.workloads_removed.clear();
  changes.host_endpoints_removed.clear();
  changes.pools_removed.clear();
  changes.nodes_removed.clear();
  changes.routes_removed.clear();
}

template <typename Map>
bool equal_values(const Map& a, const Map& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && (x.second == y.second || *x.second == *y.second);
  });
}

}  // namespace

bool Changes::empty() const {
  return sets_created.empty() && sets_changed.empty() && sets_removed.empty() && policies.empty() &&
         policies_removed.empty() && profiles.empty() && profiles_removed.empty() && workloads.empty() &&
         workloads_removed.empty() && host_endpoints.empty() && host_endpoints_removed.empty() && pools.empty() &&
         pools_removed.empty() && nodes.empty() && nodes_removed.empty() && routes.empty() && routes_removed.empty() &&
         !service_ranges;
}

bool equal(const State& a, const State& b) {
  return a.sets == b.sets && equal_values(a.policies, b.policies) && equal_values(a.profiles, b.profiles) &&
         equal_values(a.workloads, b.workloads) && equal_values(a.host_endpoints, b.host_endpoints) &&
         a.pools == b.pools && a.nodes == b.nodes && a.routes == b.routes && a.service_ranges == b.service_ranges;
}

void apply(State& state, const Changes& changes) {
  for (const SetId& id : changes.sets_removed) state.sets.erase(id);
  for (const auto& [id, set] : changes.sets_created) state.sets.insert_or_assign(id, set);
  for (const auto& [id, delta] : changes.sets_changed) {
    const auto known = state.sets.find(id);
    CHECK(known != state.sets.end());
    apply_delta(known->second.members, delta);
  }
  apply_map(state.policies, changes.policies, changes.policies_removed);
  apply_map(state.profiles, changes.profiles, changes.profiles_removed);
  apply_map(state.workloads, changes.workloads, changes.workloads_removed);
  apply_map(state.host_endpoints, changes.host_endpoints, changes.host_endpoints_removed);
  apply_map(state.pools, changes.pools, changes.pools_removed);
  apply_map(state.nodes, changes.nodes, changes.nodes_removed);
  apply_map(state.routes, changes.routes, changes.routes_removed);
  if (changes.service_ranges) state.service_ranges = *changes.service_ranges;
}

void apply(State& state, const Output& output) {
  if (const auto* snapshot = std::get_if<Snapshot>(&output)) {
    state = State{};
    apply(state, snapshot->all);
  } else {
    apply(state, std::get<Delta>(output).changes);
  }
}

void fold(Changes& pending, Changes&& later) {
  fold_sets(pending, later);
  fold_map(pending.policies, pending.policies_removed, std::move(later.policies), std::move(later.policies_removed));
  fold_map(pending.profiles, pending.profiles_removed, std::move(later.profiles), std::move(later.profiles_removed));
  fold_map(pending.workloads, pending.workloads_removed, std::move(later.workloads),
           std::move(later.workloads_removed));
  fold_map(pending.host_endpoints, pending.host_endpoints_removed, std::move(later.host_endpoints),
           std::move(later.host_endpoints_removed));
  fold_map(pending.pools, pending.pools_removed, std::move(later.pools), std::move(later.pools_removed));
  fold_map(pending.nodes, pending.nodes_removed, std::move(later.nodes), std::move(later.nodes_removed));
  fold_map(pending.routes, pending.routes_removed, std::move(later.routes), std::move(later.routes_removed));
  if (later.service_ranges) pending.service_ranges = std::move(later.service_ranges);
}

void fold(Output& pending, Output&& later) {
  if (std::holds_alternative<Snapshot>(later)) {
    pending = std::move(later);
    return;
  }
  Changes&& changes = std::move(std::get<Delta>(later).changes);
  if (auto* snapshot = std::get_if<Snapshot>(&pending)) {
    fold(snapshot->all, std::move(changes));
    forget_removed(snapshot->all);
  } else {
    fold(std::get<Delta>(pending).changes, std::move(changes));
  }
}

}  // namespace calc
