// Status keys, endpoint statuses, heartbeats and leaving, on a virtual clock.
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/endpoint_status.h"
#include "agent/process_status.h"
#include "agent/shutdown.h"
#include "agent/status_keys.h"
#include "testing/rng.h"
#include "testing/sim_loop.h"

namespace agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SimLoop;

// A datastore in memory that answers after `delay` and fails while told so.
class FakeStatusStore final : public StatusStore {
 public:
  explicit FakeStatusStore(SimLoop& loop) : loop_(loop) {}

  void put_for(std::string key, std::string value, std::chrono::seconds ttl, Done done) override {
    answer([this, key = std::move(key), value = std::move(value), ttl, done = std::move(done)] {
      if (failing) return done(base::fail(base::Error::unavailable("down")));
      keys[key] = value;
      leases[key] = ttl;
      done({});
    });
  }
  void write(StatusWrites writes, Done done) override {
    ++commits;
    last_commit = loop_.now();
    largest = std::max(largest, writes.size());
    answer([this, writes = std::move(writes), done = std::move(done)] {
      if (failing) return done(base::fail(base::Error::unavailable("down")));
      for (const auto& [key, value] : writes.puts) keys[key] = value;
      for (const std::string& key : writes.removals) keys.erase(key);
      done({});
    });
  }
  void list(std::string prefix, Listed listed) override {
    ++lists;
    answer([this, prefix = std::move(prefix), listed = std::move(listed)] {
      if (failing) return listed(base::fail(base::Error::unavailable("down")));
      std::vector<std::pair<std::string, std::string>> items;
      for (const auto& item : keys) {
        if (item.first.starts_with(prefix)) items.push_back(item);
      }
      listed(std::move(items));
    });
  }

  std::map<std::string, std::string> keys;
  std::map<std::string, std::chrono::seconds> leases;
  bool failing = false;
  base::Duration delay = milliseconds(2);
  int commits = 0;
  int lists = 0;
  std::size_t largest = 0;
  base::Instant last_commit{};

 private:
  void answer(std::function<void()> what) { loop_.after(delay, std::move(what)); }
  SimLoop& loop_;
};

TEST(StatusKeys, ByteExact) {
  const StatusPaths none{"no-region", "h1"};
  EXPECT_EQ(none.process(), "/calico/felix/v2/no-region/host/h1/status");
  EXPECT_EQ(none.last_reported(), "/calico/felix/v2/no-region/host/h1/last_reported_status");
  EXPECT_EQ(none.workload("openstack", "openstack/5f2c", "p"),
            "/calico/felix/v2/no-region/host/h1/workload/openstack/openstack%2f5f2c/endpoint/p");
  const StatusPaths east{"region-east", "Host.1"};
  EXPECT_EQ(east.workload("a%b", "c/d", "e/f"),
            "/calico/felix/v2/region-east/host/Host.1/workload/a%25b/c%2fd/endpoint/e%2ff");
  EXPECT_EQ(east.host_endpoint("eth0/x"), "/calico/felix/v1/host/Host.1/endpoint/eth0%2fx");
  EXPECT_EQ(endpoint_value(EndpointStatus::kUp), R"({"status":"up"})");
  EXPECT_EQ(endpoint_value(EndpointStatus::kDown), R"({"status":"down"})");
  EXPECT_EQ(endpoint_value(EndpointStatus::kError), R"({"status":"error"})");
  EXPECT_EQ(process_value(SimLoop::kWallStart, milliseconds(12345), true),
            R"({"time":"2026-01-02T03:04:05Z","uptime":12.345,"first_update":true})");
  EXPECT_EQ(process_value(SimLoop::kWallStart + milliseconds(1999), seconds(35), false),
            R"({"time":"2026-01-02T03:04:06Z","uptime":35,"first_update":false})");
}

struct Fixture {
  SimLoop loop;
  FakeStatusStore store{loop};
  base::NullLog log;
  base::MetricRegistry metrics;
  EndpointStatusReporter reporter;

  explicit Fixture(base::Duration delay = seconds(1))
      : reporter(loop, store, log, metrics, {.delay = delay, .prefixes = {"w/", "h/"}}, [] { return 0.5; }) {}
};

TEST(EndpointStatus, TheFirstWriteDoesNotWaitTheNextDoes) {
  Fixture f;
  f.loop.advance(seconds(100));
  f.reporter.set("w/a", "up");
  f.loop.advance(milliseconds(3));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("w/a", "up")));
  f.reporter.set("w/b", "up");
  f.loop.advance(milliseconds(1000));
  EXPECT_EQ(f.store.commits, 1);
  f.loop.advance(milliseconds(60));  // 1.05 s after the first
  EXPECT_EQ(f.store.commits, 2);
  EXPECT_EQ(f.store.keys.size(), 2u);
}

