#include "agent/intake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "agent/node_selector.h"
#include "store/memory_store.h"
#include "testing/sim_loop.h"

namespace agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kRoot = "/calico/resources/v3/projectcalico.org/";
const std::string kCluster = kRoot + "clusterinformations/default";
const std::string kFelix = kRoot + "felixconfigurations/";
const char* const kReady = R"({"spec":{"clusterType":"openstack","datastoreReady":true}})";

std::string endpoint_key(const std::string& host) {
  return kRoot + "workloadendpoints/openstack/" + host + "-openstack-vm1-port1";
}
std::string endpoint(const std::string& host) {
  return R"({"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":")" + host +
         R"(-openstack-vm1-port1","namespace":"openstack","labels":{"projectcalico.org/namespace":"openstack"}},"spec":{"orchestrator":"openstack","workload":"vm1","node":")" +
         host +
         R"(","endpoint":"port1","interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":["10.65.0.2/32"]}})";
}

class Lines final : public base::Log {
 public:
  bool enabled(base::LogLevel) const override { return true; }
  void write(base::LogLevel, std::string_view event, std::string_view text, base::LogFields fields) override {
    lines.append(event).append(" ").append(text);
    for (const base::LogField& field : fields) lines.append(" ").append(field.value);
    lines.append("\n");
  }
  std::string lines;
};

struct Fixture {
  ::testing::SimLoop loop;
  Lines log;
  base::MetricRegistry metrics;
  HealthAggregator health{loop};
  base::Interner names;
  store::MemoryStore store{loop};
  std::vector<calc::Output> outputs;
  std::vector<TunnelOrder> orders;
  BgpUpdates bgp;
  std::vector<std::pair<ShutdownCause, std::string>> leaves;
  config::DurationMap timeouts;
  std::unique_ptr<Intake> intake;

  // As at start-up: the configuration in force is the one that the given resources make.
  void start(const std::map<std::string, std::string>& initial = {}) {
    store.write(kCluster, kReady);
    for (const auto& [key, value] : initial) store.write(key, value);
    config::RawSources local;
    local.set(config::Source::kFile, {{"InterfacePrefix", "tap"}});
    const auto tracker = [&] { return config::ConfigTracker(local, {}, "h1", {}, node_selector_predicate()); };
    config::ConfigTracker first = tracker();
    first.cluster_information("default",
                              std::make_shared<const boost::json::object>(boost::json::parse(kReady).as_object()));
    intake = std::make_unique<Intake>(
        loop, log, metrics, health, names, tracker(), Intake::Options{first.evaluate(), {}},
        Intake::Sinks{
            .output = [this](calc::Output output) { outputs.push_back(std::move(output)); },
            .tunnels = [this](TunnelOrder order) { orders.push_back(order); },
            .bgp = [this](BgpUpdates updates) { fold(bgp, std::move(updates)); },
            .timeouts = [this](config::DurationMap t) { timeouts = std::move(t); },
            .leave = [this](ShutdownCause cause, std::string why) { leaves.emplace_back(cause, std::move(why)); }});
    intake->start(store);
    settle();
  }
  void settle() { loop.advance(milliseconds(100)); }
};

