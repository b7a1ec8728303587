// The whole protocol over a store in memory.

#include "ipam/ipam.h"

#include <memory>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ipam/addressing.h"
#include "ipam/tunnels.h"
#include "os/loop_thread.h"
#include "store/memory_store.h"

namespace ipam {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kRoot = "/calico/resources/v3/projectcalico.org/";

base::Prefix net(std::string_view text) { return *base::parse_cidr(text); }
base::IpAddress ip(std::string_view text) { return *base::parse_address(text); }

class IpamTest : public ::testing::Test {
 protected:
  IpamTest() : store_(home_.loop()) {
    home_.start();
    blocking_ = std::make_unique<store::BlockingStore>(store_);
    ipam_ = std::make_unique<Ipam>(*blocking_, Sources{.wall = [this] { return wall_; },
                                                       .now = [this] { return now_; },
                                                       .jitter = [] { return 0.5; },
                                                       .pause = [this](base::Duration pause) { paused(pause); }});
    for (const char* node : {"a", "b"}) put_node(node, "{}");
  }
  ~IpamTest() override { home_.stop(); }

  void paused(base::Duration pause) {
    now_ += pause;
    if (on_pause_) on_pause_();
  }
  void put(const std::string& key, std::string value) { ASSERT_TRUE(blocking_->put(key, std::move(value))); }
  std::string get(const std::string& key) {
    const auto item = blocking_->get(key);
    return item ? item->value : "";
  }
  void put_node(const std::string& name, std::string_view spec, std::string_view labels = "{}") {
    put(std::string(kRoot) + "nodes/" + name,
        R"({"kind":"Node","apiVersion":"projectcalico.org/v3","metadata":{"name":")" + name + R"(","labels":)" +
            std::string(labels) + R"(},"spec":)" + std::string(spec) + "}");
  }
  void put_pool(const std::string& name, std::string_view cidr, std::string_view more = "") {
    put(std::string(kRoot) + "ippools/" + name,
        R"({"kind":"IPPool","apiVersion":"projectcalico.org/v3","metadata":{"name":")" + name +
            R"("},"spec":{"cidr":")" + std::string(cidr) + "\"" + std::string(more) + "}}");
  }
  void configure(bool strict, std::int64_t blocks = 0) {
    Config config = Config::initial();
    config.strict_affinity = strict;
    config.max_blocks_per_host = blocks;
    ASSERT_TRUE(ipam_->set_config(config));
  }
  Assignment assign(const std::string& host, std::size_t count, const std::string& handle = "h") {
    const auto assigned =
        ipam_->auto_assign({.host = host, .count = count, .handle = handle, .attributes = {{"node", host}}});
    EXPECT_TRUE(assigned) << assigned.error().text();
    return assigned.value_or(Assignment{});
  }
  std::vector<StoredBlock> all_blocks() { return ipam_->blocks().value_or(std::vector<StoredBlock>{}); }
  std::size_t in_use() {
    std::size_t count = 0;
    for (const StoredBlock& stored : all_blocks()) count += stored.block.size() - stored.block.free_count();
    return count;
  }

  os::LoopThread home_{"memory"};
  store::MemoryStore store_;
  std::unique_ptr<store::BlockingStore> blocking_;
  std::unique_ptr<Ipam> ipam_;
  base::WallTime wall_ = *parse_rfc3339("2026-01-15T10:20:30Z");
  base::Instant now_{};
  std::function<void()> on_pause_;
};

