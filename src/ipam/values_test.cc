#include "ipam/values.h"

#include <set>

#include <gtest/gtest.h>

#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"

namespace ipam {
namespace {

base::Prefix net(std::string_view text) { return *base::parse_cidr(text); }

TEST(Addressing, KeysAreCalicos) {
  EXPECT_EQ(block_key(net("10.65.0.0/26")), "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26");
  EXPECT_EQ(block_key(net("fd00:65::/122")), "/calico/ipam/v2/assignment/ipv6/block/fd00:65::-122");
  EXPECT_EQ(affinity_key("cmp-01", net("10.65.0.0/26")), "/calico/ipam/v2/host/cmp-01/ipv4/block/10.65.0.0-26");
  const auto parsed = parse_affinity_key("/calico/ipam/v2/host/cmp-01/ipv6/block/fd00:65::-122");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->host, "cmp-01");
  EXPECT_EQ(parsed->block, net("fd00:65::/122"));
  for (const std::string_view bad :
       {"/calico/ipam/v2/assignment/ipv4/block/10.65.0.1-26", "/calico/ipam/v2/assignment/ipv6/block/10.65.0.0-26",
        "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-8", "/calico/ipam/v2/assignment/ipv4/10.65.0.0-26",
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0/26"}) {
    EXPECT_FALSE(parse_block_key(bad)) << bad;
  }
  EXPECT_FALSE(parse_affinity_key("/calico/ipam/v2/host/cmp-01"));
}

TEST(Addressing, WalkVisitsEachBlockOnceFromAHostsOwnStart) {
  std::set<base::Prefix> starts;
  for (const char* host : {"a", "b", "c", "d", "e", "f"}) {
    BlockWalk walk(net("10.65.0.0/20"), 26, fnv1(host));
    std::set<base::Prefix> seen;
    std::optional<base::Prefix> first;
    for (Wide at = 0; const auto block = walk.next({}); ++at) {
      if (!first) first = block;
      EXPECT_EQ(walk.distance(*block), at);
      EXPECT_TRUE(net("10.65.0.0/20").contains(*block));
      seen.insert(*block);
    }
    EXPECT_EQ(seen.size(), 64U);
    starts.insert(*first);
  }
  EXPECT_GE(starts.size(), 4U);
}

TEST(Addressing, WalkJumpsOverReservedRanges) {
  const base::Prefix half[] = {net("10.65.0.0/21")};
  BlockWalk walk(net("10.65.0.0/20"), 26, 7);
  std::set<base::Prefix> seen;
  while (const auto block = walk.next(half)) seen.insert(*block);
  EXPECT_EQ(seen.size(), 32U);
  // 2^57 blocks, all reserved: over at once.
  const base::Prefix all[] = {net("fd00::/63"), net("fd00:0:0:2::/63")};
  EXPECT_FALSE(BlockWalk(net("fd00::/62"), 122, 7).next(all));
  EXPECT_TRUE(BlockWalk(net("fd00::/48"), 122, 7).next(all));
}

TEST(Values, AreCalicos) {
  EXPECT_EQ(encode_affinity(AffinityState::kPendingDeletion), R"({"state":"pendingDeletion","deleted":false})");
  EXPECT_EQ(parse_affinity(""), AffinityState::kConfirmed);
  EXPECT_EQ(parse_affinity(R"({"state":""})"), AffinityState::kConfirmed);
  EXPECT_EQ(parse_affinity(R"({"state":"pending"})"), AffinityState::kPending);

  Handle handle;
  handle.add(net("10.65.0.64/26"), 2);
  handle.add(net("10.65.0.0/26"), 1);
  EXPECT_EQ(handle.encode(), R"({"block":{"10.65.0.0/26":1,"10.65.0.64/26":2},"deleted":false})");
  handle.subtract(net("10.65.0.64/26"), 5);
  handle.subtract(net("10.9.0.0/26"), 1);
  EXPECT_EQ(Handle::parse(handle.encode())->blocks, (std::map<std::string, std::int64_t>{{"10.65.0.0/26", 1}}));
  EXPECT_FALSE(Handle::parse("{\"block\":3}"));

  EXPECT_EQ(Config::initial().encode(), R"({"auto_allocate_blocks":true,"kubeVirtVMAddressPersistence":"Enabled"})");
  EXPECT_FALSE(Config::parse("{}")->auto_allocate_blocks) << "absent means false";
  const std::string odd = R"({"strict_affinity":true,"maxBlocksPerHost":-1,"other":[1]})";
  EXPECT_EQ(Config::parse(odd)->encode(), odd);
}

TEST(Values, Rfc3339) {
  const auto zulu = parse_rfc3339("2026-01-15T10:20:30Z");
  ASSERT_TRUE(zulu);
  EXPECT_EQ(format_rfc3339(*zulu), "2026-01-15T10:20:30Z");
  EXPECT_EQ(parse_rfc3339("2026-01-15T12:20:30.25+02:00"), zulu);
  for (const char* bad : {"", "2026-01-15", "2026-13-15T10:20:30Z", "2026-01-15T10:20:30"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

Pool pool(std::string name, std::string_view cidr) {
  Pool result;
  result.name = std::move(name);
  result.cidr = net(cidr);
  result.uses = {Use::kWorkload, Use::kTunnel};
  return result;
}

TEST(Pools, ReadsAResource) {
  auto resource = model::decode_stored(model::kinds::kIpPool, R"({"metadata":{"name":"p"},"spec":{"cidr":"10.0.0.0/16",
      "ipipMode":"Always","nodeSelector":"rack == 'a'","allowedUses":["Tunnel"],"assignmentMode":"Manual"},
      "status":{"conditions":[{"type":"Allocatable","status":"False"}]}})");
  ASSERT_TRUE(resource);
  const auto read = pool_of(*resource);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->block_size, 26);
  EXPECT_TRUE(read->manual && read->unallocatable && !read->enabled());
  EXPECT_TRUE(read->allows(Use::kTunnel) && !read->allows(Use::kWorkload));
}

TEST(Pools, EligibleOnesAndWhyThereAreNone) {
  Pool plain = pool("plain", "10.0.0.0/16"), manual = pool("manual", "10.1.0.0/16"), off = pool("off", "10.2.0.0/16"),
       rack = pool("rack", "10.3.0.0/16"), tunnels = pool("tunnels", "10.4.0.0/16"),
       scoped = pool("scoped", "10.5.0.0/16"), six = pool("six", "fd00::/64");
  manual.manual = true;
  off.disabled = true;
  rack.node_selector = "rack == 'a'";
  tunnels.uses = {Use::kTunnel};
  scoped.namespace_selector = "team == 'x'";
  const std::vector<Pool> all = {plain, manual, off, rack, tunnels, scoped, six};
  const auto names = [&](const PoolQuery& query) {
    const auto chosen = eligible_pools(all, query);
    if (!chosen) return chosen.error().text();
    std::string text;
    for (const Pool& p : *chosen) text += p.name + " ";
    return text;
  };
  EXPECT_EQ(names({.host = "h"}), "plain ");
  EXPECT_EQ(names({.host = "h", .node_labels = {{"rack", "a"}}}), "plain rack ");
  EXPECT_EQ(names({.use = Use::kTunnel}), "plain tunnels ");
  EXPECT_EQ(names({.namespace_labels = LabelMap{{"team", "x"}}}), "plain scoped ");
  EXPECT_EQ(names({.requested = {net("10.1.0.0/16"), net("10.3.0.0/16")}}), "manual rack ")
      << "a named pool is taken whatever its selectors and mode say";
  EXPECT_EQ(names({.requested = {net("10.2.0.0/16")}}),
            "the given pool (10.2.0.0/16) does not exist, or is not enabled");
  EXPECT_EQ(names({.requested = {net("10.4.0.0/16")}}),
            "cannot find a qualified ippool, no pools match the required use (Workload)");
  EXPECT_EQ(names({.family = base::Family::kIpv6, .use = Use::kLoadBalancer}),
            "cannot find a qualified ippool, no pools match the required use (LoadBalancer)");
  EXPECT_EQ(eligible_pools({}, {}).error().text(), "cannot find a qualified ippool");
  EXPECT_EQ(eligible_pools(std::vector{rack}, {.host = "h"}).error().text(), "no configured Calico pools for node h");
}

}  // namespace
}  // namespace ipam
