// route_syncer.h: keeps the main table's routes of one family as wanted (spec dataplane §16).
//
// Owned by the kernel thread. A resync (start, refresh timer, after trouble) reads the whole table; an interface that
// came up is read by itself; otherwise apply() costs the changed routes and makes no system call when nothing changed.
// A route for an address whose old connections are still being forgotten waits: the owner calls apply() again when the
// cleaner says that it is finished.
//
// REQUIRES: all present interfaces were reported before the first apply().
#pragma once

#include <map>
#include <span>
#include <string_view>

#include "base/loop.h"
#include "base/metrics.h"
#include "kernel/apply_report.h"
#include "kernel/conntrack.h"
#include "kernel/route.h"

namespace kernel {

struct RouteMetrics {
  // Reading the whole table, reading the routes of one interface, and a route's wait for connections to be forgotten.
  base::Summary resync, partial_resync, conntrack_wait;  // felix_route_table_…_seconds
};
RouteMetrics route_metrics(base::MetricRegistry& registry);

class RouteSyncer {
 public:
  RouteSyncer(RouteKernel& kernel, ConntrackCleaner& conntrack, const base::Clock& clock,
              reconcile::RouteOwnership ownership, RouteMetrics metrics = {})
      : kernel_(kernel),
        conntrack_(conntrack),
        clock_(clock),
        family_(ownership.family),
        planner_(std::move(ownership)),
        metrics_(std::move(metrics)) {}

  // See RoutePlanner.
  void want(reconcile::RouteClass owner, std::string_view interface, std::span<const reconcile::Route> routes) {
    planner_.want(owner, interface, routes);
  }
  void change(reconcile::RouteClass owner, std::string_view interface, std::span<const reconcile::Route> set,
              std::span<const reconcile::RouteKey> gone) {
    planner_.change(owner, interface, set, gone);
  }
  void interface_present(std::string_view name, reconcile::IfIndex index, bool running) {
    planner_.interface_present(name, index, running, clock_.now());
  }
  void interface_gone(std::string_view name) { planner_.interface_gone(name); }

  void request_resync() { resync_ = true; }
  // `retry` is set when an edit failed; `retry_after` alone when something waits for its grace to end. Routes that wait
  // for conntrack set neither.
  ApplyReport apply();

  const SyncCounters& counters() const { return counters_; }
  std::size_t wanted_count() const { return planner_.wanted_count(); }
  std::size_t own_interface_count() const { return planner_.own_interface_count(); }

 private:
  std::size_t converge(ApplyReport& report);
  bool read(ApplyReport& report, std::size_t& routes_read);
  void carry_out(std::span<const reconcile::RouteEdit> edits, ApplyReport& report);
  bool carry_out_batch(std::span<const reconcile::RouteEdit> edits, ApplyReport& report);
  void note_waiting(std::map<base::IpAddress, base::Instant> still);

  RouteKernel& kernel_;
  ConntrackCleaner& conntrack_;
  const base::Clock& clock_;
  base::Family family_;
  reconcile::RoutePlanner planner_;
  bool resync_ = true;
  std::map<base::IpAddress, base::Instant> waiting_;  // addresses whose routes wait for conntrack, since when
  SyncCounters counters_;
  RouteMetrics metrics_;
};

}  // namespace kernel
