#include "dataplane/dataplane.h"

#include <algorithm>
#include <utility>

#include "base/path_metric.h"
#include "kernel/set_changes.h"

namespace dataplane {
namespace {

constexpr base::Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr base::Duration kLastRetry = std::chrono::seconds(10);
const std::string kNowhere;

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

reconcile::RouteOwnership ownership(const Settings& settings, base::Family family) {
  reconcile::RouteOwnership out;
  out.family = family;
  out.device_protocol = settings.workload.route_protocol;
  out.remove_external = settings.remove_external_routes;
  out.workload_prefixes = settings.render.interface_prefixes;
  out.own_interfaces = {std::string(vxlan_device(family))};
  out.hand_over = Tunnels::kHandOver;
  return out;
}

kernel::IptablesSyncerOptions rules_options(const Settings& settings, base::Family family) {
  kernel::IptablesSyncerOptions options;
  options.family = family;
  options.planner = settings.planner;
  options.planner.insert_mode = settings.render.insert_mode;
  options.first_check = settings.rules_first_check;
  options.refresh_interval = settings.rules_refresh;
  return options;
}

void merge(render::iptables::TableChanges& earlier, const render::iptables::TableChanges& later) {
  for (const auto& [name, chain] : later.changed) {
    earlier.removed.erase(name);
    earlier.changed.insert_or_assign(name, chain);
  }
  for (const std::string& name : later.removed) {
    earlier.changed.erase(name);
    earlier.removed.insert(name);
  }
}

kernel::IptablesSyncer::Hooks hooks_of(const render::iptables::Renderer& renderer) {
  kernel::IptablesSyncer::Hooks hooks;
  for (const render::iptables::Table table : render::iptables::kTables) hooks[table] = renderer.hooks(table);
  return hooks;
}

}  // namespace

Dataplane::FamilyPlane::FamilyPlane(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics,
                                    const Settings& settings, const Ports& ports, kernel::IptablesTool& tool,
                                    const kernel::IptablesSyncer::Hooks& hooks, base::Family which)
    : family(which),
      sets(ports.sets, which),
      rules(loop, tool, log, rules_options(settings, which), hooks, kernel::iptables_metrics(metrics, which)),
      routes(ports.routes, ports.conntrack, loop, ownership(settings, which), kernel::route_metrics(metrics)) {
  const bool v4 = which == base::Family::kIpv4;
  wanted_sets =
      metrics.gauge("felix_ipsets_calico", "IP sets wanted by the agent.", {{"ip_version", v4 ? "inet" : "inet6"}});
  const base::MetricLabels table{{"table", v4 ? "IPv4:254" : "IPv6:254"}};  // the main table's number
  wanted_routes = metrics.gauge("felix_route_table_num_routes", "Routes wanted by the agent.", table);
  route_interfaces = metrics.gauge("felix_route_table_num_ifaces", "Interfaces whose routes are the agent's.", table);
}

Dataplane::PathMetrics::PathMetrics(base::MetricRegistry& metrics) {
  render = base::path_summary(metrics, "render");
  sets = base::path_summary(metrics, "ipset");
  rules = base::path_summary(metrics, "restore");
  routes = base::path_summary(metrics, "route");
}

base::Result<std::unique_ptr<Dataplane>> Dataplane::create(base::Loop& loop, base::Log& log,
                                                           base::MetricRegistry& metrics, Settings settings,
                                                           const Ports& ports, Listener& listener) {
  auto renderer = render::iptables::Renderer::create(settings.render);
  if (!renderer) return base::fail(std::move(renderer).error());
  return std::unique_ptr<Dataplane>(
      new Dataplane(loop, log, metrics, std::move(settings), ports, listener, *std::move(renderer)));
}

Dataplane::Dataplane(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings,
                     const Ports& ports, Listener& listener, render::iptables::Renderer renderer)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      settings_(std::move(settings)),
      listener_(listener),
      renderer_(std::move(renderer)),
      conntrack_(ports.conntrack),
      v4_(std::make_unique<FamilyPlane>(loop, log, metrics, settings_, ports, ports.iptables_v4, hooks_of(renderer_),
                                        base::Family::kIpv4)),
      v6_(ports.iptables_v6 == nullptr
              ? nullptr
              : std::make_unique<FamilyPlane>(loop, log, metrics, settings_, ports, *ports.iptables_v6,
                                              hooks_of(renderer_), base::Family::kIpv6)),
      arp_(ports.neighbours, {base::Family::kIpv4, settings_.render.interface_prefixes, {}}),
      interfaces_(settings_.workload, {v4_->routes, v6_ ? &v6_->routes : nullptr, arp_, ports.sysctl, ports.devices},
                  log),
      tunnel_rules_(settings_.render.tunnels),
      path_(metrics),
      messages_(metrics),
      apply_time_(metrics.summary("felix_int_dataplane_apply_time_seconds", "Time per turn, the first one excluded.")),
      first_apply_time_(
          metrics.gauge("felix_int_dataplane_initial_resync_time_seconds", "Duration of the first turn.")),
      failures_(metrics.counter("felix_int_dataplane_failures", "Turns that left something to be retried.")),
      total_sets_(metrics.gauge("felix_ipsets_total", "All IP sets on the host.")),
      set_calls_(metrics.counter("felix_ipset_calls", "Lists read from and batches written to the kernel's IP sets.")),
      set_errors_(metrics.counter("felix_ipset_errors", "Requests about IP sets that failed.")),
      set_operations_(metrics.counter("felix_ipset_lines_executed", "Changes of IP sets and of their members.")) {
  if (ports.devices != nullptr && ports.fdb != nullptr) {
    const Tunnels::Parts parts{v4_->routes,   v6_ ? &v6_->routes : nullptr, arp_, ports.neighbours, *ports.fdb,
                               *ports.devices};
    tunnels_ = std::make_unique<Tunnels>(settings_.tunnels, parts, loop, log, metrics);
  }
  planes_.push_back(v4_.get());
  if (v6_) planes_.push_back(v6_.get());
  conntrack_.on_finished([this](const base::IpAddress&) { schedule(); });
}

Dataplane::~Dataplane() {
  conntrack_.on_finished({});
  for (const base::TimerId timer : {retry_timer_, sets_timer_, routes_timer_}) loop_.cancel(timer);
}

// --- Inputs
// -------------------------------------------------------------------------------------------------------------------

void Dataplane::update(const calc::Output& output) {
  const base::Instant started = loop_.now();
  messages_.output(output);
  const bool snapshot = std::holds_alternative<calc::Snapshot>(output);
  const render::iptables::RenderChanges changes =
      snapshot ? renderer_.apply(std::get<calc::Snapshot>(output)) : renderer_.apply(std::get<calc::Delta>(output));
  track_workloads(output);
  if (tunnels_) {
    tunnels_->update(snapshot ? std::get<calc::Snapshot>(output).all : std::get<calc::Delta>(output).changes, snapshot);
  }
  take(changes);
  path_.render.observe(seconds(loop_.now() - started));
  snapshot_seen_ = snapshot_seen_ || snapshot;
  schedule();
}

void Dataplane::set_tunnels(TunnelSettings tunnels, std::uint32_t largest_mtu, std::uint64_t order) {
  tunnels_ordered_ = order;
  messages_.tunnels();
  interfaces_.set_largest_mtu(largest_mtu);
  if (tunnels_) {
    tunnels_->change(std::move(tunnels));
    follow_tunnels(tunnels_->rules());
  } else {
    follow_tunnels({.ipip = tunnels.ipip,
                    .vxlan_v4 = tunnels.vxlan_v4,
                    .vxlan_v6 = tunnels.vxlan_v6,
                    .ipip_address = tunnels.ipip_address.has_value(),
                    .vxlan_address_v4 = tunnels.vxlan_address_v4.has_value(),
                    .vxlan_address_v6 = tunnels.vxlan_address_v6.has_value()});
  }
  schedule();
}

// Rules come before the device that they guard, and go after it.
void Dataplane::follow_tunnels(render::TunnelRules now) {
  if (now == tunnel_rules_) return;
  tunnel_rules_ = now;
  tunnel_rules_since_ = last_turn_ + 1;
  if (tunnels_) tunnels_->unguard(now);
  take(renderer_.set_tunnels(now));
  schedule();
}

void Dataplane::take(const render::iptables::RenderChanges& changes) {
  for (FamilyPlane* plane : planes_) {
    const render::iptables::FamilyChanges& family = changes[plane->family];
    kernel::take_set_changes(plane->sets, family.sets, settings_.max_set_elements);
    for (const render::iptables::Table table : render::iptables::kTables) {
      merge(plane->staged[table], family.tables[table]);
    }
  }
}

void Dataplane::track_workloads(const calc::Output& output) {
  const bool snapshot = std::holds_alternative<calc::Snapshot>(output);
  const calc::Changes& changes =
      snapshot ? std::get<calc::Snapshot>(output).all : std::get<calc::Delta>(output).changes;
  std::set<std::string> touched;
  const auto replace = [&](const model::WorkloadEndpointKey& key, std::shared_ptr<const calc::LocalWorkload> next) {
    Workload& entry = workloads_[key];
    if (entry.workload) {
      touched.insert(entry.workload->interface->name);
      by_interface_[entry.workload->interface->name].erase(key);
    }
    if (next) {
      touched.insert(next->interface->name);
      by_interface_[next->interface->name].insert(key);
    }
    entry.workload = std::move(next);
    status_dirty_.insert(key);
  };
  if (snapshot) {
    for (const auto& [key, entry] : workloads_) {
      if (!changes.workloads.contains(key)) replace(key, nullptr);
    }
    for (const auto& [key, told] : host_endpoints_) host_removed_.insert(key);
  }
  for (const auto& [key, workload] : changes.workloads) replace(key, workload);
  for (const model::WorkloadEndpointKey& key : changes.workloads_removed) replace(key, nullptr);
  interfaces_changed_ = interfaces_changed_ || !touched.empty();
  follow_interfaces(touched);
  for (const model::HostEndpointKey& key : changes.host_endpoints_removed) host_removed_.insert(key);
  for (const auto& [key, endpoint] : changes.host_endpoints) {
    host_endpoints_.try_emplace(key);
    host_removed_.erase(key);
  }
}

// The renderer decides which of several endpoints owns an interface (spec §16.7); routes and sysctls follow it.
void Dataplane::follow_interfaces(const std::set<std::string>& names) {
  const auto& owners = renderer_.objects().workloads;
  for (const std::string& name : names) {
    const auto owner = owners.find(name);
    interfaces_.want(name, owner == owners.end() ? nullptr : owner->second.endpoint);
    for (const model::WorkloadEndpointKey& key : by_interface_[name]) {
      Workload& entry = workloads_.at(key);
      const bool owns = owner != owners.end() && owner->second.key == key && entry.workload->interface->active;
      const std::string& placed = owns ? name : kNowhere;
      if (entry.placed == placed) continue;
      entry.placed = placed;
      entry.since = last_turn_ + 1;
    }
  }
}

void Dataplane::on_link(const kernel::Link& link) {
  messages_.link();
  interfaces_.link(link);
  if (tunnels_) tunnels_->link(link);
  interfaces_changed_ = interfaces_changed_ || !running_.contains(link.name);
  running_[link.name] = link.running;
  schedule();
}

void Dataplane::on_link_gone(const std::string& name, kernel::IfIndex) {
  messages_.link();
  interfaces_.link_gone(name);
  if (tunnels_) tunnels_->link_gone(name);
  running_.erase(name);
  interfaces_changed_ = true;
  if (host_interfaces_.erase(name) > 0) take(renderer_.set_host_interfaces(host_interfaces_));
  schedule();
}

void Dataplane::on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) {
  messages_.addresses();
  if (settings_.render.is_workload_interface(name)) return;
  host_interfaces_[name] = addresses;
  if (!links_in_sync_) return;  // one change for all of them, when the picture is complete
  if (tunnels_) tunnels_->host_interfaces(host_interfaces_);
  take(renderer_.set_host_interfaces(host_interfaces_));
  schedule();
}