TEST_F(IpamTest, FirstAddressWritesEverythingCalicoWould) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":29)");
  const auto got = assign("a", 2);
  EXPECT_EQ(got.addresses, (std::vector{ip("10.65.0.0"), ip("10.65.0.1")}));
  EXPECT_EQ(get("/calico/ipam/v2/config"), R"({"auto_allocate_blocks":true,"kubeVirtVMAddressPersistence":"Enabled"})");
  EXPECT_EQ(get("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-29"), R"({"state":"confirmed","deleted":false})");
  EXPECT_EQ(get("/calico/ipam/v2/handle/h"), R"({"block":{"10.65.0.0/29":2},"deleted":false})");
  EXPECT_EQ(get("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-29"),
            R"({"cidr":"10.65.0.0/29","affinity":"host:a","affinity_claim_time":"2026-01-15T10:20:30Z",)"
            R"("allocations":[0,0,null,null,null,null,null,null],"unallocated":[2,3,4,5,6,7],)"
            R"("attributes":[{"handle_id":"h","secondary":{"node":"a"}}],"sequenceNumber":1768472430000000001,)"
            R"("sequenceNumberForAllocation":{"0":1768472430000000000,"1":1768472430000000000},"deleted":false})");

  EXPECT_EQ(*ipam_->release_by_handle("h"), 2U);
  EXPECT_EQ(get("/calico/ipam/v2/handle/h"), "");
  EXPECT_THAT(get("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-29"),
              HasSubstr(R"("unallocated":[2,3,4,5,6,7,0,1])"));
  EXPECT_EQ(ipam_->release_by_handle("h").error().kind(), base::ErrorKind::kNotFound);
}

TEST_F(IpamTest, WhatARequestNeeds) {
  EXPECT_EQ(ipam_->auto_assign({.host = "a"}).error().text(), "cannot find a qualified ippool");
  put_pool("p", "10.65.0.0/24");
  EXPECT_EQ(ipam_->auto_assign({.host = "nobody"}).error().text(),
            "resource does not exist: Node(nobody) with error: <nil>");
  EXPECT_EQ(ipam_->auto_assign({.host = "a", .count = 0})->addresses.size(), 0U);
}

TEST_F(IpamTest, OwnBlocksThenNewOnesThenBorrowed) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  EXPECT_EQ(assign("a", 3).addresses.size(), 3U);
  EXPECT_EQ(ipam_->blocks()->size(), 1U);
  EXPECT_EQ(assign("b", 1, "hb").addresses.size(), 1U);
  const auto got = assign("a", 4);  // 1 own, then b's block
  EXPECT_EQ(got.addresses.size(), 4U);
  EXPECT_EQ(assign("a", 2).shortfall->text(),
            "Assigned 0 out of 2 requested IPv4 addresses; No IPs available in pools: [10.65.0.0/29]");
  EXPECT_EQ(in_use(), 8U);
  int foreign = 0;
  for (const StoredBlock& stored : all_blocks()) {
    stored.block.for_each_used([&](const base::IpAddress&, const Owner* owner) {
      foreign += owner->attributes->at("node") != stored.block.host() ? 1 : 0;
    });
  }
  EXPECT_EQ(foreign, 3);
}

TEST_F(IpamTest, StrictAffinityNeverBorrows) {
  configure(true);
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  EXPECT_EQ(assign("b", 1, "hb").addresses.size(), 1U);
  const auto got = assign("a", 6);
  EXPECT_EQ(got.addresses.size(), 4U);
  EXPECT_THAT(got.shortfall->text(), HasSubstr("strict affinity enabled"));
  const auto b_block = ipam_->block_of(assign("b", 1, "hb").addresses.front());
  const auto free = address_at((*b_block)->block.cidr(), 3);
  EXPECT_THAT(ipam_->assign_address({.address = free, .host = "a"}).error().text(),
              HasSubstr("Block host affinity does not match"));
}

TEST_F(IpamTest, BlockLimit) {
  configure(true, 2);
  put_pool("p", "10.65.0.0/24", R"(,"blockSize":30)");
  const auto got = assign("a", 20);
  EXPECT_EQ(got.addresses.size(), 8U);
  EXPECT_THAT(got.shortfall->text(), HasSubstr("limit of 2 blocks reached for this node"));
}

