#include "agent/status_files.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/files.h"
#include "testing/sim_loop.h"
#include "testing/temp_directory.h"

namespace agent {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(StatusFiles, NameAndContentAreAsReadersExpect) {
  model::WorkloadInterface interface;
  interface.orchestrator = "openstack";
  interface.workload = "openstack/vm 1";
  interface.endpoint = "port%1";
  interface.name = "tap1";
  interface.mac = base::parse_mac("fa:16:3e:00:00:01").value();
  interface.addresses = {base::parse_address("10.65.0.2").value(), base::parse_address("fd00::2").value()};
  EXPECT_EQ(status_file_name(interface), "openstack openstack%2Fvm%201 port%251");
  EXPECT_EQ(status_file_content(interface),
            R"({"ifaceName":"tap1","mac":"fa:16:3e:00:00:01","ipv4Nets":["10.65.0.2/32"],"ipv6Nets":["fd00::2/128"]})");
}

class StatusFilesTest : public ::testing::Test {
 protected:
  std::vector<std::string> names() { return os::list_directory(path_).value_or(std::vector<std::string>{}); }
  std::string content(const std::string& name) { return os::read_file(path_ + "/" + name).value_or(""); }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(os::write_file_atomic(path_ + "/" + name, text));
  }

  testing::TempDirectory directory_;
  const std::string path_ = directory_.file("run/endpoint-status");
  testing::SimLoop loop_;
  base::NullLog log_;
  StatusFiles files_{loop_, log_, path_};
};

TEST_F(StatusFilesTest, NothingIsTouchedBeforeInSync) {
  ASSERT_TRUE(os::make_directories(path_));
  write("stale", "x");
  files_.set("a", "A");
  loop_.advance(seconds(60));
  EXPECT_THAT(names(), ElementsAre("stale"));
  files_.in_sync();
  loop_.run_pending();
  EXPECT_THAT(names(), ElementsAre("a"));
  EXPECT_EQ(content("a"), "A");
}

TEST_F(StatusFilesTest, FollowsChangesAtOnceAndRepairsTheDirectoryInTime) {
  files_.in_sync();
  files_.set("a", "A");
  files_.set("b", "B");
  loop_.run_pending();
  EXPECT_THAT(names(), UnorderedElementsAre("a", "b"));
  files_.set("a", "A2");
  files_.clear("b");
  loop_.run_pending();
  EXPECT_EQ(content("a"), "A2");
  EXPECT_THAT(names(), ElementsAre("a"));

  std::filesystem::remove(path_ + "/a");
  write("stranger", "x");
  loop_.advance(StatusFiles::kCheckInterval);
  EXPECT_THAT(names(), ElementsAre("a"));
  EXPECT_EQ(content("a"), "A2");
  std::filesystem::remove_all(path_);
  loop_.advance(StatusFiles::kCheckInterval);
  EXPECT_EQ(content("a"), "A2");
}

TEST_F(StatusFilesTest, ADirectoryThatCannotBeMadeIsTriedAgain) {
  const std::string blocker = directory_.write("run", "a file where the directory should be");
  files_.set("a", "A");
  files_.in_sync();
  loop_.advance(seconds(30));
  EXPECT_THAT(names(), IsEmpty());
  std::filesystem::remove(blocker);
  loop_.advance(StatusFiles::kLastRetry);
  EXPECT_EQ(content("a"), "A");
}

}  // namespace
}  // namespace agent