void Dataplane::on_links_in_sync() {
  links_in_sync_ = true;
  if (tunnels_) tunnels_->host_interfaces(host_interfaces_);
  take(renderer_.set_host_interfaces(host_interfaces_));
  schedule();
}

void Dataplane::on_links_failed(const base::Error& error) { listener_.on_failed(error); }

void Dataplane::resync() {
  for (FamilyPlane* plane : planes_) {
    plane->sets.request_resync();
    plane->routes.request_resync();
    plane->rules.request_read_back();
  }
  arp_.request_resync();
  if (tunnels_) tunnels_->request_resync();
  schedule();
}

// --- One turn
// -----------------------------------------------------------------------------------------------------------------

void Dataplane::schedule() {
  if (scheduled_ || !may_write()) return;
  scheduled_ = true;
  loop_.post([this] {
    scheduled_ = false;
    turn();
  });
}

void Dataplane::turn() {
  loop_.cancel(retry_timer_);
  retry_timer_ = {};
  const std::uint64_t number = ++last_turn_;
  Turn& turn = turns_[number];
  turn.started = loop_.now();
  messages_.turn();

  for (FamilyPlane* plane : planes_) note(turn, plane->sets.apply_updates(), "IP sets");
  turn.rules_started = loop_.now();
  path_.sets.observe(seconds(turn.rules_started - turn.started));

  turn.restores_before = writes().rules;
  for (FamilyPlane* plane : planes_) {
    ++turn.pending;
    plane->rules.update(std::exchange(plane->staged, {}));
    plane->rules.apply([this, number, plane, mark = plane->sets.mark()](const kernel::ApplyReport& report) {
      rules_done(number, *plane, mark, report);
    });
  }

  const base::Instant routes_started = loop_.now();
  if (tunnels_) {
    note(turn, tunnels_->apply(), "tunnels");
    follow_tunnels(tunnels_->rules());
  }
  bool ready = !tunnels_ || tunnels_->ready();
  note(turn, arp_.apply(), "static ARP");
  if (settings_.program_routes) {
    for (FamilyPlane* plane : planes_) {
      const kernel::ApplyReport report = plane->routes.apply();
      ready = ready && !report.retry;
      note(turn, report, "routes");
    }
  }
  if (ready) turn.tunnels_ready = tunnels_ordered_;
  note(turn, interfaces_.configure(), "sysctls");
  path_.routes.observe(seconds(loop_.now() - routes_started));
}