TEST_F(IpamTest, ReservationsAreLeftOutAndIgnoredForAGivenAddress) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  put(std::string(kRoot) + "ipreservations/r",
      R"({"metadata":{"name":"r"},"spec":{"reservedCIDRs":["10.65.0.0/30","10.65.0.5"]}})");
  EXPECT_EQ(assign("a", 4).addresses, (std::vector{ip("10.65.0.4"), ip("10.65.0.6"), ip("10.65.0.7")}));
  EXPECT_TRUE(ipam_->assign_address({.address = ip("10.65.0.1"), .host = "a", .handle = "x"}));
  EXPECT_EQ(ipam_->assign_address({.address = ip("10.65.0.1"), .host = "a"}).error().kind(), base::ErrorKind::kExists);
  EXPECT_EQ(ipam_->assign_address({.address = ip("10.66.0.1"), .host = "a"}).error().text(),
            "The provided IP address is not in a configured pool");
}

TEST_F(IpamTest, HostReservedAddresses) {
  put_pool("p", "10.65.0.0/28", R"(,"blockSize":28)");
  const auto got = ipam_->auto_assign(
      {.host = "a",
       .count = 1,
       .host_reserved = {
           .at_start = 3, .at_end = 1, .handle = std::string(kWindowsHandle), .note = "windows host rsvd"}});
  ASSERT_TRUE(got);
  EXPECT_EQ(got->addresses, std::vector{ip("10.65.0.3")});
  EXPECT_EQ(in_use(), 5U);
}

TEST_F(IpamTest, EmptyBlockOfAnotherHostIsReclaimedAfterAMinute) {
  configure(true);
  put_pool("p", "10.65.0.0/30", R"(,"blockSize":30)");
  assign("b", 1);
  ASSERT_EQ(*ipam_->release_by_handle("h"), 1U);
  EXPECT_EQ(assign("a", 1).addresses.size(), 0U) << "claimed just now";
  wall_ += std::chrono::seconds(61);
  EXPECT_EQ(assign("a", 1).addresses.size(), 1U);
  EXPECT_EQ(get("/calico/ipam/v2/host/b/ipv4/block/10.65.0.0-30"), "");
  EXPECT_THAT(get("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30"), HasSubstr("confirmed"));
}

TEST_F(IpamTest, UnfinishedClaimsAreFinishedAndStaleOnesRemoved) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  put("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30", R"({"state":"pending","deleted":false})");
  EXPECT_EQ(assign("a", 1).addresses, std::vector{ip("10.65.0.0")});
  EXPECT_THAT(get("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30"), HasSubstr("confirmed"));
  // b believes that the same block is its own; the block says otherwise.
  put("/calico/ipam/v2/host/b/ipv4/block/10.65.0.0-30", R"({"state":"confirmed","deleted":false})");
  EXPECT_EQ(assign("b", 1, "hb").addresses, std::vector{ip("10.65.0.4")});
  EXPECT_EQ(get("/calico/ipam/v2/host/b/ipv4/block/10.65.0.0-30"), "");
  // A release that was interrupted is taken back by the next use.
  put("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30", R"({"state":"pendingDeletion","deleted":false})");
  EXPECT_EQ(assign("a", 1).addresses, std::vector{ip("10.65.0.1")});
  EXPECT_THAT(get("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30"), HasSubstr("confirmed"));
}

TEST_F(IpamTest, ReleaseByAddressCountsExactly) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  const auto got = assign("a", 6);
  std::vector<Release> some;
  for (std::size_t i = 0; i < 5; ++i) some.push_back({.address = got.addresses[i], .handle = "h"});
  some.push_back({.address = got.addresses[0]});
  some.push_back({.address = ip("10.99.0.1")});
  const auto released = ipam_->release(some);
  ASSERT_TRUE(released);
  EXPECT_EQ(released->released.size(), 5U);
  EXPECT_EQ(released->unallocated, std::vector{ip("10.99.0.1")});
  EXPECT_FALSE(released->error);
  const auto handle = Handle::parse(get("/calico/ipam/v2/handle/h"));
  ASSERT_TRUE(handle);
  ASSERT_EQ(handle->blocks.size(), 1U);
  EXPECT_EQ(handle->blocks.begin()->second, 1);
  const Release wrong{.address = got.addresses[5], .handle = "other"};
  EXPECT_EQ(ipam_->release(std::span(&wrong, 1))->error->text(),
            "update conflict: " + base::to_string(got.addresses[5]));
}

