#include "kernel/ipset_syncer.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/ipset_fake.h"

namespace kernel {
namespace {

using reconcile::IpSetMember;
using reconcile::IpSetShape;
using reconcile::IpSetType;

IpSetMember ip(unsigned last) { return {.prefix = base::Prefix::host(base::IpAddress::v4(0x0A000000u + last))}; }

TEST(IpSetSyncer, ASecondAgentWritesNothing) {
  FakeIpSets kernel;
  const std::vector<IpSetMember> members{ip(1), ip(2), ip(3)};
  IpSetSyncer first(kernel, base::Family::kIpv4);
  first.want("cali40s:a", {}, members);
  EXPECT_TRUE(first.apply_updates().clean());
  EXPECT_TRUE(first.apply_deletions().clean());
  EXPECT_EQ(kernel.sets.at("cali40s:a").members.size(), 3u);
  EXPECT_EQ(first.counters().batches, 1u);
  EXPECT_EQ(first.counters().operations, 4u) << "a set and its members";

  IpSetSyncer second(kernel, base::Family::kIpv4);
  second.want("cali40s:a", {}, members);
  EXPECT_TRUE(second.apply_updates().clean());
  EXPECT_TRUE(second.apply_deletions().clean());
  EXPECT_EQ(second.counters().writes, 0u);
  EXPECT_EQ(second.counters().dumps, 2u);
}

TEST(IpSetSyncer, AQuietTurnAsksTheKernelNothing) {
  FakeIpSets kernel;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  syncer.want("cali40s:a", {}, std::vector{ip(1)});
  (void)syncer.apply_updates();
  const SyncCounters before = syncer.counters();
  (void)syncer.apply_updates();
  (void)syncer.apply_deletions();
  EXPECT_EQ(syncer.counters().dumps, before.dumps);
  EXPECT_EQ(syncer.counters().writes, before.writes);
}

TEST(IpSetSyncer, ReplacesAnUnreadableSetInUse) {
  FakeIpSets kernel;
  kernel.sets["cali40s:a"].unreadable = true;
  kernel.sets["cali40s:a"].referenced = true;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  syncer.want("cali40s:a", {}, std::vector{ip(1)});
  EXPECT_TRUE(syncer.apply_updates().clean());
  EXPECT_FALSE(kernel.sets.at("cali40s:a").unreadable);
  EXPECT_TRUE(kernel.sets.at("cali40s:a").referenced);
  (void)syncer.apply_deletions();
  EXPECT_EQ(kernel.sets.size(), 1u);
}

TEST(IpSetSyncer, SomebodyElseDestroyedTheSet) {
  FakeIpSets kernel;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  syncer.want("cali40s:a", {}, std::vector{ip(1)});
  (void)syncer.apply_updates();
  kernel.sets.clear();
  syncer.change_members("cali40s:a", std::vector{ip(2)}, {});
  EXPECT_TRUE(syncer.apply_updates().clean());
  EXPECT_EQ(kernel.sets.at("cali40s:a").members.size(), 2u);
}

TEST(IpSetSyncer, ATypeThatCannotBeReplacedIsReportedAndTheRestGoesOn) {
  FakeIpSets kernel;
  kernel.sets["cali40n:a"].referenced = true;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  syncer.want("cali40n:a", {.type = IpSetType::kHashIpPort, .max_elements = 10}, {});
  syncer.want("cali40s:b", {}, std::vector{ip(1)});
  const ApplyReport report = syncer.apply_updates();
  EXPECT_FALSE(report.problems.empty());
  EXPECT_FALSE(report.retry);
  EXPECT_TRUE(kernel.sets.contains("cali40s:b"));
  kernel.sets["cali40n:a"].referenced = false;
  syncer.request_resync();
  EXPECT_TRUE(syncer.apply_updates().clean());
  EXPECT_EQ(kernel.sets.at("cali40n:a").shape.type, IpSetType::kHashIpPort);
}

TEST(IpSetSyncer, ARefreshReadsAFewSetsATurnAndLetsChangesPass) {
  FakeIpSets kernel;
  IpSetSyncer syncer(kernel, base::Family::kIpv4);
  std::vector<IpSetMember> members;
  for (unsigned i = 0; i < IpSetSyncer::kMembersCheckedPerApply; ++i) members.push_back(ip(i));
  for (const auto* name : {"cali40s:a", "cali40s:b", "cali40s:c"}) syncer.want(name, {}, members);
  EXPECT_TRUE(syncer.apply_updates().clean());
  kernel.sets.at("cali40s:c").members.erase(ip(3));
  const auto before = syncer.counters();
  syncer.request_resync();
  ApplyReport report = syncer.apply_updates();
  EXPECT_TRUE(report.retry_after);
  EXPECT_EQ(syncer.counters().dumps, before.dumps + 2);  // the headers and one set
  syncer.change_members("cali40s:b", std::vector{ip(99'999)}, {});
  report = syncer.apply_updates();
  EXPECT_TRUE(kernel.sets.at("cali40s:b").members.contains(ip(99'999)));
  report = syncer.apply_updates();
  EXPECT_FALSE(report.retry_after);
  EXPECT_TRUE(kernel.sets.at("cali40s:c").members.contains(ip(3)));
  EXPECT_EQ(syncer.counters().dumps, before.dumps + 4);
  EXPECT_EQ(syncer.counters().writes, before.writes + 2);
}

// Random changes, faults and strangers; after healing, the kernel holds exactly what is wanted.
TEST(IpSetSyncer, ConvergesAfterFaults) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);  // NOLINT: repeats
    FakeIpSets kernel;
    IpSetSyncer syncer(kernel, base::Family::kIpv4);
    std::map<std::string, std::set<IpSetMember>> wanted;
    std::map<std::string, IpSetShape> shapes;
    const auto name_of = [&] { return "cali40s:" + std::string(1, static_cast<char>('a' + random() % 3)); };
    for (int step = 0; step < 60; ++step) {
      const std::string name = name_of();
      switch (random() % 8) {
        case 0: {
          std::vector<IpSetMember> members;
          for (unsigned i = 0; i < random() % 6; ++i) members.push_back(ip(random() % 8));
          const IpSetShape shape{.type = random() % 2 ? IpSetType::kHashNet : IpSetType::kHashIp, .max_elements = 100};
          syncer.want(name, shape, members);
          wanted[name] = {members.begin(), members.end()};
          shapes[name] = shape;
          break;
        }
        case 1:
          syncer.unwant(name);
          wanted.erase(name);
          break;
        case 2:
        case 3:
          if (wanted.contains(name)) {
            const IpSetMember added = ip(random() % 8);
            const IpSetMember removed = ip(random() % 8);
            syncer.change_members(name, std::vector{added}, std::vector{removed});
            wanted[name].erase(removed);
            wanted[name].insert(added);
          }
          break;
        case 4: kernel.break_conversations = 1; break;
        case 5: kernel.sets.erase(name); break;
        case 6: kernel.sets["cali4t" + std::to_string(random() % 5)].members.insert(ip(1)); break;
        default: (void)syncer.apply_updates(); (void)syncer.apply_deletions();
      }
    }
    kernel.break_conversations = 0;
    syncer.request_resync();
    ApplyReport report = syncer.apply_updates();
    while (report.clean() && report.retry_after) report = syncer.apply_updates();
    EXPECT_TRUE(report.clean()) << "seed " << seed;
    while (syncer.apply_deletions().retry) {
    }
    ASSERT_EQ(kernel.sets.size(), wanted.size()) << "seed " << seed;
    for (const auto& [name, members] : wanted) {
      EXPECT_EQ(kernel.sets.at(name).members, members) << "seed " << seed;
      EXPECT_EQ(kernel.sets.at(name).shape, shapes.at(name)) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace kernel
