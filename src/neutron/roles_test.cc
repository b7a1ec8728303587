// What the leader does, on a virtual clock: election, compaction, statuses; and the options.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "neutron/compaction.h"
#include "neutron/election.h"
#include "neutron/guard_sweeper.h"
#include "neutron/options.h"
#include "neutron/status.h"
#include "neutron/testing_world.h"
#include "neutron/work_queue.h"

namespace neutron {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RoleTest : public WorldTest {
 protected:
  RoleTest() {
    start_mirror({.changed =
                      [this](const std::string& key) {
                        for (auto& watcher : watchers_) watcher(key);
                      },
                  .loaded = {},
                  .connection = {}});
  }

  std::vector<std::function<void(const std::string&)>> watchers_;
};

// --- Election ---

class ElectionTest : public RoleTest {
 protected:
  std::unique_ptr<Election> make(const std::string& name, int pid) {
    auto election =
        std::make_unique<Election>(context_, mirror_,
                                   Election::Settings{.name = name,
                                                      .pid = pid,
                                                      .process_exists = [this](int p) { return p != dead_; },
                                                      .jitter = [] { return 0.0; }},
                                   [this, name](bool leader) { history_ += name + (leader ? "+" : "-"); });
    watchers_.push_back([e = election.get()](const std::string&) { e->wake(); });
    election->start();
    return election;
  }
  const std::string key_ = "/calico/openstack/v2/no-region/neutron_election";
  int dead_ = 0;
  std::string history_;
};

TEST_F(ElectionTest, OneLeadsAndTheOtherTakesOverAtOnceWhenItStops) {
  const auto a = make("a", 1);
  loop_.run_pending();
  const auto b = make("b", 2);
  loop_.advance(5min);
  EXPECT_EQ(history_, "a+");
  EXPECT_EQ(value(key_), "a:1");
  EXPECT_EQ(value("/calico/openstack/v1/neutron_election"), "a:1");
  bool stopped = false;
  a->stop([&] { stopped = true; });
  loop_.advance(1s);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(history_, "a+b+");
}

TEST_F(ElectionTest, RefreshWritesTheKeyAgain) {
  const auto a = make("a", 1);
  loop_.run_pending();
  const auto before = store_.table().find(key_)->mod_revision;
  loop_.advance(11s);
  EXPECT_GT(store_.table().find(key_)->mod_revision, before);
  loop_.advance(10min);
  EXPECT_EQ(history_, "a+");
}

TEST_F(ElectionTest, LostKeyEndsLeadership) {
  const auto a = make("a", 1);
  loop_.run_pending();
  store_.write(key_, "upstream:7");
  loop_.advance(11s);
  EXPECT_EQ(history_, "a+a-");
  loop_.advance(10min);
  EXPECT_EQ(value(key_), "upstream:7");
  store_.write(key_, std::nullopt);
  loop_.advance(1s);
  EXPECT_EQ(history_, "a+a-a+");
}

TEST_F(ElectionTest, DeadProcessOfThisHostIsReplaced) {
  dead_ = 7;
  for (const auto& [stored, wins] : std::vector<std::pair<std::string, bool>>{
           {"a:7", true}, {"a:8", false}, {"other:7", false}, {"a", false}, {"a:x", false}}) {
    store_.write(key_, stored);
    history_.clear();
    const auto a = make("a", 1);
    loop_.advance(1min);
    EXPECT_EQ(history_, wins ? "a+" : "") << stored;
    a->stop([] {});
    loop_.advance(1s);
    watchers_.clear();
  }
}

TEST_F(ElectionTest, EtcdAwayEndsLeadershipAndItComesBack) {
  const auto a = make("a", 1);
  loop_.run_pending();
  store_.disconnect();
  loop_.advance(30s);
  EXPECT_EQ(history_, "a+a-");
  store_.reconnect();
  loop_.advance(2min);
  EXPECT_EQ(history_, "a+a-a+");
}

// --- Compaction: the example of spec openstack §4.4 ---

TEST(CompactionPlan, FollowsTheTable) {
  struct Case {
    CompactionState state;
    std::string expected;  // "nothing", "write LAST", "compact AT"
  };
  const Case cases[] = {
      {{.trigger_with_lease = true, .last = 5, .current = 5000}, "nothing"},
      {{.trigger_without_lease = true, .last = 5, .current = 5000}, "write 0"},
      {{.current = 10}, "write 0"},
      {{.last = 9000, .current = 5000}, "write 0"},
      {{.last = 0, .last_written = 10, .current = 100}, "write 0"},
      {{.last = 0, .last_written = 100, .current = 300}, "write 0"},
      {{.last = 0, .last_written = 300, .current = 1100}, "compact 100"},
      {{.last = 100, .last_written = 1100, .current = 1200}, "compact 200"},
      {{.last = 200, .last_written = 10, .current = 1200}, "write 200"},
  };
  for (const Case& c : cases) {
    const CompactionPlan plan = plan_compaction(c.state);
    std::string text = "nothing";
    if (plan.write_keys) text = "write " + std::to_string(plan.last);
    if (plan.compact_at) text = "compact " + std::to_string(*plan.compact_at);
    EXPECT_EQ(text, c.expected) << c.state.current;
  }
}

TEST_F(RoleTest, CompactionGoesByItsPeriod) {
  Compaction compaction(context_, {.period = 60min, .min_revisions = 10, .pid = 42});
  compaction.lead(true);
  loop_.run_pending();
  EXPECT_EQ(value("/calico/compaction/v1/last"), "0");
  EXPECT_EQ(value("/calico/compaction/v1/trigger"), "42");
  for (int i = 0; i < 100; ++i) store_.write("/x", std::to_string(i));
  loop_.advance(121min);
  EXPECT_NE(value("/calico/compaction/v1/last"), "0");
}

TEST_F(RoleTest, GuardsGoAfterAPeriodOfRest) {
  GuardSweeper sweeper(context_);
  sweeper.lead(true);
  const std::string a = context_.region.guard_key({Kind::kPort, "a"});
  const std::string b = context_.region.guard_key({Kind::kPort, "b"});
  store_.write(a, "");
  store_.write(b, "");
  loop_.advance(11min);
  store_.write(b, "x");
  EXPECT_EQ(value(a), "");
  loop_.advance(10min);
  EXPECT_EQ(value(a), "-");
  EXPECT_EQ(value(b), "x");
  loop_.advance(10min);
  EXPECT_EQ(value(b), "-");
}

// --- Statuses ---

class StatusTest : public RoleTest {
 protected:
  StatusTest() {
    watchers_.push_back([this](const std::string& key) { keeper_.endpoint_changed(key); });
    poll();
    keeper_.lead(true);
    run();
  }
  void run() { loop_.advance(10ms); }
  // A worker that answers every call at once.
  void poll(json::object message = {{"worker", "w"}}) {
    work_.poll({.connection = 1, .method = "POST", .path = "/v1/work", .body = ""}, std::move(message),
               [this](const HttpReply& reply) {
                 if (reply.status != 200) return;
                 const json::object call = json::parse(reply.body).as_object();
                 std::string line(text(call, "call"));
                 if (line == "set_port_status") {
                   line = std::string(text(call, "port_id")) + "=" + std::string(text(call, "status"));
                 } else {
                   line += ":" + std::string(text(call, "host")) + (flag(call, "start", false) ? "*" : "");
                   if (const auto time = text(call, "time"); !time.empty()) line += "@" + std::string(time);
                 }
                 calls_.push_back(line);
                 json::object answer{{"worker", "w"}, {"id", call.at("id")}};
                 if (failing_)
                   answer["error"] = json::object{{"message", "no"}};
                 else
                   answer["result"] = json::object{};
                 loop_.post([this, answer = std::move(answer)]() mutable { poll(std::move(answer)); });
               });
  }
  std::string endpoint(const std::string& host) {
    return context_.region.endpoint_prefix() + endpoint_name({host, "vm", "p"});
  }
  std::string status_key(const std::string& host) {
    return "/calico/felix/v2/no-region/host/" + host + "/workload/openstack/openstack%2fvm/endpoint/p";
  }
  std::vector<std::string> take_calls() { return std::exchange(calls_, {}); }

