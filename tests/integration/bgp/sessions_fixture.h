// sessions_fixture.h: for tests: host "a" (192.0.2.11, AS 64512), its resources, and BIRD under the runner in a network
// namespace of the test's own.
#pragma once

#include <sched.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "bgp/runtime/bird_runner.h"
#include "bgp_hosts.h"
#include "model/decoder.h"
#include "os/event_loop.h"

namespace bgp {

using namespace std::chrono_literals;

class SessionsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { entered_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0; }

  void SetUp() override {
    if (!entered_) GTEST_SKIP() << "needs root for a network namespace of its own";
    // Each test gets fresh interfaces; what BIRD left in the kernel goes with them.
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    run("ip link set lo up");
    options_.config_path = directory_.file("bird.conf");
    options_.socket_path = directory_.file("bird.ctl");
    options_.pid_path = directory_.file("bird.pid");
    options_.secret_directory = directory_.file("secrets");
    options_.group = "";
    options_.user = "";
    options_.supervise = true;
    options_.poll = 100ms;
    options_.first_pause = 100ms;
    settings_.node_name = "a";
    settings_.log_file = directory_.file("bird.log");
    settings_.include_file = directory_.file("local.conf");
    settings_.recovery_wait = 20s;
    put("nodes/a", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.11/24"}}})");
  }

  void TearDown() override {
    runner_.reset();
    kill_daemon(SIGKILL);
  }

  void start() {
    runner_ = std::make_unique<BirdRunner>(loop_, log_, metrics_, settings_, options_);
    for (const model::Update& update : updates_) runner_->apply(update);
    runner_->in_sync();
  }

  void put(const std::string& path, const std::string& value) {
    model::Decoder::Output out;
    const std::string key = path.starts_with("/") ? path : "/calico/resources/v3/projectcalico.org/" + path;
    decoder_.put(key, value, out);
    EXPECT_TRUE(out.diagnostics.empty());
    for (model::Update& update : out.updates) {
      if (runner_) runner_->apply(update);
      updates_.push_back(std::move(update));
    }
  }
  void put_peer(const std::string& name, const std::string& spec) {
    put("bgppeers/" + name, R"({"spec":{"asNumber":65001,)" + spec + "}}");
  }

  void kill_daemon(int signal) const {
    const auto text = os::read_file(options_.pid_path);
    const int daemon = text ? std::atoi(text->c_str()) : 0;
    if (daemon > 0) ::kill(daemon, signal);
  }

  template <typename Condition>
  bool run_until(Condition condition, base::Duration limit = 40s) {
    const base::Instant end = loop_.now() + limit;
    std::function<void()> tick = [&] {
      if (condition() || loop_.now() > end) return loop_.stop();
      timer_ = loop_.after(50ms, tick);
    };
    timer_ = loop_.after(0ms, tick);
    loop_.run();
    loop_.cancel(timer_);
    return condition();
  }
  bool established(const std::string& name) const {
    for (const ProtocolRow& row : runner_->status().sessions) {
      if (row.name == name) return row.established();
    }
    return false;
  }
  static std::string routes() { return run("ip -4 route show"); }
  static bool has_route(const std::string& start) { return ("\n" + routes()).find("\n" + start) != std::string::npos; }

  testing::TempDirectory directory_;
  RunnerOptions options_;
  Settings settings_;
  os::EventLoop loop_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  base::TimerId timer_{};
  base::Interner interner_;
  model::Decoder decoder_{{.hostname = "a"}, interner_};
  std::vector<model::Update> updates_;
  std::unique_ptr<BirdRunner> runner_;
  static inline bool entered_ = false;
};

// A peer of AS 65001 that "a" has as a BGPPeer.
inline NeighbourConfig router(const std::string& id, const std::string& networks, const std::string& more = "") {
  return {.router_id = id,
          .protocols = fmt::format("protocol bgp a from host {{ local {} as 65001; neighbor 192.0.2.11 as 64512; "
                                   "multihop; {} }}",
                                   id, more),
          .networks = networks};
}

}  // namespace bgp
