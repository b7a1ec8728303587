// The generator and the runner against the real BIRD.
#include <sys/stat.h>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "runner_fixture.h"

namespace bgp {
namespace {

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

class BirdRunnerTest : public RunnerTest {
 protected:
  void SetUp() override {
    RunnerTest::SetUp();
    settings_.address_v4 = *base::parse_interface_cidr("192.0.2.11/24");
  }

  static model::DocumentChange peer(const std::string& name, const std::string& address) {
    boost::json::object resource{{"spec", {{"peerIP", address}, {"asNumber", 64512}}}};
    return {{model::DocumentKind::kBgpPeer, name}, std::make_shared<const boost::json::object>(std::move(resource))};
  }
};

TEST_F(BirdRunnerTest, StartsConfiguresAndAdopts) {
  make_runner();
  runner_->apply(peer("one", "192.0.2.1"));
  runner_->in_sync();
  ASSERT_TRUE(run_until([&] { return runner_->status().daemon_up && runner_->status().sessions.size() == 1; }));
  EXPECT_EQ(runner_->status().sessions[0].name, "Global_192_0_2_1");
  EXPECT_EQ(runner_->status().configuration_error, "");
  EXPECT_TRUE(why_not_ready(runner_->status(), ReadinessRule::kOne, false));  // nobody answers there
  struct stat info{};
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
  const int daemon = daemon_pid();
  ASSERT_GT(daemon, 0);

  // A change is applied to the running daemon.
  runner_->apply(peer("two", "192.0.2.2"));
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 2; }));
  EXPECT_EQ(daemon_pid(), daemon);

  // The next agent finds daemon and file as they should be: nothing is written, nobody is restarted.
  runner_.reset();
  ASSERT_EQ(::kill(daemon, 0), 0) << "BIRD must outlive the agent";
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  const auto inode = info.st_ino;
  make_runner();
  runner_->apply(peer("one", "192.0.2.1"));
  runner_->apply(peer("two", "192.0.2.2"));
  runner_->in_sync();
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 2; }));
  EXPECT_EQ(daemon_pid(), daemon);
  ASSERT_EQ(::stat(options_.config_path.c_str(), &info), 0);
  EXPECT_EQ(info.st_ino, inode);

  // A daemon that falls is started again.
  ASSERT_EQ(::kill(daemon, SIGKILL), 0);
  ASSERT_TRUE(run_until([&] { return !runner_->status().daemon_up; }));
  ASSERT_TRUE(run_until([&] { return runner_->status().daemon_up && runner_->status().sessions.size() == 2; }));
  EXPECT_NE(daemon_pid(), daemon);
}

TEST_F(BirdRunnerTest, NothingHappensBeforeTheFirstSnapshot) {
  make_runner();
  runner_->apply(peer("one", "192.0.2.1"));
  run_until([] { return false; }, 1500ms);
  EXPECT_FALSE(os::file_exists(options_.config_path));
}

TEST_F(BirdRunnerTest, RefusedConfigurationLeavesTheFormerInForce) {
  make_runner();
  runner_->apply(peer("one", "192.0.2.1"));
  runner_->in_sync();
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 1; }));
  const std::string good = *os::read_file(options_.config_path);
  runner_.reset();

  settings_.log_file = directory_.file("missing/bird.log");  // no resource can spoil the file, but a setting can
  make_runner();
  runner_->apply(peer("two", "192.0.2.2"));
  runner_->in_sync();
  ASSERT_TRUE(run_until([&] { return !runner_->status().configuration_error.empty(); }));
  EXPECT_THAT(runner_->status().configuration_error, testing::HasSubstr("log"));
  EXPECT_EQ(*os::read_file(options_.config_path), good);
  EXPECT_FALSE(os::file_exists(options_.config_path + ".new"));
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 1; }));
  EXPECT_EQ(runner_->status().sessions[0].name, "Global_192_0_2_1");
  EXPECT_TRUE(why_not_ready(runner_->status(), ReadinessRule::kOne, false));
}

TEST_F(BirdRunnerTest, PasswordsComeFromFiles) {
  std::filesystem::create_directories(options_.secret_directory + "/bgp");
  directory_.write("secrets/bgp/key", "hidden\n");
  make_runner();
  boost::json::object spec{{"peerIP", "192.0.2.1"},
                           {"asNumber", 64512},
                           {"password", {{"secretKeyRef", {{"name", "bgp"}, {"key", "key"}}}}}};
  runner_->apply(
      model::DocumentChange{{model::DocumentKind::kBgpPeer, "p"},
                            std::make_shared<const boost::json::object>(boost::json::object{{"spec", spec}})});
  runner_->in_sync();
  ASSERT_TRUE(run_until([&] { return runner_->status().sessions.size() == 1; }));
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
