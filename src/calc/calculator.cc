// The stages, in the order in which a change runs through them:
//
//   profile labels ──► policy table (policies × local endpoints) ──► active policies ─┐
//        │                     ▲                                                      ├─► rule scanner ─► set
//        references │             local endpoints ──► profile table ──► active profiles ─────────┘         │
//        └───────────► set index (all endpoints and network sets × IP sets) ◄───────────────────┘
//
// Pools, nodes and the ranges of services pass through the network table; with blocks and addresses the route resolver
// makes routes of them.
//
// update() only keeps tables and indexes right and remembers what is dirty; flush() scans the rules of dirty policies,
// fills new sets and compares with what was said before. A burst of changes to one object therefore costs one output.
#include "calc/calculator.h"

#include <algorithm>
#include <set>
#include <utility>

#include "calc/endpoints/local_endpoints.h"
#include "calc/labels/profile_labels.h"
#include "calc/network/host_census.h"
#include "calc/network/network_table.h"
#include "calc/policies/policy_table.h"
#include "calc/profiles/profile_table.h"
#include "calc/sets/set_index.h"
#include "model/service_ranges.h"

namespace calc {

struct Calculator::Stages {
  Stages(std::string name, RouteSource source) : hostname(std::move(name)), routes(hostname, source) {}

  std::string hostname;
  ProfileLabels labels;
  HostCensus census;
  SetIndex sets{labels, census};
  PolicyTable policies{labels};
  ProfileTable profiles;
  LocalEndpoints locals{policies, profiles};
  NetworkTable network{census};
  RouteResolver routes;

  bool in_sync = false;
  bool snapshot_sent = false;
  std::vector<model::Diagnostic> problems;

  bool is_local(const model::WorkloadEndpoint& endpoint) const {
    return endpoint.interface != nullptr && endpoint.node.view() == hostname;
  }
  bool is_local(const model::HostEndpoint& endpoint) const { return endpoint.node.view() == hostname; }

  void take(model::WorkloadEndpointChange& change) {
    if (change.value) {
      routes.put(sets.put(change.key, change.value->node, change.value->membership), *change.value);
    } else {
      routes.erase(sets.erase(change.key));
    }
    take_local(change);
  }
  void take(model::HostEndpointChange& change) {
    change.value ? sets.put(change.key, change.value->node, change.value->membership) : sets.erase(change.key);
    take_local(change);
  }
  void take_local(const auto& change) {
    change.value&& is_local(*change.value) ? locals.put(change.key, *change.value) : locals.erase(change.key);
  }
  void take(model::NetworkSetChange& change) {
    change.value ? sets.put(change.key, *change.value) : sets.erase(change.key);
  }
  void take(model::PolicyChange& change) {
    change.value ? policies.put(change.key, *change.value) : policies.erase(change.key);
  }
  void take(model::TierChange& change) {
    change.value ? policies.put_tier(change.key.name, *change.value) : policies.erase_tier(change.key.name);
  }
  void take(model::ProfileChange& change) {
    if (is_built_in_profile(change.key.name)) return;
    if (!change.value) {
      erase_profile(change.key.name);
      return;
    }
    set_profile_labels(change.key.name, change.value->labels_to_apply);
    profiles.put(change.key.name, StoredRules(change.value->ingress, change.value->egress));
  }
  void take(model::IpPoolChange& change) {
    change.value ? network.put(change.key, *change.value) : network.erase(change.key);
  }
  void take(model::NodeChange& change) {
    change.value ? network.put(change.key, std::move(*change.value)) : network.erase(change.key);
  }
  void take(model::IpamBlockChange& change) {
    change.value ? routes.put(change.key, *change.value) : routes.erase(change.key);
  }
  void take(model::DocumentChange& change) {
    if (auto ranges = model::service_ranges(change)) network.put_services(*std::move(ranges));
  }

  void keep(const model::WorkloadEndpointChange& change) {
    sets.keep(change.key);  // keeps its routes, too
    locals.keep(change.key);
  }
  void keep(const model::HostEndpointChange& change) {
    sets.keep(change.key);
    locals.keep(change.key);
  }
  void keep(const model::NetworkSetChange& change) { sets.keep(change.key); }
  void keep(const model::PolicyChange& change) { policies.keep(change.key); }
  void keep(const model::TierChange& change) { policies.keep_tier(change.key.name); }
  void keep(const model::ProfileChange& change) { profiles.keep(change.key.name); }
  void keep(const model::IpPoolChange& change) { network.keep(change.key); }
  void keep(const model::NodeChange& change) { network.keep(change.key); }
  void keep(const model::IpamBlockChange& change) { routes.keep(change.key); }
  void keep(const model::DocumentChange& change) {
    if (model::service_ranges(change)) network.keep_services();
  }

