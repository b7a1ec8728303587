#include "agent/stale_routes.h"

#include <gtest/gtest.h>

#include "kernel/route_fake.h"

namespace agent {
namespace {

reconcile::Route route(std::string_view prefix, std::uint32_t metric, std::uint8_t protocol) {
  reconcile::Route made;
  made.key = reconcile::make_route_key(*base::parse_cidr(prefix), metric);
  made.attributes.type = reconcile::RouteType::kBlackhole;
  made.attributes.protocol = protocol;
  return made;
}

TEST(StaleRoutes, OnlyBirdsOfAnotherMetricGo) {
  kernel::FakeRoutes kernel;
  const std::vector<reconcile::Route> kept = {route("10.0.0.0/26", 32, kProtocolBird), route("10.0.1.0/26", 1024, 80),
                                              route("10.0.2.0/26", 0, reconcile::kProtocolBoot),
                                              route("fd00::/122", 32, kProtocolBird)};
  kernel.routes = kept;
  for (const char* prefix : {"10.0.0.0/26", "10.0.3.0/26", "fd00:1::/122"}) {
    kernel.routes.push_back(route(prefix, 1024, kProtocolBird));
  }
  EXPECT_EQ(remove_stale_bird_routes(kernel).value_or(99), 3u);
  EXPECT_EQ(kernel.routes, kept);
  EXPECT_EQ(remove_stale_bird_routes(kernel).value_or(99), 0u);
}

}  // namespace
}  // namespace agent