void Dataplane::rules_done(std::uint64_t number, FamilyPlane& plane, std::uint64_t mark,
                           const kernel::ApplyReport& report) {
  Turn& turn = turns_.at(number);
  note(turn, report, "rules");
  turn.unwritten = turn.unwritten || report.unwritten;
  // Before this family's next restore begins, so that no rule in the kernel is younger than the mark. A set may still
  // be named by rules that could not be written; destroying it would fail and be tried for ever.
  if (!report.unwritten) note(turn, plane.sets.apply_deletions(mark), "IP set deletions");
  if (--turn.pending > 0) return;
  if (writes().rules != turn.restores_before) path_.rules.observe(seconds(loop_.now() - turn.rules_started));
  if (!turn.unwritten) written_turn_ = number;
  if (tunnels_ && written_turn_ >= tunnel_rules_since_ && tunnels_->guard(tunnel_rules_)) schedule();
  end_of_turn(turn);
  turns_.erase(number);
}

void Dataplane::end_of_turn(Turn& turn) {
  // The syncer tries a failed table again by itself and tells nobody: another turn tells what waits for it.
  if (turn.unwritten) turn.clean = false;
  publish_statuses();
  publish_host_statuses();
  publish_gauges();
  look_for_misconfiguration();
  const double took = seconds(loop_.now() - turn.started);
  if (!first_turn_done_) {
    first_turn_done_ = true;
    first_apply_time_.set(took);
    arm_refresh(sets_timer_, settings_.sets_refresh, [this] {
      for (FamilyPlane* plane : planes_) plane->sets.request_resync();
    });
    arm_refresh(routes_timer_, settings_.routes_refresh, [this] {
      for (FamilyPlane* plane : planes_) plane->routes.request_resync();
      arp_.request_resync();
      if (tunnels_) tunnels_->request_resync();
    });
    listener_.on_first_turn();
  } else {
    apply_time_.observe(took);
  }
  if (turn.tunnels_ready > tunnels_told_) {
    tunnels_told_ = turn.tunnels_ready;
    listener_.on_tunnels_ready(tunnels_told_);
  }
  known_problems_ = std::move(turn.problems);
  clean_ = turn.clean;
  if (clean_) {
    backoff_ = {};
    if (!in_sync_) {
      in_sync_ = true;
      listener_.on_in_sync();
    }
  } else {
    failures_.add();
  }
  arm_retry(turn);
}