TEST_F(IpamTest, AddressesOutsideEveryPoolAreFoundInBlocks) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  const auto got = assign("a", 1);
  ASSERT_TRUE(blocking_->remove(std::string(kRoot) + "ippools/p"));
  const Release one{.address = got.addresses[0]};
  EXPECT_EQ(ipam_->release(std::span(&one, 1))->released.size(), 1U);
}

TEST_F(IpamTest, BlockUnderAWrongKeyIsNotTouched) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  assign("a", 1);
  const base::Prefix block = all_blocks().front().block.cidr();
  const base::Prefix other = net(block == net("10.65.0.0/30") ? "10.65.0.4/30" : "10.65.0.0/30");
  put(block_key(other), get(block_key(block)));
  const Release one{.address = other.address};
  EXPECT_THAT(ipam_->release(std::span(&one, 1))->error->text(), HasSubstr("holds another block"));
  EXPECT_EQ(all_blocks().size(), 1U);
}

TEST_F(IpamTest, ClaimDuringAReleaseWins) {
  put_pool("p", "10.65.0.0/30", R"(,"blockSize":30)");
  assign("a", 1);
  ASSERT_TRUE(ipam_->release_by_handle("h"));
  // Interrupted after the block was deleted, and claimed anew by another process of the host.
  const std::string affinity = "/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30";
  put(affinity, R"({"state":"pendingDeletion","deleted":false})");
  ASSERT_TRUE(blocking_->remove("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30"));
  EXPECT_EQ(assign("a", 1).addresses, std::vector{ip("10.65.0.0")});
  EXPECT_THAT(get(affinity), HasSubstr("confirmed"));
}

TEST_F(IpamTest, HandleWithTooHighACountIsCleanedUp) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  assign("a", 2);
  put("/calico/ipam/v2/handle/h", R"({"block":{"10.65.0.0/30":7,"10.65.0.4/30":3},"deleted":false})");
  EXPECT_EQ(*ipam_->release_by_handle("h"), 2U);
  EXPECT_EQ(get("/calico/ipam/v2/handle/h"), "");
}

TEST_F(IpamTest, HostIsForgotten) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  assign("a", 1);
  assign("a", 4, "other");
  ASSERT_EQ(*ipam_->release_by_handle("h"), 1U);
  ASSERT_TRUE(ipam_->forget_host("a"));
  EXPECT_EQ(blocking_->list("/calico/ipam/v2/host/")->items.size(), 0U);
  for (const StoredBlock& stored : all_blocks()) EXPECT_FALSE(stored.block.affinity());
  ASSERT_EQ(*ipam_->release_by_handle("other"), 4U);
  EXPECT_EQ(ipam_->blocks()->size(), 0U) << "empty and nobody's: deleted";
}

TEST_F(IpamTest, BlockGoesWhenItsPoolTurnsAway) {
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30)");
  assign("a", 1);
  put_pool("p", "10.65.0.0/29", R"(,"blockSize":30,"nodeSelector":"rack == 'x'")");
  ASSERT_EQ(*ipam_->release_by_handle("h"), 1U);
  EXPECT_EQ(ipam_->blocks()->size(), 0U);
  EXPECT_EQ(get("/calico/ipam/v2/host/a/ipv4/block/10.65.0.0-30"), "");
}

