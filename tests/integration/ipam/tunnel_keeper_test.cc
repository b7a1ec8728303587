// Nobody looks after tunnel addresses but the keepers of the nodes, on a real etcd: they follow the pools, also through
// a restart of etcd, beside another process for the same node, and when a whole cloud hears of a pool at once.

#include "ipam/tunnel_keeper.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etcd_server.h"
#include "ipam/tunnels.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"
#include "options.h"
#include "os/event_loop.h"
#include "os/loop_thread.h"
#include "os/pause.h"
#include "os/random.h"
#include "store/open_store.h"

namespace ipam_test {
namespace {

using namespace std::chrono_literals;
using Addresses = std::map<std::string, std::string>;  // by the kind's name

struct Client {
  explicit Client(const std::string& url) {
    store = *store::open_store(*store::parse_location(url), log, metrics);
    blocking = std::make_unique<store::BlockingStore>(
        *store, store::RequestOptions{.timeout = 10s, .wait_for_connection = true});
    ipam = std::make_unique<ipam::Ipam>(*blocking, ipam::Sources{.wall = [this] { return clock.wall(); },
                                                                 .now = [this] { return clock.now(); },
                                                                 .jitter = os::make_jitter(),
                                                                 .pause = os::pause});
  }
  base::NullLog log;
  base::MetricRegistry metrics;
  os::SystemClock clock;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::BlockingStore> blocking;
  std::unique_ptr<ipam::Ipam> ipam;
};

// Agents of several nodes, on few threads: a keeper that works holds up those that share its thread.
class Keepers {
 public:
  Keepers(const std::string& url, const std::vector<std::string>& nodes, std::size_t threads,
          base::Duration keep = std::chrono::seconds(1))
      : client_(url) {
    for (std::size_t i = 0; i < threads; ++i) threads_.push_back(std::make_unique<os::LoopThread>("keeper"));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      base::Loop& loop = threads_[i % threads]->loop();
      keepers_.push_back(std::make_unique<ipam::TunnelKeeper>(loop, client_.log, client_.metrics, nodes[i],
                                                              os::make_jitter(), os::pause, keep));
      loop.post([keeper = keepers_.back().get(), this] { keeper->start(*client_.store); });
    }
    for (auto& thread : threads_) thread->start();
  }
  ~Keepers() {
    for (auto& thread : threads_) thread->stop();
  }
  std::string metrics() const { return client_.metrics.text(); }

 private:
  Client client_;
  std::vector<std::unique_ptr<os::LoopThread>> threads_;
  std::vector<std::unique_ptr<ipam::TunnelKeeper>> keepers_;
};

class TunnelKeeperTest : public ::testing::Test {
 protected:
  TunnelKeeperTest() : client_(std::make_unique<Client>(etcd_.url())) {}

  void put(const std::string& key, const std::string& value) { ASSERT_TRUE(client_->blocking->put(key, value)); }
  void put_node(const std::string& name, const std::string& bgp = R"("ipv4Address":"192.0.2.1/24")") {
    put(model::resource_key(model::kinds::kNode, {}, name),
        R"({"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":")" + name + R"("},"spec":{"bgp":{)" +
            bgp + "}}}");
  }
  static std::string pool_key(const std::string& name) { return model::resource_key(model::kinds::kIpPool, {}, name); }
  void put_pool(const std::string& name, const std::string& cidr, const std::string& modes) {
    put(pool_key(name), R"({"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":")" + name +
                            R"("},"spec":{"cidr":")" + cidr + "\"," + modes + "}}");
  }

  Addresses addresses(const std::string& node) {
    const auto item = client_->blocking->get(model::resource_key(model::kinds::kNode, {}, node));
    const auto resource = item ? model::decode_stored(model::kinds::kNode, item->value)
                               : base::Result<model::Resource>(base::fail(item.error()));
    Addresses found;
    if (!resource) return found;
    for (const ipam::TunnelKind& kind : ipam::tunnel_kinds()) {
      const auto text = model::text_of(resource->spec(), kind.path);
      if (!text.empty()) found[std::string(kind.name)] = text;
    }
    return found;
  }
  std::set<std::string> kinds_of(const std::string& node) {
    std::set<std::string> names;
    for (const auto& [name, address] : addresses(node)) names.insert(name);
    return names;
  }
  // How many addresses of IPAM somebody has.
  std::size_t in_use() {
    std::size_t count = 0;
    for (const ipam::StoredBlock& stored : client_->ipam->blocks().value_or(std::vector<ipam::StoredBlock>{}))
      count += stored.block.size() - stored.block.free_count();
    return count;
  }
  // What the node has is what IPAM has for it, and nothing else.
  bool agrees(const std::string& node, std::size_t count) {
    const Addresses all = addresses(node);
    if (all.size() != count) return false;
    for (const ipam::TunnelKind& kind : ipam::tunnel_kinds()) {
      const auto found = all.find(std::string(kind.name));
      if (found == all.end()) continue;
      const auto block = client_->ipam->block_of(*base::parse_address(found->second));
      const auto owner = block && *block ? (*block)->block.owner_of(*base::parse_address(found->second)) : std::nullopt;
      if (!owner || owner->handle_text() != std::string(kind.handle_prefix) + node) return false;
    }
    return true;
  }

