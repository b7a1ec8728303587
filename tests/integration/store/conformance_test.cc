// What every Store promises, run against each implementation. A promise that only etcd can break is in etcd_test.cc.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "event_collector.h"
#include "os/loop_thread.h"
#include "store/blocking.h"
#include "store/directory_store.h"
#include "store/memory_store.h"
#include "store_under_test.h"
#include "testing/temp_directory.h"
#ifdef PERCALE_HAVE_ETCD
#include "etcd_server.h"
#include "store/etcd/etcd_store.h"
#endif

namespace store_test {
namespace {

using namespace std::chrono_literals;
using store::WriteStatus;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class MemoryUnderTest final : public StoreUnderTest {
 public:
  MemoryUnderTest() { home_.start(); }
  ~MemoryUnderTest() override { home_.stop(); }
  store::Store& store() override { return store_; }

 private:
  os::LoopThread home_{"memory"};
  store::MemoryStore store_{home_.loop()};
};

class DirectoryUnderTest final : public StoreUnderTest {
 public:
  store::Store& store() override { return *store_; }

 private:
  testing::TempDirectory directory_;
  base::NullLog log_;
  std::unique_ptr<store::Store> store_ = *store::open_directory(directory_.path(), log_);
};

#ifdef PERCALE_HAVE_ETCD
EtcdServer& shared_etcd() {
  static EtcdServer server;
  return server;
}

class EtcdUnderTest final : public StoreUnderTest {
 public:
  store::Store& store() override { return *store_; }

 private:
  base::NullLog log_;
  base::MetricRegistry metrics_;
  std::unique_ptr<store::Store> store_ =
      store::make_etcd_store({.endpoints = {*store::parse_etcd_endpoint(shared_etcd().url())}}, log_, metrics_);
};
#endif

const Backend kBackends[] = {
    {"Memory", [] { return std::make_unique<MemoryUnderTest>(); }, 2500},
    {"Directory", [] { return std::make_unique<DirectoryUnderTest>(); }, 1100},
#ifdef PERCALE_HAVE_ETCD
    {"Etcd", [] { return std::make_unique<EtcdUnderTest>(); }, 9000},
#endif
};

class Conformance : public ::testing::TestWithParam<Backend> {
 protected:
  Conformance() : prefix_(fmt::format("/test/{}/", ++last_prefix_)) {}

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  store::Store& store() { return under_test_->store(); }

  static inline int last_prefix_ = 0;  // a shared server keeps what earlier tests wrote
  const std::string prefix_;
  os::LoopThread loop_{"requests"};  // outlives the store
  std::unique_ptr<StoreUnderTest> under_test_ = GetParam().make();
  store::BlockingStore client_{under_test_->store()};
};

TEST_P(Conformance, PutThenGet) {
  const auto put = client_.put(key("a"), "1");
  ASSERT_TRUE(put) << put.error().text();
  EXPECT_EQ(put->status, WriteStatus::kDone);
  const auto got = client_.get(key("a"));
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->value, "1");
  EXPECT_EQ(got->mod_revision, put->revision);
  EXPECT_EQ(got->create_revision, put->revision);