void Dataplane::note(Turn& turn, const kernel::ApplyReport& report, std::string_view what) {
  for (const kernel::Problem& problem : report.problems) {
    const std::string error = problem.error.text();
    const auto [entry, fresh] = turn.problems.insert(problem.object + ": " + error);
    if (!fresh || known_problems_.contains(*entry)) continue;
    log_.warning("dataplane.refused", "could not be brought to what is wanted; it stays closed and is tried again",
                 {{"kind", what}, {"object", problem.object}, {"error", error}});
  }
  if (report.retry) turn.clean = false;
  if (report.retry_after) {
    turn.retry_after = turn.retry_after ? std::min(*turn.retry_after, *report.retry_after) : *report.retry_after;
  }
}

void Dataplane::arm_retry(const Turn& turn) {
  std::optional<base::Duration> after = turn.retry_after;
  if (!turn.clean) {
    backoff_ = backoff_ == base::Duration{} ? kFirstRetry : std::min(backoff_ * 2, kLastRetry);
    after = std::min(after.value_or(backoff_), backoff_);
  }
  if (!after) return;
  loop_.cancel(retry_timer_);
  retry_timer_ = loop_.after(*after, [this] { schedule(); });
}

void Dataplane::arm_refresh(base::TimerId& timer, base::Duration interval, const std::function<void()>& refresh) {
  if (interval <= base::Duration{}) return;
  timer = loop_.after(interval, [this, &timer, interval, refresh] {
    refresh();
    schedule();
    arm_refresh(timer, interval, refresh);
  });
}

