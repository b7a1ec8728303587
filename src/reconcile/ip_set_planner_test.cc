#include "reconcile/ip_set_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reconcile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IpSetMember net(std::string_view text) { return IpSetMember{.prefix = *base::parse_cidr_or_address(text)}; }

std::vector<std::string> texts(const std::vector<IpSetEdit>& edits) {
  std::vector<std::string> out;
  for (const IpSetEdit& edit : edits) {
    out.push_back(to_string(edit));
    for (const IpSetMember& member : edit.members) out.back() += " " + to_string(member);
  }
  return out;
}

void record_all(IpSetPlanner& planner, const std::vector<IpSetEdit>& edits) {
  for (const IpSetEdit& edit : edits) planner.record(edit, {});
}

IpSetHeader header(std::string name, IpSetShape shape = {}) {
  return IpSetHeader{
      .name = std::move(name), .family = base::Family::kIpv4, .shape = shape, .plain = true, .references = 0};
}

TEST(IpSetNames, MainNamesAreCutAt31Characters) {
  EXPECT_EQ(main_ip_set_name(base::Family::kIpv4, "all-ipam-pools"), "cali40all-ipam-pools");
  EXPECT_EQ(main_ip_set_name(base::Family::kIpv6, "s:qMt7iLlGDhvLnCjM0l9nzxbabcdefghijkl"),
            "cali60s:qMt7iLlGDhvLnCjM0l9nzxb");
  EXPECT_EQ(temporary_ip_set_name(base::Family::kIpv6, 12), "cali6t12");
}

TEST(IpSetNames, OwnershipFollowsHistory) {
  const auto v4 = base::Family::kIpv4;
  for (const auto* name : {"cali40x", "cali4t1", "felix-4-abc", "felix-masq-ipam-pools", "felix-all-ipam-pools"}) {
    EXPECT_TRUE(is_owned_ip_set_name(v4, name)) << name;
    EXPECT_FALSE(is_owned_ip_set_name(base::Family::kIpv6, name)) << name;
  }
  EXPECT_FALSE(is_owned_ip_set_name(v4, "KUBE-CLUSTER-IP"));
  EXPECT_FALSE(is_owned_ip_set_name(v4, "calico"));
}

TEST(IpSetPlanner, CreatesAndFillsWhatIsMissingThenFallsSilent) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.observe_all({});
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.0/24"), net("fd00::/64"), net("10.0.0.0/24")});
  auto edits = planner.plan_updates();
  EXPECT_THAT(texts(edits),
              ElementsAre("create cali40s:a hash:net maxelem 1048576", "add cali40s:a 1 members 10.0.0.0/24"));
  record_all(planner, edits);
  EXPECT_FALSE(planner.updates_left());
  EXPECT_THAT(planner.plan_updates(), IsEmpty());
}

TEST(IpSetPlanner, AChangeTouchesItsOwnMembers) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.1"), net("10.0.0.2")});
  record_all(planner, planner.plan_updates());
  planner.change_members("cali40s:a", std::vector{net("10.0.0.3")}, std::vector{net("10.0.0.1"), net("10.9.9.9")});
  auto edits = planner.plan_updates();
  EXPECT_THAT(texts(edits), ElementsAre("del cali40s:a 1 members 10.0.0.1", "add cali40s:a 1 members 10.0.0.3"));
  record_all(planner, edits);
  // There and back again: nothing to write.
  planner.change_members("cali40s:a", std::vector{net("10.0.0.7")}, {});
  planner.change_members("cali40s:a", {}, std::vector{net("10.0.0.7")});
  EXPECT_THAT(planner.plan_updates(), IsEmpty());
}

TEST(IpSetPlanner, ReadsBackAndCorrectsOnlyWhatDiffers) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.1"), net("10.0.0.2")});
  planner.observe_all(std::vector{header("cali40s:a"), header("cali40old"), header("other")});
  EXPECT_THAT(planner.unread(), ElementsAre("cali40s:a"));
  planner.observe({.header = header("cali40s:a"), .members = {net("10.0.0.2"), net("10.0.0.5")}});
  auto edits = planner.plan_updates();
  EXPECT_THAT(texts(edits), ElementsAre("del cali40s:a 1 members 10.0.0.5", "add cali40s:a 1 members 10.0.0.1"));
  record_all(planner, edits);
  EXPECT_THAT(texts(planner.plan_deletions(10)), ElementsAre("destroy cali40old"));

  planner.observe_all(std::vector{header("cali40s:a")});
  planner.observe({.header = header("cali40s:a"), .members = {net("10.0.0.1"), net("10.0.0.2")}});
  EXPECT_THAT(planner.plan_updates(), IsEmpty());
  EXPECT_THAT(planner.plan_deletions(10), IsEmpty());
}