  const auto again = client_.put(key("a"), "2");
  ASSERT_TRUE(again);
  EXPECT_GT(again->revision, put->revision);
  const auto changed = client_.get(key("a"));
  ASSERT_TRUE(changed);
  EXPECT_EQ(changed->value, "2");
  EXPECT_EQ(changed->mod_revision, again->revision);
}

TEST_P(Conformance, GetOfNothingIsNotFound) {
  const auto got = client_.get(key("none"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind(), base::ErrorKind::kNotFound);
  EXPECT_THAT(got.error().text(), HasSubstr(key("none")));
}

TEST_P(Conformance, ValuesMayHoldAnyBytes) {
  const std::string value("\0\xff\n\"{}", 6);
  ASSERT_TRUE(client_.put(key("bytes"), value));
  EXPECT_EQ(client_.get(key("bytes"))->value, value);
}

TEST_P(Conformance, CreateRefusesWhatExists) {
  ASSERT_EQ(client_.create(key("a"), "1")->status, WriteStatus::kDone);
  const auto second = client_.create(key("a"), "2");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->status, WriteStatus::kExists);
  ASSERT_TRUE(second->current);
  EXPECT_EQ(second->current->value, "1");
  EXPECT_EQ(store::refusal(*second, key("a")).kind(), base::ErrorKind::kExists);
  EXPECT_EQ(client_.get(key("a"))->value, "1");
}

TEST_P(Conformance, UpdateComparesTheRevision) {
  const auto created = client_.create(key("a"), "1");
  const auto updated = client_.update(key("a"), "2", created->revision);
  ASSERT_TRUE(updated);
  EXPECT_EQ(updated->status, WriteStatus::kDone);
  EXPECT_EQ(client_.get(key("a"))->mod_revision, updated->revision);

  const auto late = client_.update(key("a"), "3", created->revision);
  ASSERT_TRUE(late);
  EXPECT_EQ(late->status, WriteStatus::kConflict);
  ASSERT_TRUE(late->current);
  EXPECT_EQ(late->current->value, "2");

  const auto absent = client_.update(key("none"), "3", created->revision);
  ASSERT_TRUE(absent);
  EXPECT_EQ(absent->status, WriteStatus::kNotFound);
  EXPECT_EQ(client_.update(key("none"), "3", 0)->status, WriteStatus::kNotFound);
}

TEST_P(Conformance, MustExist) {
  const auto replace = [&](const std::string& value) {
    return client_.put({.key = key("a"), .value = value, .condition = store::Condition::kPresent});
  };
  EXPECT_EQ(replace("1")->status, WriteStatus::kNotFound);
  ASSERT_TRUE(client_.put(key("a"), "0"));
  EXPECT_EQ(replace("1")->status, WriteStatus::kDone);
  EXPECT_EQ(client_.get(key("a"))->value, "1");
}

TEST_P(Conformance, RemoveReturnsWhatWasThere) {
  const auto put = client_.put(key("a"), "1");
  EXPECT_EQ(client_.remove(key("a"), put->revision - 1)->status, WriteStatus::kConflict);
  const auto removed = client_.remove(key("a"), put->revision);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->status, WriteStatus::kDone);
  ASSERT_TRUE(removed->current);
  EXPECT_EQ(removed->current->value, "1");
  EXPECT_FALSE(client_.get(key("a")));
  EXPECT_EQ(client_.remove(key("a"))->status, WriteStatus::kNotFound);
  EXPECT_EQ(client_.remove(key("a"), put->revision)->status, WriteStatus::kNotFound);
}

TEST_P(Conformance, ListIsSortedAndBounded) {
  for (const char* name : {"b", "a", "c"}) ASSERT_TRUE(client_.put(key(name), name));
  ASSERT_TRUE(client_.put(prefix_.substr(0, prefix_.size() - 1) + "0other", "beside the prefix"));
  const auto listing = client_.list(prefix_);
  ASSERT_TRUE(listing);
  ASSERT_THAT(listing->items, SizeIs(3));
  EXPECT_EQ(listing->items[0].key, key("a"));
  EXPECT_EQ(listing->items[2].key, key("c"));
  EXPECT_GT(listing->revision, 0);
}

TEST_P(Conformance, ReadLimitTellsThatThereIsMore) {
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client_.put(key(fmt::format("k{}", i)), "v"));
  std::promise<base::Result<store::ReadReply>> promise;
  store().read({.key = prefix_, .range_end = store::prefix_end(prefix_), .limit = 2, .keys_only = true}, {},
               loop_.loop(), [&](base::Result<store::ReadReply> reply) { promise.set_value(std::move(reply)); });
  loop_.start();
  const auto reply = promise.get_future().get();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->more);
  ASSERT_THAT(reply->items, SizeIs(2));
  EXPECT_EQ(reply->items[1].key, key("k1"));
  EXPECT_EQ(reply->items[1].value, "");
}

