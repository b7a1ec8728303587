// The bridge from its socket to a real etcd and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "base/metrics.h"
#include "bridge_process.h"
#include "etcd_server.h"
#include "fake_neutron.h"
#include "os/process.h"
#include "store/blocking.h"
#include "store/open_store.h"

namespace neutron_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class BridgeTest : public ::testing::Test {
 protected:
  BridgeTest() {
    neutron_.put(neutron_.networks, "net", make_network("net", "calico"));
    neutron_.put(neutron_.projects, "project", {{"name", "shop"}, {"parent_id", "default"}});
    neutron_.put(neutron_.subnets, "sub", make_subnet("sub", "net", "10.65.0.1"));
    neutron_.put(neutron_.security_groups, "g1", make_group("g1", "web"));
    store::ConnectionSettings connection;
    connection.endpoints = {etcd_.url()};
    store_ = *store::open_store(connection, log_, metrics_);
    client_ = std::make_unique<store::BlockingStore>(*store_, store::RequestOptions{.wait_for_connection = true});
  }
  void start_bridge(const std::string& extra = "resync_interval_secs = 0\n") {
    bridge_ = std::make_unique<BridgeProcess>(etcd_.url(), extra);
  }
  void start_worker() {
    worker_ =
        std::make_unique<FakeWorker>(bridge_->socket(), 3, [this](const json::object& call) { return serve(call); });
  }
  std::optional<std::string> serve(const json::object& call) {
    const std::lock_guard lock(mutex_);
    if (call.at("call") == "list") return json::serialize(neutron_.read(call.at("spec").as_object()));
    calls_.push_back(json::serialize(call));
    return "{}";
  }
  // The shim's hook.
  std::string hook(const std::string& kind, const std::string& id) {
    json::object body{{"changed", json::array{json::object{{"kind", kind}, {"id", id}}}}};
    while (true) {
      json::object reply = bridge_->ask("POST", "/v1/changed", body);
      if (reply.at("result") != "read") return std::string(neutron::text(reply, "result"));
      json::array data;
      for (const auto& spec : reply.at("read").as_array()) {
        const std::lock_guard lock(mutex_);
        data.push_back(neutron_.read(spec.as_object()));
      }
      body = std::move(reply.at("continue").as_object());
      body["data"] = std::move(data);
    }
  }
  std::string differences(const neutron::PortSettings& settings = {}) {
    std::map<std::string, std::string> stored;
    auto all = client_->list("/calico/");
    if (!all) return all.error().text();
    for (auto& item : all->items) stored.emplace(std::move(item.key), std::move(item.value));
    const std::lock_guard lock(mutex_);
    return compare_values(region_, stored, neutron_.expected(region_, settings));
  }
  json::object resync(bool dry_run = false) { return bridge_->ask("POST", "/v1/resync", {{"dry_run", dry_run}}); }
  template <typename Condition>
  bool eventually(Condition condition) {
    for (int i = 0; i < 300; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(100ms);
    }
    return false;
  }
  bool called(const std::string& part) {
    const std::lock_guard lock(mutex_);
    for (const auto& call : calls_) {
      if (call.find(part) != std::string::npos) return true;
    }
    return false;
  }
  std::string endpoint_key(const std::string& host, const std::string& port) {
    return region_.endpoint_prefix() + neutron::endpoint_name({host, "device-" + port, port});
  }
  void write_status(const std::string& host, const std::string& port, const std::string& status) {
    ASSERT_TRUE(client_->put("/calico/felix/v2/no-region/host/" + host + "/workload/openstack/openstack%2fdevice-" +
                                 port + "/endpoint/" + port,
                             R"({"status":")" + status + "\"}"));
  }

  store_test::EtcdServer etcd_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::BlockingStore> client_;
  neutron::Region region_ = *neutron::Region::make("");
  FakeNeutron neutron_;
  std::mutex mutex_;
  std::vector<std::string> calls_;
  std::unique_ptr<BridgeProcess> bridge_;
  std::unique_ptr<FakeWorker> worker_;
};

TEST_F(BridgeTest, DefaultsAreWrittenAtStartWithoutNeutron) {
  start_bridge();
  EXPECT_TRUE(eventually([&] { return client_->get(std::string(neutron::kFelixConfigurationKey)).has_value(); }));
  const auto cluster = client_->get(std::string(neutron::kClusterInformationKey));
  ASSERT_TRUE(cluster);
  EXPECT_THAT(cluster->value, HasSubstr("\"datastoreReady\":true"));
}