TEST_F(IpamTest, OutageIsSatOutAndThenReported) {
  put_pool("p", "10.65.0.0/24");
  assign("a", 1);
  int pauses = 0;
  os::LoopThread& home = home_;
  store_.fail_requests(7, base::Error::unavailable("away"));
  on_pause_ = [&] { ++pauses; };
  EXPECT_EQ(assign("a", 1).addresses.size(), 1U);
  EXPECT_GT(pauses, 0);
  (void)home;
  store_.fail_requests(1'000'000, base::Error::unavailable("away"));
  const auto failed = ipam_->auto_assign({.host = "a"});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), base::ErrorKind::kUnavailable);
}

// --- Tunnel addresses ---

TEST_F(IpamTest, TunnelAddressesFollowThePools) {
  put_node("a", R"({"bgp":{"ipv4Address":"192.0.2.1/24"}})");
  EXPECT_TRUE(ensure_tunnel_addresses(*ipam_, "a")->empty());

  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  auto changes = ensure_tunnel_addresses(*ipam_, "a");
  ASSERT_TRUE(changes) << changes.error().text();
  ASSERT_EQ(changes->size(), 1U);
  const std::string first = changes->front().after;
  EXPECT_THAT(get(std::string(kRoot) + "nodes/a"),
              HasSubstr(R"("bgp":{"ipv4Address":"192.0.2.1/24","ipv4IPIPTunnelAddr":")" + first + "\"}"));
  EXPECT_THAT(get("/calico/ipam/v2/handle/ipip-tunnel-addr-a"), HasSubstr(":1}"));
  const auto owner = (*ipam_->block_of(ip(first)))->block.owner_of(ip(first));
  EXPECT_EQ(owner->attributes, (Attributes{{"node", "a"}, {"type", "ipipTunnelAddress"}}));
  EXPECT_TRUE(ensure_tunnel_addresses(*ipam_, "a")->empty()) << "nothing to do the second time";

  put_pool("p", "10.65.0.0/24", R"(,"vxlanMode":"CrossSubnet")");
  changes = ensure_tunnel_addresses(*ipam_, "a");
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_EQ((*changes)[0].before, first);
  EXPECT_EQ((*changes)[0].after, "");
  EXPECT_NE((*changes)[1].after, "");
  EXPECT_EQ(get("/calico/ipam/v2/handle/ipip-tunnel-addr-a"), "");
  EXPECT_EQ(in_use(), 1U);

  put_pool("p", "10.65.0.0/24");
  ASSERT_TRUE(ensure_tunnel_addresses(*ipam_, "a"));
  EXPECT_EQ(in_use(), 0U);
  EXPECT_THAT(get(std::string(kRoot) + "nodes/a"), ::testing::Not(HasSubstr("Tunnel")));
}

TEST_F(IpamTest, TunnelAddressOfSomebodyElseIsLeftToThem) {
  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  const auto theirs = assign("b", 1, "workload").addresses.front();
  put_node("a", R"({"bgp":{"ipv4IPIPTunnelAddr":")" + base::to_string(theirs) + "\"}}");
  const auto changes = ensure_tunnel_addresses(*ipam_, "a");
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_NE(changes->front().after, base::to_string(theirs));
  EXPECT_EQ(in_use(), 2U);
}

