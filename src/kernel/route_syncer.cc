#include "kernel/route_syncer.h"

#include <algorithm>
#include <utility>

#include "os/memory.h"

namespace kernel {

using reconcile::RouteEdit;
using reconcile::RouteOutcome;
using reconcile::RoutePlan;

namespace {

// Requests, answers and their texts exist for so many edits at a time.
constexpr std::size_t kBatch = 1'000;
// So many routes in one go take megabytes for a moment, which are not needed again for a minute and more.
constexpr std::size_t kManyRoutes = 10'000;

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

RouteMetrics route_metrics(base::MetricRegistry& registry) {
  return {registry.summary("felix_route_table_resync_seconds", "Time to read all routes."),
          registry.summary("felix_route_table_partial_resync_seconds", "Time to read the routes of one interface."),
          registry.summary("felix_route_table_conntrack_wait_seconds",
                           "Time that routes waited for the former connections of their address to be forgotten.")};
}

bool RouteSyncer::read(ApplyReport& report, std::size_t& routes_read) {
  const auto failed = [&](base::Error error) {
    ++counters_.errors;
    report.problems.push_back({.object = "routes", .error = std::move(error)});
    report.retry = true;
    return false;
  };
  if (resync_) {
    ++counters_.dumps;
    const base::Instant started = clock_.now();
    auto routes = kernel_.list(family_);
    if (!routes) return failed(std::move(routes).error());
    routes_read += routes->size();
    metrics_.resync.observe(seconds(clock_.now() - started));
    planner_.observe_all(*routes, clock_.now());
    resync_ = false;
  }
  for (const reconcile::IfIndex interface : planner_.unread_interfaces()) {
    ++counters_.dumps;
    const base::Instant started = clock_.now();
    auto routes = kernel_.list_interface(family_, interface);
    if (!routes) return failed(std::move(routes).error());
    metrics_.partial_resync.observe(seconds(clock_.now() - started));
    planner_.observe_interface(interface, *routes, clock_.now());
  }
  return true;
}

void RouteSyncer::carry_out(std::span<const RouteEdit> edits, ApplyReport& report) {
  for (; !edits.empty(); edits = edits.subspan(std::min(kBatch, edits.size()))) {
    if (!carry_out_batch(edits.first(std::min(kBatch, edits.size())), report)) return;
  }
}

// False if the conversation broke.
bool RouteSyncer::carry_out_batch(std::span<const RouteEdit> edits, ApplyReport& report) {
  counters_.writes += edits.size();
  auto replies = kernel_.apply(edits);
  if (!replies) {
    ++counters_.errors;
    report.problems.push_back({.object = "routes", .error = std::move(replies).error()});
    report.retry = true;
    resync_ = true;
    return false;
  }
  for (std::size_t i = 0; i < edits.size(); ++i) {
    RouteReply& reply = (*replies)[i];
    planner_.record(edits[i], reply.outcome);
    if (reply.outcome != RouteOutcome::kFailed) continue;
    ++counters_.errors;
    const std::string interface = planner_.interface_name(edits[i].route.attributes.interface);
    report.problems.push_back({.object = "route " + reconcile::to_string(edits[i].route, interface),
                               .error = base::Error(base::ErrorKind::kSystem, std::move(reply.text))});
    report.retry = true;
  }
  return true;
}

void RouteSyncer::note_waiting(std::map<base::IpAddress, base::Instant> still) {
  for (const auto& [address, since] : waiting_) {
    if (const auto found = still.find(address); found != still.end()) {
      found->second = since;
    } else {
      metrics_.conntrack_wait.observe(seconds(clock_.now() - since));
    }
  }
  waiting_ = std::move(still);
}

ApplyReport RouteSyncer::apply() {
  ApplyReport report;
  if (converge(report) >= kManyRoutes) os::release_unused_memory();
  return report;
}

// How many routes it has handled.
std::size_t RouteSyncer::converge(ApplyReport& report) {
  std::size_t handled = 0;
  if (!read(report, handled)) return handled;
  RoutePlan plan = planner_.plan(clock_.now());
  handled += plan.edits.size();
  for (const base::IpAddress& address : plan.forgotten) conntrack_.remove(address);
  // Old routes go before their connections are forgotten, or new packets would make new entries at once.
  const auto first_replacement = std::find_if(plan.edits.begin(), plan.edits.end(), [](const RouteEdit& edit) {
    return edit.kind == RouteEdit::Kind::kReplace;
  });
  carry_out({plan.edits.begin(), first_replacement}, report);
  for (auto it = plan.edits.begin(); it != first_replacement; ++it) {
    if (it->clean_conntrack) conntrack_.remove(it->route.key.prefix.address);
  }
  std::map<base::IpAddress, base::Instant> waiting;
  const auto ready_end = std::remove_if(first_replacement, plan.edits.end(), [&](const RouteEdit& edit) {
    const base::IpAddress& address = edit.route.key.prefix.address;
    if (!edit.route.key.prefix.is_host() || !conntrack_.busy(address)) return false;
    waiting.emplace(address, clock_.now());
    return true;
  });
  note_waiting(std::move(waiting));
  carry_out({first_replacement, ready_end}, report);
  if (plan.next) report.retry_after = *plan.next - clock_.now();
  return handled;
}

}  // namespace kernel