TEST(IpSetPlanner, AWrongShapeIsBuiltAnewAndSwappedOnlyWhenFilled) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.1")});
  const IpSetShape small{.type = IpSetType::kHashNet, .max_elements = 100};
  const auto headers = std::vector{header("cali40s:a", small), header("cali4t0")};
  planner.observe_all(headers);
  planner.observe({.header = headers[0]});
  auto edits = planner.plan_updates();
  ASSERT_THAT(texts(edits), ElementsAre("create cali4t1 hash:net maxelem 1048576", "add cali4t1 1 members 10.0.0.1"));
  planner.record(edits[0], {});
  planner.record(edits[1], {.failure = IpSetFailure::kUnknown});
  EXPECT_THAT(planner.plan_swaps(), IsEmpty()) << "a half-filled set must never take the name";
  EXPECT_THAT(planner.unread(), ElementsAre("cali40s:a"));

  planner.observe({.header = headers[0]});
  edits = planner.plan_updates();
  ASSERT_THAT(texts(edits), ElementsAre("create cali4t2 hash:net maxelem 1048576", "add cali4t2 1 members 10.0.0.1"));
  record_all(planner, edits);
  edits = planner.plan_swaps();
  EXPECT_THAT(texts(edits), ElementsAre("swap cali40s:a cali4t2"));
  record_all(planner, edits);
  EXPECT_FALSE(planner.updates_left());
  EXPECT_THAT(texts(planner.plan_deletions(10)), ElementsAre("destroy cali4t0", "destroy cali4t1", "destroy cali4t2"));
}

TEST(IpSetPlanner, AnotherTypeIsReplacedByRenaming) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40n:a", {.type = IpSetType::kHashIpPort, .max_elements = 1048576}, {});
  planner.observe_all(std::vector{header("cali40n:a")});
  planner.observe({.header = header("cali40n:a")});
  record_all(planner, planner.plan_updates());
  auto edits = planner.plan_swaps();
  ASSERT_EQ(edits.size(), 1u);
  planner.record(edits[0], {.failure = IpSetFailure::kTypeMismatch});
  edits = planner.plan_swaps();
  EXPECT_THAT(texts(edits), ElementsAre("destroy cali40n:a", "rename cali4t0 cali40n:a"));
  record_all(planner, edits);
  EXPECT_FALSE(planner.updates_left());
  EXPECT_THAT(planner.plan_deletions(10), IsEmpty());
}

TEST(IpSetPlanner, ARefusedMemberIsSetAsideUntilItChanges) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.1"), net("10.0.0.2")});
  auto edits = planner.plan_updates();
  planner.record(edits[0], {});
  planner.record(edits[1], {.failure = IpSetFailure::kNone, .text = "no", .refused_members = {0}});
  EXPECT_THAT(planner.plan_updates(), IsEmpty());
  const IpSetMember refused = edits[1].members[0];
  planner.change_members("cali40s:a", {}, std::vector{refused});
  planner.change_members("cali40s:a", std::vector{refused}, {});
  edits = planner.plan_updates();
  ASSERT_EQ(edits.size(), 1u);
  EXPECT_EQ(edits[0].members, std::vector{refused});
}

TEST(IpSetPlanner, ASetWantedAgainBeforeItsDeletionIsReadFirst) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.1")});
  record_all(planner, planner.plan_updates());
  planner.unwant("cali40s:a");
  EXPECT_THAT(texts(planner.plan_deletions(10)), ElementsAre("destroy cali40s:a"));
  planner.want("cali40s:a", {}, std::vector{net("10.0.0.2")});
  EXPECT_THAT(planner.plan_deletions(10), IsEmpty());
  EXPECT_THAT(planner.unread(), ElementsAre("cali40s:a"));
  planner.observe({.header = header("cali40s:a"), .members = {net("10.0.0.1")}});
  EXPECT_THAT(texts(planner.plan_updates()),
              ElementsAre("del cali40s:a 1 members 10.0.0.1", "add cali40s:a 1 members 10.0.0.2"));
}

TEST(IpSetPlanner, GivesUpDeletingASetInUseUntilTheNextResync) {
  IpSetPlanner planner(base::Family::kIpv4);
  planner.observe_all(std::vector{header("cali40old")});
  for (int i = 0; i < IpSetPlanner::kDeletionAttempts; ++i) {
    const auto edits = planner.plan_deletions(1);
    ASSERT_EQ(edits.size(), 1u);
    planner.record(edits[0], {.failure = IpSetFailure::kReferenced});
  }
  EXPECT_FALSE(planner.deletions_left());
  planner.observe_all(std::vector{header("cali40old")});
  EXPECT_TRUE(planner.deletions_left());
}

}  // namespace
}  // namespace reconcile