TEST_F(IpamTest, TunnelAddressMovesToAnEligiblePoolAlsoWithoutHandle) {
  put_pool("old", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  const auto first = ensure_tunnel_addresses(*ipam_, "a");
  put_pool("old", "10.65.0.0/24", R"(,"ipipMode":"Always","disabled":true)");
  put_pool("new", "10.66.0.0/24", R"(,"ipipMode":"Always")");
  ASSERT_TRUE(blocking_->remove("/calico/ipam/v2/handle/ipip-tunnel-addr-a"));
  const auto second = ensure_tunnel_addresses(*ipam_, "a");
  ASSERT_EQ(second->size(), 1U);
  EXPECT_THAT(second->front().after, HasSubstr("10.66."));
  EXPECT_EQ(in_use(), 1U);
}

TEST_F(IpamTest, TunnelAddressWithoutOwnerIsAdopted) {
  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  ASSERT_TRUE(ipam_->assign_address({.address = ip("10.65.0.9"), .host = "a"}));
  put_node("a", R"({"bgp":{"ipv4IPIPTunnelAddr":"10.65.0.9"}})");
  const auto changes = ensure_tunnel_addresses(*ipam_, "a");
  ASSERT_TRUE(changes);
  EXPECT_TRUE(changes->empty()) << "the same address";
  EXPECT_EQ((*ipam_->block_of(ip("10.65.0.9")))->block.owner_of(ip("10.65.0.9"))->handle, "ipip-tunnel-addr-a");
}

TEST_F(IpamTest, TunnelAddressWrittenByHandIsTakenUp) {
  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  const std::string key = std::string(kRoot) + "nodes/a";
  struct Case {
    std::string address;
    bool stays;
  };
  for (const Case& c : {Case{"10.65.0.77", true}, Case{"10.70.0.1", false}, Case{"nonsense", false}}) {
    put_node("a", R"({"bgp":{"ipv4IPIPTunnelAddr":")" + c.address + "\"}}");
    const auto changes = ensure_tunnel_addresses(*ipam_, "a");
    ASSERT_TRUE(changes) << changes.error().text();
    EXPECT_EQ(changes->empty(), c.stays) << c.address;
    EXPECT_EQ(in_use(), 1U) << c.address;
    EXPECT_TRUE(ensure_tunnel_addresses(*ipam_, "a")->empty()) << c.address;
  }
}

TEST_F(IpamTest, TunnelAddressOfADeletedPoolIsReleasedWithoutReadingAllBlocks) {
  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  ASSERT_TRUE(ensure_tunnel_addresses(*ipam_, "a"));
  for (const bool handle : {true, false}) {
    ASSERT_TRUE(blocking_->remove(std::string(kRoot) + "ippools/p"));
    if (!handle) {
      ASSERT_TRUE(blocking_->remove("/calico/ipam/v2/handle/ipip-tunnel-addr-a"));
    }
    const auto changes = ensure_tunnel_addresses(*ipam_, "a");
    ASSERT_TRUE(changes) << changes.error().text();
    EXPECT_EQ(changes->front().after, "");
    EXPECT_EQ(in_use(), 0U) << handle;
    put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
    ASSERT_EQ(ensure_tunnel_addresses(*ipam_, "a")->size(), 1U);
  }
}

// Another process for the same node is faster each time that this one has assigned an address.
TEST_F(IpamTest, WhoIsOvertakenBeginsAgain) {
  put_pool("p", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  int overtaken = 0;
  bool inside = false;
  Ipam slow(*blocking_, Sources{.wall =
                                    [&] {
                                      // Asked for while an address is assigned, hence before the Node is written.
                                      if (!inside && overtaken < 2) {
                                        inside = true;
                                        ++overtaken;
                                        put_node("a", "{}");
                                        EXPECT_EQ(ensure_tunnel_addresses(*ipam_, "a")->size(), 1U);
                                        inside = false;
                                      }
                                      return wall_;
                                    },
                                .now = [this] { return now_; },
                                .jitter = [] { return 0.5; },
                                .pause = [this](base::Duration pause) { paused(pause); }});
  const auto changes = ensure_tunnel_addresses(slow, "a");
  ASSERT_TRUE(changes) << changes.error().text();
  EXPECT_GT(overtaken, 0);
  EXPECT_EQ(in_use(), 1U);
  const std::string node = get(std::string(kRoot) + "nodes/a");
  std::string held;
  for (const StoredBlock& stored : all_blocks()) {
    for (std::uint32_t i = 0; i < 256; ++i) {
      const auto address = ip("10.65.0." + std::to_string(i));
      if (stored.block.cidr().contains(address) && stored.block.owner_of(address)) held = base::to_string(address);
    }
  }
  EXPECT_THAT(node, HasSubstr("\"" + held + "\""));
}

}  // namespace
}  // namespace ipam