  static bool soon(const std::function<bool()>& reached) {
    for (int i = 0; i < 1200; ++i) {
      if (reached()) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }

  store_test::EtcdServer etcd_;
  std::unique_ptr<Client> client_;
};

const std::vector<std::string> kTwo = {"node-1", "node-10"};  // one name begins with the other

TEST_F(TunnelKeeperTest, FollowsThePools) {
  Keepers keepers(etcd_.url(), kTwo, 2);
  for (const std::string& node : kTwo) put_node(node);
  struct Step {
    std::string name;
    std::function<void()> change;
    std::set<std::string> kinds;
  };
  const Step steps[] = {
      {"IP-in-IP", [&] { put_pool("p", "10.65.0.0/24", R"("ipipMode":"Always")"); }, {"IPIP"}},
      {"CrossSubnet", [&] { put_pool("p", "10.65.0.0/24", R"("ipipMode":"CrossSubnet")"); }, {"IPIP"}},
      {"VXLAN", [&] { put_pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")"); }, {"VXLAN"}},
      {"IPv6, too", [&] { put_pool("q", "fd00:65::/64", R"("vxlanMode":"Always")"); }, {"VXLAN", "VXLAN IPv6"}},
      {"disabled", [&] { put_pool("q", "fd00:65::/64", R"("vxlanMode":"Always","disabled":true)"); }, {"VXLAN"}},
      {"deleted", [&] { ASSERT_TRUE(client_->blocking->remove(pool_key("p"))); }, {}},
      {"another", [&] { put_pool("r", "10.66.0.0/24", R"("ipipMode":"Always")"); }, {"IPIP"}},
      {"direct", [&] { put_pool("r", "10.66.0.0/24", R"("ipipMode":"Never")"); }, {}},
  };
  for (const Step& step : steps) {
    step.change();
    for (const std::string& node : kTwo) {
      EXPECT_TRUE(soon([&] { return kinds_of(node) == step.kinds && agrees(node, step.kinds.size()); }))
          << step.name << " on " << node << ": " << ::testing::PrintToString(addresses(node));
    }
    EXPECT_TRUE(soon([&] { return in_use() == kTwo.size() * step.kinds.size(); })) << step.name << ": " << in_use();
  }
}

// Others take this host's packets for as long as it has the address, and it goes on sending for a while.
TEST_F(TunnelKeeperTest, WhatNoPoolNeedsStaysForAWhileAndIsUsedAgain) {
  put_pool("p", "10.65.0.0/24", R"("ipipMode":"Always")");
  put_node("node-1");
  Keepers keepers(etcd_.url(), {"node-1"}, 1, std::chrono::hours(1));
  ASSERT_TRUE(soon([&] { return agrees("node-1", 1); }));
  const std::string before = addresses("node-1")["IPIP"];
  put_pool("p", "10.65.0.0/24", R"("vxlanMode":"Always")");
  EXPECT_TRUE(soon([&] { return agrees("node-1", 2); })) << "beside the new one";
  EXPECT_EQ(addresses("node-1")["IPIP"], before);
  put_pool("p", "10.65.0.0/24", R"("ipipMode":"Always")");
  put_pool("q", "fd00:65::/64", R"("vxlanMode":"Always")");
  EXPECT_TRUE(soon([&] { return agrees("node-1", 3); })) << "VXLAN's of IPv4, too, is kept";
  EXPECT_EQ(addresses("node-1")["IPIP"], before);
  ASSERT_TRUE(client_->blocking->remove(pool_key("p")));
  put_pool("r", "10.66.0.0/24", R"("ipipMode":"Always")");
  EXPECT_TRUE(soon([&] { return addresses("node-1")["IPIP"].starts_with("10.66."); })) << "another pool is at hand";
}

