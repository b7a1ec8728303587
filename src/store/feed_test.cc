#include "store/feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/sim_loop.h"

namespace store {
namespace {

using ::testing::ElementsAre;

Change put(std::string key, std::string value, Revision at) {
  return {.item = {.key = std::move(key), .value = std::move(value), .create_revision = at, .mod_revision = at}};
}

struct Fixture {
  testing::SimLoop loop;  // runs when told to, so that a test decides how far the reader lags
  std::vector<StoreEvent> seen;
  int consumed = 0;
  std::shared_ptr<Feed> feed = std::make_shared<Feed>(
      loop, [this](StoreEvent event) { seen.push_back(std::move(event)); }, [this] { ++consumed; });
};

TEST(Feed, DeliversInOrderWithOneWakeUp) {
  Fixture f;
  f.feed->push(SnapshotStart{7});
  f.feed->push(SnapshotPage{});
  f.feed->push(SnapshotDone{7});
  EXPECT_EQ(f.loop.run_pending(), 1U);
  ASSERT_EQ(f.seen.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<SnapshotStart>(f.seen[0]));
  EXPECT_TRUE(std::holds_alternative<SnapshotPage>(f.seen[1]));
  EXPECT_TRUE(std::holds_alternative<SnapshotDone>(f.seen[2]));
  EXPECT_EQ(f.consumed, 1);
}

TEST(Feed, MergesDeltasThatWait) {
  Fixture f;
  f.feed->push(Delta{7, 8, {put("a", "1", 8)}});
  f.feed->push(Delta{8, 9, {put("b", "1", 9)}});
  f.loop.run_pending();
  ASSERT_EQ(f.seen.size(), 1U);
  const auto& delta = std::get<Delta>(f.seen[0]);
  EXPECT_EQ(delta.from, 7);
  EXPECT_EQ(delta.to, 9);
  EXPECT_EQ(delta.changes.size(), 2U);
}

TEST(Feed, BacklogIsBoundedByTheNumberOfKeys) {
  Fixture f;
  constexpr Revision kCommits = 20'000;
  for (Revision r = 1; r <= kCommits; ++r) f.feed->push(Delta{r - 1, r, {put("k" + std::to_string(r % 10), "v", r)}});
  f.loop.run_pending();
  ASSERT_EQ(f.seen.size(), 1U);
  const auto& delta = std::get<Delta>(f.seen[0]);
  EXPECT_EQ(delta.to, kCommits);
  EXPECT_LT(delta.changes.size(), 1100U);
  EXPECT_EQ(delta.changes.back().item.mod_revision, kCommits);
}

TEST(Feed, NothingArrivesAfterClose) {
  Fixture f;
  f.feed->push(SnapshotStart{1});
  f.feed->close();
  f.loop.run_pending();
  f.feed->push(SnapshotDone{1});
  f.loop.run_pending();
  EXPECT_TRUE(f.seen.empty());
}

TEST(KeepLastChanges, OrderOfTheLastChangesStays) {
  Delta delta{0, 4, {put("a", "1", 1), put("b", "1", 2), put("a", "2", 3), put("c", "1", 4)}};
  keep_last_changes(delta);
  EXPECT_THAT(delta.changes, ElementsAre(put("b", "1", 2), put("a", "2", 3), put("c", "1", 4)));
}

TEST(PrefixEnd, IsTheFirstKeyBehindThePrefix) {
  EXPECT_EQ(prefix_end("/calico/"), "/calico0");
  EXPECT_EQ(prefix_end("a\xff"), "b");
  EXPECT_EQ(prefix_end(""), std::string(1, '\0'));
}

}  // namespace
}  // namespace store
