#include "agent/intake.h"

#include <algorithm>
#include <array>

#include "agent/local_config.h"
#include "agent/settings_map.h"
#include "base/path_metric.h"

namespace agent {
namespace {

// Calico's names for the kinds of input, in the order of model::Update. It makes several inputs of some objects.
constexpr std::array<std::array<const char*, 3>, std::variant_size_v<model::Update>> kUpdateTypes = {{
    {"WorkloadEndpointKey"},
    {"HostEndpointKey"},
    {"NetworkSetKey"},
    {"PolicyKey"},
    {"TierKey"},
    {"ProfileRulesKey", "ProfileLabelsKey", "ResourceKey"},
    {"IPPoolKey"},
    {"HostIPKey", "ResourceKey"},
    {"BlockKey"},
    {"ResourceKey"},
}};

// How far the datastore has been read; the values of felix_resync_state.
enum class ResyncState { kWaiting = 1, kInProgress = 2, kInSync = 3 };

double seconds(base::Duration duration) { return static_cast<double>(duration.count()) / 1e9; }

std::string bgp_key(const model::NodeChange& change) { return "node/" + std::string(change.key.name.view()); }
std::string bgp_key(const model::IpPoolChange& change) { return "pool/" + change.key.name; }
std::string bgp_key(const model::DocumentChange& change) {
  return std::to_string(static_cast<int>(change.key.kind)) + "/" + change.key.name;
}

// Few, and a session's filter is not to be lost while nobody can read it.
bool bgp_only(model::DocumentKind kind) {
  return kind == model::DocumentKind::kBgpConfiguration || kind == model::DocumentKind::kBgpPeer ||
         kind == model::DocumentKind::kBgpFilter;
}

// Local things only, so plain sets of keys are cheap.
struct LocalObjects {
  std::set<model::WorkloadEndpointKey> workloads;
  std::set<model::HostEndpointKey> hosts;
  std::set<model::PolicyKey> policies;
  std::set<calc::SetId> sets;