TEST_F(BridgeTest, HooksBringEveryChange) {
  start_bridge();
  EXPECT_EQ(hook("subnet", "sub"), "done");
  EXPECT_EQ(hook("security_group", "g1"), "done");
  neutron_.put(neutron_.ports, "p1", make_port("p1", "h1", {{"security_groups", json::array{"g1", "g2"}}}));
  neutron_.put(neutron_.security_groups, "g2", make_group("g2", "db"));  // its own hook is late
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");
  const auto first = client_->get(endpoint_key("h1", "p1"));
  ASSERT_TRUE(first);

  neutron_.change(neutron_.ports, "p1", {{"binding:vif_type", "unbound"}, {"binding:profile", json::object{{"a", 1}}}});
  EXPECT_EQ(hook("port", "p1"), "done");
  neutron_.change(neutron_.ports, "p1", {{"binding:vif_type", "tap"}, {"security_groups", json::array{"g2"}}});
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");
  const auto second = client_->get(endpoint_key("h1", "p1"));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->create_revision, first->create_revision);  // never deleted in between

  neutron_.change(neutron_.security_groups, "g2", {{"name", "renamed"}});
  EXPECT_EQ(hook("security_group", "g2"), "done");
  neutron_.change(neutron_.networks, "net", {{"name", "renamed too"}});
  EXPECT_EQ(hook("network", "net"), "done");
  neutron_.change(neutron_.subnets, "sub", {{"gateway_ip", "10.65.0.254"}});
  EXPECT_EQ(hook("subnet", "sub"), "done");
  neutron_.put(neutron_.floatingips, "f",
               {{"port_id", "p1"}, {"fixed_ip_address", "10.65.0.2"}, {"floating_ip_address", "192.0.2.9"}});
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");

  neutron_.change(neutron_.ports, "p1", {{"binding:host_id", "h2"}});
  EXPECT_EQ(hook("port", "p1"), "done");
  neutron_.change(neutron_.ports, "p1", {{"device_id", "other"}});
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");
  neutron_.change(neutron_.ports, "p1", {{"device_owner", ""}});
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");
  neutron_.ports.erase("p1");
  EXPECT_EQ(hook("port", "p1"), "done");
  EXPECT_EQ(differences(), "");
}

TEST_F(BridgeTest, ResyncRepairsEverythingAndThenFindsNothing) {
  neutron_.put(neutron_.address_groups, "a1", {{"name", "hosts"}, {"addresses", json::array{"10.0.0.0/8"}}});
  for (int i = 0; i < 30; ++i) {
    const std::string id = "p" + std::to_string(i);
    neutron_.put(neutron_.ports, id, make_port(id, "h1", {{"security_groups", json::array{"g1"}}}));
  }
  // Stale, malformed, unreadable, incomplete and somebody else's.
  ASSERT_TRUE(client_->put(endpoint_key("h9", "gone"), "{}"));
  ASSERT_TRUE(client_->put(region_.endpoint_prefix() + "-openstack-x", "{}"));
  ASSERT_TRUE(client_->put(endpoint_key("h1", "p3"), "not JSON"));
  ASSERT_TRUE(client_->put(endpoint_key("h1", "p4"), R"({"kind":"WorkloadEndpoint"})"));
  ASSERT_TRUE(client_->put(region_.policy_key("gone"), "[]"));
  ASSERT_TRUE(client_->put(region_.policy_prefix() + "allow-ssh", "{}"));
  ASSERT_TRUE(client_->put("/calico/dhcp/v1/subnet/old", "{}"));
  start_bridge();
  start_worker();
  ASSERT_TRUE(eventually([&] { return differences().empty(); })) << differences();
  EXPECT_TRUE(client_->get(region_.policy_prefix() + "allow-ssh"));
  ASSERT_TRUE(eventually([&] { return !client_->get("/calico/dhcp/v1/subnet/old"); }));

  const json::object second = resync();
  EXPECT_EQ(second.at("ok"), true) << json::serialize(second);
  EXPECT_TRUE(second.at("differences").as_array().empty()) << json::serialize(second);
  EXPECT_EQ(second.at("phases").at("endpoints").at("correct"), 30);

  // A dry run says what it would do, and does not.
  ASSERT_TRUE(client_->put(endpoint_key("h1", "p5"), "{}"));
  ASSERT_TRUE(client_->remove(endpoint_key("h1", "p6")));
  ASSERT_TRUE(client_->put(endpoint_key("h9", "gone"), "{}"));
  json::object dry;
  ASSERT_TRUE(eventually([&] {  // until the bridge's watch has shown it what we did
    dry = resync(true);
    return dry.at("differences").as_array().size() == 3;
  })) << json::serialize(dry);
  EXPECT_EQ(dry.at("phases").at("endpoints").at("updated"), 1);
  EXPECT_EQ(dry.at("phases").at("endpoints").at("created"), 1);
  EXPECT_EQ(dry.at("phases").at("endpoints").at("deleted"), 1);
  EXPECT_NE(differences(), "");
  EXPECT_EQ(resync().at("ok"), true);
  EXPECT_EQ(differences(), "");
}

