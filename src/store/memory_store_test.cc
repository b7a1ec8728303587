// Faults of the memory store, on a virtual loop. What it shares with the others is in tests/integration/store.
#include "store/memory_store.h"

#include <gtest/gtest.h>

#include <optional>

#include "testing/sim_loop.h"

namespace store {
namespace {

struct Fixture {
  Fixture() {
    subscription = store.subscribe({"/a/"}, loop, [this](StoreEvent event) { events.push_back(std::move(event)); });
    loop.run_pending();
  }
  template <typename T>
  int count() const {
    int n = 0;
    for (const auto& event : events) n += std::holds_alternative<T>(event) ? 1 : 0;
    return n;
  }
  testing::SimLoop loop;
  MemoryStore store{loop};
  std::vector<StoreEvent> events;
  std::unique_ptr<Subscription> subscription;
};

TEST(MemoryStore, ResumesAfterADisconnect) {
  Fixture f;
  f.store.write("/a/1", "x");
  f.loop.run_pending();
  f.store.disconnect();
  f.store.write("/a/2", "y");
  f.loop.run_pending();
  EXPECT_EQ(f.count<Delta>(), 1);
  f.store.reconnect();
  f.loop.run_pending();
  EXPECT_EQ(f.count<Delta>(), 2);
  EXPECT_EQ(f.count<SnapshotStart>(), 1);
  EXPECT_EQ(std::get<Delta>(f.events.back()).changes.at(0).item.key, "/a/2");
}

TEST(MemoryStore, CompactedWhileAwayMeansANewSnapshot) {
  Fixture f;
  f.store.write("/a/1", "x");
  f.loop.run_pending();
  f.store.disconnect();
  f.store.write("/a/1", std::nullopt);
  f.store.write("/a/2", "y");
  f.store.compact_now();
  f.store.reconnect();
  f.loop.run_pending();
  EXPECT_EQ(f.count<SnapshotDone>(), 2);
  EXPECT_EQ(f.count<SnapshotPage>(), 1);
}

TEST(MemoryStore, CompactedWhileTheReaderPagesStartsAgain) {
  Fixture f;
  f.subscription.reset();
  f.store.set_page_keys(1);
  for (const char* key : {"/a/1", "/a/2", "/a/3", "/a/4"}) f.store.write(key, "x");
  f.events.clear();
  bool compacted = false;
  f.subscription = f.store.subscribe({"/a/"}, f.loop, [&](StoreEvent event) {
    if (std::holds_alternative<SnapshotPage>(event) && !std::exchange(compacted, true)) {
      f.store.write("/a/1", "changed");
      f.store.compact_now();
    }
    f.events.push_back(std::move(event));
  });
  f.loop.run_pending();
  EXPECT_EQ(f.count<SnapshotStart>(), 2);
  EXPECT_EQ(f.count<SnapshotDone>(), 1);
}

TEST(MemoryStore, RequestsFailAsTold) {
  Fixture f;
  std::optional<base::Result<WriteReply>> reply;
  const auto put = [&] {
    f.store.put({.key = "/a/1", .value = "x"}, {}, f.loop, [&](base::Result<WriteReply> r) { reply = std::move(r); });
    f.loop.run_pending();
  };
  f.store.fail_requests(1, base::Error::unavailable("as told"));
  put();
  ASSERT_FALSE(*reply);
  EXPECT_EQ(reply->error().text(), "as told");
  EXPECT_EQ(f.store.table().find("/a/1"), nullptr);
  put();
  ASSERT_TRUE(*reply);
  f.store.disconnect();
  put();
  EXPECT_FALSE(*reply);
}

TEST(MemoryStore, LeaseEndsOnTheVirtualClock) {
  Fixture f;
  f.store.put({.key = "/a/1", .value = "x", .time_to_live = std::chrono::seconds(90)}, {}, f.loop, [](auto) {});
  f.loop.run_pending();
  EXPECT_NE(f.store.table().find("/a/1"), nullptr);
  f.loop.advance(std::chrono::seconds(91));
  EXPECT_EQ(f.store.table().find("/a/1"), nullptr);
}

}  // namespace
}  // namespace store
