// The generator and the runner against the real BIRD, in a network namespace of the test's own.
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "bgp/runtime/bird_runner.h"
#include "os/event_loop.h"
#include "os/files.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace bgp {
namespace {

using namespace std::chrono_literals;

TEST(BirdSyntax, EveryGoldenFileParses) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator("tests/golden/bgp")) {
    if (entry.path().extension() != ".conf") continue;
    std::string text = *os::read_file(entry.path());
    // Log files of the scenarios name directories that need not exist here.
    if (text.starts_with("log \"")) text = "log syslog all;" + text.substr(text.find('\n'));
    if (const auto include = text.find("\ninclude "); include != text.npos) {
      text.erase(include, text.find('\n', include + 1) - include);
    }
    testing::TempDirectory directory;
    const auto outcome = os::run({.arguments = {"bird", "-p", "-c", directory.write("bird.conf", text)}});
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->ok()) << entry.path() << ": " << outcome->errors;
    ++files;
  }
  EXPECT_GT(files, 5);
}

class BirdRunnerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { entered_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0; }

  void SetUp() override {
    if (!entered_) GTEST_SKIP() << "needs root for a network namespace of its own";
    options_.config_path = directory_.file("bird.conf");
    options_.socket_path = directory_.file("bird.ctl");
    options_.pid_path = directory_.file("bird.pid");
    options_.secret_directory = directory_.file("secrets");
    options_.group = "";
    options_.user = "";
    options_.supervise = true;
    options_.poll = 100ms;
    settings_.node_name = "a";
    settings_.address_v4 = *base::parse_interface_cidr("192.0.2.11/24");
    settings_.log_file = directory_.file("bird.log");
  }

  void TearDown() override {
    const int daemon = daemon_pid();
    if (daemon > 0) ::kill(daemon, SIGTERM);
  }

  int daemon_pid() const {
    const auto text = os::read_file(options_.pid_path);
    return text ? std::atoi(text->c_str()) : 0;
  }

  std::unique_ptr<BirdRunner> make() {
    return std::make_unique<BirdRunner>(loop_, log_, metrics_, settings_, options_);
  }

  static model::DocumentChange peer(const std::string& name, const std::string& address) {
    boost::json::object resource{{"spec", {{"peerIP", address}, {"asNumber", 64512}}}};
    return {{model::DocumentKind::kBgpPeer, name}, std::make_shared<const boost::json::object>(std::move(resource))};
  }

  template <typename Condition>
  bool run_until(Condition condition, base::Duration limit = 10s) {
    const base::Instant end = loop_.now() + limit;
    std::function<void()> tick = [&] {
      if (condition() || loop_.now() > end) return loop_.stop();
      timer_ = loop_.after(10ms, tick);
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
  static bool entered_;
};
bool BirdRunnerTest::entered_ = false;

TEST_F(BirdRunnerTest, StartsConfiguresAndAdopts) {
  auto runner = make();
  runner->apply(peer("one", "192.0.2.1"));
  runner->in_sync();
  ASSERT_TRUE(run_until([&] { return runner->status().daemon_up && runner->status().sessions.size() == 1; }));
  EXPECT_EQ(runner->status().sessions[0].name, "Global_192_0_2_1");
  EXPECT_EQ(runner->status().configuration_error, "");
  EXPECT_TRUE(why_not_ready(runner->status(), ReadinessRule::kOne, false));  // nobody answers there
  struct stat info{};
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
  const int daemon = daemon_pid();
  ASSERT_GT(daemon, 0);

  // A change is applied to the running daemon.
  runner->apply(peer("two", "192.0.2.2"));
  ASSERT_TRUE(run_until([&] { return runner->status().sessions.size() == 2; }));
  EXPECT_EQ(daemon_pid(), daemon);

  // The next agent finds daemon and file as they should be: nothing is written, nobody is restarted.
  runner.reset();
  ASSERT_EQ(::kill(daemon, 0), 0) << "BIRD must outlive the agent";
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  const auto inode = info.st_ino;
  runner = make();
  runner->apply(peer("one", "192.0.2.1"));
  runner->apply(peer("two", "192.0.2.2"));
  runner->in_sync();
  ASSERT_TRUE(run_until([&] { return runner->status().sessions.size() == 2; }));
  EXPECT_EQ(daemon_pid(), daemon);
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_ino, inode);

  // A daemon that falls is started again.
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  ASSERT_TRUE(run_until([&] { return !runner->status().daemon_up; }));
  ASSERT_TRUE(run_until([&] { return runner->status().daemon_up && runner->status().sessions.size() == 2; }));
  EXPECT_NE(daemon_pid(), daemon);
}

TEST_F(BirdRunnerTest, NothingHappensBeforeTheFirstSnapshot) {
  auto runner = make();
  runner->apply(peer("one", "192.0.2.1"));
  run_until([] { return false; }, 1500ms);
  EXPECT_FALSE(os::file_exists(options_.config_path));
}

TEST_F(BirdRunnerTest, RefusedConfigurationLeavesTheFormerInForce) {
  auto runner = make();
  runner->apply(peer("one", "192.0.2.1"));
  runner->in_sync();
  ASSERT_TRUE(run_until([&] { return runner->status().sessions.size() == 1; }));
  const std::string good = *os::read_file(options_.config_path);
  runner.reset();

  settings_.log_file = directory_.file("missing/bird.log");  // no resource can spoil the file, but a setting can
  runner = make();
  runner->apply(peer("two", "192.0.2.2"));
  runner->in_sync();
  ASSERT_TRUE(run_until([&] { return !runner->status().configuration_error.empty(); }));
  EXPECT_THAT(runner->status().configuration_error, testing::HasSubstr("log"));
  EXPECT_EQ(*os::read_file(options_.config_path), good);
  EXPECT_FALSE(os::file_exists(options_.config_path + ".new"));
  ASSERT_TRUE(run_until([&] { return runner->status().sessions.size() == 1; }));
  EXPECT_EQ(runner->status().sessions[0].name, "Global_192_0_2_1");
  EXPECT_TRUE(why_not_ready(runner->status(), ReadinessRule::kOne, false));
}

TEST_F(BirdRunnerTest, PasswordsComeFromFiles) {
  std::filesystem::create_directories(options_.secret_directory + "/bgp");
  directory_.write("secrets/bgp/key", "hidden\n");
  auto runner = make();
  boost::json::object spec{{"peerIP", "192.0.2.1"},
                           {"asNumber", 64512},
                           {"password", {{"secretKeyRef", {{"name", "bgp"}, {"key", "key"}}}}}};
  runner->apply(
      model::DocumentChange{{model::DocumentKind::kBgpPeer, "p"},
                            std::make_shared<const boost::json::object>(boost::json::object{{"spec", spec}})});
  runner->in_sync();
  ASSERT_TRUE(run_until([&] { return runner->status().sessions.size() == 1; }));
  EXPECT_THAT(*os::read_file(options_.config_path), testing::HasSubstr("password \"hidden\";"));
}

TEST_F(BirdRunnerTest, NobodyThereIsAnError) {
  BirdControl control(loop_, directory_.file("nobody.ctl"));
  int failures = 0;
  for (int i = 0; i < 3; ++i)
    control.command("show status", [&](const base::Result<Reply>& r) { failures += r ? 0 : 1; });
  EXPECT_TRUE(run_until([&] { return failures == 3; }, 2s));
}

}  // namespace
}  // namespace bgp
