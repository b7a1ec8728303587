#include "dataplane/dataplane.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/device_fake.h"
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
    const auto known = statuses.find(key.name);
    if (!status || known == statuses.end() || known->second != *status) history.push_back(key.name);
    if (status) {
      statuses[key.name] = *status;
    } else {
      statuses.erase(key.name);
    }
  }
  void on_host_status(const model::HostEndpointKey&, std::optional<EndpointStatus>) override {}
  void on_first_turn() override { ++first_turns; }
  void on_in_sync() override { ++in_syncs; }
  void on_tunnels_ready(std::uint64_t order) override { tunnels_ready.push_back(order); }
  void on_failed(const base::Error&) override {}
  std::map<std::string, EndpointStatus> statuses;
  std::vector<std::string> history;
  int first_turns = 0;
  int in_syncs = 0;
  std::vector<std::uint64_t> tunnels_ready;
};

struct CountingLog final : base::Log {
  bool enabled(base::LogLevel) const override { return true; }
  void write(base::LogLevel, std::string_view event, std::string_view, base::LogFields) override {
    ++events[std::string(event)];
  }
  std::map<std::string, int> events;
};

// One guest on tap1, which is up.
struct World {
  World() {
    for (const std::string tap : {"tap1", "tap2"}) {
      for (const std::string& path :
           {"conf/" + tap + "/route_localnet", "neigh/" + tap + "/proxy_delay", "conf/" + tap + "/proxy_arp",
            "conf/" + tap + "/forwarding", "conf/" + tap + "/rp_filter"}) {
        sysctl.values["net/ipv4/" + path] = "0";
      }
    }
    cleaner.slow = false;
    settings.render.interface_prefixes = {"tap"};
    settings.render.ipv6 = settings.workload.ipv6 = false;
    make();
  }
  void make() {
    plane.reset();
    auto made = Dataplane::create(loop, log, metrics, settings,
                                  {sets, routes, cleaner, neighbours, sysctl, v4, nullptr, &devices, &fdb}, told);
    plane = std::move(*made);
  }

  // Changes `with` the guest as it is now.
  calc::Changes guest(calc::Changes with, const std::string& tap, const std::string& name, const std::string& address) {
    auto interface = std::make_shared<model::WorkloadInterface>();
    interface->name = tap;
    interface->active = true;
    interface->addresses = {*base::parse_address(address)};
    auto workload = std::make_shared<calc::LocalWorkload>();
    workload->interface = interface;
    if (!with.policies.empty()) {
      workload->tiers = {{.tier = names.intern("default"), .ingress = {with.policies.begin()->first}, .egress = {}}};
    }
    with.workloads[{names.intern("openstack"), name}] = workload;
    return with;
  }
  void link(const std::string& tap, kernel::IfIndex index) {
    plane->on_link({.name = tap, .index = index, .admin_up = true, .running = true, .mtu = 1500});
  }
  void start(calc::Changes with = {}) {
    link("tap1", 7);
    plane->on_links_in_sync();
    plane->update(calc::Snapshot{guest(std::move(with), "tap1", "vm1", "10.65.0.2")});
  }