TEST_F(BridgeTest, CommandLineResync) {
  start_bridge();
  start_worker();
  const auto done = os::run({.arguments = {PERCALECTL, "neutron", "resync", "--socket", bridge_->socket()}});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->status, 0) << done->output << done->errors;
  EXPECT_EQ(json::parse(done->output).at("ok"), true);
  const auto dry =
      os::run({.arguments = {PERCALECTL, "neutron", "resync", "--socket=" + bridge_->socket(), "--dry-run"}});
  EXPECT_EQ(dry->status, 0);
  EXPECT_EQ(json::parse(dry->output).at("dry_run"), true);
  const auto nobody = os::run({.arguments = {PERCALECTL, "neutron", "resync", "--socket", "/nonexistent"}});
  EXPECT_EQ(nobody->status, 1);
  EXPECT_THAT(nobody->errors, HasSubstr("is percale-neutron running"));
  EXPECT_EQ(json::parse(nobody->output).at("ok"), false);
}

TEST_F(BridgeTest, EtcdAwayIsSaidAndRepaired) {
  start_bridge();
  start_worker();
  ASSERT_TRUE(eventually([&] { return differences().empty(); }));
  const json::object check{{"operation", "create"}, {"kind", "port"}, {"object", make_port("p1", "h1")}};
  int status = 0;
  bridge_->ask("POST", "/v1/check", check, &status);
  EXPECT_EQ(status, 200);
  etcd_.kill();
  json::object reply;
  ASSERT_TRUE(eventually([&] {
    reply = bridge_->ask("POST", "/v1/check", check, &status);
    return status == 503;
  }));
  EXPECT_EQ(reply.at("error").at("code"), "unavailable");
  {
    const std::lock_guard lock(mutex_);
    neutron_.put(neutron_.ports, "p1", make_port("p1", "h1", {{"security_groups", json::array{"g1"}}}));
  }
  EXPECT_EQ(hook("port", "p1"), "deferred");
  etcd_.start();
  ASSERT_TRUE(eventually([&] { return differences().empty(); })) << differences();
  ASSERT_TRUE(eventually([&] { return bridge_->ask("GET", "/v1/status").at("dirty") == 0; }));
}

TEST_F(BridgeTest, ARefusalNamesTheAttribute) {
  start_bridge();
  int status = 0;
  const json::object reply = bridge_->ask(
      "POST", "/v1/check",
      {{"operation", "create"}, {"kind", "security_group"}, {"object", json::object{{"stateful", false}}}}, &status);
  EXPECT_EQ(status, 400);
  EXPECT_EQ(reply.at("error").at("attribute"), "stateful");
}

TEST_F(BridgeTest, StatusesAndHeartbeatsReachNeutron) {
  neutron_.put(neutron_.ports, "p1", make_port("p1", "h1"));
  start_bridge();
  start_worker();
  ASSERT_TRUE(eventually([&] { return differences().empty(); }));
  ASSERT_TRUE(client_->put("/calico/felix/v2/no-region/host/h1/status",
                           R"({"time":"2026-01-31T09:00:00Z","uptime":1.0,"first_update":true})"));
  EXPECT_TRUE(eventually([&] { return called(R"("call":"report_agent","host":"h1","start":true)"); }));
  write_status("h1", "p1", "up");
  EXPECT_TRUE(eventually([&] { return called(R"("status":"ACTIVE")"); }));
  write_status("h1", "p1", "down");
  EXPECT_TRUE(eventually([&] { return called(R"("status":"DOWN")"); }));
}

TEST_F(BridgeTest, LeadershipGoesOver) {
  start_bridge();
  ASSERT_TRUE(eventually([&] { return bridge_->ask("GET", "/v1/status").at("leader") == true; }));
  BridgeProcess second(etcd_.url(), "elector_name = other\n");
  EXPECT_EQ(second.ask("GET", "/v1/status").at("leader"), false);
  bridge_->terminate();
  EXPECT_TRUE(eventually([&] { return second.ask("GET", "/v1/status").at("leader") == true; }));
}

TEST_F(BridgeTest, KilledBridgeOfThisHostIsFollowedAtOnce) {
  start_bridge();
  ASSERT_TRUE(eventually([&] { return bridge_->ask("GET", "/v1/status").at("leader") == true; }));
  bridge_->kill();
  bridge_->start();
  EXPECT_TRUE(eventually([&] { return bridge_->ask("GET", "/v1/status").at("leader") == true; }));
}