TEST(Intake, SnapshotThenDeltas) {
  Fixture f;
  f.start({{endpoint_key("h1"), endpoint("h1")}, {endpoint_key("h2"), endpoint("h2")}});
  ASSERT_EQ(f.outputs.size(), 1u) << f.log.lines;
  ASSERT_TRUE(std::holds_alternative<calc::Snapshot>(f.outputs[0]));
  EXPECT_EQ(std::get<calc::Snapshot>(f.outputs[0]).all.workloads.size(), 1u);
  EXPECT_TRUE(f.bgp.resync);
  EXPECT_TRUE(f.bgp.in_sync);
  EXPECT_TRUE(f.health.summary().ready);
  f.store.write(endpoint_key("h1"), std::nullopt);
  f.settle();
  ASSERT_EQ(f.outputs.size(), 2u);
  EXPECT_EQ(std::get<calc::Delta>(f.outputs[1]).changes.workloads_removed.size(), 1u);
  EXPECT_THAT(f.metrics.text(), HasSubstr("percale_path_seconds_count{step=\"receive\"} 1\n"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_active_local_endpoints 0\n"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_resync_state 3\n"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_cluster_num_workload_endpoints 1\n"));  // that of h2
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_cluster_num_hosts 1\n"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_label_index_num_endpoints 1\n"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_calc_graph_updates_processed{type=\"WorkloadEndpointKey\"} 3\n"));
  EXPECT_TRUE(f.leaves.empty());
}

// Names and labels are those that dashboards made for Calico ask for.
TEST(Intake, CountsAsCalicoDoes) {
  Fixture f;
  f.start({{endpoint_key("h1"), endpoint("h1")},
           {kRoot + "profiles/p", R"({"metadata":{"name":"p"},"spec":{}})"},
           {kRoot + "nodes/h2", R"({"metadata":{"name":"h2"},"spec":{"bgp":{"ipv4Address":"192.0.2.2/24"}}})"},
           {kRoot + "globalnetworkpolicies/default.g",
            R"x({"metadata":{"name":"default.g"},"spec":{"selector":"all()","types":["Ingress"],"ingress":[)x"
            R"x({"action":"Allow","source":{"selector":"projectcalico.org/namespace == 'openstack'"}},)x"
            R"x({"action":"Allow","source":{"selector":"!has(other)"}}]}})x"}});
  const std::string text = f.metrics.text();
  for (const char* line : {
           "felix_cluster_num_hosts 2\n",
           "felix_cluster_num_profiles 2\n",
           "felix_label_index_num_active_selectors{optimized=\"true\"} 1\n",
           "felix_label_index_num_active_selectors{optimized=\"false\"} 1\n",
           "felix_label_index_selector_evals{result=\"true\"} 2\n",
           "felix_label_index_selector_evals{result=\"false\"} 0\n",
           "felix_label_index_strategy_evals{strategy=\"endpoint-single-value\"} 1\n",
           "felix_label_index_strategy_evals{strategy=\"endpoint-full-scan\"} 1\n",
           "felix_calc_graph_updates_processed{type=\"ProfileRulesKey\"} 1\n",
           "felix_calc_graph_updates_processed{type=\"HostIPKey\"} 1\n",
           "felix_calc_graph_updates_processed{type=\"PolicyKey\"} 1\n",
           "felix_calc_graph_updates_processed{type=\"BlockKey\"} 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Intake, AnOutageChangesNothingAndCompactionLosesNothing) {
  Fixture f;
  f.start({{endpoint_key("h1"), endpoint("h1")}});
  f.store.disconnect();
  f.store.write(endpoint_key("h1"), std::nullopt);
  f.store.compact_now();
  f.settle();
  EXPECT_EQ(f.outputs.size(), 1u);
  EXPECT_TRUE(f.health.summary().ready);  // old rules are good rules
  EXPECT_THAT(f.log.lines, HasSubstr("store.disconnected"));
  f.store.reconnect();
  f.settle();
  ASSERT_EQ(f.outputs.size(), 2u);
  EXPECT_EQ(std::get<calc::Delta>(f.outputs[1]).changes.workloads_removed.size(), 1u);
  EXPECT_TRUE(f.leaves.empty());
}

TEST(Intake, ASilentCalculationIsNotHealthy) {
  Fixture f;
  f.start();
  f.loop.advance(std::chrono::minutes(10));
  EXPECT_TRUE(f.health.summary().live);
  f.intake.reset();
  f.loop.advance(Intake::kTimeout + seconds(1));
  EXPECT_FALSE(f.health.summary().live);
}

TEST(Intake, BadObjectsAreSetAsideNamedAndCounted) {
  Fixture f;
  f.start({{endpoint_key("h1"), "{broken"}, {endpoint_key("h2"), endpoint("h2")}});
  EXPECT_THAT(f.log.lines, HasSubstr("data.bad_object"));
  EXPECT_THAT(f.log.lines, HasSubstr("h1-openstack-vm1-port1"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("percale_bad_objects 1\n"));
  EXPECT_TRUE(std::get<calc::Snapshot>(f.outputs[0]).all.workloads.empty());
  f.store.write(endpoint_key("h1"), endpoint("h1"));
  f.settle();
  EXPECT_THAT(f.log.lines, HasSubstr("data.repaired"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("percale_bad_objects 0\n"));
}

// A good value that a bad one replaces: what it closed stays closed.
TEST(Intake, TheLastGoodValueStaysUntilRepairedOrDeleted) {
  struct Case {
    std::string key, good, unusable;  // `unusable` is JSON, but refused
  };
  const Case cases[] = {
      {endpoint_key("h1"), endpoint("h1"), R"({"spec":{"node":"h1","ipNetworks":["nonsense"]}})"},
      {kRoot + "hostendpoints/he", R"({"spec":{"node":"h1","interfaceName":"eth0","profiles":["p"]}})",
       R"({"spec":{"node":"h1","interfaceName":"eth0","expectedIPs":["nonsense"]}})"},
      {kRoot + "globalnetworkpolicies/gp",
       R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Deny"}]}})j",
       R"j({"spec":{"selector":"all((","types":["Ingress"],"ingress":[{"action":"Deny"}]}})j"},
      {kRoot + "networkpolicies/openstack/np",
       R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Deny"}]}})j",
       R"j({"spec":{"selector":"all()","types":["Ingress"],"ingress":[{"action":"Dney"}]}})j"},
      {kRoot + "tiers/strict", R"({"spec":{"order":1,"defaultAction":"Deny"}})", R"({"spec":{"order":"first"}})"},
      {kRoot + "profiles/p", R"({"spec":{"egress":[{"action":"Deny"}]}})", R"({"spec":{"egress":[{"action":7}]}})"},
      {kRoot + "globalnetworksets/blocked",
       R"({"metadata":{"labels":{"role":"blocked"}},"spec":{"nets":["10.9.0.0/16"]}})",
       R"({"metadata":{"labels":{"role":"blocked"}},"spec":{"nets":{"10.9.0.0":"16"}}})"},
      {kRoot + "networksets/openstack/blocked",
       R"({"metadata":{"labels":{"role":"blocked"}},"spec":{"nets":["10.8.0.0/16"]}})", R"({"metadata":5})"},
      {kRoot + "ippools/pool", R"({"spec":{"cidr":"10.65.0.0/16","natOutgoing":true}})", R"({"spec":{"cidr":"x"}})"},
      {kRoot + "nodes/h2", R"({"spec":{"bgp":{"ipv4Address":"10.0.0.2/24"}}})", "[]"},
  };
  std::map<std::string, std::string> world = {
      {kRoot + "globalnetworkpolicies/user",
       R"j({"spec":{"selector":"all()","tier":"strict","types":["Ingress"],"ingress":[{"action":"Deny","source":{"selector":"role == 'blocked'"}}]}})j"}};
  world[endpoint_key("h1")] = endpoint("h1");
  for (const Case& c : cases) world[c.key] = c.good;
  for (const Case& c : cases) {
    for (const std::string& bad : {std::string("{broken"), c.unusable}) {
      SCOPED_TRACE(c.key + " " + bad);
      Fixture f;
      f.start(world);
      ASSERT_EQ(f.outputs.size(), 1u);
      calc::State before;
      calc::apply(before, f.outputs[0]);
      f.store.write(c.key, bad);
      f.settle();
      EXPECT_EQ(f.outputs.size(), 1u) << "something changed";
      EXPECT_THAT(f.log.lines, HasSubstr("data.bad_object"));
      EXPECT_THAT(f.metrics.text(), HasSubstr("percale_bad_objects 1\n"));

      // Nor does reading everything again lose it.
      f.store.disconnect();
      f.store.write(kRoot + "nodes/other", R"({"spec":{}})");
      f.store.compact_now();
      f.store.reconnect();
      f.settle();
      EXPECT_THAT(f.log.lines, HasSubstr("calc.resync"));
      calc::State after = before;
      for (std::size_t i = 1; i < f.outputs.size(); ++i) calc::apply(after, f.outputs[i]);
      after.nodes.erase(f.names.intern("other"));
      EXPECT_TRUE(calc::equal(before, after));
      EXPECT_THAT(f.metrics.text(), HasSubstr("percale_bad_objects 1\n"));
      EXPECT_TRUE(f.leaves.empty());

      f.store.write(c.key, std::nullopt);
      f.settle();
      for (std::size_t i = 1; i < f.outputs.size(); ++i) calc::apply(after, f.outputs[i]);
      after.nodes.erase(f.names.intern("other"));
      EXPECT_FALSE(calc::equal(before, after)) << "deleting it must count";
      EXPECT_THAT(f.log.lines, HasSubstr(c.key + " is gone"));
    }
  }
}

TEST(Intake, BgpKeepsWhatANewSnapshotCannotRead) {
  Fixture f;
  const std::string filter = kRoot + "bgpfilters/strict", peer = kRoot + "bgppeers/p";
  f.start({{filter, R"({"spec":{"exportV4":[{"action":"Reject"}]}})"}, {peer, R"({"spec":{"peerIP":"10.0.0.9"}})"}});
  f.store.write(filter, "{broken");
  f.store.write(peer, std::nullopt);
  f.settle();
  f.bgp = {};
  f.store.disconnect();
  f.store.write(kRoot + "nodes/other", R"({"spec":{}})");
  f.store.compact_now();
  f.store.reconnect();
  f.settle();
  ASSERT_TRUE(f.bgp.resync);
  int filters = 0;
  for (const auto& [key, update] : f.bgp.updates) {
    const auto* document = std::get_if<model::DocumentChange>(&update);
    if (document == nullptr) continue;
    EXPECT_NE(document->key.kind, model::DocumentKind::kBgpPeer);
    if (document->key.kind == model::DocumentKind::kBgpFilter) filters += document->value ? 1 : 0;
  }
  EXPECT_EQ(filters, 1);
}

TEST(Intake, TunnelAddressesOfThisNodeAreAnOrder) {
  Fixture f;
  f.start();
  const std::size_t before = f.orders.size();
  f.store.write(
      kRoot + "nodes/h1",
      R"({"metadata":{"name":"h1"},"spec":{"bgp":{"ipv4Address":"192.0.2.1/24","ipv4IPIPTunnelAddr":"10.65.0.1"},
                    "ipv6VXLANTunnelAddr":"fd00:65::1"}})");
  f.settle();
  ASSERT_EQ(f.orders.size(), before + 1) << f.log.lines;
  EXPECT_EQ(f.orders.back().ipip_address, base::parse_address("10.65.0.1").value());
  EXPECT_EQ(f.orders.back().vxlan_address_v4, std::nullopt);
  EXPECT_EQ(f.orders.back().vxlan_address_v6, base::parse_address("fd00:65::1").value());
  f.store.write(kRoot + "nodes/h1", R"({"metadata":{"name":"h1"},"spec":{"bgp":{"ipv4Address":"192.0.2.1/24"}}})");
  f.settle();
  EXPECT_EQ(f.orders.back().ipip_address, std::nullopt);
  EXPECT_EQ(f.orders.back().number, f.orders.size());
  f.loop.advance(std::chrono::seconds(10));
  EXPECT_TRUE(f.leaves.empty());
}

TEST(Intake, ConfigurationChanges) {
  struct Case {
    const char* name;
    std::string key;
    std::optional<std::string> value;
    std::optional<ShutdownCause> cause;
  };
  const Case cases[] = {
      {"restart", kFelix + "default", R"({"spec":{"maxIpsetSize":9}})", ShutdownCause::kConfigChanged},
      {"same value", kFelix + "default", R"({"spec":{"maxIpsetSize":1048576}})", std::nullopt},
      {"hidden by the file", kFelix + "default", R"({"spec":{"interfacePrefix":"cali"}})", std::nullopt},
      {"another node", kFelix + "node.h2", R"({"spec":{"maxIpsetSize":9}})", std::nullopt},
      {"this node", kFelix + "node.h1", R"({"spec":{"maxIpsetSize":9}})", ShutdownCause::kConfigChanged},
      {"live", kFelix + "default", R"({"spec":{"healthTimeoutOverrides":[{"name":"X","timeout":"5s"}]}})",
       std::nullopt},
      {"not ready", kCluster, R"({"spec":{"clusterType":"openstack","datastoreReady":false}})",
       ShutdownCause::kDatastoreUnready},
      {"gone", kCluster, std::nullopt, ShutdownCause::kDatastoreUnready},
      {"encapsulation", kRoot + "ippools/p",
       R"({"kind":"IPPool","metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","ipipMode":"Always"}})", std::nullopt},
      {"no encapsulation", kRoot + "ippools/p",
       R"({"kind":"IPPool","metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16","ipipMode":"Never"}})", std::nullopt},
  };
  for (const Case& c : cases) {
    Fixture f;
    f.start();
    f.store.write(c.key, c.value);
    f.settle();
    if (!c.cause) {
      EXPECT_TRUE(f.leaves.empty()) << c.name;
    } else if (!f.leaves.empty()) {
      EXPECT_EQ(f.leaves.front().first, *c.cause) << c.name;
    } else {
      ADD_FAILURE() << c.name << "\n" << f.log.lines;
    }
    EXPECT_EQ(f.timeouts.size(), std::string_view(c.name) == "live" ? 1u : 0u) << c.name;
  }
}

std::string pool(const std::string& modes) {
  return R"({"kind":"IPPool","metadata":{"name":"p"},"spec":{"cidr":"10.65.0.0/16",)" + modes + "}}";
}

// BIRD's news come after the order to the kernel thread that the same change made.
TEST(Intake, PoolsOrderTunnelsWithoutARestart) {
  Fixture f;
  f.start();
  ASSERT_EQ(f.orders.size(), 1u);
  EXPECT_FALSE(f.orders[0].encapsulation.ipip);
  EXPECT_EQ(f.bgp.after, f.orders[0].number);
  f.bgp = {};
  f.store.write(kRoot + "ippools/p", pool(R"("ipipMode":"Always")"));
  f.settle();
  ASSERT_EQ(f.orders.size(), 2u);
  EXPECT_TRUE(f.orders[1].encapsulation.ipip);
  EXPECT_EQ(f.bgp.after, f.orders[1].number);
  EXPECT_TRUE(f.bgp.updates.contains("pool/p"));
  f.bgp = {};
  f.store.write(kRoot + "ippools/p", pool(R"("ipipMode":"CrossSubnet")"));
  f.settle();
  ASSERT_EQ(f.orders.size(), 3u) << "other routes, perhaps: BIRD waits for them";
  EXPECT_EQ(f.bgp.after, f.orders[2].number);
  f.bgp = {};
  f.store.write(endpoint_key("h1"), endpoint("h1"));
  f.settle();
  EXPECT_EQ(f.orders.size(), 3u) << "no business of guests";
  EXPECT_TRUE(f.leaves.empty());
}

// Nobody has kept the addresses of other hosts' guests until the agent has to make routes to them.
TEST(Intake, TheFirstVxlanPoolReadsTheDatastoreAgain) {
  Fixture f;
  f.start({{kRoot + "ippools/p", pool(R"("ipipMode":"Never")")},
           {kRoot + "nodes/h2", R"({"metadata":{"name":"h2"},"spec":{"bgp":{"ipv4Address":"192.0.2.2/24"}}})"},
           {endpoint_key("h2"), endpoint("h2")}});
  ASSERT_EQ(f.outputs.size(), 1u);
  EXPECT_TRUE(std::get<calc::Snapshot>(f.outputs[0]).all.routes.empty());
  f.bgp = {};
  f.store.write(kRoot + "ippools/p", pool(R"("vxlanMode":"Always")"));
  f.settle();
  const base::Prefix guest = *base::parse_cidr("10.65.0.2/32");
  ASSERT_TRUE(std::get<calc::Delta>(f.outputs.back()).changes.routes.contains(guest)) << f.log.lines;
  const calc::ClusterRoute& route = std::get<calc::Delta>(f.outputs.back()).changes.routes.at(guest);
  EXPECT_EQ(route.pool, calc::PoolKind::kVxlan);
  EXPECT_EQ(route.node_address, *base::parse_address("192.0.2.2"));
  EXPECT_TRUE(f.orders.back().encapsulation.vxlan_v4);
  EXPECT_TRUE(f.bgp.resync);
  EXPECT_EQ(f.bgp.after, f.orders.back().number) << "BIRD gives its routes up after the agent has made them";
  const std::size_t orders = f.orders.size();
  f.store.write(kRoot + "ippools/p", pool(R"("ipipMode":"Never")"));
  f.store.write(kRoot + "ippools/p", pool(R"("vxlanMode":"Always")"));
  f.settle();
  EXPECT_GT(f.orders.size(), orders);
  EXPECT_THAT(f.metrics.text(), HasSubstr("felix_resyncs_started 2\n")) << "once is enough";
  EXPECT_TRUE(f.leaves.empty());
}

// The defaults may be the opposite of what is meant: rather the last configuration that could be read.
TEST(Intake, WhatConfiguresTheAgentStaysWhileItCannotBeRead) {
  Fixture f;
  f.start();
  for (const std::string& key : {kFelix + "default", kCluster, kRoot + "nodes/h1"}) {
    f.store.write(key, "{broken");
    f.settle();
    EXPECT_TRUE(f.leaves.empty()) << key;
    EXPECT_THAT(f.log.lines, HasSubstr("data.bad_object"));
  }
  f.store.disconnect();
  f.store.write(kRoot + "nodes/other", R"({"spec":{}})");
  f.store.compact_now();
  f.store.reconnect();
  f.settle();
  EXPECT_THAT(f.log.lines, HasSubstr("calc.resync"));
  EXPECT_TRUE(f.leaves.empty());
  f.store.write(kCluster, std::nullopt);
  f.settle();
  ASSERT_FALSE(f.leaves.empty());
  EXPECT_EQ(f.leaves.front().first, ShutdownCause::kDatastoreUnready);
}

TEST(Intake, AConfigurationWithErrorsLeavesTheFormerOneInForce) {
  Fixture f;
  f.start();
  const auto said = [&] {
    std::size_t times = 0;
    for (std::size_t at = f.log.lines.find("config.refused"); at != f.log.lines.npos;
         at = f.log.lines.find("config.refused", at + 1)) {
      ++times;
    }
    return times;
  };
  for (const char* bad : {R"({"spec":{"interfacePrefix":"not good"}})", R"({"spec":{"interfacePrefix":5}})"}) {
    f.log.lines.clear();
    f.store.write(kFelix + "default", bad);
    f.settle();
    f.store.write(kFelix + "node.h2", R"({"spec":{"maxIpsetSize":9}})");  // another reason to look again
    f.settle();
    EXPECT_TRUE(f.leaves.empty()) << bad;
    EXPECT_EQ(said(), 1u) << f.log.lines;
    EXPECT_THAT(f.log.lines, HasSubstr("nterfacePrefix: ")) << bad;
    EXPECT_THAT(f.metrics.text(), HasSubstr("percale_configuration_errors 1\n"));
    EXPECT_TRUE(f.health.summary().ready);
    EXPECT_THAT(f.health.summary().table, HasSubstr("the former one stays in force"));
  }
  // New endpoints are protected meanwhile.
  f.store.write(endpoint_key("h1"), endpoint("h1"));
  f.settle();
  EXPECT_EQ(f.outputs.size(), 2u);
  f.store.write(kFelix + "default", R"({"spec":{"interfacePrefix":"tap"}})");
  f.settle();
  EXPECT_TRUE(f.leaves.empty());
  EXPECT_THAT(f.log.lines, HasSubstr("config.repaired"));
  EXPECT_THAT(f.metrics.text(), HasSubstr("percale_configuration_errors 0\n"));
  EXPECT_THAT(f.health.summary().table, Not(HasSubstr("former")));
}

// What changed between reading the configuration and the first snapshot must not be lost.
TEST(Intake, AChangeBeforeTheFirstSnapshotCounts) {
  Fixture f;
  f.start({{kFelix + "default", R"({"spec":{"maxIpsetSize":9}})"}});
  ASSERT_FALSE(f.leaves.empty());
  EXPECT_EQ(f.leaves.front().first, ShutdownCause::kConfigChanged);
  EXPECT_THAT(f.log.lines, HasSubstr("config.changed MaxIpsetSize has changed 1048576 9"));
}

TEST(BgpUpdates, TheLastUpdateOfAnObjectIsKept) {
  BgpUpdates pending;
  pending.updates.emplace("node/a", model::IpPoolChange{{"first"}, std::nullopt});
  BgpUpdates later;
  later.updates.emplace("node/a", model::IpPoolChange{{"second"}, std::nullopt});
  later.in_sync = true;
  fold(pending, std::move(later));
  EXPECT_EQ(std::get<model::IpPoolChange>(pending.updates.at("node/a")).key.name, "second");
  EXPECT_TRUE(pending.in_sync);
  BgpUpdates fresh;
  fresh.resync = true;
  fold(pending, std::move(fresh));
  EXPECT_TRUE(pending.updates.empty());
  EXPECT_FALSE(pending.in_sync);
}

}  // namespace
}  // namespace agent