TEST_P(Conformance, OldRevisionsCanBeReadUntilTheyAreCompacted) {
  const auto first = client_.put(key("a"), "1");
  const auto second = client_.put(key("a"), "2");
  EXPECT_EQ(client_.get(key("a"), first->revision)->value, "1");
  ASSERT_TRUE(client_.compact(second->revision));
  const auto gone = client_.get(key("a"), first->revision);
  ASSERT_FALSE(gone);
  EXPECT_TRUE(store::is_compacted(gone.error())) << gone.error().text();
  EXPECT_EQ(client_.get(key("a"))->value, "2");
}

TEST_P(Conformance, CommitIsOneRevision) {
  ASSERT_TRUE(client_.put(key("old"), "x"));
  const auto at = client_.commit({.puts = {{key("a"), "1"}, {key("b"), "2"}}, .removals = {key("old"), key("never")}});
  ASSERT_TRUE(at) << at.error().text();
  EXPECT_EQ(client_.get(key("a"))->mod_revision, *at);
  EXPECT_EQ(client_.get(key("b"))->mod_revision, *at);
  EXPECT_FALSE(client_.get(key("old")));
}

TEST_P(Conformance, StatusNamesTheServer) {
  const auto status = client_.status();
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_FALSE(status->peer.empty());
  EXPECT_FALSE(status->version.empty());
  EXPECT_GT(status->revision, 0);
}

TEST_P(Conformance, LeaseTakesTheKeyAway) {
  ASSERT_TRUE(client_.put({.key = key("leased"), .value = "v", .time_to_live = 1s}));
  ASSERT_TRUE(client_.put({.key = key("kept"), .value = "v", .time_to_live = 1s}));
  ASSERT_TRUE(client_.put(key("kept"), "without a lease"));
  EventCollector collector(store(), {prefix_});
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_TRUE(collector.wait([&](const Seen& s) { return !s.items.contains(key("leased")); }, 5s));
  EXPECT_TRUE(client_.get(key("kept")));
}

TEST_P(Conformance, SubscriberSeesSnapshotThenChanges) {
  ASSERT_TRUE(client_.put(key("a"), "1"));
  EventCollector collector(store(), {prefix_});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_EQ(collector.seen().items.at(key("a")).value, "1");

  const auto put = client_.put(key("b"), "2");
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return s.items.contains(key("b")); }));
  EXPECT_EQ(collector.seen().items.at(key("b")).mod_revision, put->revision);
  ASSERT_TRUE(client_.put(key("a"), "changed"));
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return s.items.at(key("a")).value == "changed"; }));
  const auto removed = client_.remove(key("a"));
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return !s.items.contains(key("a")); }));
  const Seen seen = collector.seen();
  EXPECT_EQ(seen.changes.back().item.mod_revision, removed->revision);
  EXPECT_EQ(seen.violation, "");
  EXPECT_TRUE(seen.connected);
  EXPECT_EQ(seen.snapshots_started, 1);
}

TEST_P(Conformance, SubscriberOfNothingIsInSyncAtOnce) {
  EventCollector collector(store(), {prefix_});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_EQ(collector.seen().pages, 0);
}

TEST_P(Conformance, SubscriberSeesOnlyItsPrefixes) {
  ASSERT_TRUE(client_.put(key("x/1"), "v"));
  ASSERT_TRUE(client_.put(key("y/1"), "v"));
  ASSERT_TRUE(client_.put(key("z/1"), "v"));
  EventCollector collector(store(), {key("x/"), key("z/")});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  EXPECT_THAT(collector.seen().items, SizeIs(2));
  ASSERT_TRUE(client_.put(key("y/2"), "v"));
  ASSERT_TRUE(client_.put(key("z/2"), "v"));
  ASSERT_TRUE(client_.put(key("x/2"), "v"));
  ASSERT_TRUE(
      collector.wait([&](const Seen& s) { return s.items.contains(key("x/2")) && s.items.contains(key("z/2")); }));
  EXPECT_THAT(collector.seen().items, SizeIs(4));
  EXPECT_EQ(collector.seen().violation, "");
}

TEST_P(Conformance, CommitArrivesInOneDelta) {
  EventCollector collector(store(), {prefix_});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));
  store::Transaction transaction;
  for (int i = 0; i < 100; ++i) transaction.puts.emplace_back(key(fmt::format("k{:03}", i)), "v");
  ASSERT_TRUE(client_.commit(std::move(transaction)));
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.deltas > 0; }));
  EXPECT_THAT(collector.seen().items, SizeIs(100));
}