TEST_F(BridgeTest, RegionsKeepApart) {
  ASSERT_TRUE(client_->put(region_.policy_key("legacy"), "{}"));
  start_bridge("openstack_region = east\nresync_interval_secs = 0\n");
  region_ = *neutron::Region::make("east");
  neutron_.put(neutron_.ports, "p1", make_port("p1", "h1"));
  start_worker();
  ASSERT_TRUE(eventually([&] { return differences().empty(); })) << differences();
  EXPECT_TRUE(client_->get("/calico/dhcp/v2/region-east/subnet/sub"));
  // Left over from before there was a region.
  EXPECT_TRUE(eventually([&] { return !client_->get(neutron::Region::make("")->policy_key("legacy")); }));
}

// Upstream's driver of a region removes what is without region.
TEST_F(BridgeTest, TwoRegionsAndANeutronWithoutOneShareAnEtcd) {
  neutron_.put(neutron_.ports, "p1", make_port("p1", "h1"));
  start_bridge();
  start_worker();
  ASSERT_TRUE(eventually([&] { return differences().empty(); })) << differences();
  struct Other {
    Other(const std::string& etcd, const std::string& name)
        : region(*neutron::Region::make(name)),
          bridge(etcd, "openstack_region = " + name + "\nelector_name = " + name + "\nresync_interval_secs = 0\n") {}
    neutron::Region region;
    BridgeProcess bridge;
    FakeNeutron neutron;
    std::unique_ptr<FakeWorker> worker;
  };
  std::vector<std::unique_ptr<Other>> others;
  for (const std::string name : {"east", "west"}) {
    others.push_back(std::make_unique<Other>(etcd_.url(), name));
    Other& other = *others.back();
    other.neutron.put(other.neutron.networks, "net", make_network("net", name));
    other.neutron.put(other.neutron.security_groups, "g-" + name, make_group("g-" + name, "web"));
    other.neutron.put(other.neutron.subnets, "sub", make_subnet("sub", "net", "10.66.0.1"));
    other.neutron.put(other.neutron.ports, "p-" + name, make_port("p-" + name, "h1"));
    other.worker = std::make_unique<FakeWorker>(
        other.bridge.socket(), 2, [&other](const json::object& call) -> std::optional<std::string> {
          return call.at("call") == "list" ? json::serialize(other.neutron.read(call.at("spec").as_object())) : "{}";
        });
  }
  for (const auto& other : others) {
    ASSERT_TRUE(eventually([&] { return other->bridge.ask("GET", "/v1/status").at("leader") == true; }));
    const json::object result = other->bridge.ask("POST", "/v1/resync");
    EXPECT_EQ(result.at("ok"), true) << json::serialize(result);
    EXPECT_THAT(json::serialize(result.at("warnings")), HasSubstr("another Neutron without openstack_region"));
  }
  EXPECT_EQ(differences(), "");
  EXPECT_TRUE(resync().at("differences").as_array().empty());
  for (const auto& other : others) {
    EXPECT_TRUE(other->bridge.ask("POST", "/v1/resync").at("differences").as_array().empty());
    EXPECT_TRUE(client_->get(other->region.subnet_prefix() + "sub"));
    EXPECT_EQ(client_->list(other->region.endpoint_prefix())->items.size(), 1u);
    EXPECT_EQ(client_->list(other->region.policy_prefix() + "ossg.")->items.size(), 1u);
  }
}

TEST_F(BridgeTest, BadRequestsAreAnswered) {
  start_bridge();
  SocketClient client(bridge_->socket());
  const std::string deep(5000, '[');
  for (const auto& [path, body, expected] : std::vector<std::tuple<std::string, std::string, int>>{
           {"/v1/changed", "{", 400},
           {"/v1/changed", "[]", 400},
           {"/v1/changed", deep, 400},
           {"/v1/changed", R"({"changed": [{"kind": "port"}]})", 400},
           {"/v1/changed", R"({"changed": [{"kind": "port", "id": "a/b"}]})", 400},
           {"/v1/changed", R"({"changed": [], "data": [1]})", 400},
           {"/v1/changed", R"({"changed": [{"kind":"port","id":"x"}], "since": 5, "specs": [7], "data": [7]})", 200},
           {"/v1/check", "{}", 400},
           {"/v1/nothing", "{}", 404},
           {"/v1/work", R"({"id": 99, "result": {}})", 204}}) {
    if (expected == 204) continue;  // would wait
    const auto reply = client.ask("POST", path, body);
    ASSERT_TRUE(reply) << path << body;
    EXPECT_EQ(reply->status, expected) << path << body << reply->body;
  }
  EXPECT_EQ(client.ask("DELETE", "/v1/resync")->status, 405);
  EXPECT_THAT(client.ask("GET", "/metrics")->body, HasSubstr("percale_neutron_changes_total"));
}

}  // namespace
}  // namespace neutron_test