TEST(EndpointStatus, OnlyTheNewestStatusOfAnEndpointIsWritten) {
  Fixture f;
  f.reporter.set("w/a", "up");
  f.loop.advance(milliseconds(3));
  f.reporter.set("w/a", "down");
  f.reporter.set("w/a", "up");  // back to what is there: nothing to write
  f.reporter.set("w/b", "down");
  f.reporter.set("w/b", "up");
  f.reporter.set("w/c", "up");
  f.reporter.clear("w/c");
  f.loop.advance(seconds(5));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("w/a", "up"), Pair("w/b", "up")));
  EXPECT_EQ(f.store.commits, 2);
}

TEST(EndpointStatus, ManyChangesGoInBatches) {
  Fixture f;
  for (int i = 0; i < 500; ++i) f.reporter.set("w/" + std::to_string(i), "up");
  f.loop.advance(seconds(10));
  EXPECT_EQ(f.store.keys.size(), 500u);
  EXPECT_EQ(f.store.commits, 8);
  EXPECT_LE(f.store.largest, EndpointStatusReporter::kBatch);
}

TEST(EndpointStatus, FailuresAreRepeatedAtTheSameRate) {
  Fixture f;
  f.store.failing = true;
  f.reporter.set("w/a", "up");
  f.loop.advance(milliseconds(10'600));
  EXPECT_EQ(f.store.commits, 11);
  f.reporter.set("w/a", "down");
  f.store.failing = false;
  f.loop.advance(seconds(2));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("w/a", "down")));
  EXPECT_EQ(f.store.commits, 12);
}

TEST(EndpointStatus, FirstSyncWritesOnlyWhatDiffersAndRemovesStaleKeys) {
  Fixture f;
  f.store.keys = {{"w/same", "up"}, {"w/wrong", "down"}, {"w/stale", "up"}, {"h/bad", "garbage"}, {"other", "x"}};
  f.reporter.set("w/same", "up");
  f.reporter.set("w/wrong", "up");
  f.reporter.set("w/new", "up");
  f.reporter.set("h/bad", "up");
  f.reporter.in_sync();
  f.loop.advance(seconds(5));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("h/bad", "up"), Pair("other", "x"), Pair("w/new", "up"),
                                        Pair("w/same", "up"), Pair("w/wrong", "up")));
  EXPECT_EQ(f.store.commits, 1);
  EXPECT_EQ(f.store.largest, 4u);
}

TEST(EndpointStatus, ResyncRepairsWhatOthersChanged) {
  Fixture f;
  f.reporter.set("w/a", "up");
  f.reporter.set("w/b", "up");
  f.reporter.in_sync();
  f.loop.advance(seconds(10));
  f.store.keys = {{"w/a", "down"}, {"w/x", "up"}};
  f.loop.advance(seconds(170));
  EXPECT_EQ(f.store.keys.at("w/a"), "down");
  f.loop.advance(seconds(30));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("w/a", "up"), Pair("w/b", "up")));
}

TEST(EndpointStatus, NothingIsReadBeforeTheDataPlaneIsInSync) {
  Fixture f;
  f.store.keys = {{"w/old", "up"}};
  f.loop.advance(seconds(1000));
  EXPECT_EQ(f.store.lists, 0);
  EXPECT_EQ(f.store.keys.size(), 1u);
  f.reporter.in_sync();
  f.loop.advance(seconds(2));
  EXPECT_THAT(f.store.keys, IsEmpty());
}

TEST(EndpointStatus, AFailedListingDelaysNoStatus) {
  Fixture f;
  f.store.failing = true;
  f.reporter.in_sync();
  f.loop.advance(seconds(3));
  f.store.keys = {{"w/stale", "up"}};
  f.store.failing = false;
  f.reporter.set("w/a", "up");
  f.loop.advance(seconds(3));
  EXPECT_THAT(f.store.keys, ElementsAre(Pair("w/a", "up")));
}

TEST(EndpointStatus, DelayZeroIsClamped) {
  Fixture f(seconds(0));
  f.store.failing = true;
  f.reporter.set("w/a", "up");
  f.loop.advance(seconds(1));
  EXPECT_LE(f.store.commits, 101);
  EXPECT_GE(f.store.commits, 50);
}

