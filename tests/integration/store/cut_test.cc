// A host that is silently cut from etcd: packets are dropped, the connection stays open, and etcd changes and compacts
// meanwhile. Runs in a network namespace of its own, so that dropping packets disturbs nobody.
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <thread>

#include "base/check.h"
#include "etcd_server.h"
#include "event_collector.h"
#include "os/process.h"
#include "store/blocking.h"
#include "store/etcd/etcd_store.h"

namespace store_test {
namespace {

using namespace std::chrono_literals;

void run(std::vector<std::string> arguments) {
  const auto outcome = os::run({.arguments = std::move(arguments)});
  if (!outcome || !outcome->ok()) fmt::print(stderr, "{}\n", outcome ? outcome->describe() : outcome.error().text());
  CHECK(outcome && outcome->ok());
}

// The client comes by another address than the one that changes etcd, so that only the client is cut.
constexpr const char* kClientAddress = "127.0.0.2";

void cut() {
  run({"nft", "add table ip cut"});
  run({"nft", "add chain ip cut in { type filter hook input priority 0; }"});
  run({"nft", fmt::format("add rule ip cut in ip daddr {} drop", kClientAddress)});
  run({"nft", fmt::format("add rule ip cut in ip saddr {} drop", kClientAddress)});
}
void heal() { run({"nft", "delete table ip cut"}); }

class Cut : public ::testing::TestWithParam<std::chrono::seconds> {};

TEST_P(Cut, ConvergesSoonAfterHealing) {
  EtcdServer server({.listen_everywhere = true});
  server.ctl({"put", "/t/gone", "1"});
  base::NullLog log;
  base::MetricRegistry metrics;
  std::string url = server.url();
  url.replace(url.find("127.0.0.1"), 9, kClientAddress);
  auto store = store::make_etcd_store({.endpoints = {*store::parse_etcd_endpoint(url)}}, log, metrics);
  EventCollector collector(*store, {"/t/"});
  ASSERT_TRUE(collector.wait([](const Seen& s) { return s.snapshots_done == 1; }));

  cut();
  const auto start = std::chrono::steady_clock::now();
  server.ctl({"del", "/t/gone"});
  server.ctl({"put", "/t/new", "1"});
  for (int i = 0; i < 5; ++i) server.ctl({"put", "/t/new", fmt::format("{}", i)});
  server.ctl({"compact", "7"});
  std::this_thread::sleep_until(start + GetParam());
  EXPECT_TRUE(collector.seen().items.contains("/t/gone"));
  EXPECT_EQ(collector.seen().connected, GetParam() < 20s)
      << "a dead peer is noticed within 20 s, and not before it must be";
  heal();
  const auto healed = std::chrono::steady_clock::now();
  EXPECT_TRUE(collector.wait(
      [](const Seen& s) {
        const auto found = s.items.find("/t/new");
        return found != s.items.end() && found->second.value == "4" && !s.items.contains("/t/gone");
      },
      15s));
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - healed).count();
  fmt::print("cut for {} s: converged {:.2f} s after healing, {} snapshots\n", GetParam().count(), took,
             collector.seen().snapshots_done);
  EXPECT_EQ(collector.seen().violation, "");
}

INSTANTIATE_TEST_SUITE_P(For, Cut, ::testing::Values(2s, 25s),
                         [](const auto& span) { return fmt::format("{}s", span.param.count()); });

}  // namespace
}  // namespace store_test

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::unshare(CLONE_NEWNET) != 0) {
    fmt::print("skipped: no right to make a network namespace\n");
    return 77;
  }
  store_test::run({"ip", "link", "set", "lo", "up"});
  return RUN_ALL_TESTS();
}