// --- Outputs
// ------------------------------------------------------------------------------------------------------------------

void Dataplane::publish_statuses() {
  for (const std::string& name : interfaces_.take_touched()) {
    const auto found = by_interface_.find(name);
    if (found == by_interface_.end()) continue;
    status_dirty_.insert(found->second.begin(), found->second.end());
    if (found->second.empty()) by_interface_.erase(found);
  }
  const auto& owners = renderer_.objects().workloads;
  // An endpoint is up only once its rules are in: withhold "up", never "down".
  std::set<model::WorkloadEndpointKey> later;
  for (const model::WorkloadEndpointKey& key : std::exchange(status_dirty_, {})) {
    const auto found = workloads_.find(key);
    if (found == workloads_.end()) continue;
    Workload& entry = found->second;
    if (!entry.workload) {
      if (entry.told) listener_.on_workload_status(key, nullptr, std::nullopt);
      workloads_.erase(found);
      continue;
    }
    const std::string& interface = entry.workload->interface->name;
    const auto owner = owners.find(interface);
    const bool up = owner != owners.end() && owner->second.key == key && interfaces_.up(interface);
    if (up && entry.since > written_turn_) {
      later.insert(key);
      continue;
    }
    const EndpointStatus status = up ? EndpointStatus::kUp : EndpointStatus::kDown;
    const auto& details = entry.workload->interface;
    const bool same = entry.told_interface && (entry.told_interface == details || *entry.told_interface == *details);
    if (entry.told == status && same) continue;
    entry.told = status;
    entry.told_interface = details;
    listener_.on_workload_status(key, entry.workload->interface, status);
  }
  status_dirty_ = std::move(later);
}

// Few host endpoints exist on one host, so all are looked at (spec §17.4).
void Dataplane::publish_host_statuses() {
  for (const model::HostEndpointKey& key : std::exchange(host_removed_, {})) {
    const auto found = host_endpoints_.find(key);
    if (found == host_endpoints_.end()) continue;
    if (found->second) listener_.on_host_status(key, std::nullopt);
    host_endpoints_.erase(found);
  }
  if (host_endpoints_.empty()) return;
  std::map<model::HostEndpointKey, EndpointStatus> statuses;
  const render::HostDispatch& hosts = renderer_.objects().hosts;
  if (hosts.wildcard) statuses[hosts.wildcard->key] = EndpointStatus::kUp;
  for (const auto& [interface, program] : hosts.by_interface) {
    if (hosts.wildcard && program.key == hosts.wildcard->key) continue;
    const auto running = running_.find(interface);
    const bool up = running != running_.end() && running->second;
    auto& status = statuses.try_emplace(program.key, EndpointStatus::kUp).first->second;
    if (!up) status = EndpointStatus::kDown;
  }
  for (auto& [key, told] : host_endpoints_) {
    const auto found = statuses.find(key);
    const EndpointStatus status = found == statuses.end() ? EndpointStatus::kError : found->second;
    if (told == status) continue;
    told = status;
    listener_.on_host_status(key, status);
  }
}

