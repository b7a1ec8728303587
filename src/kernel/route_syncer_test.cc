#include "kernel/route_syncer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/route_fake.h"
#include "testing/rng.h"
#include "testing/sim_loop.h"

namespace kernel {
namespace {

using reconcile::Route;
using reconcile::RouteClass;
using reconcile::RouteScope;
using ::testing::ElementsAre;

Route local(unsigned last, std::uint32_t metric = 1024) {
  return {.key = reconcile::make_route_key(base::Prefix::host(base::IpAddress::v4(0x0A000000u + last)), metric),
          .attributes = {.scope = RouteScope::kLink}};
}

struct World {
  testing::SimLoop clock;
  base::MetricRegistry metrics;
  FakeRoutes kernel;
  FakeConntrackCleaner conntrack;
  RouteSyncer syncer = new_syncer();
  RouteSyncer new_syncer() {
    return RouteSyncer(kernel, conntrack, clock,
                       {.family = base::Family::kIpv4, .workload_prefixes = {"tap"}, .own_interfaces = {}},
                       route_metrics(metrics));
  }
};

TEST(RouteSyncer, ARestartWritesNothing) {
  World world;
  world.syncer.interface_present("tap1", 7, true);
  world.syncer.want(RouteClass::kLocalWorkload, "tap1", std::vector{local(1)});
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_EQ(world.syncer.counters().writes, 1u);
  RouteSyncer second = world.new_syncer();
  second.interface_present("tap1", 7, true);
  second.want(RouteClass::kLocalWorkload, "tap1", std::vector{local(1)});
  EXPECT_TRUE(second.apply().clean());
  EXPECT_EQ(second.counters().writes, 0u);
  EXPECT_EQ(second.counters().dumps, 1u);
  (void)second.apply();
  EXPECT_EQ(second.counters().dumps, 1u);
}

TEST(RouteSyncer, AMovedAddressWaitsUntilItsConnectionsAreForgotten) {
  World world;
  world.syncer.interface_present("tap1", 7, true);
  world.syncer.interface_present("tap2", 8, true);
  world.syncer.want(RouteClass::kLocalWorkload, "tap1", std::vector{local(1)});
  (void)world.syncer.apply();
  world.kernel.log.clear();
  world.syncer.want(RouteClass::kLocalWorkload, "tap1", {});
  world.syncer.want(RouteClass::kLocalWorkload, "tap2", std::vector{local(1), local(2)});
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_THAT(world.conntrack.asked, ElementsAre(base::IpAddress::v4(0x0A000001)));
  EXPECT_THAT(world.kernel.log, ElementsAre("remove 10.0.0.1/32 dev 7 scope link proto 3 metric 1024",
                                            "replace 10.0.0.2/32 dev 8 scope link proto 3 metric 1024"));
  world.conntrack.on_finished([&](const base::IpAddress&) { EXPECT_TRUE(world.syncer.apply().clean()); });
  world.clock.advance(std::chrono::seconds(2));
  world.conntrack.finish_all();
  EXPECT_THAT(world.metrics.text(), ::testing::HasSubstr("felix_route_table_conntrack_wait_seconds_sum 2\n"));
  EXPECT_THAT(world.metrics.text(), ::testing::HasSubstr("felix_route_table_conntrack_wait_seconds_count 1\n"));
  EXPECT_EQ(world.kernel.log.back(), "replace 10.0.0.1/32 dev 8 scope link proto 3 metric 1024");
}

TEST(RouteSyncer, ARefusedRouteIsNamedAndTheRestGoesOn) {
  World world;
  world.syncer.interface_present("tap1", 7, true);
  world.kernel.refused.insert(local(1).key.prefix);
  world.syncer.want(RouteClass::kLocalWorkload, "tap1", std::vector{local(1), local(2)});
  const ApplyReport report = world.syncer.apply();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].object, "route 10.0.0.1/32 dev tap1 scope link proto 3 metric 1024");
  EXPECT_TRUE(report.retry);
  EXPECT_EQ(world.kernel.routes.size(), 1u);
  world.kernel.refused.clear();
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_EQ(world.kernel.routes.size(), 2u);
}

