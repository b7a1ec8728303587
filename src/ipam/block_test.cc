#include "ipam/block.h"

#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "ipam/addressing.h"
#include "testing/rng.h"

namespace ipam {
namespace {

constexpr std::string_view kExample =
    R"({"cidr":"10.65.0.0/29","affinity":"host:compute-01","affinity_claim_time":"2026-01-15T10:20:30Z",)"
    R"("allocations":[0,null,null,null,null,null,null,null],"unallocated":[1,2,3,4,5,6,7],)"
    R"("attributes":[{"handle_id":"vxlan-tunnel-addr-compute-01","secondary":{"node":"compute-01",)"
    R"("type":"vxlanTunnelAddress"}}],"sequenceNumber":1768472430000000001,)"
    R"("sequenceNumberForAllocation":{"0":1768472430000000000},"deleted":false})";

base::IpAddress ip(std::string_view text) { return *base::parse_address(text); }
Owner owner(std::string handle) { return {.handle = std::move(handle), .attributes = Attributes{{"node", "n"}}}; }

TEST(Block, WritesWhatCalicoWrites) {
  Block block =
      Block::create(*base::parse_cidr("10.65.0.0/29"), "host:compute-01", "2026-01-15T10:20:30Z", 1768472430000000000);
  EXPECT_EQ(block.encode(),
            R"({"cidr":"10.65.0.0/29","affinity":"host:compute-01","affinity_claim_time":"2026-01-15T10:20:30Z",)"
            R"("allocations":[null,null,null,null,null,null,null,null],"unallocated":[0,1,2,3,4,5,6,7],)"
            R"("attributes":null,"sequenceNumber":1768472430000000000,"sequenceNumberForAllocation":{},)"
            R"("deleted":false})");
  const Owner tunnel{.handle = "vxlan-tunnel-addr-compute-01",
                     .attributes = Attributes{{"node", "compute-01"}, {"type", "vxlanTunnelAddress"}}};
  EXPECT_EQ(block.assign(1, tunnel, {}).size(), 1U);
  EXPECT_EQ(block.encode_update(), kExample);
  const Release all[] = {{.address = ip("10.65.0.0")}};
  ASSERT_TRUE(block.release(all));
  EXPECT_NE(block.encode().find(R"("attributes":[])"), std::string::npos);
  EXPECT_NE(block.encode().find(R"("unallocated":[1,2,3,4,5,6,7,0])"), std::string::npos);
}

TEST(Block, KeepsWhatItDoesNotKnow) {
  const std::string value =
      R"({"cidr":"fd00::/126","affinity":null,"allocations":[0,null,null,null],"unallocated":[1,2,3],)"
      R"("attributes":[{"handle_id":"h\r<x>","alternateOwnerAttrs":{"vm":"b"}}],"sequenceNumber":18446744073709551615,)"
      R"("sequenceNumberForAllocation":null,"deleted":false,"hostAffinity":"old","future":{"a":[1]}})";
  const auto block = Block::parse(value);
  ASSERT_TRUE(block) << block.error().text();
  EXPECT_EQ(block->sequence(), 18446744073709551615ULL);
  EXPECT_EQ(block->owner_of(ip("fd00::"))->handle_text(), "h");
  EXPECT_EQ(block->host(), "") << "hostAffinity alone is no affinity";
  std::string expected = value;
  for (const auto& [from, to] : {std::pair("<", "\\u003c"), std::pair(">", "\\u003e")})
    expected.replace(expected.find(from), 1, to);
  EXPECT_EQ(block->encode(), expected);
}

TEST(Block, RefusesBrokenValues) {
  for (const std::string_view value : {
           "",
           "[]",
           "{}",
           R"({"cidr":"10.0.0.0"})",
           R"({"cidr":"10.0.0.0/8","allocations":[]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null],"unallocated":[0,1]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null,-1],"unallocated":[0]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null,"x"],"unallocated":[0]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null,null],"unallocated":[2]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null,null],"unallocated":[0,1],"attributes":[1]})",
           R"({"cidr":"10.0.0.0/31","allocations":[null,null],"unallocated":[0,1],"sequenceNumber":-1})",
       }) {
    EXPECT_FALSE(Block::parse(value)) << value;
  }
}

TEST(Block, NeverGivesOutWhatADamagedValueCallsBothFreeAndInUse) {
  auto block =
      Block::parse(R"({"cidr":"10.0.0.0/30","allocations":[0,null,null,7],"unallocated":[0,1,1,2],"attributes":[{}],)"
                   R"("sequenceNumber":1})");
  ASSERT_TRUE(block);
  const auto taken = block->assign(9, owner("h"), {});
  EXPECT_EQ(taken, (std::vector{ip("10.0.0.1"), ip("10.0.0.2")}));
  int nobody = 0;
  block->for_each_used([&](const base::IpAddress&, const Owner* who) { nobody += who == nullptr ? 1 : 0; });
  EXPECT_EQ(nobody, 1) << "index 7 means nobody, also after others were renumbered";
  const Release first[] = {{.address = ip("10.0.0.0")}};
  ASSERT_TRUE(block->release(first));
  EXPECT_EQ(block->owner_of(ip("10.0.0.3")), Owner{});
}

TEST(Block, ReservedAddressesKeepTheirPlace) {
  Block block = Block::create(*base::parse_cidr("10.0.0.0/30"), "host:a", "", 1);
  const base::Prefix reserved[] = {*base::parse_cidr("10.0.0.0/31")};
  EXPECT_EQ(block.assign(1, owner("h"), reserved), std::vector{ip("10.0.0.2")});
  EXPECT_TRUE(block.has_free(reserved));
  EXPECT_EQ(block.assign(5, owner("h"), reserved), std::vector{ip("10.0.0.3")});
  EXPECT_FALSE(block.has_free(reserved));
  EXPECT_EQ(block.assign(1, owner("h"), {}), std::vector{ip("10.0.0.0")});
}

TEST(Block, ReleaseComparesHandleAndNumber) {
  Block block = Block::create(*base::parse_cidr("10.0.0.0/30"), "host:a", "", 100);
  ASSERT_TRUE(block.assign_address(ip("10.0.0.1"), owner("h")));
  EXPECT_EQ(block.assign_address(ip("10.0.0.1"), owner("i")).error().text(),
            "resource already exists: 10.0.0.1 with error: Address already assigned in block");
  struct Case {
    Release request;
    bool fits;
  };
  const Case cases[] = {
      {{.address = ip("10.0.0.1"), .handle = "other"}, false},
      {{.address = ip("10.0.0.1"), .sequence = 99}, false},
      {{.address = ip("10.0.0.2"), .sequence = 99}, false},  // free, but a number was demanded
      {{.address = ip("10.0.0.2"), .sequence = 0}, true},
      {{.address = ip("10.0.0.1"), .handle = "h", .sequence = 100}, true},
  };
  for (const Case& c : cases) {
    Block copy = block;
    const Release both[] = {{.address = ip("10.0.0.3")}, c.request, c.request};
    const auto released = copy.release(both);
    EXPECT_EQ(released.has_value(), c.fits);
    if (!released) {
      EXPECT_EQ(released.error().text(), "update conflict: " + base::to_string(c.request.address));
      EXPECT_EQ(copy.encode(), block.encode()) << "all or nothing";
    }
  }
}

TEST(Block, WindowsAddressesDoNotFillIt) {
  Block block = Block::create(*base::parse_cidr("10.0.0.0/30"), "host:a", "", 1);
  ASSERT_TRUE(block.assign_address(ip("10.0.0.0"), owner("Windows-Reserved-IPAM-Handle")));
  EXPECT_TRUE(block.empty());
  ASSERT_TRUE(block.assign_address(ip("10.0.0.1"), owner("h")));
  EXPECT_FALSE(block.empty());
}

// --- Against a naive model: a queue of free ordinals and a map of who has what. ---

struct Model {
  std::deque<std::uint32_t> free;
  std::map<std::uint32_t, std::pair<Owner, std::uint64_t>> used;
};

void compare(const Block& block, const Model& model, std::uint64_t seed) {
  std::map<std::uint32_t, std::pair<Owner, std::uint64_t>> seen;
  std::set<std::pair<std::string, std::string>> owners;
  block.for_each_used([&](const base::IpAddress& address, const Owner* who) {
    ASSERT_NE(who, nullptr);
    seen[*ordinal_of(block.cidr(), address)] = {*who, block.sequence_of(address)};
  });
  ASSERT_EQ(seen, model.used) << "seed " << seed;
  ASSERT_EQ(block.free_count(), model.free.size()) << "seed " << seed;
  ASSERT_EQ(block.free_count() + seen.size(), block.size()) << "nothing lost, seed " << seed;
  // Every owner that is written is somebody's.
  const auto text = block.encode();
  for (const char* handle : {"h0", "h1", "h2"}) {
    const bool has = std::any_of(seen.begin(), seen.end(),
                                 [&](const auto& entry) { return entry.second.first.handle == std::string(handle); });
    ASSERT_EQ(text.find(std::string("\"") + handle + "\"") != std::string::npos, has) << "seed " << seed;
  }
}

TEST(BlockProperty, AgreesWithANaiveModelAndSurvivesItsText) {
  for (std::uint64_t seed = 1; seed <= testing::repetitions(400); ++seed) {
    testing::Rng rng(seed);
    const auto cidr = *base::parse_cidr(rng.one_in(2) ? "10.1.2.0/28" : "fd00::40/124");
    Block block = Block::create(cidr, "host:a", "2026-01-15T10:20:30Z", 1768472430000000000ULL + seed);
    Model model;
    for (std::uint32_t i = 0; i < block.size(); ++i) model.free.push_back(i);
    for (int step = 0; step < 80; ++step) {
      const Owner who = owner("h" + std::to_string(rng.below(3)));
      const auto ordinal = static_cast<std::uint32_t>(rng.below(block.size()));
      const auto address = address_at(cidr, ordinal);
      switch (rng.below(5)) {
        case 0: {  // automatic, with some addresses reserved
          std::vector<base::Prefix> reserved;
          if (rng.one_in(2))
            reserved.push_back(base::Prefix{address, static_cast<std::uint8_t>(cidr.length + 2)}.masked());
          const auto count = rng.below(5);
          std::vector<base::IpAddress> expected;
          std::deque<std::uint32_t> rest;
          for (const std::uint32_t free : model.free) {
            const auto candidate = address_at(cidr, free);
            if (expected.size() < count && !is_reserved(candidate, reserved)) {
              expected.push_back(candidate);
              model.used[free] = {who, block.sequence()};
            } else {
              rest.push_back(free);
            }
          }
          model.free = rest;
          ASSERT_EQ(block.assign(count, who, reserved), expected) << "seed " << seed;
          break;
        }
        case 1: {  // a given one
          const bool free = !model.used.contains(ordinal);
          const auto sequence = block.sequence();
          ASSERT_EQ(block.assign_address(address, who).has_value(), free) << "seed " << seed;
          if (free) {
            std::erase(model.free, ordinal);
            model.used[ordinal] = {who, sequence};
          }
          break;
        }
        case 2: {  // release, sometimes with a condition
          Release request{.address = address};
          if (rng.one_in(2)) request.handle = who.handle;
          if (rng.one_in(3)) request.sequence = block.sequence_of(address) + (rng.one_in(2) ? 1 : 0);
          const auto known = model.used.find(ordinal);
          const bool number_fits = !request.sequence || *request.sequence == block.sequence_of(address);
          const bool fits = number_fits && (known == model.used.end() || !request.handle ||
                                            known->second.first.handle == request.handle);
          ASSERT_EQ(block.release(std::span(&request, 1)).has_value(), fits) << "seed " << seed;
          if (fits && known != model.used.end()) {
            model.used.erase(known);
            model.free.push_back(ordinal);
          }
          break;
        }
        case 3: {  // everything of a handle
          const auto released = block.release_handle(*who.handle);
          std::size_t expected = 0;
          for (auto entry = model.used.begin(); entry != model.used.end();) {
            if (entry->second.first.handle != who.handle) {
              ++entry;
              continue;
            }
            model.free.push_back(entry->first);
            entry = model.used.erase(entry);
            ++expected;
          }
          ASSERT_EQ(released.released.size(), expected) << "seed " << seed;
          break;
        }
        default: {  // through the datastore
          auto again = Block::parse(block.encode_update());
          ASSERT_TRUE(again) << again.error().text();
          ASSERT_EQ(again->encode(), block.encode()) << "seed " << seed;
          block = *std::move(again);
        }
      }
      compare(block, model, seed);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace ipam