  void apply(const calc::Changes& changes) {
    for (const auto& [key, value] : changes.workloads) workloads.insert(key);
    for (const auto& key : changes.workloads_removed) workloads.erase(key);
    for (const auto& [key, value] : changes.host_endpoints) hosts.insert(key);
    for (const auto& key : changes.host_endpoints_removed) hosts.erase(key);
    for (const auto& [key, value] : changes.policies) policies.insert(key);
    for (const auto& key : changes.policies_removed) policies.erase(key);
    for (const auto& [key, value] : changes.sets_created) sets.insert(key);
    for (const auto& key : changes.sets_removed) sets.erase(key);
  }
};

}  // namespace

void fold(BgpUpdates& pending, BgpUpdates&& later) {
  if (later.resync) {
    pending = std::move(later);
    return;
  }
  for (auto& [key, update] : later.updates) pending.updates.insert_or_assign(key, std::move(update));
  pending.in_sync |= later.in_sync;
  pending.after = later.after;
}

struct Intake::Metrics {
  explicit Metrics(base::MetricRegistry& r)
      : resync_state(r.gauge("felix_resync_state", "1 waiting for the datastore, 2 reading it, 3 in sync.")),
        resyncs(r.counter("felix_resyncs_started", "Times the datastore was read from the start.")),
        outputs(r.counter("felix_calc_graph_output_events", "Results handed to the data plane.")),
        update_time(
            r.summary("felix_calc_graph_update_time_seconds", "Time to decode and calculate one batch of changes.")),
        local_endpoints(r.gauge("felix_active_local_endpoints", "Endpoints of this host.")),
        local_policies(r.gauge("felix_active_local_policies", "Policies that apply to endpoints of this host.")),
        local_sets(r.gauge("felix_active_local_selectors", "IP sets that policies of this host use.")),
        cluster_all_hosts(r.gauge("felix_cluster_num_hosts", "Hosts that a Node or an endpoint names.")),
        cluster_workloads(r.gauge("felix_cluster_num_workload_endpoints", "Workload endpoints of all hosts.")),
        cluster_hosts(r.gauge("felix_cluster_num_host_endpoints", "Host endpoints of all hosts.")),
        cluster_tiers(r.gauge("felix_cluster_num_tiers", "Tiers in the datastore.")),
        cluster_policies(r.gauge("felix_cluster_num_policies", "Policies in the datastore.")),
        cluster_profiles(r.gauge("felix_cluster_num_profiles", "Profiles in the datastore.")),
        index_filed(selectors(r, "true")),
        index_unfiled(selectors(r, "false")),
        index_matches(evaluations(r, "true")),
        index_misses(evaluations(r, "false")),
        registry(r),
        index_items(r.gauge("felix_label_index_num_endpoints", "Endpoints and network sets that IP sets are made of.")),
        bad_objects(r.gauge("percale_bad_objects", "Objects in the datastore that cannot be used as they are.")),
        connected(r.gauge("percale_datastore_connected", "1 while the datastore is reachable.")),
        configuration_errors(r.gauge("percale_configuration_errors",
                                     "Errors of the configuration in the datastore; the former one stays in force.")),
        receive(base::path_summary(r, "receive")),
        decode(base::path_summary(r, "decode")),
        calculate(base::path_summary(r, "calculate")) {
    for (std::size_t kind = 0; kind < kUpdateTypes.size(); ++kind) {
      for (const char* type : kUpdateTypes[kind]) {
        if (type == nullptr) continue;
        updates[kind].push_back(
            r.counter("felix_calc_graph_updates_processed", "Changes of the datastore, by kind.", {{"type", type}}));
      }
    }
  }
  static base::Gauge selectors(base::MetricRegistry& r, const char* filed) {
    return r.gauge("felix_label_index_num_active_selectors",
                   "Selectors of IP sets, by whether only holders of some label are looked at for them.",
                   {{"optimized", filed}});
  }
  static base::Counter evaluations(base::MetricRegistry& r, const char* result) {
    return r.counter("felix_label_index_selector_evals",
                     "Evaluations of a selector of an IP set for a group of equal endpoints.", {{"result", result}});
  }

  void count(const calc::Output& output) {
    outputs.add();
    if (const auto* snapshot = std::get_if<calc::Snapshot>(&output)) {
      local = {};
      local.apply(snapshot->all);
    } else {
      local.apply(std::get<calc::Delta>(output).changes);
    }
    local_endpoints.set(static_cast<double>(local.workloads.size() + local.hosts.size()));
    local_policies.set(static_cast<double>(local.policies.size()));
    local_sets.set(static_cast<double>(local.sets.size()));
  }
  void count(const calc::CloudCounts& counts) {
    const auto set = [](base::Gauge& gauge, std::size_t value) { gauge.set(static_cast<double>(value)); };
    set(cluster_all_hosts, counts.hosts);
    set(cluster_workloads, counts.workload_endpoints);
    set(cluster_hosts, counts.host_endpoints);
    set(cluster_tiers, counts.tiers);
    set(cluster_policies, counts.policies);
    set(cluster_profiles, counts.profiles);
    set(index_items, counts.workload_endpoints + counts.host_endpoints + counts.network_sets);
  }
  // The index counts for itself: it evaluates millions of times while the datastore is read.
  void count(const calc::IndexWork& now) {
    index_filed.set(static_cast<double>(now.filed));
    index_unfiled.set(static_cast<double>(now.unfiled));
    index_matches.add(now.matches - counted.matches);
    index_misses.add(now.misses - counted.misses);
    for (std::size_t scan = 0; scan < now.scans.size(); ++scan) {
      if (now.scans[scan] == counted.scans[scan]) continue;
      registry
          .counter("felix_label_index_strategy_evals",
                   "Searches for the endpoints of a new IP set, by what was searched.",
                   {{"strategy", std::string(calc::kIndexScanNames[scan])}})
          .add(now.scans[scan] - counted.scans[scan]);
    }
    counted = now;
  }
  void state(ResyncState now) { resync_state.set(static_cast<double>(now)); }

