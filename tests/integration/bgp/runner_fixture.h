// runner_fixture.h: for tests: host "a" (192.0.2.11) with BIRD under the runner, in a network namespace of the test's
// own that goes with the test, and with it whatever BIRD left in the kernel.
#pragma once

#include <sched.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "bgp/runtime/bird_runner.h"
#include "bgp_hosts.h"
#include "os/event_loop.h"

namespace bgp {

using namespace std::chrono_literals;

class RunnerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { entered_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0; }

  void SetUp() override {
    if (!entered_) GTEST_SKIP() << "needs root for a network namespace of its own";
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
  }

  void TearDown() override {
    runner_.reset();
    kill_daemon(SIGKILL);
  }

  void make_runner() { runner_ = std::make_unique<BirdRunner>(loop_, log_, metrics_, settings_, options_); }

  int daemon_pid() const {
    const auto text = os::read_file(options_.pid_path);
    return text ? std::atoi(text->c_str()) : 0;
  }
  void kill_daemon(int signal) const {
    if (const int daemon = daemon_pid(); daemon > 0) ::kill(daemon, signal);
  }
  std::string config() const { return os::read_file(options_.config_path).value_or(""); }

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

  testing::TempDirectory directory_;
  RunnerOptions options_;
  Settings settings_;
  os::EventLoop loop_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
  base::TimerId timer_{};
  std::unique_ptr<BirdRunner> runner_;
  static inline bool entered_ = false;
};

}  // namespace bgp