TEST_P(Conformance, ConditionsOfACommitHoldForAllOfIt) {
  const auto put = client_.put(key("a"), "1");
  ASSERT_TRUE(put);
  const auto commit = [&](std::vector<store::Untouched> conditions) {
    return client_.commit({.puts = {{key("b"), "2"}}, .removals = {}, .conditions = std::move(conditions)});
  };
  const auto refused = commit({{key("a"), put->revision - 1}, {key("c"), 0}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), base::ErrorKind::kConflict);
  EXPECT_FALSE(client_.get(key("b")));
  EXPECT_FALSE(commit({{key("a"), 0}}));
  ASSERT_TRUE(commit({{key("a"), put->revision}, {key("b"), 0}, {key("c"), put->revision}}));
  EXPECT_FALSE(commit({{key("b"), 0}}));
  // A key that has been removed was touched, but there is nothing left to compare with.
  ASSERT_TRUE(client_.remove(key("b")));
  EXPECT_TRUE(commit({{key("b"), 0}}));
}

TEST_P(Conformance, LargeSnapshotArrivesInPagesWhileTheReaderIsSlow) {
  const int keys = GetParam().keys_of_three_pages;
  for (int i = 0; i < keys;) {
    store::Transaction transaction;
    for (int n = 0; n < 100; ++n, ++i) transaction.puts.emplace_back(key(fmt::format("k{:05}", i)), "v");
    ASSERT_TRUE(client_.commit(std::move(transaction)));
  }
  EventCollector collector(store(), {prefix_}, [] { std::this_thread::sleep_for(20ms); });
  // Written while pages are on their way: not part of the snapshot, and not lost.
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.pages >= 1; }));
  ASSERT_TRUE(client_.put(key("late"), "v"));
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return s.snapshots_done == 1 && s.items.contains(key("late")); }));
  const Seen seen = collector.seen();
  EXPECT_THAT(seen.items, SizeIs(keys + 1));
  EXPECT_GE(seen.pages, 3);
  EXPECT_EQ(seen.violation, "");
}

TEST_P(Conformance, ManyWritesEndInTheSameState) {
  EventCollector collector(store(), {prefix_});
  for (int i = 0; i < 300; ++i) {
    const std::string name = key(fmt::format("k{}", i % 7));
    if (i % 5 == 4) {
      ASSERT_TRUE(client_.remove(name));
    } else {
      ASSERT_TRUE(client_.put(name, fmt::format("{}", i)));
    }
  }
  ASSERT_TRUE(client_.put(key("end"), ""));
  ASSERT_TRUE(collector.wait([&](const Seen& s) { return s.items.contains(key("end")); }));
  const auto listing = client_.list(prefix_);
  const Seen seen = collector.seen();
  ASSERT_EQ(seen.items.size(), listing->items.size());
  for (const auto& item : listing->items) EXPECT_EQ(seen.items.at(item.key), item);
  EXPECT_EQ(seen.violation, "");
}

TEST_P(Conformance, NothingArrivesAfterTheSubscriptionEnds) {
  os::LoopThread thread("reader");
  std::atomic<int> events = 0;
  std::atomic<bool> synced = false;
  auto subscription = store().subscribe({prefix_}, thread.loop(), [&](store::StoreEvent event) {
    ++events;
    if (std::holds_alternative<store::SnapshotDone>(event)) synced = true, synced.notify_one();
  });
  thread.start();
  synced.wait(false);
  std::promise<void> ended;
  thread.loop().post([&] {
    subscription.reset();
    ended.set_value();
  });
  ended.get_future().get();
  const int before = events;
  ASSERT_TRUE(client_.put(key("a"), "1"));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(events, before);
}

INSTANTIATE_TEST_SUITE_P(Stores, Conformance, ::testing::ValuesIn(kBackends),
                         [](const auto& backend) { return backend.param.name; });

}  // namespace
}  // namespace store_test
