// route.h: the port to the kernel's main routing table. Real: NetlinkRoutes; in memory: FakeRoutes
// (kernel/route_fake.h).
//
// One owner thread. Calls block for as long as the kernel works; the kernel's routing lock may be held by others
// meanwhile.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "reconcile/route_planner.h"

namespace kernel {

struct RouteReply {
  reconcile::RouteOutcome outcome = reconcile::RouteOutcome::kDone;
  std::string text = {};  // why it failed
};

class RouteKernel {
 public:
  virtual ~RouteKernel() = default;

  // All routes of the main table, cached ones excepted.
  [[nodiscard]] virtual base::Result<std::vector<reconcile::Route>> list(base::Family family) = 0;
  [[nodiscard]] virtual base::Result<std::vector<reconcile::Route>> list_interface(base::Family family,
                                                                                   reconcile::IfIndex interface) = 0;
  // In order, one reply for each; a failed edit does not stop those after it.
  [[nodiscard]] virtual base::Result<std::vector<RouteReply>> apply(std::span<const reconcile::RouteEdit> edits) = 0;
};

}  // namespace kernel