TEST_F(TunnelKeeperTest, PutsRightWhatSomebodyElseWrote) {
  put_pool("p", "10.65.0.0/24", R"("ipipMode":"Always")");
  put_node("node-1");
  Keepers keepers(etcd_.url(), {"node-1"}, 1);
  ASSERT_TRUE(soon([&] { return agrees("node-1", 1); }));
  put_node("node-1", R"("ipv4Address":"192.0.2.1/24","ipv4IPIPTunnelAddr":"198.51.100.1")");
  EXPECT_TRUE(soon([&] { return agrees("node-1", 1); }));
  put_node("node-1");
  EXPECT_TRUE(soon([&] { return agrees("node-1", 1); }));
  EXPECT_EQ(in_use(), 1U);
}

TEST_F(TunnelKeeperTest, AnUnreadablePoolCostsNoAddress) {
  put_pool("p", "10.65.0.0/24", R"("ipipMode":"Always")");
  put_node("node-1");
  Keepers keepers(etcd_.url(), {"node-1"}, 1);
  ASSERT_TRUE(soon([&] { return agrees("node-1", 1); }));
  const Addresses before = addresses("node-1");
  put(pool_key("p"), "{");
  ASSERT_TRUE(soon([&] { return keepers.metrics().find("percale_tunnel_address_failures 0") == std::string::npos; }))
      << keepers.metrics();
  EXPECT_EQ(addresses("node-1"), before);
  put_pool("p", "10.65.0.0/24", R"("ipipMode":"Never")");
  EXPECT_TRUE(soon([&] { return agrees("node-1", 0) && in_use() == 0; }));
}

TEST_F(TunnelKeeperTest, TwoProcessesForOneNode) {
  put_node("node-1");
  Keepers agent(etcd_.url(), {"node-1"}, 1);
  Keepers other(etcd_.url(), {"node-1"}, 1);
  Client operators(etcd_.url());  // who runs `node init` again and again
  for (int i = 0; i < 10; ++i) {
    put_pool("p", "10.65.0.0/24", i % 2 == 0 ? R"("ipipMode":"Always")" : R"("vxlanMode":"Always")");
    for (int k = 0; k < 5; ++k) (void)ipam::ensure_tunnel_addresses(*operators.ipam, "node-1");
  }
  EXPECT_TRUE(soon([&] { return agrees("node-1", 1) && in_use() == 1; })) << in_use();
  EXPECT_EQ(kinds_of("node-1"), std::set<std::string>{"VXLAN"});
}

// A pool of 1,024 blocks.
TEST_F(TunnelKeeperTest, AWholeCloudAtOnceWhileEtcdIsRestarted) {
  const int count = nodes_at_once;
  std::vector<std::string> nodes;
  for (int i = 0; i < count; ++i) {
    nodes.push_back("node-" + std::to_string(i));
    put_node(nodes.back());
  }
  Keepers keepers(etcd_.url(), nodes, 50);
  // A node in the middle of a change may make up for another one's address, so that each is asked, too.
  const auto done = [&](const std::set<std::string>& kinds) {
    if (in_use() != nodes.size() * kinds.size()) return false;
    std::set<std::string> all;
    for (const std::string& node : nodes) {
      for (const auto& [kind, address] : addresses(node)) all.insert(address);
    }
    return all.size() == nodes.size() * kinds.size() && std::ranges::all_of(nodes, [&](const std::string& node) {
             return kinds_of(node) == kinds && agrees(node, kinds.size());
           });
  };
  const auto timed = [&](const char* what, const std::set<std::string>& kinds) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_TRUE(soon([&] { return done(kinds); })) << what << ": " << in_use();
    std::printf("%s, %d nodes: %.1f s\n", what, count,
                std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  };
  put_pool("p", "10.65.0.0/16", R"("ipipMode":"Always")");
  timed("a pool with IP-in-IP", {"IPIP"});

  put_pool("p", "10.65.0.0/16", R"("vxlanMode":"Always")");
  ASSERT_TRUE(soon([&] {
    return kinds_of(nodes.front()) == std::set<std::string>{"VXLAN"} ||
           kinds_of(nodes.back()) == std::set<std::string>{"VXLAN"};
  }));
  etcd_.kill();
  etcd_.start();
  timed("VXLAN instead, with etcd killed and started again", {"VXLAN"});

  ASSERT_TRUE(client_->blocking->remove(pool_key("p")));
  timed("no pool", {});
}

}  // namespace
}  // namespace ipam_test