// As on a host that routes to every guest of the cloud.
TEST(RouteSyncer, ManyRoutesGoInSeveralConversations) {
  constexpr unsigned kRoutes = 2'500;
  World world;
  world.syncer.interface_present("vxlan.calico", 9, true);
  std::vector<Route> routes;
  for (unsigned i = 0; i < kRoutes; ++i) routes.push_back(local(i));
  world.syncer.want(RouteClass::kVxlanTunnel, "vxlan.calico", routes);
  world.kernel.break_conversations = 1;
  EXPECT_TRUE(world.syncer.apply().retry);
  EXPECT_LT(world.kernel.routes.size(), kRoutes / 2) << "nothing is sent after a conversation that broke";
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_EQ(world.kernel.routes.size(), kRoutes);
  EXPECT_EQ(world.syncer.counters().dumps, 2u);
  world.syncer.request_resync();
  const std::uint64_t writes = world.syncer.counters().writes;
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_EQ(world.syncer.counters().writes, writes) << "all of them are known to be there";
  routes.clear();
  world.syncer.want(RouteClass::kVxlanTunnel, "vxlan.calico", routes);
  EXPECT_TRUE(world.syncer.apply().clean());
  EXPECT_TRUE(world.kernel.routes.empty());
}

// Random wishes, flaps, strangers and faults; after healing the table is what a reading of the rules says.
TEST(RouteSyncer, ConvergesAfterFaults) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    testing::Rng random(seed);
    World world;
    world.conntrack.slow = false;
    struct Tap {
      reconcile::IfIndex index = 0;
      bool running = false;
      std::map<reconcile::RouteKey, Route> wanted;
    };
    std::map<std::string, Tap> taps;
    reconcile::IfIndex next_index = 10;
    for (int step = 0; step < 80; ++step) {
      const std::string name = "tap" + std::to_string(random.below(3));
      Tap& tap = taps[name];
      switch (random.below(9)) {
        case 0:
          if (tap.index == 0) tap.index = next_index++;
          tap.running = !random.one_in(3);
          if (tap.running)
            world.kernel.interfaces_down.erase(tap.index);
          else
            world.kernel.interfaces_down.insert(tap.index);
          world.syncer.interface_present(name, tap.index, tap.running);
          break;
        case 1:
          std::erase_if(world.kernel.routes,
                        [&](const Route& route) { return route.attributes.interface == tap.index; });
          world.kernel.interfaces_down.insert(tap.index);
          tap.index = 0;
          tap.running = false;
          world.syncer.interface_gone(name);
          break;
        case 2:
        case 3: {
          std::vector<Route> routes;
          tap.wanted.clear();
          for (std::uint64_t i = 0; i < random.below(4); ++i) {
            const Route route = local(static_cast<unsigned>(random.below(5)), random.one_in(4) ? 512 : 1024);
            routes.push_back(route);
            tap.wanted.insert_or_assign(route.key, route);
          }
          world.syncer.want(RouteClass::kLocalWorkload, name, routes);
          break;
        }
        case 4: world.kernel.break_conversations = 1; break;
        case 5:
          if (!world.kernel.routes.empty()) world.kernel.routes.erase(world.kernel.routes.begin());
          break;
        case 6:
          if (!world.kernel.routes.empty()) random.pick(world.kernel.routes).attributes.mtu = 9000;
          break;
        case 7:
          if (tap.running) {
            Route stray = local(static_cast<unsigned>(random.below(9)));
            stray.attributes.interface = tap.index;
            const bool taken = std::any_of(world.kernel.routes.begin(), world.kernel.routes.end(),
                                           [&](const Route& route) { return route.key == stray.key; });
            if (!taken) world.kernel.routes.push_back(stray);
          }
          break;
        default: (void)world.syncer.apply();
      }
    }
    world.kernel.break_conversations = 0;
    world.clock.advance(reconcile::RoutePlanner::kGrace);
    world.syncer.request_resync();
    EXPECT_TRUE(world.syncer.apply().clean()) << "seed " << seed;
    std::map<reconcile::RouteKey, reconcile::IfIndex> expected;
    for (const auto& [name, tap] : taps) {
      if (!tap.running) continue;
      for (const auto& [key, route] : tap.wanted) expected[key] = std::max(expected[key], tap.index);
    }
    std::map<reconcile::RouteKey, reconcile::IfIndex> seen;
    for (const Route& route : world.kernel.routes) {
      EXPECT_EQ(route.attributes.mtu, 0u) << "seed " << seed;
      seen[route.key] = route.attributes.interface;
    }
    EXPECT_EQ(seen, expected) << "seed " << seed;
    EXPECT_EQ(world.kernel.routes.size(), expected.size()) << "seed " << seed;
    const auto writes = world.syncer.counters().writes;
    world.syncer.request_resync();
    (void)world.syncer.apply();
    EXPECT_EQ(world.syncer.counters().writes, writes) << "seed " << seed;
  }
}

}  // namespace
}  // namespace kernel
