// Two bridges on one etcd, one database, and hooks that overtake each other: in the end etcd must be equal to the
// database, by the hooks alone (no worker is connected, so no resync and no repair can help).
//
// Every request to etcd, every reply, every event of a watch and every step of a hook is delayed by chance; events of
// one watch keep their order but may come long after the replies to writes that they tell of.
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "fake_neutron.h"
#include "neutron/bridge.h"
#include "store/memory_store.h"
#include "testing/rng.h"
#include "testing/sim_loop.h"

namespace neutron_test {
namespace {

using testing::Rng;
using testing::SimLoop;
using namespace std::chrono_literals;

std::uint64_t sequences = 1000;
std::uint64_t first_seed = 1;

// A Store whose messages take their time.
class SlowStore final : public store::Store {
 public:
  SlowStore(store::Store& inner, SimLoop& loop, Rng& rng) : inner_(inner), loop_(loop), rng_(rng) {}

  std::unique_ptr<store::Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                 store::EventHandler handler) override {
    auto shared = std::make_shared<store::EventHandler>(std::move(handler));
    auto last = std::make_shared<base::Instant>();
    return inner_.subscribe(std::move(prefixes), reader, [this, shared, last](store::StoreEvent event) {
      *last = std::max(*last, loop_.now() + delay(20ms));
      loop_.after(*last - loop_.now(), [shared, event = std::move(event)] { (*shared)(event); });
    });
  }
  void read(store::ReadRequest request, const store::RequestOptions& options, base::Loop& loop,
            store::Done<store::ReadReply> done) override {
    later([this, request = std::move(request), options, &loop, done = slow(std::move(done))] {
      inner_.read(request, options, loop, done);
    });
  }
  void put(store::PutRequest request, const store::RequestOptions& options, base::Loop& loop,
           store::Done<store::WriteReply> done) override {
    later([this, request = std::move(request), options, &loop, done = slow(std::move(done))] {
      inner_.put(request, options, loop, done);
    });
  }
  void remove(store::RemoveRequest request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::WriteReply> done) override {
    later([this, request = std::move(request), options, &loop, done = slow(std::move(done))] {
      inner_.remove(request, options, loop, done);
    });
  }
  void commit(store::Transaction request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::Revision> done) override {
    later([this, request = std::move(request), options, &loop, done = slow(std::move(done))] {
      inner_.commit(request, options, loop, done);
    });
  }
  void compact(store::Revision revision, const store::RequestOptions& options, base::Loop& loop,
               store::Done<store::Revision> done) override {
    inner_.compact(revision, options, loop, std::move(done));
  }
  void status(const store::RequestOptions& options, base::Loop& loop, store::Done<store::StoreStatus> done) override {
    inner_.status(options, loop, std::move(done));
  }
  std::string describe() const override { return "slow"; }

 private:
  base::Duration delay(base::Duration most) {
    return base::Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(most.count()))));
  }
  void later(std::function<void()> task) { loop_.after(delay(3ms), std::move(task)); }
  template <typename T>
  store::Done<T> slow(store::Done<T> done) {
    return [this, done = std::move(done)](base::Result<T> result) {
      later([done, result = std::move(result)] { done(result); });
    };
  }

  store::Store& inner_;
  SimLoop& loop_;
  Rng& rng_;
};