  testing::SimLoop loop;
  CountingLog log;
  base::MetricRegistry metrics;
  base::Interner names;
  kernel::FakeIpSets sets;
  kernel::FakeRoutes routes;
  kernel::FakeConntrackCleaner cleaner;
  kernel::FakeNeighbours neighbours;
  kernel::FakeSysctl sysctl;
  kernel::FakeDevices devices;
  kernel::FakeFdb fdb;
  kernel::FakeIptables v4{loop};
  Told told;
  Settings settings;
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

// Names and labels are those that dashboards made for Calico ask for.
TEST(Dataplane, CountsAsCalicoDoes) {
  World w;
  calc::Changes with;
  with.sets_created["s:x"].members = {{.prefix = *base::parse_cidr("10.0.0.1/32")},
                                      {.prefix = *base::parse_cidr("10.0.0.2/32")}};
  auto policy = std::make_shared<calc::ActivePolicy>();
  policy->tier = w.names.intern("default");
  policy->ingress.emplace_back().source.sets = {"s:x"};
  with.policies[{model::PolicyKind::kGlobalNetworkPolicy, {}, w.names.intern("g")}] = policy;
  w.plane->on_addresses("eth0", {*base::parse_address("192.0.2.1")});
  w.start(std::move(with));
  w.loop.advance(milliseconds(100));
  const std::string text = w.metrics.text();
  for (const char* line : {
           "felix_int_dataplane_messages{type=\"InSync\"} 1\n",
           "felix_int_dataplane_messages{type=\"IPSetUpdate\"} 1\n",
           "felix_int_dataplane_messages{type=\"ActivePolicyUpdate\"} 1\n",
           "felix_int_dataplane_messages{type=\"WorkloadEndpointUpdate\"} 1\n",
           "felix_int_dataplane_msg_batch_size_sum 4\n",
           "felix_int_dataplane_msg_batch_size_count 1\n",
           "felix_int_dataplane_iface_msg_batch_size_sum 1\n",
           "felix_int_dataplane_addr_msg_batch_size_sum 1\n",
           "felix_ipset_errors 0\n",
           "felix_ipset_lines_executed",
           "felix_ipset_calls",
           "felix_route_table_num_routes{table=\"IPv4:254\"} 1\n",
           "felix_route_table_num_ifaces{table=\"IPv4:254\"} 1\n",
           "felix_route_table_resync_seconds_count 1\n",
           "felix_route_table_partial_resync_seconds_count",
           "felix_route_table_conntrack_wait_seconds_count 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_EQ(text.find("felix_int_dataplane_messages{type=\"IPSetRemove\"}"), std::string::npos);
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

// Policy changes that never stop: each names a new set and lets go of the one before.
struct Churn {
  explicit Churn(World& world) : w(world) {
    // As the kernel: no rule may name a set that does not exist.
    w.v4.refuses = [this](std::string_view rule) {
      constexpr std::string_view kMatch = "--match-set ";
      const std::size_t at = rule.find(kMatch);
      if (at == rule.npos) return false;
      const std::string_view rest = rule.substr(at + kMatch.size());
      return !w.sets.sets.contains(rest.substr(0, rest.find(' ')));
    };
    w.v4.restore_time = milliseconds(20);
  }
  calc::Changes step() {
    calc::Changes changes;
    const calc::SetId id = "s:churn" + std::to_string(++steps);
    changes.sets_created[id] = {};
    if (steps > 1) changes.sets_removed.insert("s:churn" + std::to_string(steps - 1));
    auto policy = std::make_shared<calc::ActivePolicy>();
    policy->tier = w.names.intern("default");
    policy->selector = "all()";
    policy->ingress.emplace_back().source.sets = {id};
    changes.policies[{model::PolicyKind::kNetworkPolicy, w.names.intern("openstack"), w.names.intern("p")}] = policy;
    return changes;
  }
  void run(base::Duration span, base::Duration pause) {
    for (base::Duration gone{}; gone < span; gone += pause) {
      w.loop.advance(pause);
      w.plane->update(calc::Delta{step()});
    }
  }
  std::ptrdiff_t sets() const {
    return std::count_if(w.sets.sets.begin(), w.sets.sets.end(),
                         [](const auto& set) { return set.first.find("churn") != set.first.npos; });
  }
  World& w;
  int steps = 0;
};

TEST(Dataplane, ChangesThatNeverStopNeitherDelayStatusesNorKeepSetsAlive) {
  World w;
  Churn churn(w);
  w.start(churn.step());
  churn.run(milliseconds(200), milliseconds(3));
  EXPECT_EQ(w.told.statuses["vm1"], EndpointStatus::kUp);
  EXPECT_EQ(w.told.in_syncs, 1);
  // A set lives for the restore that replaces its rule, and one that may have been under way.
  EXPECT_LE(churn.sets(), 20);

  // A second endpoint, in the middle of it.
  w.link("tap2", 8);
  w.plane->update(calc::Delta{w.guest(churn.step(), "tap2", "vm2", "10.65.0.3")});
  w.loop.run_pending();
  EXPECT_FALSE(w.told.statuses.contains("vm2"));
  churn.run(milliseconds(100), milliseconds(3));
  EXPECT_EQ(w.told.statuses["vm2"], EndpointStatus::kUp);

  churn.run(seconds(2), milliseconds(3));
  EXPECT_LE(churn.sets(), 20);
  EXPECT_THAT(w.metrics.text(), HasSubstr("felix_iptables_restore_errors 0\n"));
  w.loop.advance(seconds(1));
  EXPECT_EQ(churn.sets(), 1);
  EXPECT_TRUE(w.plane->idle());
}

TEST(Dataplane, ChangesThatNeverStopDoNotTellUpWithoutRules) {
  World w;
  Churn churn(w);
  w.v4.fail_restores = 1'000'000;
  w.start(churn.step());
  churn.run(seconds(2), milliseconds(3));
  EXPECT_FALSE(w.told.statuses.contains("vm1"));
  EXPECT_EQ(w.told.in_syncs, 0);
}

// A change of the endpoint itself while its rules are being written is no reason to call it down.
TEST(Dataplane, AnEndpointThatKeepsChangingStaysUp) {
  World w;
  w.start();
  w.loop.advance(milliseconds(100));
  ASSERT_EQ(w.told.statuses["vm1"], EndpointStatus::kUp);
  w.told.history.clear();
  for (int i = 0; i < 50; ++i) {
    w.plane->update(calc::Delta{w.guest({}, "tap1", "vm1", "10.65.1." + std::to_string(i))});
    w.loop.advance(milliseconds(3));
  }
  EXPECT_THAT(w.told.history, ::testing::IsEmpty());
}

TEST(Dataplane, AnInterfacePrefixThatFitsNothingIsSaid) {
  World w;
  w.start();
  w.loop.advance(seconds(1));
  EXPECT_EQ(w.log.events["dataplane.interface_prefix"], 0);
  w.plane->on_link_gone("tap1", 7);
  w.loop.advance(seconds(1));
  EXPECT_EQ(w.log.events["dataplane.interface_prefix"], 1);  // no such interface at all
  w.link("tap1", 9);
  w.plane->update(calc::Delta{w.guest({}, "qvo2", "vm2", "10.65.0.3")});
  w.loop.advance(std::chrono::minutes(10));
  EXPECT_EQ(w.log.events["dataplane.interface_prefix"], 2);  // an endpoint whose interface is nobody's
}

TEST(Dataplane, RoutesAreLeftAloneWhenThatIsAskedFor) {
  for (const bool program : {true, false}) {
    World w;
    w.settings.program_routes = program;
    w.make();
    w.start();
    w.loop.advance(seconds(1));
    EXPECT_EQ(w.plane->writes().routes, program ? 1u : 0u);
    EXPECT_EQ(w.told.statuses["vm1"], EndpointStatus::kUp);
  }
}

TEST(Dataplane, ARefusedRuleIsLoggedOnce) {
  World w;
  w.v4.refuses = [](std::string_view rule) { return rule.find("Drop if no profiles matched") != rule.npos; };
  w.start();
  for (int i = 0; i < 20; ++i) {
    w.plane->update(calc::Delta{w.guest({}, "tap1", "vm1", "10.65.1." + std::to_string(i))});
    w.loop.advance(seconds(1));
  }
  EXPECT_LE(w.log.events["dataplane.refused"], 4);  // one for each chain
}

// Rules first, then the device, then time for the others, then BIRD; and all of it back.
TEST(Dataplane, ATunnelComesAndGoesUnderItsRules) {
  World w;
  w.make();
  w.devices.devices["tap1"] = {
      .name = "tap1", .index = 7, .kind = reconcile::DeviceKind::kOther, .up = true, .mtu = 1500, .addresses = {}};
  // The monitor would say what happens to devices.
  w.devices.on_change = [&](const reconcile::DeviceState& d) {
    w.loop.post([&w, d] {
      w.plane->on_link({.name = d.name, .index = d.index, .admin_up = d.up, .running = d.up, .mtu = d.mtu});
    });
  };
  w.start();
  w.loop.advance(seconds(1));
  ASSERT_TRUE(w.told.tunnels_ready.empty());
  const auto guarded = [&] {
    const auto& rules = w.v4.table("filter").at("cali-INPUT");
    return std::ranges::any_of(rules, [](const std::string& rule) { return rule.find("Drop IPIP") != rule.npos; });
  };
  const auto is_up = [&] { return w.devices.devices.contains("tunl0") && w.devices.devices.at("tunl0").up; };
  TunnelSettings tunnels;
  tunnels.ipip = true;
  tunnels.ipip_mtu = 1480;
  tunnels.ipip_address = *base::parse_address("10.65.9.1");
  w.v4.fail_restores = 3;
  w.plane->set_tunnels(tunnels, 1480, 1);
  for (int i = 0; i < 60'000 && !is_up(); ++i) {
    w.loop.advance(milliseconds(1));
    EXPECT_TRUE(guarded() || !is_up());
  }
  ASSERT_TRUE(is_up());
  EXPECT_TRUE(w.told.tunnels_ready.empty());
  w.loop.advance(Tunnels::kListenFirst - milliseconds(1));
  EXPECT_TRUE(w.told.tunnels_ready.empty());
  w.loop.advance(seconds(1));
  EXPECT_THAT(w.told.tunnels_ready, ::testing::ElementsAre(1u));
  EXPECT_EQ(w.devices.devices.at("tap1").mtu, 1480u);

  tunnels.ipip = false;
  w.plane->set_tunnels(tunnels, 0, 2);
  w.loop.advance(milliseconds(100));
  EXPECT_THAT(w.told.tunnels_ready, ::testing::ElementsAre(1u, 2u)) << "BIRD need not wait";
  EXPECT_TRUE(is_up());
  // Wanted again while the rules are on their way out: no device until they are back.
  for (int i = 0; i < 60'000 && guarded(); ++i) w.loop.advance(milliseconds(1));
  EXPECT_FALSE(is_up());
  tunnels.ipip = true;
  w.plane->set_tunnels(tunnels, 1480, 3);
  for (int i = 0; i < 100; ++i) {
    w.loop.advance(milliseconds(1));
    ASSERT_TRUE(guarded() || !is_up()) << "strangers' packets would come out of it";
  }
  EXPECT_TRUE(is_up());
  tunnels.ipip = false;
  w.plane->set_tunnels(tunnels, 0, 4);
  w.loop.advance(Tunnels::kLinger + seconds(1));
  EXPECT_FALSE(is_up());
  EXPECT_FALSE(guarded());
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
