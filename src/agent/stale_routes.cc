#include "agent/stale_routes.h"

#include <vector>

namespace agent {

base::Result<std::size_t> remove_stale_bird_routes(kernel::RouteKernel& kernel) {
  std::size_t removed = 0;
  for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
    auto routes = kernel.list(family);
    if (!routes) return base::fail(std::move(routes).error());
    std::vector<reconcile::RouteEdit> edits;
    for (reconcile::Route& route : *routes) {
      if (route.attributes.protocol != kProtocolBird || route.key.metric == kBirdMetric) continue;
      edits.push_back({.kind = reconcile::RouteEdit::Kind::kRemove, .route = std::move(route)});
    }
    auto replies = kernel.apply(edits);
    if (!replies) return base::fail(std::move(replies).error());
    removed += edits.size();
  }
  return removed;
}

}  // namespace agent