class World {
 public:
  explicit World(std::uint64_t seed) : rng_(seed) {
    for (const auto* id : {"net", "net2"}) neutron_.put(neutron_.networks, id, make_network(id, id));
    neutron_.put(neutron_.projects, "project", {{"name", "p"}, {"parent_id", "default"}});
    neutron_.put(neutron_.subnets, "sub", make_subnet("sub", "net", "10.65.0.1"));
    for (int i = 0; i < 2; ++i) bridges_.push_back(make_bridge());
    loop_.advance(1s);
    hook({{"subnet", "sub"}});
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      loop_.advance(base::Duration(static_cast<std::int64_t>(rng_.below(10'000'000))));
    }
    loop_.advance(30s);
    EXPECT_EQ(hooks_open_, 0);
  }

  std::string differences() {
    std::map<std::string, std::string> stored;
    const auto all = store_.table().read({.key = "/", .range_end = "0"});
    for (const auto& item : all->items) stored.emplace(item.key, item.value);
    return compare_values(region_, stored, neutron_.expected(region_, {}));
  }

 private:
  struct Controller {
    std::unique_ptr<SlowStore> store;
    std::unique_ptr<neutron::Bridge> bridge;
  };
  using Changed = std::vector<std::pair<std::string, std::string>>;

  Controller make_bridge() {
    Controller controller;
    controller.store = std::make_unique<SlowStore>(store_, loop_, rng_);
    neutron::Context context{.loop = loop_,
                             .store = *controller.store,
                             .log = log_,
                             .region = region_,
                             .request = {},
                             .fresh_uid = [this] { return std::to_string(++last_uid_); },
                             .port = {}};
    neutron::BridgeSettings settings;
    settings.version = "test";
    settings.election = {.name = "c" + std::to_string(bridges_.size()),
                         .pid = 1,
                         .process_exists = [](int) { return true; },
                         .jitter = [] { return 0.5; }};
    controller.bridge = std::make_unique<neutron::Bridge>(std::move(context), std::move(settings), metrics_);
    controller.bridge->start({});
    return controller;
  }

  // What the shim does after a commit: on a controller of chance, and not at once.
  void hook(const Changed& changed) {
    ++hooks_open_;
    json::array list;
    for (const auto& [kind, id] : changed)
      list.push_back(json::object{{"kind", kind}, {"id", id}, {"dependants", true}});
    send(rng_.index(bridges_.size()), json::object{{"changed", std::move(list)}});
  }
  void send(std::size_t controller, json::object message) {
    loop_.after(delay(), [this, controller, message = std::move(message)] {
      bridges_[controller].bridge->handle(
          {.connection = 1, .method = "POST", .path = "/v1/changed", .body = json::serialize(message)},
          [this, controller](const neutron::HttpReply& reply) { answered(controller, reply); });
    });
  }
  void answered(std::size_t controller, const neutron::HttpReply& reply) {
    ASSERT_LT(reply.status, 300u) << reply.body;
    json::object message = json::parse(reply.body).as_object();
    if (message.at("result") != "read") {
      // Without a worker nobody would finish what was deferred.
      EXPECT_EQ(message.at("result"), "done") << reply.body;
      --hooks_open_;
      return;
    }
    loop_.after(delay(), [this, controller, message = std::move(message)]() mutable {
      json::array data;
      for (const auto& spec : message.at("read").as_array()) data.push_back(neutron_.read(spec.as_object()));
      json::object next = std::move(message.at("continue").as_object());
      next["data"] = std::move(data);
      send(controller, std::move(next));
    });
  }
  // Mostly short; sometimes so long that many other hooks overtake.
  base::Duration delay() {
    const std::uint64_t most = rng_.one_in(5) ? 60'000'000 : 5'000'000;
    return base::Duration(static_cast<std::int64_t>(rng_.below(most)));
  }

  std::string port_name() { return "p" + std::to_string(rng_.below(3)); }
  // Neutron never uses an id twice. Ports do it here nevertheless, which is harder; a group that came back under its id
  // would hide from its deletion's hook that other groups' rules have lost it.
  std::string group_name() {
    const std::uint64_t slot = rng_.below(3);
    return "g" + std::to_string(slot) + "-" + std::to_string(deleted_groups_[slot]);
  }

  void step() {
    switch (rng_.below(14)) {
      case 0:
      case 1: return create_port();
      case 2: return delete_port();
      case 3: return change_port({{"binding:host_id", ""}, {"binding:vif_type", "unbound"}});
      case 4:
      case 5:
        return change_port({{"binding:host_id", "h" + std::to_string(rng_.below(3))}, {"binding:vif_type", "tap"}});
      case 6: return change_port({{"device_id", "d" + std::to_string(rng_.below(3))}});
      case 7: return change_port({{"device_owner", rng_.one_in(2) ? "" : "compute:nova"}});
      case 8: return change_groups();
      case 9: return create_or_change_group();
      case 10: return delete_group();
      case 11: return rename_network();
      case 12: return change_subnet();
      default: return move_floating_ip();
    }
  }

  void create_port() {
    const std::string id = port_name();
    if (neutron_.ports.contains(id)) return;
    const std::string host = rng_.one_in(3) ? "" : "h" + std::to_string(rng_.below(3));
    neutron_.put(neutron_.ports, id, make_port(id, host, {{"network_id", rng_.one_in(2) ? "net" : "net2"}}));
    hook({{"port", id}});
  }
  void delete_port() {
    const std::string id = port_name();
    if (neutron_.ports.erase(id) == 0) return;
    for (auto& [fip, row] : neutron_.floatingips) {
      if (row.at("port_id") == json::value(id)) row["port_id"] = nullptr;
    }
    hook({{"port", id}});
  }
  void change_port(const json::object& members) {
    const std::string id = port_name();
    if (!neutron_.ports.contains(id)) return;
    neutron_.change(neutron_.ports, id, members);
    hook({{"port", id}});
  }
  void change_groups() {
    json::array groups;
    for (const auto& [id, group] : neutron_.security_groups) {
      if (rng_.one_in(2)) groups.emplace_back(id);
    }
    change_port({{"security_groups", std::move(groups)}});
  }
  void create_or_change_group() {
    const std::string id = group_name();
    json::array rules{
        json::object{{"id", "r"}, {"direction", "egress"}, {"ethertype", rng_.one_in(2) ? "IPv4" : "IPv6"}}};
    if (rng_.one_in(2) && !neutron_.security_groups.empty()) {
      rules.push_back(json::object{{"id", "r2"},
                                   {"direction", "ingress"},
                                   {"ethertype", "IPv4"},
                                   {"remote_group_id", neutron_.security_groups.begin()->first}});
    }
    neutron_.put(neutron_.security_groups, id,
                 make_group(id, "name" + std::to_string(rng_.below(4)), std::move(rules)));
    hook({{"security_group", id}});
  }
  // Neutron refuses it while a port is in the group, and drops rules that name it.
  void delete_group() {
    const std::string id = group_name();
    for (const auto& [port, row] : neutron_.ports) {
      for (const auto& group : row.at("security_groups").as_array()) {
        if (group == json::value(id)) return;
      }
    }
    if (neutron_.security_groups.erase(id) == 0) return;
    ++deleted_groups_[static_cast<std::size_t>(id[1] - '0')];
    for (auto& [other, group] : neutron_.security_groups) {
      json::array left;
      for (const auto& rule : group.at("security_group_rules").as_array()) {
        const auto* remote = rule.as_object().if_contains("remote_group_id");
        if (remote == nullptr || *remote != json::value(id)) left.push_back(rule);
      }
      if (left.size() == group.at("security_group_rules").as_array().size()) continue;
      neutron_.change(neutron_.security_groups, other, {{"security_group_rules", std::move(left)}});
    }
    hook({{"security_group", id}});
  }
  void rename_network() {
    const std::string id = rng_.one_in(2) ? "net" : "net2";
    neutron_.change(neutron_.networks, id,
                    {{"name", "n" + std::to_string(rng_.below(5))}, {"admin_state_up", !rng_.one_in(4)}});
    hook({{"network", id}});
  }
  void change_subnet() {
    neutron_.change(neutron_.subnets, "sub",
                    {{"gateway_ip", "10.65.0." + std::to_string(rng_.below(9) + 1)}, {"enable_dhcp", !rng_.one_in(3)}});
    hook({{"subnet", "sub"}});
  }
  void move_floating_ip() {
    json::object& row = neutron_.floatingips["f"];
    const std::string before(neutron::text(row, "port_id"));
    std::string after = port_name();
    if (!neutron_.ports.contains(after)) after.clear();
    row = {{"id", "f"}, {"fixed_ip_address", "10.65.0.2"}, {"floating_ip_address", "192.0.2.1"}};
    row["port_id"] = after.empty() ? json::value(nullptr) : json::value(after);
    Changed changed;
    if (!after.empty()) changed.emplace_back("port", after);
    if (!before.empty() && before != after) changed.emplace_back("port", before);
    if (!changed.empty()) hook(changed);
  }

  Rng rng_;
  SimLoop loop_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  store::MemoryStore store_{loop_};
  neutron::Region region_ = *neutron::Region::make("");
  FakeNeutron neutron_;
  std::vector<Controller> bridges_;
  std::uint64_t last_uid_ = 0;
  int hooks_open_ = 0;
  std::array<int, 3> deleted_groups_{};
};