  base::Gauge resync_state;
  base::Counter resyncs;
  base::Counter outputs;
  base::Summary update_time;
  base::Gauge local_endpoints;
  base::Gauge local_policies;
  base::Gauge local_sets;
  base::Gauge cluster_all_hosts;
  base::Gauge cluster_workloads;
  base::Gauge cluster_hosts;
  base::Gauge cluster_tiers;
  base::Gauge cluster_policies;
  base::Gauge cluster_profiles;
  base::Gauge index_filed;
  base::Gauge index_unfiled;
  base::Counter index_matches;
  base::Counter index_misses;
  base::MetricRegistry& registry;
  calc::IndexWork counted;
  base::Gauge index_items;
  base::Gauge bad_objects;
  base::Gauge connected;
  base::Gauge configuration_errors;
  base::Summary receive;
  base::Summary decode;
  base::Summary calculate;
  std::array<std::vector<base::Counter>, std::variant_size_v<model::Update>> updates;
  LocalObjects local;
};

Intake::Intake(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health,
               base::Interner& names, config::ConfigTracker tracker, Options options, Sinks sinks)
    : loop_(loop),
      log_(log),
      health_(health),
      tracker_(std::move(tracker)),
      options_(std::move(options)),
      sinks_(std::move(sinks)),
      decoder_(
          {tracker_.hostname(), options_.running.resolved.text(config::Parameter::kWorkloadSourceSpoofing) == "Any"},
          names),
      calculator_(tracker_.hostname(), route_source(options_.running.resolved, options_.encapsulation)),
      metrics_(std::make_unique<Metrics>(metrics)) {
  metrics_->state(ResyncState::kWaiting);
  health_.add(std::string(kCalculationReporter), {}, kTimeout);
}

Intake::~Intake() { loop_.cancel(health_timer_); }

void Intake::start(store::Store& store) {
  report_health();
  store_ = &store;
  read_again();
}

void Intake::read_again() {
  subscription_ =
      store_->subscribe(model::agent_prefixes(options_.running.resolved.text(config::Parameter::kFelixHostname)), loop_,
                        [this](store::StoreEvent event) { handle(std::move(event)); });
}

void Intake::report_health() {
  std::string detail = synced_once_ ? "" : "reading the datastore";
  if (!configuration_errors_.empty()) {
    detail = "the new configuration is refused, the former one stays in force: " + configuration_errors_.front().text();
  }
  health_.report(std::string(kCalculationReporter), true, synced_once_, std::move(detail));
  loop_.cancel(health_timer_);
  health_timer_ = loop_.after(kReportInterval, [this] { report_health(); });
}

void Intake::handle(const store::StoreEvent& event) {
  std::visit([this](const auto& e) { on(e); }, event);
}

void Intake::on(const store::SnapshotStart&) {
  metrics_->resyncs.add();
  metrics_->state(ResyncState::kInProgress);
  // Also when the first snapshot is cut short and begins again.
  if (synced_once_ || in_snapshot_) {
    calculator_.resync_begin();
    resyncing_ = true;
    log_.info("calc.resync", "Reading the datastore again from the start; rules stay as they are meanwhile");
  }
  in_snapshot_ = true;
  tracker_.clear();
  pools_.merge(pools_before_);  // also if the snapshot before was cut short
  pools_before_ = std::exchange(pools_, {});
  bgp_known_.merge(bgp_before_);
  bgp_before_ = std::exchange(bgp_known_, {});
  bad_objects_.clear();
  bgp_ = {};
  bgp_.resync = true;
}

void Intake::on(const store::SnapshotPage& event) {
  const base::Instant start = loop_.now();
  for (const store::KeyValue& item : event.items) decode(item, false);
  metrics_->update_time.observe(seconds(loop_.now() - start));
}

void Intake::on(const store::SnapshotDone& event) {
  in_snapshot_ = false;
  const bool first = !synced_once_;
  synced_once_ = true;
  if (std::exchange(resyncing_, false)) calculator_.resync_end();
  calculator_.in_sync();
  metrics_->state(ResyncState::kInSync);
  pools_changed_ = true;
  pools_before_.clear();
  bgp_before_.clear();
  reading_again_ = false;
  flush();
  check_configuration();
  send_bgp(true);
  report_health();
  if (first) log_.info("calc.in_sync", "The datastore has been read", {{"revision", event.revision}});
}

void Intake::on(const store::Delta& event) {
  const base::Instant start = loop_.now();
  if (event.received != base::Instant{}) metrics_->receive.observe(seconds(start - event.received));
  for (const store::Change& change : event.changes) decode(change.item, change.removed);
  const base::Instant decoded = loop_.now();
  flush();
  const base::Instant calculated = loop_.now();
  metrics_->decode.observe(seconds(decoded - start));
  metrics_->calculate.observe(seconds(calculated - decoded));
  metrics_->update_time.observe(seconds(calculated - start));
  check_configuration();
  send_bgp(false);
}

void Intake::on(store::ConnectionState event) {
  metrics_->connected.set(event.connected ? 1 : 0);
  if (event.connected) {
    log_.info("store.connected", "Connected to the datastore", {{"peer", event.peer}});
  } else {
    log_.warning("store.disconnected", "Lost the datastore; rules and routes stay as they are until it is back",
                 {{"error", event.error ? event.error->text() : std::string()}});
  }
}

void Intake::on(store::Diagnostic event) {
  if (event.text.empty()) {
    bad_objects_.erase(event.source);
    log_.info("data.repaired", event.source + " can be used now");
  } else {
    bad_objects_.insert(event.source);
    log_.warning("data.bad_file", event.text, {{"source", event.source}, {"line", event.line}});
  }
  metrics_->bad_objects.set(static_cast<double>(bad_objects_.size() + calculation_problems_.size()));
}

void Intake::decode(const store::KeyValue& item, bool removed) {
  decoded_.updates.clear();
  decoded_.diagnostics.clear();
  if (removed) {
    decoder_.erase(item.key, decoded_);
  } else {
    decoder_.put(item.key, item.value, decoded_);
  }
  note_problems(item.key, removed, decoded_.diagnostics);
  const auto has_value = [](const auto& change) { return change.value.has_value(); };
  for (model::Update& update : decoded_.updates) {
    for (base::Counter& counter : metrics_->updates[update.index()]) counter.add();
    if (decoded_.refused && !std::visit(has_value, update)) {
      keep(update);
    } else {
      take(std::move(update));
    }
  }
}

void Intake::note_problems(const std::string& object, bool removed, const std::vector<model::Diagnostic>& problems) {
  if (problems.empty()) {
    if (bad_objects_.erase(object) > 0)
      log_.info("data.repaired", object + (removed ? " is gone" : " can be used now"));
  } else {
    bad_objects_.insert(object);
    std::vector<model::Diagnostic> told;  // many members of one value may have the same fault
    for (const model::Diagnostic& problem : problems) {
      if (std::find(told.begin(), told.end(), problem) != told.end()) continue;
      told.push_back(problem);
      log_.warning("data.bad_object", problem.text, {{"object", problem.object}, {"field", problem.field}});
    }
  }
  metrics_->bad_objects.set(static_cast<double>(bad_objects_.size() + calculation_problems_.size()));
}

// An absent policy or network set can open what it closed, and the defaults of a configuration may be the opposite of
// what is meant. Only in a snapshot must anything be done: what it does not name is forgotten at its end.
void Intake::keep(const model::Update& update) {
  calculator_.keep(update);
  if (const auto* pool = std::get_if<model::IpPoolChange>(&update)) {
    if (const auto known = pools_before_.find(pool->key.name); known != pools_before_.end()) pools_.insert(*known);
  }
  const auto* document = std::get_if<model::DocumentChange>(&update);
  if (document == nullptr) return;
  if (const auto known = bgp_before_.find(bgp_key(*document)); known != bgp_before_.end()) take(known->second);
  switch (document->key.kind) {
    case model::DocumentKind::kFelixConfiguration: tracker_.keep_felix_configuration(document->key.name); break;
    case model::DocumentKind::kClusterInformation: tracker_.keep_cluster_information(document->key.name); break;
    case model::DocumentKind::kNode: tracker_.keep_node(document->key.name); break;
    case model::DocumentKind::kBgpConfiguration:
    case model::DocumentKind::kBgpPeer:
    case model::DocumentKind::kBgpFilter:
    case model::DocumentKind::kBlockAffinity: break;
  }
}

void Intake::take(model::Update update) {
  if (const auto* document = std::get_if<model::DocumentChange>(&update)) {
    take_document(*document);
    const std::string key = bgp_key(*document);
    if (bgp_only(document->key.kind)) document->value ? void(bgp_known_[key] = *document) : void(bgp_known_.erase(key));
    bgp_.updates.insert_or_assign(key, update);
    if (document->key.kind == model::DocumentKind::kBgpConfiguration) calculator_.update(std::move(update));
    return;
  }
  if (const auto* node = std::get_if<model::NodeChange>(&update)) bgp_.updates.insert_or_assign(bgp_key(*node), update);
  if (const auto* pool = std::get_if<model::IpPoolChange>(&update)) {
    bgp_.updates.insert_or_assign(bgp_key(*pool), update);
    pools_changed_ = true;
    if (pool->value) {
      pools_[pool->key.name] = {
          pool->value->cidr.family(),
          {pool->value->ipip != model::EncapMode::kNever, pool->value->vxlan != model::EncapMode::kNever}};
    } else {
      pools_.erase(pool->key.name);
    }
  }
  calculator_.update(std::move(update));
}

void Intake::take_document(const model::DocumentChange& change) {
  const config::Document document = change.value.value_or(nullptr);
  switch (change.key.kind) {
    case model::DocumentKind::kFelixConfiguration: tracker_.felix_configuration(change.key.name, document); break;
    case model::DocumentKind::kClusterInformation: tracker_.cluster_information(change.key.name, document); break;
    case model::DocumentKind::kNode: tracker_.node(change.key.name, document); break;
    case model::DocumentKind::kBgpConfiguration:
    case model::DocumentKind::kBgpPeer:
    case model::DocumentKind::kBgpFilter:
    case model::DocumentKind::kBlockAffinity: break;
  }
}

void Intake::flush() {
  std::optional<calc::Output> output = calculator_.flush();
  metrics_->count(calculator_.counts());
  metrics_->count(calculator_.index_work());
  note_calculation_problems();
  if (!output) return;
  metrics_->count(*output);
  sinks_.output(*std::move(output));
}

void Intake::note_calculation_problems() {
  const std::vector<model::Diagnostic>& now = calculator_.problems();
  if (now == calculation_problems_) return;
  for (const model::Diagnostic& problem : now) {
    if (std::find(calculation_problems_.begin(), calculation_problems_.end(), problem) == calculation_problems_.end()) {
      log_.warning("data.bad_object", problem.text, {{"object", problem.object}, {"field", problem.field}});
    }
  }
  calculation_problems_ = now;
  metrics_->bad_objects.set(static_cast<double>(bad_objects_.size() + calculation_problems_.size()));
}

void Intake::send_bgp(bool in_sync) {
  // BIRD keeps what it has until the next agent's tunnels are up: with the pools' new modes it might drop routes that
  // nobody has replaced yet.
  if (leaving_ || reading_again_) return;
  bgp_.after = orders_;
  bgp_.in_sync = in_sync;
  if (bgp_.updates.empty() && !in_sync) return;
  sinks_.bgp(std::exchange(bgp_, {}));
}

void Intake::leave(ShutdownCause cause, std::string why) {
  leaving_ = true;
  sinks_.leave(cause, std::move(why));
}

// A new start could not use it either, and until the repair nobody would protect new guests. So we go on with what we
// have, and say so.
void Intake::note_configuration_errors(const config::Diagnostics& diagnostics) {
  config::Diagnostics errors;
  std::copy_if(diagnostics.begin(), diagnostics.end(), std::back_inserter(errors),
               [](const config::Diagnostic& d) { return d.severity == config::Severity::kError; });
  if (errors == configuration_errors_) return;
  if (errors.empty()) {
    log_.info("config.repaired", "The configuration can be used again");
  } else {
    log_.error("config.refused",
               "The configuration in the datastore has errors; the former one stays in force until "
               "it is repaired. A start would wait for the repair");
    log_diagnostics(log_, errors);
  }
  configuration_errors_ = std::move(errors);
  metrics_->configuration_errors.set(static_cast<double>(configuration_errors_.size()));
  report_health();
}

void Intake::order_tunnels() {
  std::vector<config::PoolModes> modes;
  for (const auto& [name, pool] : pools_) {
    modes.push_back({pool.first, pool.second.first ? "Always" : "Never", pool.second.second ? "Always" : "Never"});
  }
  const config::Encapsulation now = config::encapsulation(options_.running.resolved, modes);
  if (std::exchange(options_.encapsulation, now) != now) {
    log_.info("tunnel.pools", "The IP pools ask for another set of tunnels",
              {{"ipip", now.ipip}, {"vxlan_v4", now.vxlan_v4}, {"vxlan_v6", now.vxlan_v6}});
  }
  const config::Resolved& running = options_.running.resolved;
  sinks_.tunnels({.encapsulation = now,
                  .number = ++orders_,
                  .ipip_address = running.address(config::Parameter::kIpInIpTunnelAddr),
                  .vxlan_address_v4 = running.address(config::Parameter::kIPv4VXLANTunnelAddr),
                  .vxlan_address_v6 = running.address(config::Parameter::kIPv6VXLANTunnelAddr)});
  const calc::RouteSource source = route_source(options_.running.resolved, now);
  if (source == calc::RouteSource::kNone || calculator_.routes() != calc::RouteSource::kNone) return;
  calculator_.begin_routes(source);
  reading_again_ = true;
  read_again();
}

void Intake::check_configuration() {
  if (in_snapshot_) return;
  if (std::exchange(pools_changed_, false)) order_tunnels();
  if (!tracker_.dirty()) return;
  config::Configuration now = tracker_.evaluate();
  if (!now.datastore_ready) return leave(ShutdownCause::kDatastoreUnready, "ClusterInformation says not ready");
  note_configuration_errors(now.diagnostics);
  if (!configuration_errors_.empty()) return;
  const config::ChangeEffect effect = config::compare(options_.running.resolved, now.resolved);
  if (!effect.changed.empty()) log_diagnostics(log_, now.diagnostics);
  for (const config::Parameter parameter : effect.changed) {
    log_.info("config.changed", std::string(info(parameter).name) + " has changed",
              {{"before", options_.running.resolved.printed(parameter)}, {"now", now.resolved.printed(parameter)}});
  }
  if (!effect.restart.empty()) {
    return leave(ShutdownCause::kConfigChanged, std::string(info(effect.restart.front()).name) + " has changed");
  }
  const bool timeouts = now.resolved.durations(config::Parameter::kHealthTimeoutOverrides) !=
                        options_.running.resolved.durations(config::Parameter::kHealthTimeoutOverrides);
  if (timeouts) sinks_.timeouts(now.resolved.durations(config::Parameter::kHealthTimeoutOverrides));
  options_.running = std::move(now);
  const bool addresses = std::ranges::any_of(effect.changed, [](config::Parameter parameter) {
    return parameter == config::Parameter::kIpInIpTunnelAddr || parameter == config::Parameter::kIPv4VXLANTunnelAddr ||
           parameter == config::Parameter::kIPv6VXLANTunnelAddr;
  });
  if (addresses) order_tunnels();
}

}  // namespace agent