  void erase_profile(Symbol name) {
    set_profile_labels(name, {});
    profiles.erase(name);
  }

  void set_profile_labels(Symbol name, std::span<const model::Label> now) {
    if (std::ranges::equal(labels.of(name), now)) return;
    sets.before_profile_change(name);
    policies.before_profile_change(name);
    labels.set(name, now);
    sets.after_profile_change(name);
    policies.after_profile_change(name);
  }

  void resync_begin() {
    sets.begin_resync();
    policies.begin_resync();
    profiles.begin_resync();
    locals.begin_resync();
    network.begin_resync();
    routes.begin_resync();
  }

  void resync_end() {
    for (const Symbol name : profiles.stale()) erase_profile(name);
    for (const Symbol name : policies.stale_tiers()) policies.erase_tier(name);
    for (const model::PolicyKey& key : policies.stale_policies()) policies.erase(key);
    locals.end_resync();
    for (const EndpointNumber workload : sets.end_resync()) routes.erase(workload);
    network.end_resync();
    routes.end_resync();
  }

  Changes collect() {
    Changes changes;
    // Rules before sets: they decide which sets there are.
    policies.collect(sets, changes);
    profiles.collect(sets, changes);
    sets.collect(changes);
    const std::vector<GroupId> changed_groups = policies.refresh_lists();
    const bool endpoints_changed =
        locals.collect(std::set<GroupId>(changed_groups.begin(), changed_groups.end()), changes);
    network.collect(changes);
    routes.collect(changes);
    if (endpoints_changed || !changes.profiles.empty() || !changes.profiles_removed.empty()) find_problems();
    return changes;
  }

  void find_problems() {
    problems = locals.problems();
    for (const Symbol name : profiles.missing()) {
      problems.push_back(
          {.object = "Profile(" + std::string(name.view()) + ")",
           .field = "",
           .text = "endpoints of this host name this profile, but it does not exist or is not valid; all their "
                   "traffic that no policy decides is dropped. Create the profile or take it off the endpoints"});
    }
    std::ranges::sort(problems, {}, [](const model::Diagnostic& p) { return std::tie(p.object, p.field, p.text); });
  }
};

Calculator::Calculator(std::string hostname, RouteSource routes)
    : stages_(std::make_unique<Stages>(std::move(hostname), routes)) {}
Calculator::~Calculator() = default;

void Calculator::update(model::Update update) {
  std::visit([&](auto& change) { stages_->take(change); }, update);
}

void Calculator::keep(const model::Update& update) {
  std::visit([&](const auto& change) { stages_->keep(change); }, update);
}

void Calculator::begin_routes(RouteSource source) { stages_->routes.begin(source); }
RouteSource Calculator::routes() const { return stages_->routes.source(); }

void Calculator::in_sync() { stages_->in_sync = true; }
void Calculator::resync_begin() { stages_->resync_begin(); }
void Calculator::resync_end() { stages_->resync_end(); }

std::optional<Output> Calculator::flush() {
  if (!stages_->in_sync) return std::nullopt;
  Changes changes = stages_->collect();
  if (!std::exchange(stages_->snapshot_sent, true)) return Snapshot{std::move(changes)};
  if (changes.empty()) return std::nullopt;
  return Delta{std::move(changes)};
}

CloudCounts Calculator::counts() const {
  const Stages& s = *stages_;
  return {.hosts = s.census.hosts(),
          .workload_endpoints = s.sets.workload_count(),
          .host_endpoints = s.sets.host_endpoint_count(),
          .network_sets = s.sets.network_set_count(),
          .tiers = s.policies.tier_count(),
          .policies = s.policies.policy_count(),
          .profiles = s.profiles.count() + 1};  // the built-in one, which is not stored
}

const IndexWork& Calculator::index_work() const { return stages_->sets.work(); }

const std::vector<model::Diagnostic>& Calculator::problems() const { return stages_->problems; }

}  // namespace calc