TEST(Interleaving, EtcdEndsEqualToTheDatabase) {
  for (std::uint64_t seed = first_seed; seed < first_seed + sequences; ++seed) {
    World world(seed);
    world.run(60);
    ASSERT_EQ(world.differences(), "") << "seed " << seed;
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

// The comparison would see a stale value: etcd is not looked at with closed eyes.
TEST(Interleaving, ADifferenceWouldBeSeen) {
  std::size_t seen = 0;
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    World world(seed);
    world.run(10);
    seen += world.differences().empty() ? 0 : 1;
  }
  EXPECT_EQ(seen, 0u);
  const neutron::Region region = *neutron::Region::make("");
  FakeNeutron neutron;
  neutron.put(neutron.security_groups, "g", make_group("g", "n"));
  EXPECT_NE(compare_values(region, {}, neutron.expected(region, {})), "");
  EXPECT_NE(compare_values(region, {{region.policy_key("x"), "{}"}}, {}), "");
}

}  // namespace
}  // namespace neutron_test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    const auto number = [&](std::string_view name, std::uint64_t& target) {
      if (word.starts_with(name)) std::from_chars(word.data() + name.size(), word.data() + word.size(), target);
    };
    number("--sequences=", neutron_test::sequences);
    number("--seed=", neutron_test::first_seed);
  }
  return RUN_ALL_TESTS();
}