  WorkQueue work_{context_};
  StatusKeeper keeper_{context_, mirror_, work_};
  std::vector<std::string> calls_;
  bool failing_ = false;
};

TEST_F(StatusTest, FlapsArePassedOnInBothDirections) {
  store_.write(endpoint("h1"), "{}");
  run();
  for (const auto* status : {"up", "down", "up"}) {
    store_.write(status_key("h1"), std::string(R"({"status":")") + status + "\"}");
    run();
  }
  EXPECT_THAT(take_calls(), ElementsAre("p=ACTIVE", "p=DOWN", "p=ACTIVE"));
  store_.write(status_key("h1"), "{");
  run();
  store_.write(status_key("h1"), std::nullopt);
  run();
  EXPECT_THAT(take_calls(), ElementsAre("p=ERROR", "p=ERROR"));
}

TEST_F(StatusTest, OtherHostsCountForNothingUntilTheEndpointMoves) {
  store_.write(endpoint("h1"), "{}");
  store_.write(status_key("h1"), R"({"status":"up"})");
  run();
  store_.write(status_key("h2"), R"({"status":"up"})");  // destination of a migration, long before
  run();
  EXPECT_THAT(take_calls(), ElementsAre("p=ACTIVE"));
  store_.write(endpoint("h2"), "{}");
  store_.write(endpoint("h1"), std::nullopt);
  run();
  EXPECT_THAT(take_calls(), ElementsAre("p=ACTIVE"));
  store_.write(status_key("h1"), std::nullopt);
  run();
  EXPECT_THAT(take_calls(), ElementsAre());
}

TEST_F(StatusTest, EndpointThatGoesIsDown) {
  store_.write(endpoint("h1"), "{}");
  store_.write(status_key("h1"), R"({"status":"up"})");
  run();
  store_.write(endpoint("h1"), std::nullopt);
  run();
  EXPECT_THAT(take_calls(), ElementsAre("p=ACTIVE", "p=DOWN"));
}

TEST_F(StatusTest, UpdateInPlaceSaysNothing) {
  store_.write(endpoint("h1"), "{}");
  store_.write(status_key("h1"), R"({"status":"up"})");
  run();
  store_.write(endpoint("h1"), R"({"a":1})");
  run();
  take_calls();
  store_.write(endpoint("h1"), R"({"a":2})");
  run();
  EXPECT_THAT(take_calls(), ElementsAre());
}

TEST_F(StatusTest, FailuresAreRepeatedWithTheNewest) {
  store_.write(endpoint("h1"), "{}");
  run();
  failing_ = true;
  store_.write(status_key("h1"), R"({"status":"up"})");
  run();
  store_.write(status_key("h1"), R"({"status":"down"})");
  run();
  failing_ = false;
  take_calls();
  loop_.advance(6s);
  EXPECT_EQ(take_calls().back(), "p=DOWN");
}

TEST_F(StatusTest, ResyncComparesWithWhatAgentsSaid) {
  store_.write(endpoint("h1"), "{}");
  store_.write(status_key("h1"), R"({"status":"up"})");
  run();
  take_calls();
  EXPECT_FALSE(keeper_.compare("p", "ACTIVE", true));
  EXPECT_TRUE(keeper_.compare("p", "DOWN", true));
  EXPECT_TRUE(keeper_.compare("q", "ACTIVE", false));
  EXPECT_FALSE(keeper_.compare("q", "DOWN", false));
  run();
  EXPECT_THAT(take_calls(), ElementsAre("p=ACTIVE", "q=DOWN"));
}

TEST_F(StatusTest, HeartbeatsBecomeReports) {
  const std::string key = "/calico/felix/v2/no-region/host/h1/status";
  store_.write(key, R"({"time":"2026-01-31T09:00:00Z","uptime":1.5,"first_update":true})");
  run();
  store_.write(key, R"({"time":"2026-01-31T09:00:30Z","uptime":31.5,"first_update":false})");
  run();
  store_.write(key, "bad");
  store_.write("/calico/felix/v2/no-region/host/h1/last_reported_status", "{}");
  store_.write("/calico/felix/v2/no-region/host/round-trip-check", "1");
  store_.write(key, std::nullopt);
  run();
  EXPECT_THAT(take_calls(), ElementsAre("report_agent:h1*", "report_agent:h1"));
}

TEST_F(StatusTest, AHeartbeatFoundIsReportedWithItsTime) {
  store_.write("/calico/felix/v2/no-region/host/h1/status", R"({"time":"2026-01-31T09:00:00Z","uptime":9})");
  run();
  take_calls();
  keeper_.lead(false);
  keeper_.lead(true);  // a new leader, long after it may be
  run();
  EXPECT_THAT(take_calls(), ElementsAre("report_agent:h1@2026-01-31T09:00:00Z"));
  store_.write("/calico/felix/v2/no-region/host/h1/status", R"({"time":"2026-01-31T09:00:30Z","uptime":39})");
  run();
  EXPECT_THAT(take_calls(), ElementsAre("report_agent:h1"));
}

// --- Work queue ---

TEST_F(RoleTest, WorkWithoutWorkerFailsInTime) {
  WorkQueue work(context_);
  std::string outcome;
  work.call({{"call", "list"}},
            [&](const base::Result<json::value>& answer) { outcome = answer ? "answer" : answer.error().text(); });
  loop_.advance(59s);
  EXPECT_EQ(outcome, "");
  loop_.advance(2s);
  EXPECT_THAT(outcome, HasSubstr("is neutron-server running"));
}

TEST_F(RoleTest, WorkerThatGoesFailsItsCall) {
  WorkQueue work(context_);
  std::string given;
  work.poll({.connection = 5, .method = "", .path = "", .body = ""}, json::object{},
            [&](const HttpReply& reply) { given = reply.body; });
  EXPECT_EQ(work.workers(), 1u);
  std::string outcome;
  work.call({{"call", "list"}},
            [&](const base::Result<json::value>& answer) { outcome = answer ? "answer" : answer.error().text(); });
  EXPECT_THAT(given, HasSubstr("list"));
  work.closed(5);
  loop_.advance(19s);
  EXPECT_EQ(outcome, "");
  loop_.advance(2s);
  EXPECT_THAT(outcome, HasSubstr("does not answer"));
  EXPECT_EQ(work.workers(), 0u);
}

TEST_F(RoleTest, AnswerMayComeOverAnotherConnection) {
  WorkQueue work(context_);
  work.poll({.connection = 5, .method = "", .path = "", .body = ""}, json::object{}, [](const HttpReply&) {});
  std::string outcome;
  work.call({{"call", "list"}}, [&](const base::Result<json::value>& answer) {
    outcome = answer ? json::serialize(*answer) : answer.error().text();
  });
  work.closed(5);
  work.poll({.connection = 6, .method = "", .path = "", .body = ""}, json::object{{"id", 1}, {"result", "yes"}},
            [](const HttpReply&) {});
  EXPECT_EQ(outcome, "\"yes\"");
}

TEST_F(RoleTest, ForgottenCallFailsAtOnce) {
  WorkQueue work(context_);
  const auto poll = [&] {
    work.poll({.connection = 5, .method = "", .path = "", .body = ""}, json::object{}, [](const HttpReply&) {});
  };
  poll();
  std::string outcome;
  work.call({{"call", "list"}},
            [&](const base::Result<json::value>& answer) { outcome = answer ? "answer" : answer.error().text(); });
  poll();
  EXPECT_THAT(outcome, HasSubstr("did not answer"));
}

TEST_F(RoleTest, IdleWorkerIsSentBack) {
  WorkQueue work(context_);
  unsigned status = 0;
  work.poll({.connection = 5, .method = "", .path = "", .body = ""}, json::object{},
            [&](const HttpReply& reply) { status = reply.status; });
  loop_.advance(26s);
  EXPECT_EQ(status, 204u);
}

// --- Options ---

TEST(Options, ReadOsloFiles) {
  OsloFile file;
  ASSERT_TRUE(
      file.add("[DEFAULT]\nhost = x\n# c\n[calico]\netcd_host = 10.0.0.1\netcd_port=4001\n"
               "openstack_region: east\nresync_interval_secs = 0\n[percale]\nsocket_users = neutron,\n  1001\n",
               "f"));
  const auto options = read_options(file, "me");
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_THAT(options->etcd.endpoints, ElementsAre("http://10.0.0.1:4001"));
  EXPECT_EQ(options->region, "east");
  EXPECT_EQ(options->elector_name, "me");
  EXPECT_EQ(options->resync_interval.count(), 0);
  EXPECT_THAT(options->socket_users, ElementsAre("neutron", "1001"));
  EXPECT_THAT(user_ids(options->socket_users, "root:x:0:0:\nneutron:x:120:1:\n"), ElementsAre(120, 1001));
}

TEST(Options, TlsFilesMeanHttps) {
  OsloFile file;
  ASSERT_TRUE(file.add("[calico]\netcd_ca_cert_file = /ca\netcd_host = fd00::1\netcd_scheme = http\n", "f"));
  EXPECT_THAT(read_options(file, "me")->etcd.endpoints, ElementsAre("https://[fd00::1]:2379"));
  ASSERT_TRUE(file.add("[percale]\netcd_endpoints = https://a:1, https://b:2\n", "g"));
  EXPECT_THAT(read_options(file, "me")->etcd.endpoints, ElementsAre("https://a:1", "https://b:2"));
}

TEST(Options, MistakesAreNamed) {
  OsloFile file;
  ASSERT_TRUE(file.add("[calico]\netcd_port = x\nopenstack_region = East\n[percale]\nsocket_mode=9\n", "f"));
  const auto options = read_options(file, "me");
  ASSERT_FALSE(options);
  for (const auto* part : {"etcd_port", "openstack_region", "socket_mode"}) {
    EXPECT_THAT(options.error().text(), HasSubstr(part));
  }
  EXPECT_FALSE(file.add("[calico\n", "f"));
  EXPECT_FALSE(file.add("nothing\n", "f"));
}

}  // namespace
}  // namespace neutron