// Random histories with failures: at the end the datastore holds exactly what was said last.
TEST(EndpointStatus, ConvergesAfterAnyHistory) {
  const std::uint64_t first = ::testing::pick_seed("EndpointStatus.ConvergesAfterAnyHistory");
  for (std::uint64_t seed = first; seed < first + 200; ++seed) {
    ::testing::Rng rng(seed);
    Fixture f;
    std::map<std::string, std::string> expected;
    for (int step = 0; step < 100; ++step) {
      const std::string key = (rng.one_in(4) ? "h/" : "w/") + std::to_string(rng.below(6));
      switch (rng.below(6)) {
        case 0:
        case 1: f.reporter.set(key, expected[key] = rng.one_in(2) ? "up" : "down"); break;
        case 2:
          expected.erase(key);
          f.reporter.clear(key);
          break;
        case 3: f.store.failing = rng.one_in(3); break;
        case 4:
          if (rng.one_in(3)) f.store.keys[key] = "foreign";
          if (rng.one_in(3)) f.store.keys.erase(key);
          if (rng.one_in(10)) f.reporter.in_sync();
          break;
        default: f.loop.advance(milliseconds(rng.between(0, 3000)));
      }
    }
    f.store.failing = false;
    f.reporter.in_sync();
    f.loop.advance(seconds(400));
    EXPECT_EQ(f.store.keys, expected) << "seed " << seed;
  }
}

TEST(ProcessStatus, FirstAfterTenSecondsThenEveryInterval) {
  SimLoop loop;
  FakeStatusStore store(loop);
  base::NullLog log;
  ProcessStatusReporter reporter(loop, store, log, {"no-region", "h1"}, milliseconds(90'900), loop.now());
  const Heartbeat heartbeat(loop, seconds(30), [&] { reporter.beat(); });
  const std::string leased = "/calico/felix/v2/no-region/host/h1/status";
  const std::string permanent = "/calico/felix/v2/no-region/host/h1/last_reported_status";
  loop.advance(milliseconds(9'999));
  EXPECT_THAT(store.keys, IsEmpty());
  loop.advance(milliseconds(10));
  EXPECT_EQ(store.keys.at(leased), R"({"time":"2026-01-02T03:04:15Z","uptime":10,"first_update":true})");
  EXPECT_EQ(store.keys.at(permanent), store.keys.at(leased));
  EXPECT_EQ(store.leases.at(leased), seconds(90));
  EXPECT_FALSE(store.leases.contains(permanent));
  loop.advance(seconds(30));
  EXPECT_EQ(store.keys.at(leased), R"({"time":"2026-01-02T03:04:45Z","uptime":40,"first_update":false})");
}

TEST(ProcessStatus, FirstUpdateHoldsUntilALeasedWriteWorked) {
  SimLoop loop;
  FakeStatusStore store(loop);
  base::NullLog log;
  ProcessStatusReporter reporter(loop, store, log, {"no-region", "h1"}, seconds(90), loop.now());
  store.failing = true;
  reporter.beat();
  reporter.beat();  // the first is under way
  loop.advance(seconds(1));
  EXPECT_EQ(store.commits, 1);
  store.failing = false;
  reporter.beat();
  loop.advance(seconds(1));
  EXPECT_THAT(store.keys.begin()->second, ::testing::HasSubstr("\"first_update\":true"));
}

TEST(ProcessStatus, IntervalZeroIsNever) {
  SimLoop loop;
  int beats = 0;
  const Heartbeat heartbeat(loop, seconds(0), [&] { ++beats; });
  loop.advance(std::chrono::hours(1));
  EXPECT_EQ(beats, 0);
}

struct Leaving {
  SimLoop loop;
  base::NullLog log;
  int stops = 0;
  std::vector<int> statuses;
  Shutdown shutdown{loop, log, [this] { ++stops; }, [this](int status) { statuses.push_back(status); }};
};

TEST(Shutdown, CausesAndStatuses) {
  for (const auto& [cause, status] : {std::pair{ShutdownCause::kConfigChanged, 129},
                                      {ShutdownCause::kDatastoreUnready, 1},
                                      {ShutdownCause::kFatal, 1}}) {
    Leaving l;
    l.shutdown.request(cause, "test");
    l.loop.advance(milliseconds(1999));
    EXPECT_EQ(l.stops, 1);
    EXPECT_THAT(l.statuses, IsEmpty());
    l.shutdown.signal(SIGHUP);
    l.shutdown.request(ShutdownCause::kFatal, "later");
    l.loop.advance(seconds(10));
    EXPECT_THAT(l.statuses, ElementsAre(status));
    EXPECT_EQ(l.stops, 1);
  }
}

TEST(Shutdown, Signals) {
  Leaving term;
  term.shutdown.signal(SIGTERM);
  EXPECT_THAT(term.statuses, ElementsAre(1));
  Leaving hup;
  hup.shutdown.signal(SIGHUP);
  EXPECT_THAT(hup.statuses, IsEmpty());
  hup.shutdown.signal(SIGINT);  // during the delay: at once
  EXPECT_THAT(hup.statuses, ElementsAre(1));
  hup.loop.advance(seconds(10));
  EXPECT_EQ(hup.statuses.size(), 1u);
}

}  // namespace
}  // namespace agent
