#include "kernel/route_fake.h"

#include <algorithm>

namespace kernel {

using base::Result;
using reconcile::Route;
using reconcile::RouteEdit;
using reconcile::RouteOutcome;

Result<std::vector<Route>> FakeRoutes::list(base::Family family) {
  std::vector<Route> found;
  for (const Route& route : routes) {
    if (route.key.prefix.family() == family) found.push_back(route);
  }
  return found;
}

Result<std::vector<Route>> FakeRoutes::list_interface(base::Family family, reconcile::IfIndex interface) {
  auto found = list(family);
  std::erase_if(*found, [&](const Route& route) { return route.attributes.interface != interface; });
  return found;
}

Result<std::vector<RouteReply>> FakeRoutes::apply(std::span<const RouteEdit> edits) {
  std::vector<RouteReply> replies;
  const bool broken = break_conversations > 0;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (broken && i >= edits.size() / 2) {
      --break_conversations;
      return base::fail(base::Error::unavailable("netlink: the kernel did not answer in time"));
    }
    replies.push_back(apply_one(edits[i]));
  }
  return replies;
}

RouteReply FakeRoutes::apply_one(const RouteEdit& edit) {
  const Route& route = edit.route;
  if (edit.kind == RouteEdit::Kind::kRemove) {
    log.push_back("remove " + reconcile::to_string(route));
    const auto found = std::find_if(routes.begin(), routes.end(), [&](const Route& other) {
      return other.key == route.key && other.attributes.interface == route.attributes.interface &&
             other.attributes.protocol == route.attributes.protocol;
    });
    if (found != routes.end()) routes.erase(found);
    return {};
  }
  log.push_back("replace " + reconcile::to_string(route));
  if (refused.contains(route.key.prefix)) return {.outcome = RouteOutcome::kFailed, .text = "Invalid argument"};
  if (interfaces_down.contains(route.attributes.interface)) return {.outcome = RouteOutcome::kInterfaceDown};
  const auto found =
      std::find_if(routes.begin(), routes.end(), [&](const Route& other) { return other.key == route.key; });
  if (found != routes.end()) {
    *found = route;
  } else {
    routes.push_back(route);
  }
  return {};
}

}  // namespace kernel
