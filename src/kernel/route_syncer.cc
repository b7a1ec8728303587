#include "kernel/route_syncer.h"

#include <algorithm>
#include <utility>

namespace kernel {

using reconcile::RouteEdit;
using reconcile::RouteOutcome;
using reconcile::RoutePlan;

namespace {

double seconds(base::Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

RouteMetrics route_metrics(base::MetricRegistry& registry) {
  return {registry.summary("felix_route_table_resync_seconds", "Time to read all routes."),
          registry.summary("felix_route_table_partial_resync_seconds", "Time to read the routes of one interface."),
          registry.summary("felix_route_table_conntrack_wait_seconds",
                           "Time that routes waited for the former connections of their address to be forgotten.")};
}

bool RouteSyncer::read(ApplyReport& report) {
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
  if (edits.empty()) return;
  counters_.writes += edits.size();
  auto replies = kernel_.apply(edits);
  if (!replies) {
    ++counters_.errors;
    report.problems.push_back({.object = "routes", .error = std::move(replies).error()});
    report.retry = true;
    resync_ = true;
    return;
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
  if (!read(report)) return report;
  RoutePlan plan = planner_.plan(clock_.now());
  for (const base::IpAddress& address : plan.forgotten) conntrack_.remove(address);
  // Old routes go before their connections are forgotten, or new packets would make new entries at once.
  const auto first_replacement = std::find_if(plan.edits.begin(), plan.edits.end(), [](const RouteEdit& edit) {
    return edit.kind == RouteEdit::Kind::kReplace;
  });
  carry_out({plan.edits.begin(), first_replacement}, report);
  for (auto it = plan.edits.begin(); it != first_replacement; ++it) {
    if (it->clean_conntrack) conntrack_.remove(it->route.key.prefix.address);
  }
  std::vector<RouteEdit> replacements;
  std::map<base::IpAddress, base::Instant> waiting;
  for (auto it = first_replacement; it != plan.edits.end(); ++it) {
    const bool waits = it->route.key.prefix.is_host() && conntrack_.busy(it->route.key.prefix.address);
    if (waits) {
      waiting.emplace(it->route.key.prefix.address, clock_.now());
    } else {
      replacements.push_back(std::move(*it));
    }
  }
  note_waiting(std::move(waiting));
  carry_out(replacements, report);
  if (plan.next) report.retry_after = *plan.next - clock_.now();
  return report;
}

}  // namespace kernel
