#include "dataplane/dataplane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/ipset_fake.h"
#include "kernel/iptables_fake.h"
#include "kernel/neighbour_fake.h"
#include "kernel/route_fake.h"
#include "testing/sim_loop.h"

namespace dataplane {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

struct Told final : Listener {
  void on_workload_status(const model::WorkloadEndpointKey& key, const std::shared_ptr<const model::WorkloadInterface>&,
                          std::optional<EndpointStatus> status) override {
    if (status) {
      statuses[key.name] = *status;
    } else {
      statuses.erase(key.name);
    }
  }
  void on_host_status(const model::HostEndpointKey&, std::optional<EndpointStatus>) override {}
  void on_first_turn() override { ++first_turns; }
  void on_in_sync() override { ++in_syncs; }
  void on_failed(const base::Error&) override {}
  std::map<std::string, EndpointStatus> statuses;
  int first_turns = 0;
  int in_syncs = 0;
};

// One guest on tap1, which is up.
struct World {
  World() {
    for (const char* path : {"ipv4/conf/tap1/route_localnet", "ipv4/neigh/tap1/proxy_delay", "ipv4/conf/tap1/proxy_arp",
                             "ipv4/conf/tap1/forwarding", "ipv4/conf/tap1/rp_filter"}) {
      sysctl.values[std::string("net/") + path] = "0";
    }
    cleaner.slow = false;
    Settings settings;
    settings.render.interface_prefixes = {"tap"};
    settings.render.ipv6 = settings.workload.ipv6 = false;
    auto made =
        Dataplane::create(loop, log, metrics, settings, {sets, routes, cleaner, neighbours, sysctl, v4, nullptr}, told);
    plane = std::move(*made);
  }

  void start() {
    plane->on_link({.name = "tap1", .index = 7, .admin_up = true, .running = true, .mtu = 1500});
    plane->on_links_in_sync();
    auto interface = std::make_shared<model::WorkloadInterface>();
    interface->name = "tap1";
    interface->active = true;
    interface->addresses = {*base::parse_address("10.65.0.2")};
    auto workload = std::make_shared<calc::LocalWorkload>();
    workload->interface = interface;
    calc::Snapshot snapshot;
    snapshot.all.workloads[{names.intern("openstack"), "vm1"}] = workload;
    plane->update(snapshot);
  }

  testing::SimLoop loop;
  base::NullLog log;
  base::MetricRegistry metrics;
  base::Interner names;
  kernel::FakeIpSets sets;
  kernel::FakeRoutes routes;
  kernel::FakeConntrackCleaner cleaner;
  kernel::FakeNeighbours neighbours;
  kernel::FakeSysctl sysctl;
  kernel::FakeIptables v4{loop};
  Told told;
  std::unique_ptr<Dataplane> plane;
};

TEST(Dataplane, TellsUpAndInSyncOnceTheRulesAreIn) {
  World w;
  w.start();
  w.loop.advance(milliseconds(100));
  EXPECT_EQ(w.told.in_syncs, 1);
  EXPECT_EQ(w.told.statuses["vm1"], EndpointStatus::kUp);
  EXPECT_TRUE(w.plane->idle());
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_dataplane_writes{kind=\"rules\"} 1\n"));
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_dataplane_writes{kind=\"route\"} 1\n"));
  w.loop.advance(std::chrono::hours(1));
  EXPECT_THAT(w.metrics.text(), HasSubstr("percale_dataplane_writes{kind=\"rules\"} 1\n"));
}

// Found by simulation: "in sync" came although no rule had been written, and the status of a good endpoint would have
// been taken for stale; and after the repair nobody said "up" before the next refresh.
TEST(Dataplane, RulesThatCannotBeReadDelayInSyncAndUpNoLongerThanTheirRetry) {
  for (const bool reading : {true, false}) {
    World w;
    (reading ? w.v4.fail_saves : w.v4.fail_restores) = 1'000;
    w.start();
    w.loop.advance(seconds(5));
    EXPECT_EQ(w.told.first_turns, 1);
    EXPECT_EQ(w.told.in_syncs, 0);
    EXPECT_FALSE(w.told.statuses.contains("vm1"));
    EXPECT_FALSE(w.plane->idle());
    w.v4.fail_saves = w.v4.fail_restores = 0;
    w.loop.advance(seconds(25));  // two of the longest delays between retries
    EXPECT_EQ(w.told.in_syncs, 1);
    EXPECT_EQ(w.told.statuses["vm1"], EndpointStatus::kUp);
  }
}

TEST(Dataplane, AChainThatTheKernelRefusesForGoodDoesNotKeepTheOthersWaiting) {
  World w;
  w.v4.refuses = [](std::string_view rule) { return rule.find("Drop if no profiles matched") != rule.npos; };
  w.start();
  w.loop.advance(std::chrono::minutes(1));
  EXPECT_EQ(w.told.in_syncs, 1);
  EXPECT_TRUE(w.plane->idle());
}

TEST(Dataplane, WritesNothingBeforeInterfacesAndSnapshotAreKnown) {
  World w;
  calc::Snapshot empty;
  w.plane->update(empty);
  w.loop.advance(seconds(10));
  EXPECT_TRUE(w.v4.inputs.empty());
  EXPECT_EQ(w.plane->writes().total(), 0u);
}

}  // namespace
}  // namespace dataplane