void Dataplane::publish_gauges() {
  std::size_t total = 0;
  for (FamilyPlane* plane : planes_) {
    plane->wanted_sets.set(static_cast<double>(plane->sets.wanted_count()));
    plane->wanted_routes.set(static_cast<double>(plane->routes.wanted_count()));
    plane->route_interfaces.set(static_cast<double>(plane->routes.own_interface_count()));
    total = std::max(total, plane->sets.total_sets());
  }
  total_sets_.set(static_cast<double>(total));
  publish_set_counters();
  const WriteCounts now = writes();
  const auto add = [this](const char* kind, std::uint64_t before, std::uint64_t after) {
    constexpr std::string_view kHelp = "Requests that change the kernel, by kind; of rules: restores.";
    metrics_.counter("percale_dataplane_writes", kHelp, {{"kind", kind}}).add(after - before);
  };
  add("ipset", published_.sets, now.sets);
  add("rules", published_.rules, now.rules);
  add("route", published_.routes, now.routes);
  add("neighbour", published_.neighbours, now.neighbours);
  add("sysctl", published_.sysctls, now.sysctls);
  add("tunnel", published_.tunnels, now.tunnels);
  published_ = now;
}

void Dataplane::publish_set_counters() {
  kernel::IpSetCounters now;
  for (const FamilyPlane* plane : planes_) {
    const kernel::IpSetCounters& family = plane->sets.counters();
    now.dumps += family.dumps;
    now.batches += family.batches;
    now.errors += family.errors;
    now.operations += family.operations;
  }
  set_calls_.add(now.dumps + now.batches - published_sets_.dumps - published_sets_.batches);
  set_errors_.add(now.errors - published_sets_.errors);
  set_operations_.add(now.operations - published_sets_.operations);
  published_sets_ = now;
}

// Rules reach a guest only through an interface whose name begins as the configuration says: with the wrong prefix
// nobody is protected, and nothing else fails.
void Dataplane::look_for_misconfiguration() {
  if (!std::exchange(interfaces_changed_, false)) return;
  std::string now;
  const auto matches = [this](const std::string& name) { return settings_.render.is_workload_interface(name); };
  const auto stray = std::find_if(by_interface_.begin(), by_interface_.end(),
                                  [&](const auto& entry) { return !entry.second.empty() && !matches(entry.first); });
  if (stray != by_interface_.end()) {
    now = "endpoints of this host name an interface that InterfacePrefix does not cover, for instance " + stray->first +
          "; such a guest is not protected. Correct InterfacePrefix, or the endpoint";
  } else if (!by_interface_.empty() &&
             std::none_of(running_.begin(), running_.end(), [&](const auto& link) { return matches(link.first); })) {
    now =
        "this host has endpoints, but no interface whose name begins as InterfacePrefix says. Either no guest has been "
        "started yet, or InterfacePrefix is wrong and guests are not protected";
  }
  if (now == misconfiguration_) return;
  if (!now.empty()) log_.warning("dataplane.interface_prefix", now, {{"endpoints", workloads_.size()}});
  misconfiguration_ = std::move(now);
}

WriteCounts Dataplane::writes() const {
  WriteCounts counts;
  for (const FamilyPlane* plane : planes_) {
    counts.sets += plane->sets.counters().writes;
    counts.rules += plane->rules.counters().restores;
    counts.routes += plane->routes.counters().writes;
  }
  counts.neighbours = arp_.counters().writes;
  counts.sysctls = interfaces_.sysctl_writes();
  counts.tunnels = interfaces_.mtu_writes() + (tunnels_ ? tunnels_->writes() : 0);
  return counts;
}

}  // namespace dataplane
